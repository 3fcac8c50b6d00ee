"""What an exports folder holds: ``exports.yaml``, or files in canonical names, and the files that they mean.

In: a folder. Out: ``Config``, and the paths of each of its sources. No export is opened here.
"""

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from sca_analysis.errors import ExportError
from sca_analysis.readers.plain_yaml import read_documents
from sca_analysis.readers.source import Entry, Source
from sca_analysis.tables import EXPORTS, Table

CONFIG = "exports.yaml"
SUFFIXES = (".csv", ".csv.gz", ".parquet")

PlanKind = Literal["medicare-advantage", "marketplace", "medicaid", "employer"]


class Plan(Entry):
    """The plan that the exports describe."""

    name: str = "Plan"
    network_id: str | None = None
    locality: str | None = None  # Medicare locality whose fees count as the plan's, such as NY-01
    kind: PlanKind | None = None  # which rules apply to the plan: cited in request letters
    standard: str | None = None  # name of a packaged standard, or a file of one, as `sca gaps --standards`


class Reference(Entry):
    """Newer editions of code sets than the packaged ones."""

    taxonomy: str | None = None  # NUCC's taxonomy code set, as published


def _listed(value: object) -> object:
    """One entry may be written without the dash of a list."""
    return [value] if isinstance(value, dict) else value


Sources = Annotated[list[Source], BeforeValidator(_listed)]


class Config(Entry):
    """``exports.yaml``: the plan, the end of the period, and the files of each table."""

    plan: Plan = Plan()
    reference: Reference = Reference()
    period_end: date | None = Field(default=None, description="last day that events can have; blank = today")
    claims: Sources = Field(default_factory=list)
    directory: Sources = Field(default_factory=list)
    members: Sources = Field(default_factory=list)
    benefits: Sources = Field(default_factory=list)
    fees: Sources = Field(default_factory=list)
    agreements: Sources = Field(default_factory=list)
    standards: Sources = Field(default_factory=list)
    counties: Sources = Field(default_factory=list)
    providers: Sources = Field(default_factory=list)
    travel_times: Sources = Field(default_factory=list)
    entered: Sources = Field(default_factory=list)

    def sources(self) -> Iterator[tuple[Table, Source]]:
        """Yield each table with each of its sources, in the order in which they are read."""
        for table in EXPORTS.values():
            for source in getattr(self, table.name):
                yield table, source


def read_config(folder: Path) -> Config:
    """Return ``exports.yaml`` of a folder or, without one, what its file names say.

    Raises
    ------
    ExportError
        If there is no such folder, no exports in it, or exports.yaml is not as it should be.

    """
    if not folder.is_dir():
        raise ExportError(f"there is no exports folder {folder}: give one with --data.")
    path = folder / CONFIG
    has_config = os.path.lexists(path)  # also a link to nothing, which somebody meant to be read
    if has_config:
        config = _parse_config(path)
    else:
        found = {t: [f"{t}{s}" for s in SUFFIXES if (folder / f"{t}{s}").exists()] for t in EXPORTS}
        double = [names for names in found.values() if len(names) > 1]
        if double:
            raise ExportError(f"{folder} holds {' and '.join(double[0])}: keep one, or list both in {CONFIG}.")
        config = Config.model_validate({t: [{"path": n} for n in names] for t, names in found.items()})
    absent = [t.name for t in EXPORTS.values() if t.required and not getattr(config, t.name)]
    if absent:
        what = f"lists no files for {' and '.join(absent)}" if has_config else f"has no {CONFIG} and no files named"
        names = "" if has_config else f" {', '.join(f'{a}.csv' for a in absent)}"
        raise ExportError(f"{path if has_config else folder} {what}{names}: claims and directory are required.")
    return config


def find_files(folder: Path, source: Source) -> list[Path]:
    """Return the files that the path or glob of a source means, sorted by name.

    Raises
    ------
    ExportError
        If there are none.

    """
    pattern = source.path
    try:
        if (folder / pattern).exists():  # also where its name holds a bracket
            found = [folder / pattern]
        elif any(c in pattern for c in "*?["):
            base, wild = _split_glob(folder, pattern)
            found = sorted(p for p in base.glob(wild) if p.is_file()) if base.is_dir() else []
        else:
            found = []
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder / CONFIG}: the path {pattern!r} is none that can be looked for.") from error
    if not found:
        raise ExportError(
            f"{folder / CONFIG}: no file matches {pattern!r}: correct the path, it is relative to the folder."
        )
    return found


def _split_glob(folder: Path, pattern: str) -> tuple[Path, str]:
    """Split at the first part with a wildcard, since a glob cannot hold `..`."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if any(c in part for c in "*?["))
    return folder.joinpath(*parts[:first]), str(Path(*parts[first:]))


def _parse_config(path: Path) -> Config:
    documents = read_documents(path, str(path))
    if len(documents) > 1:
        raise ExportError(f"{path} holds {len(documents)} documents: keep one, without lines of --- in it.")
    [given] = documents or [None]
    if not isinstance(given, dict):
        raise ExportError(f"{path} should hold `claims:` and `directory:` with their files; it holds something else.")
    try:
        return Config.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        unknown = first["type"] == "extra_forbidden"
        what = "is not a name that is known there" if unknown else first["msg"].removeprefix("Value error, ").lower()
        raise ExportError(f"{path}: {place}: {what}; correct that entry.") from error


def stamp(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file, which tell of a change while it is read; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def show_path(path: Path, root: Path) -> str:
    """Return the path as it is shown: relative to the folder where it lies in it."""
    return (path.relative_to(root) if path.is_relative_to(root) else Path(os.path.relpath(path, root))).as_posix()
