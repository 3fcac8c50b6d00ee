"""Tables as people read them: units in the heading, dollars with cents, shares as percentages."""

from collections.abc import Callable
from datetime import date
from html import escape
from zlib import crc32

import pandas as pd
from IPython.display import HTML, Markdown

from sca_analysis.tables import RESULTS, Column, Kind

_SENTENCES = (
    "reason",
    "reasons",
    "meaning",
    "not_costed",
    "pattern_of_care",
    "evidence",
    "rate_basis",
    "to_enter",
)  # long text, which needs room
_COLUMNS: dict[str, Column] = {c.name: c for t in reversed(RESULTS.values()) for c in t.columns}  # the first counts


class Plain(str):
    """Text that a notebook shows as it is laid out, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text itself."""
        return str(self)


def show_table(frame: pd.DataFrame, caption: str, most: int = 25) -> HTML:
    """Return the first rows of a result table as HTML, with its caption and the count of all rows.

    Parameters
    ----------
    frame : DataFrame
        Columns that ``tables`` declares get their unit and format; others are shown as they are.
    caption : str
    most : int
        Rows shown.

    """
    if frame.empty:
        return HTML(f"<p>{escape(caption)}: no rows.</p>")  # type: ignore[no-untyped-call]
    shown = frame.head(most)
    count = f"{len(frame):,} rows" if len(frame) <= most else f"first {most} of {len(frame):,} rows"
    classes = pd.DataFrame({c: [_class_of(c, _kind(c, frame[c]))] * len(shown) for c in frame}, index=shown.index)
    styler = (
        shown.style.format({c: _format(c, frame[c]) for c in frame}, na_rep="", escape="html")
        .format_index(_heading, axis="columns", escape="html")
        .hide(axis="index")
        .set_caption(f"{caption} ({count})")
        .set_td_classes(classes)
    )
    styler.cell_ids = False
    return HTML(styler.to_html(table_uuid=f"t{crc32(caption.encode()):08x}", doctype_html=False))  # type: ignore[no-untyped-call]


def show_text(text: str) -> Markdown:
    """Return Markdown for display: paragraphs, lists and emphasis.

    Names from exports are in it, so markup, links and images are shown as they are written.
    """
    return Markdown(text.replace("<", "&lt;").replace("[", "\\["))  # type: ignore[no-untyped-call]


def show_plain(content: str | pd.DataFrame) -> Plain:
    """Return text, or a small frame as text, for display as it is laid out."""
    return Plain(content.to_string() if isinstance(content, pd.DataFrame) else content)


def _kind(name: str, values: pd.Series) -> Kind | None:
    if name in _COLUMNS:
        return _COLUMNS[name].kind
    if "decimal" in str(values.dtype):
        return Kind.MONEY
    return Kind.COUNT if pd.api.types.is_integer_dtype(values) else None


def _class_of(name: str, kind: Kind | None) -> str:
    """Return the class of a cell, on which the page's style sets alignment and width."""
    if kind in (Kind.MONEY, Kind.RATE, Kind.NUMBER, Kind.COUNT):
        return "number"
    return "date" if kind is Kind.DATE else "words" if name in _SENTENCES else ""


def _format(name: str, values: pd.Series) -> Callable[[object], str]:
    match _kind(name, values):
        case Kind.MONEY:
            return "{:,.2f}".format
        case Kind.RATE:
            return "{:.0%}".format
        case Kind.NUMBER:
            return "{:,.1f}".format
        case Kind.COUNT:
            return "{:,}".format
        case Kind.FLAG:
            return lambda flag: "yes" if flag else "no"
        case Kind.DATE:
            if pd.api.types.is_integer_dtype(values):  # a de-identified table has the year alone
                return str
            return lambda day: day.isoformat() if type(day) is date else f"{day:%Y-%m-%d}"
        case _:
            return str


def _heading(name: str) -> str:
    words, unit = name.replace("_", " "), _COLUMNS[name].unit if name in _COLUMNS else ""
    # a unit that the name says already, or that a percentage shows, is not said twice
    return words if unit in ("", "0-1", "providers") or unit in words.split() else f"{words} [{unit}]"
