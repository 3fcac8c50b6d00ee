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

from sca_analysis import plain
from sca_analysis.errors import ExportError
from sca_analysis.readers.source import Malformed, Raw, Source, name, quote, rows_of
from sca_analysis.rules import MEANINGS, SQL_TYPES, Rule, class_of, row_rules, rules_for, staged, text_of, value_of
from sca_analysis.tables import SET_ASIDE, Kind, Table

_SAME, _OTHER = 1, 2  # a row repeats the key of an earlier one: with the same values, with others
Finding = tuple[str, str, str, str, str, int, int, str]  # a row of tables.FINDINGS


@dataclass
class Loaded:
    """One file after its check: what was read, and which rules make findings. ``number`` is that of the file."""

    number: int
    table: str
    path: str
    format: str
    rows: int
    records: int  # of the file, for which the rows stand
    first_rowid: int
    first_row: int
    notes: list[Rule]
    malformed: list[Malformed] = field(default_factory=list)
    has_place: bool = False


def stage(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    raw: Raw,
    source: Source,
    paths: Sequence[str],
    period_end: date,
    first: int = 0,
) -> list[Loaded]:
    """Append the rows of files that were read together, typed and judged, to the staging table of ``table``.

    Parameters
    ----------
    con : DuckDBPyConnection
    table : Table
    raw : Raw
    source : Source
    paths : sequence of str
        The files as they are shown, one unless ``raw.file`` says which.
    period_end : date
    first : int
        Number of the first of them; each file of a folder has its own.

    Returns
    -------
    list of Loaded
        One a file.

    Raises
    ------
    ExportError
        If a file cannot be read to its end.

    """
    source = raw.source or source
    _refuse_date_format(con, table, source)
    strict, notes = rules_for(table, list(raw.columns), source, period_end)
    con.execute(_create_staging(table))
    before = count_of(con, f"SELECT count(*) FROM {staging(table)}")
    statement = f"INSERT INTO {staging(table)} {_select(table, raw, source, strict, notes, period_end, first)}"
    try:
        con.execute(statement)
    except duckdb.Error as error:
        # DuckDB's own message may hold a value of a row
        full = isinstance(error, (duckdb.OutOfMemoryException, duckdb.IOException))
        why = "memory or the temporary folder is full, or the file is gone" if full else "it is damaged"
        raise ExportError(
            f"{paths[0]} cannot be read to its end as {raw.format} ({why}): free some room, or export it again."
        ) from error
    counted = con.execute(
        f"SELECT _file, count(*), coalesce(sum(_records), 0), min(rowid) FROM {staging(table)} "
        f"WHERE rowid >= {before} GROUP BY _file"
    ).fetchall()
    rows = {file: (int(n), int(records), int(start)) for file, n, records, start in counted}
    lost: dict[int, list[Malformed]] = {}
    for one in raw.malformed():
        lost.setdefault(first + one.file, []).append(one)
    found = []
    for number, path in enumerate(paths, start=first):
        n, records, start = rows.get(number, (0, 0, before))
        found.append(
            Loaded(
                number=number,
                table=table.name,
                path=path,
                format=raw.format,
                rows=n,
                records=records,
                first_rowid=start,
                first_row=raw.first_row,
                notes=notes,
                malformed=lost.get(number, []),
                has_place=bool(raw.place),
            )
        )
    return found


