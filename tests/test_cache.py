"""What was read is taken up again while nothing has changed, and only then."""

import gc
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from sca_analysis import cache, intake, keeping
from sca_analysis import exports as module
from sca_analysis.errors import ExportError
from sca_analysis.exports import Exports
from sca_analysis.tables import EXPORTS
from tests.conftest import SAMPLE
from tests.folders import JOINED, claim, listing, write_tables
from tests.test_project import modules

TABLES = (*EXPORTS, "claim_versions")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    claims = [claim(f"MEMBER{n}", n, f"2026-01-0{n}", claim_status="paid") for n in range(1, 6)]
    return write_tables(tmp_path / "exports", claims=claims, directory=[listing(n) for n in range(1, 4)])


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that were read from their files."""
    done: list[Path] = []
    take_in = intake.take_in

    def watched(root: Path, *rest: object) -> intake.Account:
        done.append(root)
        return take_in(root, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module.intake, "take_in", watched)
    return done


def assert_same(one: Exports, other: Exports) -> None:
    for name in TABLES:
        pd.testing.assert_frame_equal(one.frame(name), other.frame(name))
    for name in ("files", "set_aside", "findings"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    for name in EXPORTS:
        pd.testing.assert_frame_equal(one.repeats(name), other.repeats(name))
    assert (one.missing, one.paths, one.hashes) == (other.missing, other.paths, other.hashes)
    assert (one.plan, one.last_day) == (other.plan, other.last_day)
    pd.testing.assert_frame_equal(one.coverage, other.coverage)


def test_the_second_run_takes_up_what_the_first_has_read(
    place: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Exports.open(SAMPLE), Exports.open(SAMPLE)
    assert readings == [SAMPLE]
    assert_same(first, second)
    monkeypatch.setenv(keeping.PLACE, "off")
    assert_same(first, Exports.open(SAMPLE))
    assert readings == [SAMPLE, SAMPLE]
    monkeypatch.setenv(keeping.PLACE, str(place.parent))
    monkeypatch.setattr("sca_analysis.engines._SMALL", 0)
    assert_same(first, Exports.open(SAMPLE))  # the tables stay on disk


def test_what_changes_is_noticed(
    place: Path, folder: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(times: int) -> None:
        readings.clear()
        Exports.open(folder)
        Exports.open(folder)
        assert len(readings) == times

    reads(1)
    claims = folder / "claims.csv"
    claims.write_bytes(claims.read_bytes().replace(b"paid", b"PAID", 1))  # as many bytes, at the same time
    os.utime(claims, (0, 0))
    reads(1)
    config = folder / "exports.yaml"
    config.write_text("claims: {path: claims.csv}\ndirectory: {path: directory.csv}\n")
    reads(0)  # it says what their names said
    config.write_text(config.read_text() + "plan: {network_id: X9}\n")
    reads(1)
    monkeypatch.setattr(cache, "_hash_code", lambda: "another version")
    reads(1)
    reads(0)


def test_the_order_in_which_files_were_made_does_not_matter_but_their_names_do(
    place: Path, folder: Path, readings: list[Path], tmp_path: Path
) -> None:
    Exports.open(folder)
    shutil.copytree(folder, tmp_path / "copy")
    Exports.open(tmp_path / "copy")  # the same content under the same names
    assert readings == [folder]


def test_a_joined_file_is_part_of_the_content(place: Path, tmp_path: Path, folder: Path, readings: list[Path]) -> None:
    header, *rows = (folder / "claims.csv").read_text().splitlines()
    assert "network_id" not in header
    numbers = {row.split(",")[0] for row in rows}
    (folder / "extra.csv").write_text("claim_id,net\n" + "".join(f"{n},A1\n" for n in numbers))
    (folder / "exports.yaml").write_text(JOINED)
    assert set(Exports.open(folder).frame("claims")["network_id"]) == {"A1"}
    (folder / "extra.csv").write_text("claim_id,net\n" + "".join(f"{n},B2\n" for n in numbers))
    assert set(Exports.open(folder).frame("claims")["network_id"]) == {"B2"}
    assert set(Exports.open(folder).frame("claims")["network_id"]) == {"B2"}
    assert len(readings) == 2


def test_a_day_later_the_same_holds_unless_a_date_was_in_the_future(
    place: Path, folder: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_clock(month: int) -> None:
        monkeypatch.setattr(module.intake, "latest_day", lambda: date(2026, month, 1))

    set_clock(11)
    Exports.open(folder)
    set_clock(12)
    Exports.open(folder)
    assert len(readings) == 1
    set_clock(10)  # a clock that was set back
    Exports.open(folder)
    assert len(readings) == 2
    claims = folder / "claims.csv"
    last = claims.read_text().splitlines()[-1]
    claims.write_text(claims.read_text() + last.replace("2026-01-05", "2026-10-15") + "\n")
    readings.clear()
    ahead = Exports.open(folder)
    assert "date_in_future:service_date" in set(ahead.set_aside["reason"])
    set_clock(12)
    assert "date_in_future:service_date" not in set(Exports.open(folder).set_aside["reason"])
    assert len(readings) == 2


@pytest.mark.parametrize("damage", ["delete all", "delete one", "cut one short", "no account", "nonsense", "a file"])
def test_a_damaged_cache_is_made_anew(place: Path, folder: Path, damage: str) -> None:
    first = Exports.open(folder)
    [entry] = place.iterdir()
    if damage == "delete all":
        shutil.rmtree(place)
    elif damage == "delete one":
        (entry / "claims.parquet").unlink()
    elif damage == "cut one short":
        (entry / "claims.parquet").write_bytes(b"PAR1")
    elif damage == "no account":
        (entry / "entry.json").unlink()
    elif damage == "nonsense":
        (entry / "entry.json").write_text("[1, 2")
    else:
        shutil.rmtree(entry)
        entry.write_text("here was a folder")
    assert_same(first, Exports.open(folder))
    assert_same(first, Exports.open(folder))


def test_deleting_the_cache_does_not_disturb_a_run(place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sca_analysis.engines._SMALL", 0)
    exports = Exports.open(folder)
    [entry] = [one for one in place.iterdir() if not one.name.startswith(".")]
    shutil.rmtree(entry)
    assert len(exports.frame("claims"))
    del exports
    gc.collect()
    assert list(place.iterdir()) == []


def test_an_entry_that_is_deleted_while_it_is_taken_up_is_read_anew(
    place: Path, folder: Path, readings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Exports.open(folder)
    hold = cache.hold

    def too_late(entry: Path) -> Path:
        monkeypatch.setattr(cache, "hold", hold)
        shutil.rmtree(entry)
        return hold(entry)

    monkeypatch.setattr(cache, "hold", too_late)
    assert_same(first, Exports.open(folder))
    assert len(readings) == 2
    [entry] = place.iterdir()
    assert not entry.name.startswith(".")


def test_where_a_file_can_have_one_name_alone_it_is_copied(
    place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr("sca_analysis.engines._SMALL", 0)
    first, second = Exports.open(folder), Exports.open(folder)
    assert_same(first, second)
    del first, second
    gc.collect()
    [entry] = place.iterdir()
    assert cache.find(place, entry.name, folder, intake.latest_day()) == entry


def test_the_name_of_a_folder_above_is_no_column(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keeping.PLACE, str(tmp_path / "network_id=Z9"))
    for size in (0, 10**9):
        monkeypatch.setattr("sca_analysis.engines._SMALL", size)
        assert "Z9" not in set(Exports.open(folder).frame("directory")["network_id"])


def test_a_store_that_cannot_be_opened_leaves_nothing(
    place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ExportError("engine 'spark' did not start.")

    monkeypatch.setattr(module.engines, "open_store", fail)
    with pytest.raises(ExportError, match="did not start"):
        Exports.open(folder)
    assert not list(place.glob(".*"))


def test_what_a_killed_run_had_in_use_goes(place: Path, folder: Path) -> None:
    Exports.open(folder)
    [entry] = place.iterdir()
    left = cache.hold(entry)
    long_ago = time.time() - (cache.KEPT_DAYS + 1) * 24 * 3600
    os.utime(left, (long_ago, long_ago))
    Exports.open(folder)  # which touches the file that both have
    (folder / "claims.csv").write_text((folder / "claims.csv").read_text() + "\n")
    Exports.open(folder)
    assert entry.exists()
    assert not left.exists()


def test_all_code_that_reads_decides_about_the_entry() -> None:
    imported, seen, to_see = modules(), set[str](), {"intake"}
    while to_see:
        seen.add(name := to_see.pop())
        to_see |= {one.split(".")[1] for one in imported[name] if one.startswith("sca_analysis.")} - seen
    assert seen - {"errors"} <= {name.removesuffix(".py") for name in cache._CODE}  # errors decide about words alone


def test_runs_at_once_read_the_same(place: Path, folder: Path) -> None:
    code = f"from sca_analysis.exports import Exports; print(len(Exports.open({str(folder)!r}).frame('claims')))"
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = {run.communicate(timeout=120)[0].strip() for run in runs}
    assert told == {str(len(Exports.open(folder).frame("claims")))}
    assert len(list(place.iterdir())) == 1


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in = intake.take_in

    def slow(root: Path, *rest: object) -> intake.Account:
        done = take_in(root, *rest)  # type: ignore[arg-type]
        os.utime(folder / "claims.csv", (1, 1))
        return done

    monkeypatch.setattr(module.intake, "take_in", slow)
    exports = Exports.open(folder)
    assert len(exports.frame("claims"))
    assert [one for one in place.iterdir() if not one.name.startswith(".")] == []
    del exports
    gc.collect()
    assert list(place.iterdir()) == []


def test_a_file_beside_that_changes_while_it_is_read_is_not_kept(
    place: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = (folder / "claims.csv").read_text().splitlines()[1].split(",")[0]
    (folder / "extra.csv").write_text(f"claim_id,net\n{number},A1\n")
    (folder / "exports.yaml").write_text(JOINED)
    take_in = intake.take_in

    def slow(root: Path, *rest: object) -> intake.Account:
        done = take_in(root, *rest)  # type: ignore[arg-type]
        (folder / "extra.csv").write_text(f"claim_id,net\n{number},NEWER\n")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(module.intake, "take_in", slow)
        Exports.open(folder)
    assert not [one for one in place.iterdir() if not one.name.startswith(".")]
    assert "NEWER" in set(Exports.open(folder).frame("claims")["network_id"])


def test_a_run_that_fails_leaves_nothing(place: Path, folder: Path) -> None:
    (folder / "directory.csv").write_text("npi\n1\n")
    with pytest.raises(ExportError):
        Exports.open(folder)
    assert list(place.iterdir()) == []


def test_only_its_owner_reads_it_and_no_name_says_whose_it_is(place: Path, folder: Path) -> None:
    exports = Exports.open(folder)
    [entry] = place.iterdir()
    assert stat.S_IMODE(place.stat().st_mode) == stat.S_IMODE(entry.stat().st_mode) == 0o700
    members = set(exports.frame("claims")["member_id"])
    names = " ".join(str(p.relative_to(place)) for p in place.rglob("*"))
    assert not any(member in names + json.dumps(json.loads((entry / "entry.json").read_text())) for member in members)


def test_old_entries_go_and_nothing_else_does(place: Path, folder: Path) -> None:
    Exports.open(folder)
    [entry] = place.iterdir()
    theirs = place / "photographs"
    theirs.mkdir()
    long_ago = time.time() - (cache.KEPT_DAYS + 1) * 24 * 3600
    for path in (entry / "entry.json", theirs):
        os.utime(path, (long_ago, long_ago))
    claims = folder / "claims.csv"
    claims.write_text(claims.read_text() + "\n")
    Exports.open(folder)
    assert not entry.exists()
    assert theirs.exists()


def test_where_no_cache_can_be_everything_works_without(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(keeping.PLACE, str(tmp_path / "file" / "below"))
    assert keeping.place() is None
    assert len(Exports.open(folder).frame("claims"))


def test_memory_is_limited_where_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(intake.MEMORY, "lots")
    with pytest.raises(ExportError, match=r"SCA_MEMORY is 'lots', which is no amount of memory: write it like 3GB\."):
        Exports.open(folder)
    monkeypatch.setenv(intake.MEMORY, "1GB")
    monkeypatch.setenv(keeping.PLACE, "off")
    in_memory = Exports.open(folder)
    monkeypatch.setattr(intake, "_LARGE", 0)  # staged on disk
    con, _ = intake.connect(1)
    assert con.execute("SELECT current_database()").fetchall() == [("staged",)]
    con.close()
    assert_same(in_memory, Exports.open(folder))


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_engines_hold_the_same_tables(engine: str) -> None:
    if engine == "polars":
        pytest.importorskip("polars")
    one, other = Exports.open(SAMPLE), Exports.open(SAMPLE, engine=engine)
    assert_same(one, other)
