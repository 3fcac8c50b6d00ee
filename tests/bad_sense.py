"""Rows that are well-formed and make no sense; see ``tests/bad_exports.py``."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bad_exports import (
    BILLED,
    GOOD,
    MEMBER,
    Case,
    Rows,
    Told,
    agreements,
    another,
    benefits,
    claims,
    directory,
    entered,
    fees,
    members,
    write,
)
from tests.folders import npi


def _sense(*also: str, told: Mapping[str, Any] | None = None, **changed: Rows) -> Callable[[Path], Told]:
    def spoil(folder: Path) -> Told:
        write(folder, *also, **changed)
        given = dict(told or {})
        path = given.get("path", "claims.csv")
        table = path.removesuffix(".csv")
        rows = len(changed[table] if table in changed else GOOD[table]())
        return Told(**({"rows": rows, "billed": BILLED} | given))

    return spoil


def _lines(**cells: str) -> Rows:
    return [row | cells for row in claims()]


def sense_cases() -> Iterable[Case]:
    every = ("members", "benefits", "fees", "agreements", "entered")
    huge = "9999999999999999.99"
    vast = [another("claims", n, billed_amount=huge, service_date=f"2026-05-{n + 1:02d}") for n in range(1, 21)]
    overlapping = [*members(), members()[0] | {"effective_date": "2021-01-01"}, members()[0] | {"network_id": "N2"}]
    named: dict[str, Callable[[Path], Told]] = {
        "coverage spans that overlap": _sense(members=overlapping),
        "coverage of nobody with claims": _sense(members=[another("members")]),
        "coverage that ended before every claim": _sense(
            members=[m | {"termination_date": "2021-01-01"} for m in members()]
        ),
        "homes at ZIPs that do not exist": _sense(members=[m | {"zip": "00000", "county_fips": ""} for m in members()]),
        "homes in counties that do not exist": _sense(members=[m | {"county_fips": "99999"} for m in members()]),
        "homes in the sea": _sense(members=[m | {"latitude": "0", "longitude": "0"} for m in members()]),
        "homes at a latitude without longitude": _sense(members=[m | {"latitude": "44.3"} for m in members()]),
        "births in the future": _sense(members=[m | {"birth_year": "2999"} for m in members()]),
        "births below zero": _sense(members=[m | {"birth_year": "-5"} for m in members()]),
        "births beyond counting": _sense(members=[m | {"birth_year": "999999999999999"} for m in members()]),
        "listings that all ended": _sense(directory=[d | {"termination_date": "2020-06-01"} for d in directory()]),
        "listings at ZIPs that do not exist": _sense(directory=[d | {"zip": "99999"} for d in directory()]),
        "listings of codes that do not exist": _sense(
            directory=[d | {"taxonomy_code": "999999999X"} for d in directory()]
        ),
        "claims of codes that do not exist": _sense(claims=_lines(taxonomy_code="999999999X")),
        "claims all denied": _sense(*every, claims=_lines(claim_status="denied")),
        "claims all reversed": _sense(*every, claims=_lines(claim_status="reversed")),
        "claims all on one day in 1900": _sense(claims=_lines(service_date="1900-01-01")),
        "claims of one member and provider": _sense(claims=_lines(member_id=f"{MEMBER}01", provider_npi=npi(9))),
        "claims that bill nothing": _sense(*every, claims=_lines(billed_amount="0"), told={"billed": Decimal(0)}),
        "claims that allow more than they bill": _sense(claims=_lines(allowed_amount="99999.00")),
        "units of nothing": _sense(*every, claims=_lines(units="0")),
        "units below zero": _sense(*every, claims=_lines(units="-3")),
        "units beyond counting": _sense(
            *every,
            claims=_lines(units="999999999999999.999"),
            told={"aside": len(claims()), "reasons": ("too_large:units",), "billed": Decimal(0)},
        ),
        "amounts at the end of what fits": _sense(
            *every, claims=[*claims(), *vast], told={"aside": 20, "reasons": ("too_large:billed_amount",)}
        ),
        "amounts of 1e15 and many units": _sense(
            *every,
            claims=_lines(billed_amount="1e15", units="1e9"),
            told={"aside": len(claims()), "billed": Decimal(0)},
        ),
        "fees at the end of what fits": _sense(
            *every[:2],
            "agreements",
            fees=[
                fees()[0]
                | dict.fromkeys(("in_network_rate", "medicare_rate", "out_of_network_allowed", "usual_charge"), huge)
            ],
            told={"path": "fees.csv", "aside": 1},
        ),
        "fees of nothing": _sense(
            *every[:2], "agreements", fees=[fees()[0] | {"in_network_rate": "0", "usual_charge": "0"}]
        ),
        "fees of no procedure in claims": _sense(*every[:2], fees=[fees()[0] | {"procedure_code": "00000"}]),
        "benefits at the end of what fits": _sense(
            "members",
            "fees",
            benefits=[benefits()[0] | {"in_network_deductible": huge, "out_of_network_out_of_pocket_max": huge}],
            told={"path": "benefits.csv", "aside": 1},
        ),
        "benefits of another network": _sense("members", "fees", benefits=[benefits()[0] | {"network_id": "N9"}]),
        "benefits of the year 1": _sense("members", "fees", benefits=[benefits()[0] | {"plan_year": "1"}]),
        "benefits beyond counting": _sense("members", "fees", benefits=[benefits()[0] | {"plan_year": "999999999999"}]),
        "benefits with a maximum below the deductible": _sense(
            "members", "fees", benefits=[benefits()[0] | {"in_network_out_of_pocket_max": "1.00"}]
        ),
        "agreements with members nobody knows": _sense(
            "members", "fees", "benefits", agreements=[agreements()[0] | {"member_id": f"{MEMBER}99"}]
        ),
        "agreements decided before they were asked for": _sense(
            "members", agreements=[agreements()[0] | {"decision_date": "2026-01-01"}]
        ),
        "agreements without a rate": _sense(
            "members", "fees", "benefits", agreements=[agreements()[0] | {"agreed_rate": ""}]
        ),
        "agreements at the end of what fits": _sense(
            "members",
            "fees",
            "benefits",
            agreements=[agreements()[0] | {"agreed_rate": huge, "requested_rate": huge}],
            told={"path": "agreements.csv", "aside": 1},
        ),
        "agreements of sessions beyond counting": _sense(
            "members",
            "fees",
            "benefits",
            agreements=[agreements()[0] | {"sessions_authorized": "999999999999999"}],
            told={"path": "agreements.csv", "aside": 1, "reasons": ("too_large:sessions_authorized",)},
        ),
        "agreements of sessions below zero": _sense(
            "members", "fees", "benefits", agreements=[agreements()[0] | {"sessions_authorized": "-4"}]
        ),
        "agreements from 1900 to 9999": _sense(
            "members",
            "fees",
            "benefits",
            agreements=[agreements()[0] | {"effective_date": "1900-01-01", "expiry_date": "9999-12-31"}],
        ),
        "agreements of a ground nobody knows": _sense("members", agreements=[agreements()[0] | {"ground": "because"}]),
        "facts of cases nobody knows": _sense("agreements", entered=[entered()[0] | {"case_id": "NOWHERE"}]),
        **{
            f"{fact} beyond counting": _sense(
                "agreements",
                "members",
                "benefits",
                "fees",
                entered=[entered()[0] | {"fact": fact, "value": most}],
                told={"path": "entered.csv", "aside": 1, "reasons": ("value_does_not_fit:value",)},
            )
            for fact, most in (("income", huge), ("rate_asked", huge), ("sessions_wanted", "9" * 15))
        },
        "standards of nothing": _sense(told={"says": ("standards.csv", "empty")}, standards=[]),
        "standards below zero": _sense(
            "members",
            told={"path": "standards.csv", "rows": 1, "aside": 1},
            standards=[{"specialty": "Psychiatry", "county_type": "Metro", "max_miles": "-1", "required_share": "0.9"}],
        ),
        "standards of every mile": _sense(
            "members",
            told={"path": "standards.csv", "rows": 1},
            standards=[{"specialty": "Psychiatry", "county_type": "Metro", "max_miles": "1e14", "required_share": "1"}],
        ),
        "standards of a specialty nobody knows": _sense(
            "members",
            told={"path": "standards.csv", "rows": 1},
            standards=[{"specialty": "Alchemy", "county_type": "Metro", "max_miles": "10", "required_share": "0.9"}],
        ),
        "counties of a type nobody knows": _sense(
            "members",
            told={"path": "counties.csv", "rows": 1, "aside": 1},
            counties=[{"county_fips": "23011", "county_name": "Kennebec", "state": "ME", "county_type": "Huge"}],
        ),
        "all claims set aside": _sense(
            claims=_lines(service_date="soon"),
            told={"aside": len(claims()), "reasons": ("not_a_date:service_date",), "billed": Decimal(0)},
        ),
        "all listings set aside": _sense(
            directory=[d | {"npi": "1"} for d in directory()],
            told={"path": "directory.csv", "aside": 3, "reasons": ("npi_shape:npi",)},
        ),
        "all coverage set aside": _sense(
            members=[m | {"zip": ""} for m in members()],
            told={"path": "members.csv", "aside": 4, "reasons": ("missing:zip",)},
        ),
    }
    for name, spoil in named.items():
        yield Case("makes no sense", name, spoil)
