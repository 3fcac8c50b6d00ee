"""Small X12 files written segment by segment, and an independent count of what real ones hold."""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb

from sca_analysis.exports import Exports
from sca_analysis.readers.source import Raw, Source
from sca_analysis.readers.x12_claims import read_claims
from sca_analysis.readers.x12_remittance import read_remittance
from sca_analysis.tables import CLAIMS

BILLER, DOCTOR, OTHER = "1000003016", "1000003024", "1000003032"  # the check digits hold


def isa(separator: str = "*", component: str = ":", terminator: str = "~") -> str:
    fields = ["ISA", "00", " " * 10, "00", " " * 10, "ZZ", "SENDER".ljust(15), "ZZ", "RECEIVER".ljust(15)]
    fields += ["260105", "1200", "^", "00501", "000000001", "0", "T", component]
    return separator.join(fields) + terminator


def transaction(kind: str, *segments: str) -> list[str]:
    """The envelope of one transaction around segments written with * and :."""
    group, guide = {"837": ("HC", "005010X222A1"), "835": ("HP", "005010X221A1")}.get(kind, ("FA", "005010X231"))
    head = [f"GS*{group}*S*R*20260105*1200*1*X*{guide}", f"ST*{kind}*0001*{guide}"]
    return [*head, *segments, f"SE*{len(segments) + 2}*0001", "GE*1*1", "IEA*1*000000001"]


def write(
    path: Path,
    segments: Iterable[str],
    delimiters: tuple[str, str, str] = ("*", ":", "~"),
    encoding: str = "utf-8",
    after: str = "",
) -> Path:
    path.write_bytes(text_of(segments, delimiters, after).encode(encoding))
    return path


def text_of(segments: Iterable[str], delimiters: tuple[str, str, str] = ("*", ":", "~"), after: str = "") -> str:
    separator, component, terminator = delimiters
    table = str.maketrans({"*": separator, ":": component})
    return isa(*delimiters) + after + "".join(s.translate(table) + terminator + after for s in segments)


def read_raw(path: Path, kind: str, **options: Any) -> Raw:
    """Read with the reader alone, beside the file."""
    reader = {"837": read_claims, "835": read_remittance}[kind]
    return reader(duckdb.connect(), path, CLAIMS, Source(path=path.name, **options), path.parent)


def rows(raw: Raw) -> list[dict[str, str]]:
    """All columns of the rows, the reader's own too, in file order."""
    found = duckdb.sql(f"SELECT * FROM {raw.relation}")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def aside(raw: Raw) -> list[tuple[int, str]]:
    return [(m.row, m.reason) for m in raw.malformed()]


def column(raw: Raw, name: str) -> list[str]:
    return [row[name] for row in rows(raw)]


def open_x12(folder: Path, *entries: str) -> Exports:
    """Open a folder whose claims are the entries, with an empty directory."""
    (folder / "directory.csv").write_text("npi,provider_name,taxonomy_code,zip\n", encoding="utf-8")
    listed = "".join(f"  - {{{entry}}}\n" for entry in entries)
    (folder / "exports.yaml").write_text(f"directory: {{path: directory.csv}}\nclaims:\n{listed}", encoding="utf-8")
    return Exports.open(folder)


# ---- the oracle: the whole text, split, nothing else ----


def split_text(data: bytes) -> list[list[str]]:
    """Segments of a file whose interchanges share the delimiters of the first; no code of ours."""
    text = next((data.decode(e) for m, e in ((b"\xff\xfe", "utf-16"), (b"I\0", "utf-16-le")) if data[:2] == m), None)
    text = (text or data.decode("latin-1")).replace("\xef\xbb\xbf", "")
    text = text[text.index("ISA") :]
    return [s.strip().split(text[3]) for s in text.split(text[105]) if s.strip()]


def count_services(segments: Sequence[Sequence[str]], kind: str) -> int:
    """SV1, SV2 and SV3 of an 837; SVC of an 835, and each CLP that no SVC follows."""
    codes = [s[0] for s in segments]
    if kind == "837":
        return sum(c in ("SV1", "SV2", "SV3") for c in codes)
    payments = [c for c in codes if c in ("CLP", "SVC", "SE")]
    bare = sum(a == "CLP" and b != "SVC" for a, b in zip(payments, [*payments[1:], "SE"], strict=True))
    return payments.count("SVC") + bare


def sum_elements(segments: Sequence[Sequence[str]], where: dict[str, int]) -> Decimal:
    total = Decimal(0)
    for segment in segments:
        if segment[0] in where and len(segment) > where[segment[0]]:
            try:
                total += Decimal(segment[where[segment[0]]] or 0)
            except InvalidOperation:
                continue
    return total


def find_lines(text: str, kind: str) -> int:
    """Service segments that stand anywhere in damaged text: at the start of a segment, by a plain pattern."""
    codes = "SV[123]" if kind == "837" else "SVC"
    return len(re.findall(rf"(?:^|[~\n])\s*{codes}(?=\*)", text))
