"""Tables of reference that are kept for the next process."""

from pathlib import Path

import pandas as pd
import pytest

from sca_analysis import keeping, places


class Maker:
    """Makes a table and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> pd.DataFrame:
        self.times += 1
        return pd.DataFrame({"zip": pd.array(["02139", pd.NA], "string")}, index=pd.Index(["a", "b"], name="key"))


def test_a_table_is_made_once_for_what_it_depends_on(place: Path) -> None:
    make = Maker()
    first = keeping.recall("some", [b"1", b"2"], make)
    pd.testing.assert_frame_equal(keeping.recall("some", [b"1", b"2"], make), first)
    assert make.times == 1
    keeping.recall("some", [b"12"], make)
    assert make.times == 2
    [left] = place.iterdir()  # the former one has gone
    assert left.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("spoil", [lambda p: p.write_bytes(b""), lambda p: p.write_bytes(p.read_bytes()[:-9])])
def test_one_that_was_cut_short_is_made_again(place: Path, spoil) -> None:
    make = Maker()
    made = keeping.recall("some", [b"1"], make)
    spoil(next(place.iterdir()))
    pd.testing.assert_frame_equal(keeping.recall("some", [b"1"], make), made)
    pd.testing.assert_frame_equal(keeping.recall("some", [b"1"], make), made)
    assert make.times == 2


def test_nothing_is_kept_where_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keeping.PLACE, "off")
    make = Maker()
    for _ in range(2):
        keeping.recall("some", [b"1"], make)
    assert make.times == 2


def test_a_full_disk_costs_time_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    assert len(keeping.recall("some", [b"1"], Maker())) == 2
    assert not list(place.iterdir())


def test_zip_codes_are_the_same_kept_or_made(place: Path) -> None:
    places._zip_table.cache_clear()
    made = places._zip_table()
    places._zip_table.cache_clear()
    pd.testing.assert_frame_equal(places._zip_table(), made)
    pd.testing.assert_frame_equal(made, places._place_zips())
