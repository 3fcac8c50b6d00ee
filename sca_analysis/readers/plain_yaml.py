"""YAML that people write, read as text: every scalar as it stands, no name twice, no tag obeyed.

``on``, ``NO`` and 02138 mean what they say; ``!!python/object`` is a word like others. An alias is one object, so a
"billion laughs" costs nothing until somebody walks it.
"""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sca_analysis.errors import ExportError

#: Longest file read: what people type is far shorter. [bytes]
LONGEST = 1_000_000


class _RepeatedNameError(yaml.MarkedYAMLError):
    """A name that stands twice in one mapping."""


class _TextLoader(yaml.BaseLoader):
    """Text only, and no name twice: YAML would keep the last and drop the others without a word."""

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        """Return the text of a scalar; one may spell half a character as an escape, which nothing can write."""
        text = str(super().construct_scalar(node))
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise yaml.constructor.ConstructorError(problem_mark=node.start_mark)
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping, or say which line repeats a name or has a list for one."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(problem_mark=key.start_mark)
            if key.value in seen:
                raise _RepeatedNameError(problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_documents(path: Path, shown: str) -> list[Any]:
    """Return the documents of a YAML file: text, lists and mappings of text.

    Parameters
    ----------
    path : Path
    shown : str
        The file, as messages show it.

    Raises
    ------
    ExportError
        If it is no file, too long, no text in UTF-8, no YAML, or repeats a name: says the line.

    """
    try:
        if path.exists() and not path.is_file():  # a pipe or a device may never end
            raise ExportError(f"{shown} is no file, where one in YAML is expected.")
        if path.stat().st_size > LONGEST:
            raise ExportError(f"{shown} has over {LONGEST:,} bytes, which no person typed: check the path.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ExportError(f"{shown} is not text in UTF-8: save it as UTF-8.") from None
    except OSError as error:
        raise ExportError(f"{shown} cannot be read ({error.strerror}): check the path and permissions.") from None
    try:
        return list(yaml.load_all(text, Loader=_TextLoader))
    except RecursionError:
        raise ExportError(f"{shown} is nested too deep: write it as the README shows it.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "its indentation, colons and quotes"
        if isinstance(error, _RepeatedNameError):
            raise ExportError(f"{shown} {where} repeats a name: write it once, with all that belongs to it.") from None
        raise ExportError(f"{shown} is not valid YAML: correct {where}.") from None
