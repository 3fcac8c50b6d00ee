"""Every engine gives the same figures, to the cent and the last digit: DuckDB's are the ones to be equal to."""

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from scipy.spatial import cKDTree

from sca_analysis import engines, places
from sca_analysis.claims import at_rate, half_up
from sca_analysis.cli import main
from sca_analysis.engines import ENGINES, Store
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.gaps import tabulate
from sca_analysis.monthly import Month, analyse_month
from sca_analysis.servicing import members_behind
from tests.conftest import SAMPLE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")  # which is not used

# what suits small tables, where Spark spends its time on plans and compilers
_SMALL = {
    "spark.master": "local[2]",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.log.level": "ERROR",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.dataFrameQueryContext.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


@pytest.fixture(scope="module")
def spark() -> "Iterator[SparkSession]":
    """The one Spark of these tests, which the product takes up as it would that of a cluster."""
    if importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: uv sync --extra spark")
    if not engines.has_java():
        pytest.skip("Spark needs Java 17 or later, which is not installed")
    from pyspark.sql import SparkSession

    session = SparkSession.builder.config(map=_SMALL).getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module", params=["polars", "spark"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine but the one that the others are compared with."""
    if request.param == "spark":
        request.getfixturevalue("spark")
    else:
        pytest.importorskip(ENGINES[request.param])
    return str(request.param)


@pytest.fixture(scope="module")
def other(engine: str) -> Month:
    """The month of the sample by another engine."""
    return analyse_month(SAMPLE, "2026-06", engine, identified=True)


def rows(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return the names of a table and its rows as Python's values, blanks as None."""
    plain = table.astype(object).where(table.notna(), None)
    return [tuple(plain.columns), *plain.itertuples(index=False, name=None)]


def test_every_table_of_the_report_is_equal(other: Month, june: Month) -> None:
    assert list(other.tables) == list(june.tables)
    for name, table in june.tables.items():
        assert rows(other.tables[name]) == rows(table), name


def test_gaps_and_cases_are_equal_with_nothing_withheld(other: Month, june: Month) -> None:
    assert rows(other.gaps.table) == rows(june.gaps.table)
    mine, theirs = other.standing.cases, june.standing.cases
    for name in ("table", "evidence", "searched"):
        assert rows(getattr(mine, name)) == rows(getattr(theirs, name)), name


def test_members_behind_a_row_are_equal(other: Month, june: Month) -> None:
    cell = june.gaps.table.sort_values("members").iloc[-1]
    mine, theirs = (
        members_behind(m.exports, m.adequacy.network, cell["county_fips"], cell["specialty"]) for m in (other, june)
    )
    assert len(theirs) == cell["members"]
    assert rows(mine) == rows(theirs)


def test_commands_take_the_engine(engine: str) -> None:
    found = [CliRunner().invoke(main, ["gaps", "--data", str(SAMPLE), "--engine", e]) for e in (engine, "duckdb")]
    assert [r.exit_code for r in found] == [0, 0], found[0].output
    assert found[0].stdout == found[1].stdout


def test_rates_times_units_round_half_up_on_every_engine(spark: "SparkSession") -> None:
    rates = [Decimal(r) for r in ("10.05", "0.15", "10.15", "33.33", "-10.05", "99999999.99", "0.01", "7.00")]
    units = [Decimal(u) for u in ("0.500", "0.500", "0.500", "1.001", "0.500", "1.005", "0.499", "1.000")]
    table = pa.table(
        {"rate": pa.array(rates, pa.decimal128(18, 2)), "units": pa.array(units, pa.decimal128(18, 3))},
    )
    exact = [r * u for r, u in zip(rates, units, strict=True)]
    con = duckdb.connect()
    for name in ENGINES:
        frame = Store(Path(), name, con, spark if name == "spark" else None).lift(table)
        found = frame.select(exact=at_rate("rate"), cents=half_up(at_rate("rate")).cast(nw.Decimal(18, 2)))
        arrow = found.collect(backend="pyarrow").to_native()
        assert arrow["exact"].to_pylist() == exact, name
        assert arrow["cents"].to_pylist() == [e.quantize(Decimal("0.01"), ROUND_HALF_UP) for e in exact], name


def test_search_by_broadcast_finds_the_same_miles(spark: "SparkSession") -> None:
    rng = np.random.default_rng(20261126)
    homes, offices = (
        places.to_unit_vectors(rng.uniform(25, 49, n), rng.uniform(-124, -67, n)) for n in (120_000, 3000)
    )
    search = Store(Path(), "spark", duckdb.connect(), spark).spread(homes)
    for targets in (offices, offices[:1], offices[:0]):
        tree = cKDTree(targets)
        assert np.array_equal(search(tree), places.nearest_miles(homes, tree))
    assert rdds_of(spark) == 1, "the places lie there once for all searches"
    few = Store(Path(), "spark", duckdb.connect(), spark).spread(homes[:10])
    assert np.array_equal(few(cKDTree(offices)), places.nearest_miles(homes[:10], offices))
    assert rdds_of(spark) == 1, "a few places are searched here"


def rdds_of(spark: "SparkSession") -> int:
    """Return how many sets of places Spark holds; the others are rows of tables."""
    held = spark.sparkContext._jsc.getPersistentRDDs()
    return sum("PythonRDD" in str(rdd) or "ParallelCollection" in str(rdd) for rdd in held.values())


def test_gap_table_by_broadcast_is_equal(spark: "SparkSession", june: Month, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_MANY", 1)
    network = june.adequacy.network
    chosen = network.standard["specialty"].isin(["Cardiology", "Dermatology", "Psychiatry"])
    network = replace(network, criteria=replace(network.criteria, standard=network.standard[chosen]))
    store = Store(Path(), "spark", duckdb.connect(), spark)
    found = tabulate(replace(network, spread=store.spread)).table
    assert len(found) > 10
    assert rows(found) == rows(tabulate(network).table)


def test_tables_are_read_in_the_time_zone_of_nowhere(spark: "SparkSession") -> None:
    exports = Exports.open(SAMPLE, "spark")
    assert exports.store.spark is not None
    assert exports.store.spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert exports.last_day == Exports.open(SAMPLE).last_day


@pytest.mark.parametrize(
    ("name", "missing", "words"),
    [
        ("spark", "java", "engine 'spark' needs Java, which is not found"),
        ("spark", "package", "pip install pyspark"),
        ("polars", "package", "pip install polars"),
        ("dask", "nothing", "engine 'dask' is not known; known are duckdb, polars, spark."),
    ],
)
def test_what_an_engine_lacks_is_said_in_one_sentence(
    name: str, missing: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None if missing == "package" else True)
    monkeypatch.setenv("PATH", "")
    for variable in ("JAVA_HOME", "SPARK_REMOTE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ExportError) as raised:
        Exports.open(SAMPLE, name)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
