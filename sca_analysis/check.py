"""Give raw rows their types, and accept each or set it aside with the reason.

Question: which rows of an export can be relied on? In: canonical columns as text, from a
reader. Out: a typed staging table in DuckDB in which every row has a problem or none, the
list of rows set aside, and the findings on accepted rows. Rows read = accepted + set aside.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb
import numpy as np
import pandas as pd

from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote, rows_of
from sca_analysis.rules import MEANINGS, SQL_TYPES, Rule, class_of, rules_for, staged, text_of, value_of
from sca_analysis.tables import SET_ASIDE, Kind, Table

Finding = tuple[str, str, str, str, str, int, int, str]  # a row of tables.FINDINGS
_AMOUNTS = ("billed_amount", "allowed_amount", "paid_amount", "member_amount")


@dataclass
class Loaded:
    """One file after its check: what was read, and which rules make findings."""

    table: str
    path: str
    format: str
    first_rowid: int
    rows: int
    records: int  # of the file, for which the rows stand
    first_row: int
    notes: list[Rule]
    malformed: list[Malformed] = field(default_factory=list)
    has_place: bool = False


def stage(
    con: duckdb.DuckDBPyConnection, table: Table, raw: Raw, source: Source, path: str, period_end: date
) -> Loaded:
    """Append a file's rows, typed and judged, to the staging table of ``table``.

    Raises
    ------
    ExportError
        If the file cannot be read to its end.

    """
    source = raw.source or source
    _refuse_date_format(con, table, source)
    strict, notes = rules_for(table, list(raw.columns), source, period_end)
    con.execute(_create_staging(table))
    before = _count(con, f"SELECT count(*) FROM {staging(table)}")
    statement = f"INSERT INTO {staging(table)} {_select(table, raw, source, strict, notes)}"
    try:
        con.execute(statement)
    except duckdb.Error as error:
        # DuckDB's own message may hold a value of a row
        full = isinstance(error, (duckdb.OutOfMemoryException, duckdb.IOException))
        why = "memory or the temporary folder is full, or the file is gone" if full else "it is damaged"
        raise ExportError(
            f"{path} cannot be read to its end as {raw.format} ({why}): free some room, or export it again."
        ) from error
    rows = _count(con, f"SELECT count(*) FROM {staging(table)}") - before
    records = _count(con, f"SELECT coalesce(sum(_records), 0) FROM {staging(table)} WHERE rowid >= {before}")
    lost = list(raw.malformed())
    return Loaded(table.name, path, raw.format, before, rows, records, raw.first_row, notes, lost, bool(raw.place))


def resolve_repeats(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Set duplicates aside and, for claims, infer reversals and mark the version that counts.

    Two rows with one key are ``duplicate_row`` if all columns agree, else ``duplicate_key``;
    the first in file order is kept. A reversal does not repeat the line that it reverses.
    """
    rows = staging(table)
    line = [k for k in table.key if k != "claim_version"]
    same = " AND ".join(f"s.{name(k)} IS NOT DISTINCT FROM m.{name(k)}" for k in line)
    keys = ", ".join(name(k) for k in line)
    # rows whose key occurs once, nearly all, take no part in what follows
    con.execute(f"CREATE OR REPLACE TEMP TABLE many AS SELECT {keys} FROM {rows} GROUP BY {keys} HAVING count(*) > 1")
    if _count(con, "SELECT count(*) FROM many") == 0:
        return
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW repeated AS SELECT s.rowid AS id, s.* FROM {rows} s JOIN many m ON {same}"
    )
    if table.name == "claims":
        _infer_reversals(con, rows)
    partition = ", ".join(name(k) for k in table.key)
    if table.name == "claims":
        partition += ", claim_status IS NOT DISTINCT FROM 'reversed'"
    if table.name == "fees":
        # rows that fill other columns, such as Medicare's beside the plan's own, complete each other
        partition += "".join(f", {name(c.name)} IS NULL" for c in table.columns if c.kind is Kind.MONEY)
    con.execute(
        f"""
        UPDATE {rows} SET _problem = d.problem FROM (
            SELECT id, CASE WHEN h = first_value(h) OVER w THEN 'duplicate_row' ELSE 'duplicate_key' END AS problem,
                   row_number() OVER w AS n
            FROM (SELECT *, hash({", ".join(name(c) for c in table.names)}) AS h FROM repeated WHERE _problem IS NULL)
            WINDOW w AS (PARTITION BY {partition} ORDER BY id)
        ) d WHERE d.n > 1 AND {rows}.rowid = d.id
        """
    )
    if table.name == "claims":
        _mark_current(con, rows)