def resolve_repeats(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Set duplicates aside and, for claims, infer reversals and mark the version that counts.

    Two rows with one key are ``duplicate_row`` if all columns agree, else ``duplicate_key``;
    the first in file order is kept, of members that claims name the newest. A reversal does not repeat the line
    that it reverses.
    """
    rows = staging(table)
    con.execute(_create_judged(table))
    # rows whose key occurs once, nearly all, take no part in what follows; grouping by a hash is a tenth of the work
    # of grouping by the key, and two keys of one hash are told apart below
    key = f"hash({', '.join(f's.{name(k)}' for k in table.key if k != 'claim_version')})"
    con.execute(f"CREATE OR REPLACE TEMP TABLE many AS SELECT {key} AS h FROM {rows} s GROUP BY h HAVING count(*) > 1")
    if count_of(con, "SELECT count(*) FROM many") == 0:
        return
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT s.rowid AS id, s.* FROM {rows} s "
        f"SEMI JOIN many m ON {key} = m.h"
    )
    if table.name == "claims":
        _infer_reversals(con)
    partition = ", ".join(name(k) for k in table.key)
    if table.name == "claims":
        partition += ", claim_status IS NOT DISTINCT FROM 'reversed'"
    if table.name == "fees":
        # rows that fill other columns, such as Medicare's beside the plan's own, complete each other
        partition += "".join(f", {name(c.name)} IS NULL" for c in table.columns if c.kind is Kind.MONEY)
    order = "_reference DESC NULLS LAST, id" if table.name == "members" else "id"
    con.execute(
        f"""
        UPDATE repeated SET _repeat = d.repeat, _problem = '' FROM (
            SELECT id, CASE WHEN h = first_value(h) OVER w THEN {_SAME} ELSE {_OTHER} END AS repeat,
                   row_number() OVER w AS n
            FROM (SELECT *, hash({", ".join(name(c) for c in table.names)}) AS h FROM repeated WHERE _problem IS NULL)
            WINDOW w AS (PARTITION BY {partition} ORDER BY {order})
        ) d WHERE d.n > 1 AND repeated.id = d.id
        """
    )
    if table.name == "claims":
        _mark_current(con)
    # narrow columns alone: the engine takes seconds to change text in a table of millions
    con.execute(
        f"UPDATE {rows} SET _repeat = d._repeat, _inferred = d._inferred, _current = d._current FROM repeated d "
        f"WHERE {rows}.rowid = d.id AND (d._repeat > 0 OR d._inferred OR NOT d._current)"
    )
    con.execute("DROP TABLE repeated; DROP TABLE many")


def _infer_reversals(con: duckdb.DuckDBPyConnection) -> None:
    """Take a negative line without a status as a reversal where a positive version stands beside it."""
    con.execute(
        """
        UPDATE repeated SET _problem = NULL, claim_status = 'reversed', _inferred = true WHERE id IN (
            SELECT n.id FROM repeated n SEMI JOIN repeated p
            ON n.claim_id = p.claim_id AND n.line_number = p.line_number AND p._problem IS NULL AND p.billed_amount >= 0
            WHERE n.claim_status IS NULL
            AND (n._problem LIKE 'negative_amount%' OR (n._problem IS NULL AND n.billed_amount < 0))
        )
        """
    )


def _mark_current(con: duckdb.DuckDBPyConnection) -> None:
    """Of the accepted versions of a line the highest counts; at one height a reversal, then the later row.

    A reversal without a version stands at the height of the lowest: it undoes the original, while a
    replacement with a higher version still counts.
    """
    con.execute(
        """
        UPDATE repeated SET _current = false WHERE id IN (
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
    columns = ["file", "row", "column", "value_class", "reason", "rows"]
    parts = []
    for table, files in _by_table(loaded).items():
        bad = con.execute(
            "SELECT _file AS file, coalesce(_place, _row) AS row, "
            "CASE WHEN contains(_problem, ':') THEN substr(_problem, strpos(_problem, ':') + 1) ELSE '' END AS column, "
            "coalesce(_class, 'whole row') AS value_class, _problem AS reason, _records AS rows "
            f"FROM judged_{table} WHERE _problem IS NOT NULL ORDER BY _file, _row"
        ).df()
        rows, file = bad["row"].to_numpy(dtype=np.int64, copy=True), bad["file"].to_numpy(dtype=np.int64)
        for one in files:
            if not one.has_place:  # DuckDB numbered the well-formed records only
                mine = slice(*np.searchsorted(file, [one.number, one.number + 1]))
                places = rows[mine] - one.first_rowid + one.first_row
                rows[mine] = rows_of(places, [m.row for m in one.malformed])
        parts.append(bad.assign(row=rows)[columns])
        lost = [(one.number, m.row, "", "whole row", m.reason, m.rows) for one in files for m in one.malformed]
        if lost:
            parts.append(pd.DataFrame(lost, columns=columns))
    found = [part for part in parts if len(part)]
    if not found:
        return pd.DataFrame(columns=list(SET_ASIDE.names))
    every = pd.concat(found, ignore_index=True)
    every = every.iloc[np.lexsort((every["row"].to_numpy(np.int64), every["file"].to_numpy(np.int64)))]
    every["table"] = every["file"].map({one.number: one.table for one in loaded})
    every["path"] = every["file"].map({one.number: one.path for one in loaded})
    return every[list(SET_ASIDE.names)].reset_index(drop=True)


def count_reasons(con: duckdb.DuckDBPyConnection, loaded: Sequence[Loaded]) -> list[tuple[int, dict[str, int]]]:
    """Return how many records of each file were accepted, and how many set aside by reason."""
    accepted: Counter[int] = Counter()
    reasons: dict[int, Counter[str]] = {one.number: Counter() for one in loaded}
    for table in _by_table(loaded):
        counted = con.execute(f"SELECT _file, _problem, sum(_records) FROM judged_{table} GROUP BY 1, 2").fetchall()
        for file, reason, n in counted:
            if reason is None:
                accepted[file] += int(n)
            else:
                reasons[file][reason] += int(n)
    for one in loaded:
        for lost in one.malformed:
            reasons[one.number][lost.reason] += lost.rows
    return [(accepted[one.number], dict(sorted(reasons[one.number].items()))) for one in loaded]


def list_findings(con: duckdb.DuckDBPyConnection, loaded: Sequence[Loaded]) -> list[Finding]:
    """Return the findings on the accepted rows of each file (see tables.FINDINGS)."""
    of_claims = [
        Rule("reversal_inferred", "claim_status", "", "information"),
        Rule("superseded", "claim_version", "", "information"),
    ]
    counts: dict[int, tuple[int, ...]] = {}
    for table, files in _by_table(loaded).items():
        most = max(len(one.notes) for one in files)
        sums = ["count(*)", *(f"count(*) FILTER (WHERE (_notes & {1 << i}) <> 0)" for i in range(most))]
        if table == "claims":
            sums[1:1] = ["count(*) FILTER (WHERE _inferred)", "count(*) FILTER (WHERE NOT _current)"]
        counted = con.execute(
            f"SELECT _file, {', '.join(sums)} FROM judged_{table} WHERE _problem IS NULL GROUP BY _file"
        ).fetchall()
        counts |= {file: tuple(n) for file, *n in counted}
    found: list[Finding] = []
    for one in loaded:
        total, *numbers = counts.get(one.number, (0,))
        own = of_claims if one.table == "claims" else []
        ordered = sorted(zip([*own, *one.notes], numbers, strict=False), key=lambda pair: pair[0] in own)
        found += [
            (one.table, one.path, n.level, n.name, n.column, count, total, MEANINGS[n.name])
            for n, count in ordered
            if count
        ]
    return found


def _by_table(loaded: Sequence[Loaded]) -> dict[str, list[Loaded]]:
    """Return the files of each table, in the order in which they were read."""
    found: dict[str, list[Loaded]] = {}
    for one in loaded:
        found.setdefault(one.table, []).append(one)
    return found


def staging(table: Table) -> str:
    """Return the name of the staging table of ``table``: its rows as the rules judged each for itself."""
    return f"staging_{table.name}"


def judged(table: Table) -> str:
    """Return the name of the view of the same rows after ``resolve_repeats``; ``_row`` tells their order."""
    return f"judged_{table.name}"


def rows_in(files: Sequence[Loaded]) -> str:
    """Return SQL that is true for the staged rows of files of one table."""
    return f"_file IN ({', '.join(str(one.number) for one in files)})" if files else "false"


def _create_staging(table: Table) -> str:
    columns = ", ".join(f"{name(c.name)} {SQL_TYPES[c.kind]}" for c in table.columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {staging(table)} ({columns}, _problem VARCHAR, _class VARCHAR, "
        "_notes BIGINT, _repeat UTINYINT, _current BOOLEAN, _inferred BOOLEAN, _place BIGINT, _records BIGINT, "
        "_reference VARCHAR, _number VARCHAR, _original VARCHAR, _file BIGINT)"
    )


def _create_judged(table: Table) -> str:
    changed = {
        "claim_status": "CASE WHEN _inferred THEN 'reversed' ELSE claim_status END",
        "_problem": f"CASE _repeat WHEN {_SAME} THEN 'duplicate_row' WHEN {_OTHER} THEN 'duplicate_key' "
        "ELSE CASE WHEN NOT _inferred THEN _problem END END",
        "_class": "CASE WHEN _repeat = 0 AND NOT _inferred THEN _class END",
    }
    kept = ("_notes", "_repeat", "_current", "_inferred", "_place", "_records", "_file")
    columns = [*(c.name for c in table.columns), "_problem", "_class"]
    shown = [f"{changed[c]} AS {name(c)}" if c in changed else name(c) for c in columns]
    return f"CREATE VIEW {judged(table)} AS SELECT {', '.join([*shown, *kept])}, rowid AS _row FROM {staging(table)}"


def _select(
    table: Table,
    raw: Raw,
    source: Source,
    strict: Sequence[Rule],
    notes: Sequence[Rule],
    period_end: date,
    first: int,
) -> str:
    """Cells, whether the row is plainly good and, of all others, text, values and judgement.

    Projections that DuckDB runs as one scan; what CASE guards is worked out for the rows that are not plain alone.
    """
    present = [c for c in table.columns if c.name in raw.columns]
    cells = ", ".join(f"{raw.columns[c.name]} AS {plain.raw_name(c)}" for c in present)
    glances = ", ".join(plain.glance(c, source.date_format) for c in present)
    is_plain = plain.is_plain(table, present, row_rules(table, set(raw.columns)), period_end)
    texts, values = [], []
    for c in present:
        raw_cell, text, value = plain.raw_name(c), text_of(c, plain.raw_name(c)), value_of(c, source.date_format)
        if value == name("t_" + c.name):  # the text is the value
            texts.append(f"CASE WHEN _plain THEN {raw_cell} ELSE {text} END AS {value}")
            values.append(f"{value} AS {name(c.name)}")
        else:
            texts.append(f"CASE WHEN NOT _plain THEN {text} END AS {name('t_' + c.name)}")
            values.append(f"CASE WHEN _plain THEN {plain.final(c)} ELSE {value} END AS {name(c.name)}")
    problems = " ".join(f"WHEN {r.broken} THEN {quote(r.reason)}" for r in strict)
    causes = " ".join(f"WHEN {quote(r.reason)} THEN {name('t_' + r.column)}" for r in strict)
    bits = " + ".join(f"(CASE WHEN {r.broken} THEN {1 << i} ELSE 0 END)" for i, r in enumerate(notes)) or "0"
    staged_values = ", ".join(staged(c, c.name in raw.columns) for c in table.columns)
    unselected = f"WHEN NOT _selected THEN {quote('not_selected:' + raw.selector)}"
    return (
        f"SELECT {staged_values}, _found, CASE WHEN _found IS NOT NULL AND _selected THEN {class_of('_cause')} END, "
        f"CASE WHEN _plain THEN 0 ELSE {bits} END, "
        "0, true, false, _place, _records, _reference, _number, _original, _file "
        f"FROM (SELECT *, CASE _found {causes or 'WHEN NULL THEN NULL'} END AS _cause "
        f"FROM (SELECT *, CASE WHEN _plain THEN NULL {unselected} {problems} END AS _found "
        f"FROM (SELECT * REPLACE ({', '.join(values)}) FROM (SELECT *, {', '.join(texts)} "
        f"FROM (SELECT *, _selected AND {is_plain} AS _plain "
        f"FROM (SELECT *, {glances} FROM (SELECT {cells}, {raw.selected} AS _selected, "
        f"{raw.place or 'NULL'} AS _place, {raw.stands_for or '1'} AS _records, "
        f"{raw.reference or 'NULL'} AS _reference, {raw.number or 'NULL'} AS _number, "
        f"{raw.original or 'NULL'} AS _original, {raw.file or '0'} + {first} AS _file FROM {raw.relation})))))))"
    )


def count_of(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the one whole number that a query gives."""
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
