"""Synthetic exports of any size, with planted gaps, ghosts and faults and the key to them.

Question: does an analysis find what is known to be there? In: a number of members and a seed.
Out: the seven tables of an exports folder in canonical columns, ``exports.yaml`` and
``planted.csv``, the answer key. No person, provider, amount or plan in them is real; ZIP codes,
counties and code sets are. The same seed gives the same bytes everywhere: draws are whole
numbers, sums whole cents.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO

import numpy as np

from sca_analysis.errors import ParameterError
from sca_analysis.sample import lines, text
from sca_analysis.sample.agreements import agreements_csv, list_courses
from sca_analysis.sample.courses import make_courses
from sca_analysis.sample.directory import directory_csv
from sca_analysis.sample.entered import entered_csv
from sca_analysis.sample.facts import (
    COUNTIES,
    NETWORKS,
    PLAN_NAME,
    SMALL_COUNTY_MEMBERS,
    Facts,
    Ints,
    load_facts,
)
from sca_analysis.sample.members import make_members, members_csv
from sca_analysis.sample.planted import (
    CLAIM_FAULTS,
    CLAIM_REPAIRS,
    CLAIM_WARNING,
    MEMBER_FAULTS,
    MEMBER_REPAIRS,
    Fault,
    Planted,
    append_spoilt,
    assign,
    spoil,
)
from sca_analysis.sample.providers import World, make_providers
from sca_analysis.sample.visits import make_visits
from sca_analysis.tables import AGREEMENTS, BENEFITS, CLAIMS, DIRECTORY, ENTERED, FEES, MEMBERS, Table

__all__ = ["write_sample"]

BLOCK = 50_000  # members drawn at a time; part of what a seed means
FEWEST, MOST = 100, 9_999_999
SHORTEST_DAYS = 200
BAD_CLAIMS_PERMILLE, ODD_CLAIMS_PERMILLE = 2, 1
EXPORTED: tuple[Table, ...] = (CLAIMS, DIRECTORY, MEMBERS, BENEFITS, FEES, AGREEMENTS, ENTERED)
FILES = (*(f"{t.name}.csv" for t in EXPORTED), "planted.csv", "exports.yaml")


def write_sample(
    out: Path,
    members: int = 2000,
    seed: int = 20260630,
    start: date = date(2025, 1, 1),
    end: date = date(2026, 6, 30),
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write synthetic exports into a folder of their own.

    Parameters
    ----------
    out : Path
        Made if it does not exist; may hold an older sample, which is replaced.
    members : int
        Number of members, 100 to 9,999,999. Memory does not grow with it, time does.
    seed : int
        The same seed (and the same other arguments) gives the same bytes.
    start, end : date
        First and last day of service.
    progress : callable, optional
        Called with the number of members written so far.

    Raises
    ------
    ParameterError
        If the number, the seed or the period cannot be used, or if ``out`` holds other files.

    Notes
    -----
    ``planted.csv`` has the columns of ``planted.COLUMNS``: ``kind``; where the thing is (``file``
    and ``row``, the header being row 1); what should come of it (``expected``: the reason of a
    row set aside, the rule of a finding or the status of a gap); and its keys. The statuses are
    those on ``end`` with 2,000 members or more; smaller samples need fewer providers.

    """
    _refuse(out, members, seed, start, end)
    out.mkdir(parents=True, exist_ok=True)
    facts = load_facts()
    blocks = -(-members // BLOCK)
    listing, *streams = np.random.SeedSequence(seed).spawn(1 + blocks)
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {name: stack.enter_context((out / name).open("wb")) for name in FILES}
        files["exports.yaml"].write(_manifest().encode())
        for table in EXPORTED:
            files[f"{table.name}.csv"].write((",".join(table.names) + "\n").encode())
        planted = Planted(files["planted.csv"])
        files["benefits.csv"].write(_benefits_csv(start, end))
        files["fees.csv"].write(_fees_csv(facts))
        rng = np.random.Generator(np.random.PCG64(listing))
        providers = make_providers(rng, facts, members, start, end)
        world = World(facts, providers, start, end)
        files["directory.csv"].write(directory_csv(rng, world, planted))
        small = next(c for c in COUNTIES if not c.percent)
        planted.add("small_county", county_fips=small.fips, note=f"{SMALL_COUNTY_MEMBERS} members")
        writer = _Writer(files, world, planted)
        for i, stream in enumerate(streams):
            done = i * BLOCK
            number = min(BLOCK, members - done)
            writer.block(np.random.Generator(np.random.PCG64(stream)), done + 1, number)
            if progress:
                progress(done + number)


class _Writer:
    """Writes block after block and remembers how many rows each file has."""

    def __init__(self, files: Mapping[str, IO[bytes]], world: World, planted: Planted) -> None:
        """Start behind the headers."""
        self._files, self._world, self._planted = files, world, planted
        self._next = {"members": 2, "claims": 2}  # row after the last written; the header is row 1
        self._claims = self._cases = 1  # next numbers

    def block(self, rng: np.random.Generator, first: int, number: int) -> None:
        """Draw and write one block of members."""
        world, planted = self._world, self._planted
        people = make_members(rng, world.facts, first, number, world.start, world.end)
        courses = make_courses(rng, world, people)
        visits = make_visits(rng, world, people, courses, every_provider=first == 1)
        adjudicated = lines.make_lines(rng, world, courses, visits)

        rows, usable = members_csv(rng, world.facts, people)
        edits = assign(rng, usable, MEMBER_REPAIRS, max(3, number // 400))
        rows, _ = spoil(rows, MEMBERS, edits, self._next["members"], planted)
        copies = assign(rng, usable, MEMBER_FAULTS, len(MEMBER_FAULTS))
        rows, _ = append_spoilt(rows, MEMBERS, copies, self._next["members"], planted)
        self._write("members", rows)

        rows, plain, dear = lines.claims_csv(rng, world, people, visits, adjudicated, self._claims)
        edits = _spoilt_claims(rng, plain, dear, len(adjudicated.claim))
        rows, _ = spoil(rows, CLAIMS, edits, self._next["claims"], planted)
        self._write("claims", rows)
        self._claims += len(visits.member)

        list_courses(world, people, courses, visits, planted)
        rows, cases = agreements_csv(world, people, courses, visits, self._cases, planted)
        self._files["agreements.csv"].write(rows)
        self._files["entered.csv"].write(entered_csv(courses, self._cases, planted))
        self._cases += cases

    def _write(self, table: str, rows: bytes) -> None:
        self._files[f"{table}.csv"].write(rows)
        self._next[table] += rows.count(b"\n")


def _spoilt_claims(rng: np.random.Generator, plain: Ints, dear: Ints, total: int) -> list[tuple[int, Fault]]:
    """Choose the claim lines to spoil, none of them twice."""
    bad = assign(rng, plain, CLAIM_FAULTS, max(len(CLAIM_FAULTS), total * BAD_CLAIMS_PERMILLE // 1000))
    used = [i for i, _ in bad]
    odd = assign(rng, np.setdiff1d(plain, used), CLAIM_REPAIRS, max(6, total * ODD_CLAIMS_PERMILLE // 1000))
    used += [i for i, _ in odd]
    return [*bad, *odd, *assign(rng, np.setdiff1d(dear, used), (CLAIM_WARNING,), max(3, total // 5000))]


def _refuse(out: Path, members: int, seed: int, start: date, end: date) -> None:
    if not FEWEST <= members <= MOST:
        raise ParameterError(f"members must be a number from {FEWEST} to {MOST:,}, not {members}.")
    if seed < 0:
        raise ParameterError(f"seed must not be negative, as {seed} is.")
    if (end - start).days < SHORTEST_DAYS:
        raise ParameterError(f"the period must be {SHORTEST_DAYS} days or longer: {start} to {end} is too short.")
    if out.exists() and not out.is_dir():
        raise ParameterError(f"{out} is a file: name a folder for the sample.")
    if out.is_dir() and (others := sorted(p.name for p in out.iterdir() if p.name not in FILES)):
        raise ParameterError(f"{out} holds other files, such as {others[0]}: name an empty folder for the sample.")


def _manifest() -> str:
    sources = "".join(f"{t.name}: [{{path: {t.name}.csv, format: csv}}]\n" for t in EXPORTED)
    return f"plan: {{name: {PLAN_NAME}}}\n{sources}"


def _benefits_csv(start: date, end: date) -> bytes:
    rows = []
    for network in NETWORKS:
        for year in range(start.year, end.year + 1):
            cells = [network, str(year), "01-01"]
            for tier in lines.benefits_of(network, year - start.year):
                if tier is None:
                    cells += [""] * 5
                    continue
                deductible, percent, copay, comes_first, maximum = tier
                cells += [
                    f"{deductible / 100:.2f}",
                    f"{percent / 100:.2f}",
                    "" if copay is None else f"{copay / 100:.2f}",
                    str(comes_first).lower(),
                    f"{maximum / 100:.2f}",
                ]
            rows.append(",".join(cells) + "\n")
    return "".join(rows).encode()


def _fees_csv(facts: Facts) -> bytes:
    n = len(facts.procedures)
    every = np.arange(n)
    return text.to_csv(
        {
            "procedure_code": text.words(facts.procedures, every),
            "locality": text.empty(n),
            **{c: text.money(facts.rates[c]) for c in FEES.names[2:]},
        }
    )