def join_remittances(con: duckdb.DuckDBPyConnection, loaded: Sequence[Loaded]) -> list[Finding]:
    """Give the lines of X12 835 files what their submissions in X12 837 files say, and the same number.

    A payment belongs to a submitted line of the same claim_id: by the provider's number of the line
    (REF*6R), else by LX01 where the payer returns that, else by procedure, day and charge in their
    order, else by number and procedure. It takes the line's number, so that it is a later version of
    it; member, provider and taxonomy code as submitted, since an 835 may name only the payee, and
    identifies members in a form of its own; and what is blank. A further part of a line that the
    payer split keeps its own number. A payment whose claim was submitted without such a line (bundled,
    or added by the payer) is marked 835- so that it supersedes none.

    Returns
    -------
    list of Finding
        How many payments found their line, and how many did not.

    """
    parts = {f: [_in_file(one) for one in loaded if one.format == f] for f in ("x12-837", "x12-835")}
    if not all(parts.values()):
        return []
    rows = "staging_claims"
    submitted, remitted = (" OR ".join(f"({p})" for p in parts[f]) for f in ("x12-837", "x12-835"))
    fillable = "_problem IS NULL OR _problem IN ('missing:member_id', 'missing:provider_npi')"
    alike = "claim_id, claim_version, procedure_code, service_date, abs(billed_amount)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE pairs AS
        WITH s AS (SELECT rowid AS id, *, row_number() OVER (PARTITION BY {alike} ORDER BY rowid) AS nth
                   FROM {rows} WHERE ({submitted}) AND _problem IS NULL),
             r AS (SELECT rowid AS id, *, row_number() OVER (PARTITION BY {alike} ORDER BY rowid) AS nth
                   FROM {rows} WHERE ({remitted}) AND ({fillable})),
             ranked AS (
                SELECT r.id, s.id AS submission, s.line_number, r.claim_id, r.claim_version, CASE
                    WHEN r._reference = s._reference THEN 1
                    WHEN r._reference = s.line_number AND r.procedure_code = s.procedure_code THEN 2
                    WHEN r.procedure_code = s.procedure_code AND r.service_date = s.service_date
                        AND abs(r.billed_amount) = s.billed_amount AND r.nth = s.nth THEN 3
                    WHEN r.line_number = s.line_number AND r.procedure_code = s.procedure_code THEN 4
                END AS how, coalesce(s.claim_version <= r.claim_version, false) AS is_before, s.claim_version AS version
                FROM r JOIN s ON r.claim_id = s.claim_id)
        SELECT *, row_number() OVER (PARTITION BY claim_id, claim_version, line_number ORDER BY id) AS part FROM (
            SELECT * FROM ranked
            QUALIFY row_number() OVER (
                PARTITION BY id ORDER BY how NULLS LAST, is_before DESC, version DESC, submission) = 1)
        """
    )
    taken = ", ".join(f"{c} = s.{c}" for c in ("member_id", "provider_npi", "taxonomy_code"))
    kept = ("diagnosis_code", "place_of_service", "network_status", "network_id", "member_zip")
    filled = ", ".join(f"{c} = coalesce({rows}.{c}, s.{c})" for c in kept)
    sound = " AND ".join(
        [f"{rows}.{c} IS NOT NULL" for c in ("line_number", "service_date", "procedure_code", "billed_amount")]
        + [f"(coalesce({rows}.{c}, 0) >= 0 OR {rows}.claim_status = 'reversed')" for c in _AMOUNTS]
    )
    con.execute(
        f"""
        UPDATE {rows} SET {taken}, {filled},
            line_number = CASE WHEN p.part = 1 THEN s.line_number ELSE {rows}.line_number END,
            _problem = CASE WHEN {sound} THEN NULL ELSE {rows}._problem END,
            _class = CASE WHEN {sound} THEN NULL ELSE {rows}._class END
        FROM pairs p JOIN {rows} s ON s.rowid = p.submission WHERE {rows}.rowid = p.id AND p.how IS NOT NULL
        """
    )
    con.execute(
        f"UPDATE {rows} SET line_number = '835-' || {rows}.line_number FROM pairs p "
        f"WHERE {rows}.rowid = p.id AND p.how IS NULL"
    )
    joined = _count(con, "SELECT count(*) FROM pairs WHERE how IS NOT NULL")
    total = _count(con, f"SELECT count(*) FROM {rows} WHERE ({remitted}) AND _problem IS NULL")
    meanings = {
        ("information", "remittance_joined", joined): "payments completed from the submitted line that they belong to",
        ("warning", "remittance_without_line", total - joined): "payments whose submitted line is in no file: "
        "diagnosis, place of service and taxonomy code are blank",
    }
    return [
        ("claims", "", level, rule, "line_number", n, total, text)
        for (level, rule, n), text in meanings.items()
        if n > 0
    ]


def _infer_reversals(con: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Take a negative line without a status as a reversal where a positive version stands beside it."""
    con.execute(
        f"""
        UPDATE {rows} SET _problem = NULL, _class = NULL, claim_status = 'reversed', _inferred = true
        WHERE rowid IN (
            SELECT n.id FROM repeated n SEMI JOIN repeated p
            ON n.claim_id = p.claim_id AND n.line_number = p.line_number AND p._problem IS NULL AND p.billed_amount >= 0
            WHERE n.claim_status IS NULL
            AND (n._problem LIKE 'negative_amount%' OR (n._problem IS NULL AND n.billed_amount < 0))
        )
        """
    )


