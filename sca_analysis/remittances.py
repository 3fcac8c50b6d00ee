"""Bring together what X12 files say of one claim: its versions, and its payments.

Question: which line does a payment, or a replacement, belong to? In: the staged lines of X12 837 and 835 files.
Out: the same lines under one claim number, payments with what their submission says, and findings on them.
"""

from collections.abc import Sequence

import duckdb

from sca_analysis import check

_AMOUNTS = ("billed_amount", "allowed_amount", "paid_amount", "member_amount")
_FORMATS = ("x12-837", "x12-835")
_ROWS = "staging_claims"
_MOST_VERSIONS = 20  # links from a replacement to what it replaces that are followed


def bring_together(con: duckdb.DuckDBPyConnection, loaded: Sequence[check.Loaded]) -> list[check.Finding]:
    """Link replacements to their originals, then payments to their lines; return what was found of payments."""
    link_replacements(con, loaded)
    return join_remittances(con, loaded)


def link_replacements(con: duckdb.DuckDBPyConnection, loaded: Sequence[check.Loaded]) -> None:
    """Give replaced and void claims of X12 837 files, and their payments, the number of their original.

    The original (REF*F8) is another claim by its own number (CLM01), in whatever file, or by the payer's
    number of it, which an 835 names beside the claim's own (CLP07 beside CLP01). It may be a replacement itself.
    A payment of a replacement bears the number under which the replacement was submitted. A number that
    leads to several claims leads nowhere.
    """
    submissions, payments = ([one for one in loaded if one.format == f] for f in _FORMATS)
    if not submissions:
        return
    submitted, remitted = check.rows_in(submissions), check.rows_in(payments)
    if not check.count_of(con, f"SELECT count(*) FROM {_ROWS} WHERE ({submitted}) AND _original IS NOT NULL"):
        return
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE links AS
        WITH replaced AS (SELECT DISTINCT _number, claim_id, _original FROM {_ROWS}
                          WHERE ({submitted}) AND _original IS NOT NULL AND _number IS NOT NULL),
             own AS (SELECT DISTINCT _number FROM {_ROWS} WHERE ({submitted})),
             paid AS (SELECT _original, min(claim_id) AS claim_id FROM {_ROWS} WHERE ({remitted})
                      GROUP BY _original HAVING count(DISTINCT claim_id) = 1)
        SELECT _number, min(target) AS target FROM (
            SELECT r._number, CASE WHEN r.claim_id <> r._number THEN r.claim_id
                                   WHEN o._number IS NOT NULL THEN o._number ELSE p.claim_id END AS target
            FROM replaced r LEFT JOIN own o ON o._number = r._original LEFT JOIN paid p ON p._original = r._original)
        WHERE target <> _number GROUP BY _number HAVING count(DISTINCT target) = 1
        """
    )
    for _ in range(_MOST_VERSIONS):
        before = check.count_of(con, "SELECT count(*) FROM links l JOIN links m ON m._number = l.target")
        if not before:
            break
        con.execute(
            "CREATE OR REPLACE TEMP TABLE links AS SELECT l._number, coalesce(m.target, l.target) AS target "
            "FROM links l LEFT JOIN links m ON m._number = l.target WHERE coalesce(m.target, l.target) <> l._number"
        )
    for which, number in ((submitted, "_number"), (remitted, "claim_id")):
        # an original that bears the number of a replacement elsewhere stays what it is
        unless = " AND _original IS NOT NULL" if number == "_number" else ""
        con.execute(
            f"UPDATE {_ROWS} SET claim_id = l.target FROM links l "
            f"WHERE {_ROWS}.rowid IN (SELECT rowid FROM {_ROWS} WHERE ({which}){unless}) "
            f"AND {_ROWS}.{number} = l._number"
        )


def join_remittances(con: duckdb.DuckDBPyConnection, loaded: Sequence[check.Loaded]) -> list[check.Finding]:
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
    list of check.Finding
        How many payments found their line, and how many did not.

    """
    submissions, payments = ([one for one in loaded if one.format == f] for f in _FORMATS)
    if not (submissions and payments):
        return []
    submitted, remitted = check.rows_in(submissions), check.rows_in(payments)
    fillable = "_problem IS NULL OR _problem IN ('missing:member_id', 'missing:provider_npi')"
    alike = "claim_id, claim_version, procedure_code, service_date, abs(billed_amount)"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE pairs AS
        WITH s AS (SELECT rowid AS id, *, row_number() OVER (PARTITION BY {alike} ORDER BY rowid) AS nth
                   FROM {_ROWS} WHERE ({submitted}) AND _problem IS NULL),
             r AS (SELECT rowid AS id, *, row_number() OVER (PARTITION BY {alike} ORDER BY rowid) AS nth
                   FROM {_ROWS} WHERE ({remitted}) AND ({fillable})),
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
    filled = ", ".join(f"{c} = coalesce({_ROWS}.{c}, s.{c})" for c in kept)
    sound = " AND ".join(
        [f"{_ROWS}.{c} IS NOT NULL" for c in ("line_number", "service_date", "procedure_code", "billed_amount")]
        + [f"(coalesce({_ROWS}.{c}, 0) >= 0 OR {_ROWS}.claim_status = 'reversed')" for c in _AMOUNTS]
    )
    con.execute(
        f"""
        UPDATE {_ROWS} SET {taken}, {filled},
            line_number = CASE WHEN p.part = 1 THEN s.line_number ELSE {_ROWS}.line_number END,
            _problem = CASE WHEN {sound} THEN NULL ELSE {_ROWS}._problem END,
            _class = CASE WHEN {sound} THEN NULL ELSE {_ROWS}._class END
        FROM pairs p JOIN {_ROWS} s ON s.rowid = p.submission WHERE {_ROWS}.rowid = p.id AND p.how IS NOT NULL
        """
    )
    con.execute(
        f"UPDATE {_ROWS} SET line_number = '835-' || {_ROWS}.line_number FROM pairs p "
        f"WHERE {_ROWS}.rowid = p.id AND p.how IS NULL"
    )
    joined = check.count_of(con, "SELECT count(*) FROM pairs WHERE how IS NOT NULL")
    total = check.count_of(con, f"SELECT count(*) FROM {_ROWS} WHERE ({remitted}) AND _problem IS NULL")
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
