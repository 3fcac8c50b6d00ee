"""The provider directory as an export, with its planted rows and faults."""

from datetime import date

import numpy as np

from sca_analysis.sample.facts import COUNTIES, FOREIGN_NETWORK, GAPS, GHOST_CELL, NETWORKS
from sca_analysis.sample.planted import (
    DIRECTORY_FAULTS,
    DIRECTORY_REPAIRS,
    Planted,
    append_spoilt,
    assign,
    spoil,
)
from sca_analysis.sample.providers import World
from sca_analysis.tables import DIRECTORY

FIRST_NAMES = (
    "Avery", "Blake", "Casey", "Devon", "Emery", "Finley", "Gray", "Harper", "Indigo", "Jules", "Kendall",
    "Lane", "Morgan", "Noel", "Oakley", "Parker", "Quinn", "Reese", "Sage", "Taylor", "Umber", "Vale", "Wren",
    "Yael",
)  # fmt: skip
LANGUAGES = (
    "English",
    "English;Spanish",
    "English;French",
    "English;Portuguese",
    "English;Haitian Creole",
    "",
)
LANGUAGE_WEIGHTS = (58, 14, 10, 5, 3, 10)


def directory_csv(rng: np.random.Generator, world: World, planted: Planted) -> bytes:
    """Return the directory: faults in ZIP codes stand in place, bad and duplicate rows at the end."""
    listed = _list(rng, world, planted)
    rows = "".join(",".join(r[c] for c in DIRECTORY.names) + "\n" for r in listed).encode()
    usable = np.array([i for i, r in enumerate(listed) if r["effective_date"] and r["network_id"]])
    edits = assign(rng, usable, DIRECTORY_REPAIRS, 24)
    rows, _ = spoil(rows, DIRECTORY, edits, 2, planted)
    usable = np.setdiff1d(usable, [i for i, _ in edits])
    copies = assign(rng, usable, DIRECTORY_FAULTS, len(DIRECTORY_FAULTS))
    return append_spoilt(rows, DIRECTORY, copies, 2, planted)[0]


def _list(rng: np.random.Generator, world: World, planted: Planted) -> list[dict[str, str]]:
    """Return the directory, a row for each provider, network and location, and list what is planted."""
    facts, providers = world.facts, world.providers
    rows: list[dict[str, str]] = []
    extras = rng.integers(0, 100, (len(providers.people), 4)).tolist()
    languages = np.searchsorted(
        np.cumsum(LANGUAGE_WEIGHTS), rng.integers(0, 100, len(providers.people)), side="right"
    ).tolist()
    locations = 0
    for i, (p, u) in enumerate(zip(providers.people, extras, strict=True)):
        specialty, first_name = facts.specialties[p.specialty], FIRST_NAMES[i % len(FIRST_NAMES)]
        networks = [k for b, k in enumerate(NETWORKS) if p.networks >> b & 1] or [FOREIGN_NETWORK] * p.foreign
        if not networks:
            continue
        if len(networks) == len(NETWORKS) and u[0] < 2:
            networks = [""]  # blank matches every network
            planted.add("blank_network", npi=providers.npis[i], file="directory.csv", row=len(rows) + 2)
        effective = p.effective or date(world.start.year - 1 - u[1] % 9, 1 + u[1] % 12, 1)
        places = [p.place, p.second_place] if p.second_place >= 0 else [p.place]
        for place in places:
            locations += 1
            exact = u[2] < 20
            for k in networks:
                rows.append(
                    {
                        "npi": providers.npis[i],
                        "provider_name": f"{first_name} Sample-{i:05d} {specialty.title}",
                        "taxonomy_code": providers.taxonomies[i],
                        "network_id": k,
                        "zip": facts.places.zips[place],
                        "latitude": f"{facts.places.latitude[place] + (u[3] - 50) / 10000:.4f}" if exact else "",
                        "longitude": f"{facts.places.longitude[place] + (u[2] - 10) / 2000:.4f}" if exact else "",
                        "effective_date": "" if u[1] < 8 and not p.effective else effective.isoformat(),
                        "termination_date": p.termination.isoformat() if p.termination else "",
                        "accepting_new_patients": p.accepting,
                        "telehealth": "true"
                        if u[3] < 2 * specialty.telehealth_percent
                        else "false"
                        if u[3] < 92
                        else "",
                        "languages": LANGUAGES[languages[i]],
                        "location_id": f"L{locations:06d}",
                    }
                )
                if p.kind:
                    keys = {"npi": providers.npis[i], "specialty": specialty.name, "network_id": k}
                    fips = COUNTIES[p.county].fips
                    planted.add(p.kind, file="directory.csv", row=len(rows) + 1, county_fips=fips, **keys)
    for gap in GAPS:
        planted.add("no_gap" if gap.status == "met" else "gap", specialty=gap.specialty,
                    county_fips=gap.county_fips, expected=gap.status, note=gap.note)  # fmt: skip
    planted.add("ghost_cell", specialty=GHOST_CELL[0], county_fips=GHOST_CELL[1], expected="met",
                note="everyone in range is a ghost: seen_in_claims is 0")  # fmt: skip
    return rows