def _mark_current(con: duckdb.DuckDBPyConnection, rows: str) -> None:
    """Of the accepted versions of a line the highest counts; at one height a reversal, then the later row.

    A reversal without a version stands at the height of the lowest: it undoes the original, while a
    replacement with a higher version still counts.
    """
    con.execute(
        f"""
        UPDATE {rows} SET _current = false WHERE rowid IN (
            SELECT id FROM (
                SELECT id, claim_id, line_number, claim_status IS NOT DISTINCT FROM 'reversed' AS is_reversal,
                       coalesce(claim_version, CASE WHEN claim_status = 'reversed' THEN
                           min(claim_version) OVER (PARTITION BY claim_id, line_number) END) AS height
                FROM repeated WHERE _problem IS NULL
            )
            QUALIFY row_number() OVER (
                PARTITION BY claim_id, line_number ORDER BY height DESC NULLS LAST, is_reversal DESC, id DESC
            ) > 1
        )
        """
    )


def list_set_aside(con: duckdb.DuckDBPyConnection, loaded: Sequence[Loaded]) -> pd.DataFrame:
    """Return every row set aside, in file order: the columns of ``tables.SET_ASIDE``."""
    parts = []
    for one in loaded:
        bad = con.execute(
            f"SELECT coalesce(_place, rowid - {one.first_rowid} + {one.first_row}) AS row, "
            "CASE WHEN contains(_problem, ':') THEN substr(_problem, strpos(_problem, ':') + 1) ELSE '' END AS column, "
            "coalesce(_class, 'whole row') AS value_class, _problem AS reason, _records AS rows "
            f"FROM staging_{one.table} WHERE _problem IS NOT NULL AND {_in_file(one)} ORDER BY row"
        ).df()
        if not one.has_place:  # DuckDB numbered the well-formed records only
            bad["row"] = rows_of(bad["row"].to_numpy(dtype=np.int64), [m.row for m in one.malformed])
        if one.malformed:
            lost = pd.DataFrame(
                [(m.row, "", "whole row", m.reason, m.rows) for m in one.malformed], columns=bad.columns
            )
            bad = pd.concat([bad, lost] if len(bad) else [lost], ignore_index=True).sort_values("row", kind="stable")
        parts.append(bad.assign(table=one.table, path=one.path))
    if not parts:
        return pd.DataFrame(columns=list(SET_ASIDE.names))
    return pd.concat(parts, ignore_index=True)[list(SET_ASIDE.names)]


