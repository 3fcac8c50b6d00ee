"""Every canonical table, declared once: what one row is, its columns, units, key and rules.

The readers map an export onto these columns, ``check`` derives its rules from them, and
``data/README.md`` is written from them. Result tables are declared here too, so that the
command line, the notebooks and the report agree on names and units.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a column holds; the kind decides the type, the checks and the repairs."""

    TEXT = "text"
    CODE = "code"
    NPI = "NPI"
    TAXONOMY = "taxonomy code"
    ZIP = "ZIP code"
    FIPS = "county FIPS code"
    DATE = "date"
    MONEY = "money"
    RATE = "rate"
    NUMBER = "number"
    COUNT = "whole number"
    FLAG = "yes/no"
    MONTH_DAY = "month-day"
    LATITUDE = "latitude"
    LONGITUDE = "longitude"


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    ``required`` rows are set aside when the cell is blank; ``allowed`` lists the only values
    accepted, in lower case; ``past`` marks dates that cannot lie after the export's period;
    ``default`` stands in for a blank cell.
    """

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    unit: str = ""
    allowed: tuple[str, ...] = ()
    past: bool = False
    default: str | None = None
    identifies_member: bool = False


@dataclass(frozen=True)
class Table:
    """One table: its grain (what one row is), key, columns and what to beware of."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = False
    hazards: tuple[str, ...] = field(default=())

    def column(self, name: str) -> Column:
        """Return the column called ``name``; ``KeyError`` if the table has none."""
        return {c.name: c for c in self.columns}[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in declared order."""
        return tuple(c.name for c in self.columns)


def _tier(prefix: str, words: str) -> tuple[Column, ...]:
    """The benefit columns of one tier, as in `benefits` of a quote case."""
    return (
        Column(f"{prefix}_deductible", Kind.MONEY, f"{words} deductible of a plan year", unit="USD"),
        Column(
            f"{prefix}_coinsurance",
            Kind.RATE,
            f"{words} share the member pays after the deductible",
            unit="0-1",
        ),
        Column(f"{prefix}_copay", Kind.MONEY, f"{words} copay a visit; blank = coinsurance applies", unit="USD"),
        Column(
            f"{prefix}_deductible_applies",
            Kind.FLAG,
            f"{words}: does the deductible come first?",
            default="true",
        ),
        Column(
            f"{prefix}_out_of_pocket_max",
            Kind.MONEY,
            f"{words} most the member pays in a plan year",
            unit="USD",
        ),
    )


CLAIMS = Table(
    "claims",
    "one claim line version",
    ("claim_id", "line_number", "claim_version"),
    (
        Column("claim_id", Kind.CODE, "claim number of the payer", required=True),
        Column("line_number", Kind.CODE, "service line within the claim", required=True),
        Column("claim_version", Kind.COUNT, "adjustment number; the highest counts"),
        Column("member_id", Kind.CODE, "member, as in members", required=True, identifies_member=True),
        Column("provider_npi", Kind.NPI, "rendering provider", required=True),
        Column("taxonomy_code", Kind.TAXONOMY, "NUCC taxonomy code of the rendering provider"),
        Column("service_date", Kind.DATE, "first day of service", required=True, past=True),
        Column("procedure_code", Kind.CODE, "CPT or HCPCS code", required=True),
        Column("diagnosis_code", Kind.CODE, "first ICD-10-CM code"),
        Column("place_of_service", Kind.CODE, "CMS place-of-service code"),
        Column("units", Kind.NUMBER, "units of service; blank = 1", unit="units", default="1"),
        Column("billed_amount", Kind.MONEY, "charge of the provider", required=True, unit="USD"),
        Column("allowed_amount", Kind.MONEY, "amount the plan recognises; often blank on OON lines", unit="USD"),
        Column("paid_amount", Kind.MONEY, "amount the plan paid", unit="USD"),
        Column("member_amount", Kind.MONEY, "cost share of the member", unit="USD"),
        Column("claim_status", Kind.CODE, "blank = paid", allowed=("paid", "denied", "reversed")),
        Column(
            "network_status",
            Kind.CODE,
            "blank = from the directory on the service date",
            allowed=("in", "out"),
        ),
        Column("network_id", Kind.CODE, "network of the member's plan; blank = from members on the service date"),
        Column("member_zip", Kind.ZIP, "ZIP of the member on the claim", identifies_member=True),
    ),
    required=True,
    hazards=(
        "A line may come in several versions: add up only the latest of each (claim_id, line_number).",
        "A reversed or denied line costs nothing but stays visible as utilisation.",
        "Allowed amounts may be blank out of network: billed is all there is.",
    ),
)

DIRECTORY = Table(
    "directory",
    "one provider, network and location",
    ("npi", "taxonomy_code", "network_id", "location_id", "zip", "effective_date"),
    (
        Column("npi", Kind.NPI, "provider", required=True),
        Column("provider_name", Kind.TEXT, "name as listed", required=True),
        Column("taxonomy_code", Kind.TAXONOMY, "NUCC taxonomy code", required=True),
        Column("network_id", Kind.CODE, "network; blank matches every network"),
        Column("zip", Kind.ZIP, "ZIP of the location", required=True),
        Column("latitude", Kind.LATITUDE, "of the location; blank = centre of the ZIP", unit="degrees"),
        Column("longitude", Kind.LONGITUDE, "of the location; blank = centre of the ZIP", unit="degrees"),
        Column("effective_date", Kind.DATE, "first day in the network; blank = open"),
        Column("termination_date", Kind.DATE, "last day in the network; blank = open"),
        Column(
            "accepting_new_patients",
            Kind.FLAG,
            "blank = unknown, which counts as accepting and is counted apart",
        ),
        Column("telehealth", Kind.FLAG, "offers visits by telehealth"),
        Column("languages", Kind.TEXT, "languages spoken, separated by ;"),
        Column("location_id", Kind.CODE, "location, as the directory numbers it"),
    ),
    required=True,
    hazards=("A row is a listing. It is no proof that the provider sees patients there.",),
)

MEMBERS = Table(
    "members",
    "one coverage span of a member",
    ("member_id", "network_id", "effective_date"),
    (
        Column("member_id", Kind.CODE, "member", required=True, identifies_member=True),
        Column("zip", Kind.ZIP, "ZIP of the home", required=True, identifies_member=True),
        Column("county_fips", Kind.FIPS, "county of the home; blank = from the ZIP"),
        Column("latitude", Kind.LATITUDE, "of the home; blank = centre of the ZIP", unit="degrees"),
        Column("longitude", Kind.LONGITUDE, "of the home; blank = centre of the ZIP", unit="degrees"),
        Column("network_id", Kind.CODE, "network of the member's plan; blank matches every network"),
        Column("effective_date", Kind.DATE, "first day covered; blank = open"),
        Column("termination_date", Kind.DATE, "last day covered; blank = open"),
        Column("birth_year", Kind.COUNT, "year of birth", identifies_member=True),
    ),
)

BENEFITS = Table(
    "benefits",
    "one network and plan year",
    ("network_id", "plan_year"),
    (
        Column("network_id", Kind.CODE, "network; blank matches every network"),
        Column("plan_year", Kind.COUNT, "calendar year in which the plan year begins; blank = every year"),
        Column("plan_year_start", Kind.MONTH_DAY, "first day of the plan year, MM-DD", default="01-01"),
        *_tier("in_network", "in-network"),
        *_tier("out_of_network", "out-of-network"),
    ),
    hazards=("All out_of_network columns blank: the plan has no OON benefits.",),
)

FEES = Table(
    "fees",
    "one procedure code (and locality)",
    ("procedure_code", "locality"),
    (
        Column("procedure_code", Kind.CODE, "CPT or HCPCS code", required=True),
        Column("locality", Kind.CODE, "Medicare locality; blank = everywhere"),
        Column("in_network_rate", Kind.MONEY, "contracted rate a unit", unit="USD"),
        Column("medicare_rate", Kind.MONEY, "Medicare physician fee schedule a unit", unit="USD"),
        Column("out_of_network_allowed", Kind.MONEY, "what the plan allows OON a unit", unit="USD"),
        Column("usual_charge", Kind.MONEY, "usual full fee a unit", unit="USD"),
    ),
)

AGREEMENTS = Table(
    "agreements",
    "one SCA request",
    ("case_id",),
    (
        Column("case_id", Kind.CODE, "request number", required=True),
        Column("member_id", Kind.CODE, "member", required=True, identifies_member=True),
        Column("provider_npi", Kind.NPI, "OON provider", required=True),
        Column("taxonomy_code", Kind.TAXONOMY, "NUCC taxonomy code of the provider"),
        Column("procedure_code", Kind.CODE, "procedure agreed"),
        Column("ground", Kind.CODE, "gap, affordability, continuity, setback or individual_need"),
        Column("requested_date", Kind.DATE, "day the SCA was asked for", required=True, past=True),
        Column("decision_date", Kind.DATE, "day of the decision", past=True),
        Column("decision", Kind.CODE, "blank = pending", allowed=("approved", "denied", "withdrawn", "pending")),
        Column("denial_reason", Kind.TEXT, "why it was denied"),
        Column("requested_rate", Kind.MONEY, "rate a unit asked for", unit="USD"),
        Column("agreed_rate", Kind.MONEY, "rate a unit agreed", unit="USD"),
        Column("sessions_authorized", Kind.COUNT, "visits authorised", unit="visits"),
        Column("effective_date", Kind.DATE, "first day of the agreement"),
        Column("expiry_date", Kind.DATE, "last day of the agreement"),
    ),
)

_COUNTY_TYPE = Column(
    "county_type",
    Kind.TEXT,
    "42 CFR 422.116(c)",
    required=True,
    allowed=("large metro", "metro", "micro", "rural", "ceac"),
)

STANDARDS = Table(
    "standards",
    "one specialty and county type",
    ("specialty", "county_type"),
    (
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)", required=True),
        _COUNTY_TYPE,
        Column("max_miles", Kind.NUMBER, "maximum distance", required=True, unit="miles"),
        Column("max_minutes", Kind.NUMBER, "maximum travel time", unit="minutes"),
        Column("required_share", Kind.RATE, "share of members within the maximum", required=True, unit="0-1"),
        Column("providers_per_1000", Kind.NUMBER, "minimum providers per 1,000 members; blank = none set"),
        Column("telehealth_credit", Kind.RATE, "credit for telehealth, 42 CFR 422.116(d)(5)", unit="0-1"),
    ),
)

COUNTIES = Table(
    "counties",
    "one county",
    ("county_fips",),
    (
        Column("county_fips", Kind.FIPS, "state and county, five digits", required=True),
        Column("county_name", Kind.TEXT, "name without state", required=True),
        Column("state", Kind.CODE, "two letters", required=True),
        _COUNTY_TYPE,
    ),
)

#: The tables an exports folder may hold, in the order in which they are read.
EXPORTS: dict[str, Table] = {
    t.name: t for t in (CLAIMS, DIRECTORY, MEMBERS, BENEFITS, FEES, AGREEMENTS, STANDARDS, COUNTIES)
}

GAPS = Table(
    "gaps",
    "one county with members covered on the as-of date and specialty of the standard",
    ("county_fips", "specialty"),
    (
        Column("county_fips", Kind.FIPS, "state and county, five digits"),
        Column("county", Kind.TEXT, "name and state"),
        Column("county_type", Kind.TEXT, "42 CFR 422.116(c)"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("members", Kind.COUNT, "members covered on the as-of date", unit="members"),
        Column("listed", Kind.COUNT, "distinct NPIs active anywhere in the network", unit="providers"),
        Column("in_range", Kind.COUNT, "of those, within max_miles of a member of the county", unit="providers"),
        Column("accepting", Kind.COUNT, "of those, not closed to new patients there", unit="providers"),
        Column("seen_in_claims", Kind.COUNT, "of those, with a claim in the 12 months", unit="providers"),
        Column("share_within", Kind.RATE, "share of members with a usable row within max_miles", unit="0-1"),
        Column("required_share", Kind.RATE, "share that the standard requires", unit="0-1"),
        Column("max_miles", Kind.NUMBER, "maximum distance of the standard", unit="miles"),
        Column("required_providers", Kind.COUNT, "minimum number; blank = none set", unit="providers"),
        Column("nearest_miles", Kind.NUMBER, "to the nearest usable row, median over members", unit="miles"),
        Column("status", Kind.CODE, "met, closed, no_provider, too_far or too_few"),
        Column("reason", Kind.TEXT, "the figures behind the status"),
    ),
    hazards=("Listed but not seen in claims is a warning, no proof either way.",),
)

COURSES = Table(
    "courses",
    "one OON course of treatment: a member with a provider in the 12 months to the as-of date",
    ("course_id",),
    (
        Column("course_id", Kind.CODE, "number within this run, by money at stake"),
        Column("member_id", Kind.CODE, "member; never in a report", identifies_member=True),
        Column("provider_npi", Kind.NPI, "OON provider"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("county_fips", Kind.FIPS, "county of the member on the last visit"),
        Column("network_id", Kind.CODE, "network of the member on the last visit"),
        Column("gap_status", Kind.CODE, "status of the gap table for county and specialty"),
        Column("first_visit_date", Kind.DATE, "first visit in the 12 months"),
        Column("last_visit_date", Kind.DATE, "last visit in the 12 months"),
        Column("visits", Kind.COUNT, "days with a service, reversed lines left out", unit="visits"),
        Column("billed", Kind.MONEY, "charges of those visits", unit="USD"),
        Column("plan_paid_in_network", Kind.MONEY, "plan, were the provider in-network", unit="USD"),
        Column("plan_paid_out_of_network", Kind.MONEY, "plan, OON", unit="USD"),
        Column("plan_paid_sca", Kind.MONEY, "plan, under an SCA at sca_rate_basis", unit="USD"),
        Column("member_total_in_network", Kind.MONEY, "member, were the provider in-network", unit="USD"),
        Column("member_total_out_of_network", Kind.MONEY, "member, OON, balance bill included", unit="USD"),
        Column("member_total_sca", Kind.MONEY, "member, under an SCA", unit="USD"),
        Column("provider_net_in_network", Kind.MONEY, "provider, were it in-network", unit="USD"),
        Column(
            "provider_net_out_of_network",
            Kind.MONEY,
            "provider, OON, after what is not collected",
            unit="USD",
        ),
        Column("provider_net_sca", Kind.MONEY, "provider, under an SCA", unit="USD"),
        Column("sca_rate_basis", Kind.CODE, "agreed_rate or usual_charge: the rate the SCA columns use"),
        Column("not_costed", Kind.TEXT, "why there are no costs; blank = costed"),
    ),
    hazards=("One row is one patient: not for sharing outside the plan.",),
)

SET_ASIDE = Table(
    "set_aside",
    "one row of an export that was not accepted",
    ("table", "path", "row"),
    (
        Column("table", Kind.CODE, "canonical table"),
        Column("path", Kind.TEXT, "file, relative to the exports folder"),
        Column("row", Kind.COUNT, "record in the file; the header is row 1, blank lines are not counted"),
        Column("column", Kind.CODE, "canonical column; blank = the whole row"),
        Column("value_class", Kind.TEXT, "what kind of value stood there, never the value"),
        Column("reason", Kind.CODE, "rule and column; first that applies"),
    ),
)

FINDINGS = Table(
    "findings",
    "one rule that accepted rows of a file broke or that repaired them",
    ("table", "path", "rule", "column"),
    (
        Column("table", Kind.CODE, "canonical table"),
        Column("path", Kind.TEXT, "file, relative to the exports folder; blank = all files"),
        Column(
            "level",
            Kind.CODE,
            "warning, repaired or information",
            allowed=("warning", "repaired", "information"),
        ),
        Column("rule", Kind.CODE, "rule"),
        Column("column", Kind.CODE, "canonical column"),
        Column("rows", Kind.COUNT, "accepted rows concerned", unit="rows"),
        Column("of_rows", Kind.COUNT, "accepted rows", unit="rows"),
        Column("meaning", Kind.TEXT, "what it means and what to do"),
    ),
)

RESULTS: dict[str, Table] = {t.name: t for t in (GAPS, COURSES, SET_ASIDE, FINDINGS)}
