"""The same exports give the same bytes: whatever the hash seed, time zone, locale, threads, or Python."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sca_analysis.exports import Exports
from tests.benchmarks import drill_numbers
from tests.benchmarks.drill_numbers import OF_ROWS, Setting, has_locale, hash_tree, run, shuffle, write, write_month
from tests.folders import claim, listing, span, write_tables
from tests.test_courses import benefit_row, tier

MONTH = "2026-06"
FEE = {"procedure_code": "90837", "in_network_rate": "60.00", "out_of_network_allowed": "65.00"}
HERE = f"python{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [name for name in ("python3.11", "python3.12", "python3.13") if name != HERE]
NEEDS = "import duckdb, narwhals, pandas, papermill, sca_analysis"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small plan: two counties, OON visits of many members, rows that repeat and rows that are set aside."""
    claims, first = [], date(2026, 1, 5)
    for number in range(40):
        member = f"M{number % 14}"
        day = first + timedelta(days=4 * number)
        claims.append(claim(member, 50 + number % 5, day, network_status="out", units="1", allowed_amount="40.00"))
        claims.append(claim(member, 1 + number % 3, day, network_status="in", paid_amount="33.33"))
    claims += [claims[0], claim("M1", 1, "no day"), claim("M2", 2, "2026-05-05", billed_amount="=1+1")]
    return write_tables(
        tmp_path_factory.mktemp("same") / "exports",
        claims=claims,
        directory=[*(listing(n, zip=z) for n in range(1, 9) for z in ("04330", "04654")), listing(9, zip="00000")],
        members=[span(f"M{n}", zip="04654" if n % 3 == 0 else "04330") for n in range(40)],
        benefits=[benefit_row(None, in_network=tier(), out_of_network=tier("100.00", "0.40"))],
        fees=[FEE],
    )


@pytest.fixture(scope="module")
def plain(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Hashes of what is written in this process, as it is: one of its own would spend most of its time on imports."""
    out = tmp_path_factory.mktemp("plain")
    write(folder, MONTH, out)
    return hash_tree(out)


def test_every_table_is_there(plain: dict[str, str]) -> None:
    for name in ("report/tables/gaps.csv", "report/tables.xlsx", "report/set_aside.csv", "cases/tables/cases.csv"):
        assert name in plain
    assert {"gaps/tables/gaps.csv", "gaps.txt", "cases.json", "check.json", "quote.txt"} <= plain.keys()


def test_hash_seed_time_zone_locale_and_threads_do_not_change_a_byte(
    folder: Path, plain: dict[str, str], tmp_path: Path
) -> None:
    """All at once, for each process costs seconds; `tests/benchmarks/drill_numbers.py` tries them one by one."""
    language = next((name for name in ("tr_TR.UTF-8", "de_DE.UTF-8") if has_locale(name)), "C")
    variables = {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Kiritimati", "LC_ALL": language, "SCA_MEMORY": "500MB"}
    assert run(Setting("all", variables, ["--threads", "1"]), folder, MONTH, tmp_path) == plain


def test_order_of_rows_does_not_change_a_byte(folder: Path, plain: dict[str, str], tmp_path: Path) -> None:
    """But where rows are named by their numbers."""
    other = shuffle(folder, tmp_path / "exports", seed=1)
    assert (other / "claims.csv").read_bytes() != (folder / "claims.csv").read_bytes()
    write_month(other, MONTH, tmp_path / "out")
    found = {n: h for n, h in hash_tree(tmp_path / "out").items() if n not in OF_ROWS}
    assert "report/tables/cases.csv" in found
    assert found == {n: plain[n] for n in found}


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the time zone of this process, which has its own again afterwards."""

    def to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield to
    monkeypatch.undo()
    time.tzset()


def test_what_lies_in_the_future_is_the_same_in_all_time_zones(
    tmp_path: Path, set_zone: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's today is in the future: on the Line Islands (UTC+14) it begins first, on Baker Island (UTC-12) last."""
    monkeypatch.setenv("SCA_CACHE", "off")
    newest = (datetime.now(UTC) + timedelta(hours=14)).date()
    days = [newest - timedelta(days=2), newest, newest + timedelta(days=2)]
    folder = write_tables(tmp_path, claims=[claim("M1", 1, day) for day in days], directory=[listing(1)])
    for zone in ("Etc/GMT-14", "UTC", "Etc/GMT+12"):  # POSIX counts westward
        set_zone(zone)
        aside = Exports.open(folder).set_aside
        assert aside["row"].tolist() == [4], zone
        assert aside["reason"].tolist() == ["date_in_future:service_date"], zone


@pytest.mark.parametrize("name", OTHERS)
def test_other_pythons_write_the_same_bytes(folder: Path, plain: dict[str, str], tmp_path: Path, name: str) -> None:
    """Those of `SCA_PYTHONS` (parted as in PATH), or found in PATH."""
    version = name.removeprefix("python")
    listed = [p for p in os.environ.get("SCA_PYTHONS", "").split(os.pathsep) if p]
    code = f"import sys; assert '%d.%d' % sys.version_info[:2] == {version!r}; {NEEDS}"
    own = os.environ | {"PYTHONPATH": str(drill_numbers.ROOT)}
    for python in (*listed, shutil.which(name)):
        if python and not subprocess.run([python, "-c", code], env=own, capture_output=True).returncode:
            assert run(Setting(name, python=python), folder, MONTH, tmp_path) == plain
            return
    pytest.skip(f"no {name} with the packages of the project: name one in SCA_PYTHONS")
