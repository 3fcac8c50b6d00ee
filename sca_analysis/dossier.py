"""Make the request letter of a case with its annexes: a template laid out as HTML, the same HTML as .docx.

In: the cases of a day, a case number, a template (the packaged one or a practice's own). Out: bytes, or a file.
"""

import traceback
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from bs4 import BeautifulSoup, Tag
from jinja2.sandbox import SandboxedEnvironment

from sca_analysis.cases import CaseList
from sca_analysis.errors import ParameterError, ReportError
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.letters import Audience, describe
from sca_analysis.terms import list_procedures
from sca_analysis.word import ELEMENTS, write_docx

TEMPLATE = "request_letter.html"
SUFFIXES = (".docx", ".html")
_HEAD = frozenset({"html", "head", "meta", "title", "style", "body"})


def write_dossier(
    case_list: CaseList,
    exports: Exports,
    case_id: str,
    out: Path,
    *,
    audience: Audience = "provider",
    template: Path | None = None,
) -> Path:
    """Write the dossier of a case to ``out``, .docx or .html by its suffix, and return ``out``.

    Raises
    ------
    ParameterError
        As `make_dossier`; also if the file's name would hold the member's number.
    ReportError
        If the file cannot be written.

    """
    if str(case_list.find(case_id)["member_id"]) in out.name:
        raise ParameterError("the name given with --out holds the member's number: use the case number instead.")
    content = make_dossier(case_list, exports, case_id, out.suffix, audience=audience, template=template)
    try:
        out.write_bytes(content)
    except OSError as error:
        raise ReportError(f"{out} cannot be written to ({error.strerror}): choose another --out.") from error
    return out


def make_dossier(
    case_list: CaseList,
    exports: Exports,
    case_id: str,
    suffix: str = ".docx",
    *,
    audience: Audience = "provider",
    template: Path | None = None,
) -> bytes:
    """Return the request letter of a case with its annexes.

    Parameters
    ----------
    case_list : CaseList
    exports : Exports
        What the cases were listed from.
    case_id : str
    suffix : {".docx", ".html"}
    audience : {"provider", "plan"}
        A provider may send the first; the second holds what the plan alone knows.
    template : Path, optional
        A Jinja template of one's own; its variables are those in the head of ``letters``.

    Raises
    ------
    ParameterError
        If there is no such case, the suffix is another, or the template cannot be used: says where in it.

    """
    if suffix.lower() not in SUFFIXES:
        raise ParameterError(f"a dossier is written as .docx or .html, not as {suffix or 'a file without suffix'!r}.")
    row = case_list.find(case_id)
    context = describe(
        case_list,
        case_id,
        exports.plan,
        audience,
        list_procedures(exports, case_list, case_id),
        _registered_name(exports, str(row["provider_npi"])),
    )
    page = render(context, template)
    where = TEMPLATE if template is None else template.name
    check_elements(page, where)
    if suffix.lower() == ".html":
        return page.encode("utf-8")
    return write_docx(page, context["title"], f"Reference {case_id}", case_list.as_of, where)


def render(context: dict[str, Any], template: Path | None = None) -> str:
    """Return a letter as HTML; all that the template does not write itself is text.

    Parameters
    ----------
    context : dict
        As `letters.describe`.
    template : Path, optional
        It runs in a sandbox and may extend or include the packaged template, but no other file.

    Raises
    ------
    ParameterError
        If the template cannot be read or used: says in which line.

    """
    name = TEMPLATE if template is None else str(template)
    packaged = jinja2.PackageLoader("sca_analysis")
    loaders: list[jinja2.BaseLoader] = [packaged]
    if template is not None:
        loaders.insert(0, jinja2.FunctionLoader(partial(_find, name, _read(template))))
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    try:
        return environment.get_template(name).render(context)
    except jinja2.TemplateSyntaxError as error:
        raise _say_error(name, [error.lineno], error.message, context) from None
    except jinja2.TemplateNotFound as error:
        raise _say_error(name, _find_lines(error, name), f"there is no template {error.name!r}", context) from None
    except (jinja2.TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        what = error.message if isinstance(error, jinja2.TemplateError) else type(error).__name__
        raise _say_error(name, _find_lines(error, name), what, context) from None


def check_elements(page: str, where: str) -> None:
    """Hold a page to the elements of `word.ELEMENTS`, so that it loads nothing, and nothing is lost in a .docx.

    Raises
    ------
    ParameterError
        If it has another: says which, and where in the page that the template made.

    """
    for tag in BeautifulSoup(page, "html.parser").find_all(True):
        if isinstance(tag, Tag) and tag.name not in ELEMENTS | _HEAD:
            raise ParameterError(
                f"{where}: <{tag.name}> in line {tag.sourceline} of the page that it makes is not among the elements "
                f"that a letter may have: {', '.join(sorted(ELEMENTS))}."
            )


def _read(template: Path) -> str:
    try:
        return template.read_text(encoding="utf-8")
    except OSError as error:
        raise ParameterError(f"the template {template} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise ParameterError(f"the template {template} is not UTF-8 text: save it as UTF-8.") from error


def _find(name: str, source: str, wanted: str) -> tuple[str, str, Any] | None:
    return (source, name, lambda: True) if wanted == name else None


def _find_lines(error: Exception, name: str) -> list[int | None]:
    """Return the lines of a template, in the order of calls, that an error came through."""
    return [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name]


def _say_error(name: str, lines: list[int | None], what: str | None, context: dict[str, Any]) -> ParameterError:
    """Return the error of a template as one sentence, which never names the patient."""
    where = f"line {lines[-1]}" if lines else "it"
    said = (what or "it cannot be used").rstrip(".").replace(context["patient"]["member_id"], "…")
    return ParameterError(f"the template {Path(name).name}: error in {where}: {said}.")


def _registered_name(exports: Exports, npi: str) -> str | None:
    """Return the name that the registry, where there is one, has for a provider."""
    rows = to_pandas(exports.table("providers").select("npi", "provider_name"))
    names = rows.loc[(rows["npi"] == npi) & rows["provider_name"].notna(), "provider_name"]
    return None if names.empty or pd.isna(names.min()) else str(names.min())