def count_reasons(con: duckdb.DuckDBPyConnection, one: Loaded) -> tuple[int, dict[str, int]]:
    """Return how many records of one file were accepted, and how many set aside by reason."""
    counted = con.execute(
        f"SELECT _problem, sum(_records) FROM staging_{one.table} WHERE {_in_file(one)} GROUP BY 1"
    ).fetchall()
    reasons = Counter({reason: int(n) for reason, n in counted if reason is not None})
    for lost in one.malformed:
        reasons[lost.reason] += lost.rows
    return sum(int(n) for reason, n in counted if reason is None), dict(sorted(reasons.items()))


def list_findings(con: duckdb.DuckDBPyConnection, one: Loaded) -> list[tuple[str, str, str, str, str, int, int, str]]:
    """Return the findings on the accepted rows of one file (see tables.FINDINGS)."""
    sums = [f"count(*) FILTER (WHERE (_notes & {1 << i}) <> 0)" for i in range(len(one.notes))]
    notes = list(one.notes)
    if one.table == "claims":
        sums += ["count(*) FILTER (WHERE _inferred)", "count(*) FILTER (WHERE NOT _current)"]
        notes += [
            Rule("reversal_inferred", "claim_status", "", "information"),
            Rule("superseded", "claim_version", "", "information"),
        ]
    counted = con.execute(
        f"SELECT count(*), {', '.join(sums) or '0'} FROM staging_{one.table} WHERE _problem IS NULL AND {_in_file(one)}"
    ).fetchall()[0]
    total, *counts = counted
    return [
        (one.table, one.path, n.level, n.name, n.column, count, total, MEANINGS[n.name])
        for n, count in zip(notes, counts, strict=False)
        if count
    ]


def staging(table: Table) -> str:
    """Return the name of the staging table of ``table``."""
    return f"staging_{table.name}"


def _in_file(one: Loaded) -> str:
    return f"rowid BETWEEN {one.first_rowid} AND {one.first_rowid + one.rows - 1}"


def _create_staging(table: Table) -> str:
    columns = ", ".join(f"{name(c.name)} {SQL_TYPES[c.kind]}" for c in table.columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {staging(table)} ({columns}, _problem VARCHAR, _class VARCHAR, "
        "_notes BIGINT, _current BOOLEAN, _inferred BOOLEAN, _place BIGINT, _records BIGINT, _reference VARCHAR)"
    )


def _select(table: Table, raw: Raw, source: Source, strict: Sequence[Rule], notes: Sequence[Rule]) -> str:
    """Text, then values, then judgement, then what stood there: projections that DuckDB runs as one scan."""
    present = [c for c in table.columns if c.name in raw.columns]
    texts = ", ".join(f"{text_of(c, raw.columns[c.name])} AS {name('t_' + c.name)}" for c in present)
    values = ", ".join(f"{value_of(c, source.date_format)} AS {name(c.name)}" for c in present)
    problems = " ".join(f"WHEN {r.broken} THEN {quote(r.reason)}" for r in strict)
    classes = " ".join(f"WHEN {quote(r.reason)} THEN {class_of('t_' + r.column)}" for r in strict)
    bits = " + ".join(f"(CASE WHEN {r.broken} THEN {1 << i} ELSE 0 END)" for i, r in enumerate(notes)) or "0"
    final = ", ".join(staged(c, c.name in raw.columns) for c in table.columns)
    unselected = f"WHEN NOT _selected THEN {quote('not_selected:' + raw.selector)}"
    return (
        f"SELECT {final}, _found, CASE {f'_found {classes}' if classes else 'WHEN false THEN NULL'} END, {bits}, "
        f"true, false, _place, _records, _reference FROM (SELECT *, CASE {unselected} {problems} END AS _found "
        f"FROM (SELECT *, {values} FROM (SELECT {texts}, {raw.selected} AS _selected, "
        f"{raw.place or 'NULL'} AS _place, {raw.stands_for or '1'} AS _records, "
        f"{raw.reference or 'NULL'} AS _reference FROM {raw.relation})))"
    )


def _count(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])


def _refuse_date_format(con: duckdb.DuckDBPyConnection, table: Table, source: Source) -> None:
    formats = [source.date_format] if isinstance(source.date_format, str) else source.date_format or []
    for one in formats:
        try:
            con.execute(f"SELECT try_strptime('', {quote(one)})")
            usable = "%" in one
        except duckdb.Error:
            usable = False
        if not usable:
            raise ExportError(
                f"exports.yaml: {table.name}: date_format {one!r} is no pattern of a date; write it like '%m/%d/%Y'."
            )
