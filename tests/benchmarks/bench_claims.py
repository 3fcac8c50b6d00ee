"""The claims path against hand-written DuckDB SQL, Polars and pandas.

`uv run python tests/benchmarks/bench_claims.py [LINES] [--source csv|parquet|both] [--only NAME ...] [--repeats N]`

Everybody does the same: read the lines, set the bad ones aside, take the version that counts of each line, decide in or
out of network from the directory on the service date, add up by specialty, county and month, and give median and 80th
percentile of the charge by procedure out of network. From `csv` everybody checks every row for the same faults; from
`parquet` everybody starts at typed rows that are good: for us, what an earlier run has kept. Each contestant runs in a
process of its own, so that its peak memory is its own; results are compared for equality before any time is printed.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from statistics import median

import duckdb
import pandas as pd
from record import peak_memory, record

LINES, REPEATS = 1_000_000, 3
FIRST, LAST = date(2025, 1, 1), date(2026, 6, 30)
CONTESTANTS = ("ours", "ours on polars", "DuckDB SQL", "Polars", "pandas")
CELLS, PRICES = ["specialty", "county_fips", "month", "is_out"], ["procedure_code"]
_TAXONOMIES = ("2084P0800X", "103TC0700X", "1041C0700X", "207N00000X", "2084N0400X", "207RC0000X", "207Q00000X")


def make(folder: Path, lines: int) -> None:
    """Write claims as CSV, and a directory, ZIP codes and specialties beside them, alike for the same size."""
    from sca_analysis.standards import specialty_of
    from tests.folders import npi

    folder.mkdir(parents=True)
    con = duckdb.connect(config={"temp_directory": str(folder.parent / "duckdb")})
    providers = pd.DataFrame({"npi": [npi(n) for n in range(20_000)]})
    providers["taxonomy_code"] = [_TAXONOMIES[n * 7919 % len(_TAXONOMIES)] for n in range(len(providers))]
    con.register("providers", providers.reset_index(names="n"))
    specialties = pd.DataFrame({"taxonomy_code": _TAXONOMIES, "specialty": specialty_of(pd.Series(_TAXONOMIES))})
    specialties.to_parquet(folder / "specialties.parquet", index=False)
    zips = pd.DataFrame({"zip": [f"{n:05d}" for n in range(4000, 5000)]})
    zips["county_fips"] = [f"23{n % 32:03d}" for n in range(len(zips))]
    zips.to_parquet(folder / "zips.parquet", index=False)
    # four of five providers are listed, one of ten of these until the middle of 2025
    con.execute(
        f"""COPY (SELECT npi, 'Provider ' || n AS provider_name, taxonomy_code, 'N1' AS network_id, '04001' AS zip,
                  DATE '2024-01-01' AS effective_date,
                  CASE WHEN n % 10 = 3 THEN DATE '2025-06-30' END AS termination_date
           FROM providers WHERE n % 5 <> 0 ORDER BY n) TO '{folder}/directory.csv' (HEADER)"""
    )
    # a hash of the row's number is as good as chance, and the same every time
    con.execute(
        f"""COPY (
        WITH r AS (SELECT i, hash(i) AS h, hash(i // 2) AS hc, i % 33 = 32 AS again FROM range({lines}) t(i)),
        v AS (SELECT *, CASE WHEN again THEN i - 1 ELSE i END AS k FROM r)
        SELECT 'C' || lpad((k // 2)::VARCHAR, 10, '0') AS claim_id, k % 2 + 1 AS line_number,
            CASE WHEN again THEN 2 ELSE 1 END AS claim_version,
            CASE WHEN i % 1009 = 5 THEN '' ELSE 'M' || lpad((hash(k // 2) % 200000)::VARCHAR, 7, '0') END AS member_id,
            CASE WHEN i % 1013 = 5 THEN left(p.npi, 9) || (right(p.npi, 1)::INT + 1) % 10
                 ELSE p.npi END AS provider_npi,
            p.taxonomy_code,
            CASE WHEN i % 1019 = 5 THEN '2026-02-30'
                 ELSE (DATE '2025-01-01' + (hash(k // 2) % 546)::INT)::VARCHAR END AS service_date,
            (90000 + hash(k) % 900)::VARCHAR AS procedure_code, 'F' || (10 + h % 80) || '.1' AS diagnosis_code,
            '11' AS place_of_service, 1 AS units,
            CASE WHEN i % 1021 = 5 THEN -1 ELSE 1 END * (5000 + h % 45000) / 100.0::DECIMAL(18,2) AS billed_amount,
            ((5000 + h % 45000) // 2 / 100.0)::DECIMAL(18,2) AS allowed_amount,
            ((5000 + h % 45000) // 3 / 100.0)::DECIMAL(18,2) AS paid_amount,
            CASE WHEN i % 50 = 7 THEN 'denied' ELSE 'paid' END AS claim_status, 'N1' AS network_id,
            lpad((4000 + hash(k // 2) % 1000)::VARCHAR, 5, '0') AS member_zip
        FROM v JOIN providers p ON p.n = hash(k, 1) % 20000 ORDER BY i
        ) TO '{folder}/claims.csv' (HEADER)""".replace(
            "/ 100.0::DECIMAL(18,2) AS billed_amount", "/ 100.0)::DECIMAL(18,2) AS billed_amount"
        ).replace("CASE WHEN i % 1021 = 5 THEN -1", "(CASE WHEN i % 1021 = 5 THEN -1")
    )
    (folder / "exports.yaml").write_text(
        f"period_end: {LAST}\nclaims: {{path: claims.csv}}\ndirectory: {{path: directory.csv}}\n"
    )


def ours(folder: Path, source: str, engine: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The suite: read, check and keep (csv), or take up what was kept (parquet)."""
    import narwhals as nw
    import pyarrow.parquet as pq

    from sca_analysis.claims import service_lines
    from sca_analysis.exports import Exports, to_pandas

    del source  # what the cache holds decides
    exports = Exports.open(folder, engine=engine)
    lines = (
        service_lines(exports, FIRST, LAST)
        .join(exports.lift(pq.read_table(folder / "specialties.parquet")), on="taxonomy_code", how="inner")
        .join(exports.lift(pq.read_table(folder / "zips.parquet")), left_on="member_zip", right_on="zip", how="inner")
        .with_columns(month=nw.col("service_date").dt.truncate("1mo"), is_out=nw.col("is_out_of_network"))
    )
    cells = lines.group_by(*CELLS).agg(
        lines=nw.len(), billed=nw.col("billed_amount").sum(), paid=nw.col("paid_amount").sum()
    )
    charge = nw.col("billed_amount").cast(nw.Float64)
    prices = (
        lines.filter(nw.col("is_out"))
        .group_by(*PRICES)
        .agg(
            lines=nw.len(),
            median=charge.median() if engine == "polars" else nw.col("billed_amount").cast(nw.Float64).median(),
            p80=charge.quantile(0.8, interpolation="linear"),
        )
    )
    return to_pandas(cells), to_pandas(prices), int(exports.files["set_aside"].sum())


def by_duckdb(folder: Path, source: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """SQL written by hand."""
    con = duckdb.connect()
    pairs = [f"(n // {100**p} % 100)" for p in range(5)]
    luhn = " + ".join(["24", *(f"{p} + 2 * ({p} // 10) + {p} // 50" for p in pairs)])
    good = (
        f"claim_id <> '' AND member_id <> '' AND regexp_full_match(provider_npi, '[12]\\d{{9}}') AND ({luhn}) % 10 = 0 "
        f"AND day <= DATE '{LAST}' AND billed >= 0 AND allowed >= 0 AND paid >= 0 "
        "AND regexp_full_match(taxonomy_code, '[0-9A-Z]{9}X') AND regexp_full_match(member_zip, '\\d{5}')"
    )
    if source == "csv":
        # DuckDB 2.0 moves a cast into its CSV reader, where a value that does not fit ends the read, also of try_cast
        con.execute("SET disabled_optimizers = 'type_pushdown'")
        con.execute(
            f"""CREATE TABLE claims AS SELECT *, coalesce({good}, false) AS good FROM (
                SELECT claim_id, line_number, try_cast(claim_version AS BIGINT) AS version, member_id, provider_npi,
                    try_cast(provider_npi AS BIGINT) AS n, taxonomy_code, try_cast(service_date AS DATE) AS day,
                    procedure_code, try_cast(billed_amount AS DECIMAL(18,2)) AS billed,
                    try_cast(allowed_amount AS DECIMAL(18,2)) AS allowed,
                    try_cast(paid_amount AS DECIMAL(18,2)) AS paid, claim_status, network_id, member_zip
                FROM read_csv('{folder}/claims.csv', all_varchar=true, header=true))"""
        )
        [(bad,)] = con.execute("SELECT count(*) FROM claims WHERE NOT good").fetchall()
    else:
        con.execute(
            f"""CREATE VIEW claims AS SELECT claim_id, line_number, claim_version AS version, provider_npi,
                taxonomy_code, service_date AS day, procedure_code, billed_amount AS billed, paid_amount AS paid,
                network_id, member_zip, true AS good FROM '{folder}/claims.parquet'"""
        )
        bad = 0
    con.execute(
        f"""CREATE TABLE lines AS
        WITH latest AS (SELECT * FROM claims WHERE good
            QUALIFY row_number() OVER (PARTITION BY claim_id, line_number ORDER BY version DESC) = 1),
        listed AS (SELECT DISTINCT l.provider_npi, l.network_id, l.day FROM
            (SELECT DISTINCT provider_npi, network_id, day FROM latest) l JOIN '{folder}/directory.csv' d
            ON d.npi::VARCHAR = l.provider_npi AND d.network_id = l.network_id AND d.effective_date <= l.day
            AND coalesce(d.termination_date >= l.day, true))
        SELECT s.specialty, z.county_fips, date_trunc('month', l.day)::DATE AS month, i.day IS NULL AS is_out,
            l.procedure_code, l.billed, l.paid
        FROM latest l JOIN '{folder}/specialties.parquet' s USING (taxonomy_code)
        JOIN '{folder}/zips.parquet' z ON z.zip = l.member_zip
        LEFT JOIN listed i ON i.provider_npi = l.provider_npi AND i.network_id = l.network_id AND i.day = l.day"""
    )
    cells = con.sql(
        f"SELECT {', '.join(CELLS)}, count(*) AS lines, sum(billed) AS billed, sum(paid) AS paid "
        "FROM lines GROUP BY ALL"
    ).to_arrow_table()
    prices = con.sql(
        "SELECT procedure_code, count(*) AS lines, median(billed::DOUBLE) AS median, "
        "quantile_cont(billed::DOUBLE, 0.8) AS p80 FROM lines WHERE is_out GROUP BY ALL"
    ).to_arrow_table()
    return cells.to_pandas(), prices.to_pandas(), bad


def by_polars(folder: Path, source: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Polars, lazy and streaming."""
    import polars as pl

    money = pl.Decimal(18, 2)
    if source == "csv":
        raw = pl.scan_csv(folder / "claims.csv", infer_schema=False)
        n = pl.col("n")
        pairs = [n // 100**p % 100 for p in range(5)]
        luhn = sum((p + 2 * (p // 10) + p // 50 for p in pairs), start=pl.lit(24)) % 10 == 0
        amounts = {a: pl.col(f"{a}_amount").cast(money, strict=False) for a in ("billed", "allowed", "paid")}
        good = (
            (pl.col("claim_id") != "")
            & (pl.col("member_id") != "")
            & pl.col("provider_npi").str.contains(r"^[12]\d{9}$")
            & luhn
            & (pl.col("day") <= LAST)
            & pl.all_horizontal(pl.col(a) >= 0 for a in amounts)
            & pl.col("taxonomy_code").str.contains("^[0-9A-Z]{9}X$")
            & pl.col("member_zip").str.contains(r"^\d{5}$")
        )
        claims = raw.with_columns(
            version=pl.col("claim_version").cast(pl.Int64, strict=False),
            n=pl.col("provider_npi").cast(pl.Int64, strict=False),
            day=pl.col("service_date").str.to_date("%Y-%m-%d", strict=False),
            **amounts,
        ).with_columns(good=good.fill_null(value=False))
        total, kept = pl.collect_all(
            [claims.select(pl.len()), claims.filter("good").select(pl.len())], engine="streaming"
        )
        bad = total.item() - kept.item()
        claims = claims.filter("good")
    else:
        claims = pl.scan_parquet(folder / "claims.parquet").rename(
            {"claim_version": "version", "service_date": "day", "billed_amount": "billed", "paid_amount": "paid"}
        )
        bad = 0
    columns = ["claim_id", "line_number", "version", "provider_npi", "network_id", "taxonomy_code", "day"]
    latest = (
        claims.select(*columns, "procedure_code", "billed", "paid", "member_zip")
        .sort("version")
        .unique(["claim_id", "line_number"], keep="last")
    )
    directory = pl.scan_csv(folder / "directory.csv", infer_schema=False).select(
        "network_id",
        provider_npi="npi",
        first=pl.col("effective_date").str.to_date(),
        last=pl.col("termination_date").str.to_date(),
    )
    served = ["provider_npi", "network_id", "day"]
    listed = (
        latest.select(served)
        .unique()
        .join(directory, on=["provider_npi", "network_id"])
        .filter((pl.col("first") <= pl.col("day")) & (pl.col("last").is_null() | (pl.col("last") >= pl.col("day"))))
        .select(served)
        .unique()
        .with_columns(listed=pl.lit(value=True))
    )
    lines = (
        latest.join(pl.scan_parquet(folder / "specialties.parquet"), on="taxonomy_code")
        .join(pl.scan_parquet(folder / "zips.parquet"), left_on="member_zip", right_on="zip")
        .join(listed, on=served, how="left")
        .with_columns(month=pl.col("day").dt.truncate("1mo"), is_out=pl.col("listed").is_null())
    )
    cells = lines.group_by(CELLS).agg(pl.len().alias("lines"), pl.col("billed").sum(), pl.col("paid").sum())
    charge = pl.col("billed").cast(pl.Float64)
    prices = (
        lines.filter("is_out")
        .group_by(PRICES)
        .agg(
            pl.len().alias("lines"),
            charge.median().alias("median"),
            charge.quantile(0.8, interpolation="linear").alias("p80"),
        )
    )
    found = pl.collect_all([cells, prices], engine="streaming")
    return found[0].to_pandas(), found[1].to_pandas(), bad


def by_pandas(folder: Path, source: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Pandas as most would write it, amounts as binary numbers."""
    if source == "csv":
        claims = pd.read_csv(folder / "claims.csv", dtype=str, keep_default_na=False)
        n = pd.to_numeric(claims["provider_npi"], errors="coerce").fillna(0).astype("int64")
        total = 24
        for power in range(5):
            p = n // 100**power % 100
            total = total + p + 2 * (p // 10) + p // 50
        claims["day"] = pd.to_datetime(claims["service_date"], format="%Y-%m-%d", errors="coerce")
        claims["version"] = pd.to_numeric(claims["claim_version"], errors="coerce")
        for amount in ("billed", "allowed", "paid"):
            claims[amount] = pd.to_numeric(claims[f"{amount}_amount"], errors="coerce")
        good = (
            (claims["claim_id"] != "")
            & (claims["member_id"] != "")
            & claims["provider_npi"].str.fullmatch(r"[12]\d{9}")
            & (total % 10 == 0)
            & (claims["day"] <= pd.Timestamp(LAST))
            & (claims[["billed", "allowed", "paid"]] >= 0).all(axis=1)
            & claims["taxonomy_code"].str.fullmatch("[0-9A-Z]{9}X")
            & claims["member_zip"].str.fullmatch(r"\d{5}")
        )
        bad = int((~good).sum())
        claims = claims[good]
    else:
        claims = pd.read_parquet(folder / "claims.parquet").rename(
            columns={
                "claim_version": "version",
                "service_date": "day",
                "billed_amount": "billed",
                "paid_amount": "paid",
            }
        )
        claims["day"] = pd.to_datetime(claims["day"])
        claims[["billed", "paid"]] = claims[["billed", "paid"]].astype(float)
        bad = 0
    latest = claims.sort_values("version", kind="stable").drop_duplicates(["claim_id", "line_number"], keep="last")
    directory = pd.read_csv(folder / "directory.csv", dtype=str).rename(columns={"npi": "provider_npi"})
    for column in ("effective_date", "termination_date"):
        directory[column] = pd.to_datetime(directory[column])
    served = ["provider_npi", "network_id", "day"]
    listed = (
        latest[served]
        .drop_duplicates()
        .merge(directory[["provider_npi", "network_id", "effective_date", "termination_date"]], on=served[:2])
    )
    in_force = (listed["effective_date"] <= listed["day"]) & ~(listed["termination_date"] < listed["day"])
    listed = listed.loc[in_force, served].drop_duplicates().assign(listed=True)
    lines = (
        latest.merge(pd.read_parquet(folder / "specialties.parquet"), on="taxonomy_code")
        .merge(pd.read_parquet(folder / "zips.parquet"), left_on="member_zip", right_on="zip")
        .merge(listed, on=served, how="left")
    )
    lines["month"] = lines["day"].dt.to_period("M").dt.start_time
    lines["is_out"] = lines["listed"].isna()
    cells = lines.groupby(CELLS, as_index=False).agg(
        lines=("billed", "size"), billed=("billed", "sum"), paid=("paid", "sum")
    )
    by_procedure = lines[lines["is_out"]].groupby("procedure_code")["billed"]
    prices = pd.DataFrame(
        {"lines": by_procedure.size(), "median": by_procedure.median(), "p80": by_procedure.quantile(0.8)}
    )
    return cells, prices.reset_index(), bad


def normal(cells: pd.DataFrame, prices: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return results in one order and in cents, so that they can be compared."""
    cells, prices = cells.copy(), prices.copy()
    cells["month"] = pd.to_datetime(cells["month"]).dt.strftime("%Y-%m")
    for column in ("billed", "paid"):
        cells[column] = (cells[column].astype(float) * 100).round().astype("int64")
    for column in ("median", "p80"):
        prices[column] = prices[column].astype(float).round(6)
    for frame in (cells, prices):
        frame["lines"] = frame["lines"].astype("int64")
    cells["is_out"] = cells["is_out"].astype(bool)
    cells = cells[[*CELLS, "lines", "billed", "paid"]].astype({"specialty": "object", "county_fips": "object"})
    prices = prices[[*PRICES, "lines", "median", "p80"]].astype({"procedure_code": "object"})
    return cells.sort_values(CELLS, ignore_index=True), prices.sort_values(PRICES, ignore_index=True)


def run(contestant: str, folder: Path, source: str, target: Path) -> None:
    """Run one contestant; write its results, seconds and peak memory to ``target``."""
    do = {
        "ours": lambda: ours(folder, source, "duckdb"),
        "ours on polars": lambda: ours(folder, source, "polars"),
        "DuckDB SQL": lambda: by_duckdb(folder, source),
        "Polars": lambda: by_polars(folder, source),
        "pandas": lambda: by_pandas(folder, source),
    }[contestant]
    if contestant.startswith("ours"):  # imports are nobody's concern here; pandas and the engines are in already
        import sca_analysis.claims  # noqa: F401
    if "olars" in contestant:
        import polars  # noqa: F401
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    cells, prices, bad = do()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    cells, prices = normal(cells, prices)
    cells.to_parquet(target / "cells.parquet")
    prices.to_parquet(target / "prices.parquet")
    about = {"seconds": seconds, "cpu": cpu, "peak": peak_memory(), "set_aside": bad}
    (target / "about.json").write_text(json.dumps(about))


def compete(folder: Path, source: str, names: list[str], repeats: int, work: Path, lines: int) -> None:
    """Print the table of one source."""
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    first: tuple[pd.DataFrame, pd.DataFrame, float] | None = None
    for repeat in range(repeats):  # in turns, so that a busy machine weighs on all alike
        for name in names:
            target = work / f"{name} {source} {repeat}".replace(" ", "-")
            target.mkdir()
            place = work / "cache" if source == "parquet" else target / "cache"
            command = [sys.executable, __file__, "--child", name, "--folder", str(folder), "--source", source]
            environment = os.environ | {"SCA_CACHE": str(place), "PYTHONPATH": str(Path(__file__).parents[2])}
            subprocess.run([*command, "--target", str(target)], check=True, env=environment)
            about = json.loads((target / "about.json").read_text())
            found = (*(pd.read_parquet(target / f"{t}.parquet") for t in ("cells", "prices")), about["set_aside"])
            shutil.rmtree(target)
            if source == "parquet" or name.startswith("ours"):
                found = (*found[:2], -1 if source == "parquet" else found[2])
            first = first or found
            pd.testing.assert_frame_equal(found[0], first[0], check_dtype=False)
            pd.testing.assert_frame_equal(found[1], first[1], check_dtype=False, rtol=1e-9)
            if source == "csv" and found[2] != first[2]:
                raise SystemExit(f"{name} sets {found[2]} rows aside, not {first[2]}")
            results[name].append(about)
    base = {name: median(r["seconds"] for r in result) for name, result in results.items()}
    mine = base.get("ours", next(iter(base.values())))
    print(f"from {source}: results equal; medians of {repeats} runs")
    print(f"{'contestant':<18}{'seconds':>9}{'CPU s':>9}{'ratio to ours':>15}{'peak MiB':>10}")
    rows = [(name, base[name], base[name] / mine, max(r["peak"] for r in result)) for name, result in results.items()]
    record(f"claims path from {source}: {lines:,} lines", rows)
    for name, result in results.items():
        cpu, peak = median(r["cpu"] for r in result), max(r["peak"] for r in result)
        print(f"{name:<18}{base[name]:>9.2f}{cpu:>9.2f}{base[name] / mine:>15.2f}{peak:>10,.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="?", type=int, default=LINES)
    parser.add_argument("--source", choices=("csv", "parquet", "both"), default="both")
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    for hidden in ("--child", "--folder", "--target"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run(given.child, Path(given.folder), given.source, Path(given.target))
        return
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        folder = Path(given.folder) if given.folder else work / "exports"
        if not folder.exists():
            make(folder, given.lines)
        size = (folder / "claims.csv").stat().st_size / 1e6
        print(f"{given.lines:,} claim lines, {size:,.0f} MB of CSV, {os.cpu_count()} cores")
        if given.source in ("csv", "both"):
            compete(folder, "csv", given.only, given.repeats, work, given.lines)
        if given.source in ("parquet", "both"):
            os.environ["SCA_CACHE"] = str(work / "cache")
            from sca_analysis.exports import Exports

            kept = Exports.open(folder)
            kept.connection.execute(f"COPY (SELECT * FROM claim_versions) TO '{folder}/claims.parquet'")
            del kept
            compete(folder, "parquet", given.only, given.repeats, work, given.lines)


if __name__ == "__main__":
    main()
