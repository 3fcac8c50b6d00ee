"""The account of the prices of a Transparency in Coverage file: amounts on disk, reasons in memory, rates by code.

In: prices, item by item. Out: what was set aside, and a Parquet file of one rate a code; see ``transparency``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import duckdb

from sca_analysis.readers.source import Malformed, quote
from sca_analysis.readers.transparency_prices import Price

#: Prices set aside that are listed one by one, for each reason; the rest of a reason is one line with its count.
MAX_LISTED = 1000
_MAX_AMOUNTS = 100_000  # different amounts of an item that are held in memory
_MEMORY = "256MB"  # of DuckDB, which adds up what does not fit on disk
_RATES = {"median": "(lower + upper + 1) // 2", "min": "least", "max": "most", "highest": "most"}
_PRICE, _BILLED = range(2)


class Ledger:
    """What was entered of a file. ``place`` is the number of its last price.

    An item is settled when all of it was read, since its code may stand behind its prices.
    """

    def __init__(self, amounts: TextIO, items: TextIO) -> None:
        """Begin with two files to write to: amounts by item, and the code of each item."""
        self.place = 0
        self._amounts, self._items = amounts, items
        self._item = 0
        self._first = 1  # place of the first price of the item
        self._held: dict[tuple[int, int], list[int]] = {}  # kind and cents: weight, prices, first place
        self._aside: dict[str, list[int]] = {}  # of the item: reason, count and then places
        self._reasons: dict[str, list[int]] = {}  # of the items before

    def enter(self, prices: Iterator[Price]) -> None:
        """Enter the prices of an element, each with the next place."""
        for price in prices:
            self.place += 1
            if price.reason:
                _note(self._aside, price.reason, (self.place,))
                continue
            self._hold(_PRICE, price.cents, price.weight, 1)
            for cents, weight in price.billed:
                self._hold(_BILLED, cents, weight, 0)

    def settle(self, code: str, reason: str) -> None:
        """End an item: its prices are those of ``code``, or all of them are set aside for ``reason``."""
        if reason:
            _note(self._reasons, reason, range(self._first, self.place + 1))
        else:
            self._write()
            self._items.write(f"{self._item},{code}\n")
            for one, (count, *places) in self._aside.items():
                _note(self._reasons, one, places, count)
        self._held.clear()
        self._aside.clear()
        self._first, self._item = self.place + 1, self._item + 1

    def list_set_aside(self) -> list[Malformed]:
        """Return what was set aside; places that are not listed are in one line with the last that is."""
        return [
            Malformed(place, reason, 1 if place != places[-1] else count - len(places) + 1)
            for reason, (count, *places) in self._reasons.items()
            for place in places
        ]

    def _hold(self, kind: int, cents: int, weight: int, prices: int) -> None:
        held = self._held.setdefault((kind, cents), [0, 0, self.place])
        held[0] += weight
        held[1] += prices
        if len(self._held) >= _MAX_AMOUNTS:
            self._write()

    def _write(self) -> None:
        for (kind, cents), (weight, prices, place) in self._held.items():
            self._amounts.write(f"{self._item},{kind},{cents},{weight},{prices},{place}\n")
        self._held.clear()


def _note(reasons: dict[str, list[int]], reason: str, places: Sequence[int], count: int | None = None) -> None:
    noted = reasons.setdefault(reason, [0])
    noted[0] += len(places) if count is None else count
    noted += places[: MAX_LISTED + 1 - len(noted)]


def add_up(work: Path, statistic: str, target: Path) -> None:
    """Write one row a code: its rate and charge as text, how many prices are behind them, the place of the first."""
    amounts = _scan(work / "amounts.csv", ("item", "kind", "cents", "weight", "prices", "place"))
    items = _scan(work / "items.csv", ("item", "code VARCHAR"))
    with duckdb.connect(config={"memory_limit": _MEMORY, "temp_directory": str(work), "threads": 2}) as con:
        con.execute("SET enable_progress_bar = false")
        con.execute("SET autoinstall_known_extensions = false")  # nothing is fetched
        con.execute(
            f"""
            COPY (
                WITH amounts AS (
                    SELECT code, kind, cents, sum(weight) AS weight, sum(prices) AS prices, min(place) AS place
                    FROM {amounts} JOIN {items} USING (item) GROUP BY code, kind, cents
                ), running AS (
                    SELECT *, sum(weight) OVER (PARTITION BY code, kind ORDER BY cents) AS upto,
                           sum(weight) OVER (PARTITION BY code, kind) AS total
                    FROM amounts
                ), middles AS (
                    SELECT code, kind, min(cents) AS least, max(cents) AS most,
                           min(cents) FILTER (2 * upto >= total) AS lower,
                           min(cents) FILTER (2 * upto > total) AS upper,
                           sum(prices) AS prices, min(place) AS place
                    FROM running GROUP BY code, kind
                ), rates AS (
                    SELECT code, kind, prices, place,
                           CASE kind WHEN {_BILLED} THEN {_RATES["median"]} ELSE {_RATES[statistic]} END AS whole,
                           (whole // 100) || '.' || lpad(CAST(whole % 100 AS VARCHAR), 2, '0') AS rate
                    FROM middles
                )
                SELECT code, max(rate) FILTER (kind = {_PRICE}) AS rate, max(rate) FILTER (kind = {_BILLED}) AS charge,
                       CAST(sum(prices) AS BIGINT) AS prices, min(place) AS place
                FROM rates GROUP BY code ORDER BY place
            ) TO {quote(str(target))} (FORMAT parquet)
            """
        )


def _scan(path: Path, columns: Sequence[str]) -> str:
    """SQL for one of our own files of whole numbers."""
    types = ", ".join(f"{quote(c.split()[0])}: '{'VARCHAR' if ' ' in c else 'BIGINT'}'" for c in columns)
    return f"read_csv({quote(str(path))}, delim=',', header=false, auto_detect=false, columns={{{types}}})"
