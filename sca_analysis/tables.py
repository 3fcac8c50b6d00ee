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


#: How exports and people write yes and no, in lower case.
YES = ("true", "t", "yes", "y", "1", "1.0")
NO = ("false", "f", "no", "n", "0", "0.0")


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    ``required`` rows are set aside when the cell is blank; ``allowed`` lists the only values
    accepted, in lower case; ``past`` marks dates that cannot lie after the export's period;
    ``default`` stands in for a blank cell. ``identifies_member`` and ``tells_who`` columns are not in a
    de-identified table: what names a member, and what could give one away (free text, miles from a
    home, days counted from a known day).
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
    tells_who: bool = False


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

PROVIDERS = Table(
    "providers",
    "one provider and place of practice, whatever the network",
    ("npi", "taxonomy_code", "zip"),
    (
        Column("npi", Kind.NPI, "provider", required=True),
        Column("provider_name", Kind.TEXT, "name as registered"),
        Column("taxonomy_code", Kind.TAXONOMY, "NUCC taxonomy code"),
        Column("zip", Kind.ZIP, "ZIP of the place of practice", required=True),
        Column("latitude", Kind.LATITUDE, "of the place; blank = centre of the ZIP", unit="degrees"),
        Column("longitude", Kind.LONGITUDE, "of the place; blank = centre of the ZIP", unit="degrees"),
        Column("deactivation_date", Kind.DATE, "day from which the NPI is no longer in use"),
    ),
    hazards=("A registry such as NPPES says where a provider may be reached, not that patients are seen there.",),
)

TRAVEL_TIMES = Table(
    "travel_times",
    "one pair of ZIP codes",
    ("origin", "destination"),
    (
        Column("origin", Kind.ZIP, "ZIP of the home", required=True),
        Column("destination", Kind.ZIP, "ZIP of the provider", required=True),
        Column("minutes", Kind.NUMBER, "driving time", required=True, unit="minutes"),
    ),
)

#: What a person may enter about a case, and in which form: what claims and directory cannot say. [S4, S6-S8 of
#: the rules of single case agreements: setback and need are stated by a person, never inferred]
FACTS = (
    Column("setback", Kind.FLAG, "would starting over with a new provider set the patient back?"),
    Column("setback_reason", Kind.TEXT, "why, in the clinician's words"),
    Column("treatment_began", Kind.DATE, "first visit with the provider, where earlier claims are not in the exports"),
    Column("sub_specialty", Kind.TAXONOMY, "NUCC code of the sub-specialty that the patient needs"),
    Column("modality", Kind.TEXT, "method of treatment needed, such as EMDR"),
    Column("language", Kind.TEXT, "language needed, as the directory writes it"),
    Column("age_group", Kind.TEXT, "age group that the provider must be trained for"),
    Column("income", Kind.MONEY, "income of the household a year", unit="USD"),
    Column("rate_asked", Kind.MONEY, "session rate asked for", unit="USD"),
    Column("sessions_wanted", Kind.COUNT, "sessions asked for", unit="visits"),
    Column("place", Kind.TEXT, "where sessions are held: office or telehealth"),
    Column("billing_commitment", Kind.FLAG, "has the provider committed to billing the insurer?"),
    Column("license", Kind.TEXT, "licence of the provider, with its state"),
    Column("tin", Kind.CODE, "tax identification number of the provider"),
    Column("w9", Kind.FLAG, "is a W-9 of the provider at hand?"),
)

ENTERED = Table(
    "entered",
    "one fact about a case, as a person entered it",
    ("case_id", "fact", "entered_on"),
    (
        Column("case_id", Kind.CODE, "case, as `sca cases` names it", required=True),
        Column("fact", Kind.CODE, "which fact", required=True, allowed=tuple(fact.name for fact in FACTS)),
        Column("value", Kind.TEXT, "what is so, in the form of the fact", required=True),
        Column("entered_by", Kind.TEXT, "who says so", required=True),
        Column("entered_on", Kind.DATE, "day on which it was entered; the latest counts", required=True, past=True),
    ),
    hazards=("Facts are believed as entered: who entered them, and when, stands beside each.",),
)

#: The tables an exports folder may hold, in the order in which they are read.
EXPORTS: dict[str, Table] = {
    t.name: t
    for t in (
        CLAIMS,
        DIRECTORY,
        MEMBERS,
        BENEFITS,
        FEES,
        AGREEMENTS,
        STANDARDS,
        COUNTIES,
        PROVIDERS,
        TRAVEL_TIMES,
        ENTERED,
    )
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

CASES = Table(
    "cases",
    "one case: a member and an OON provider seen in the 12 months to the as-of date, or asked for",
    ("case_id",),
    (
        Column("rank", Kind.COUNT, "grounds shown first (gap, continuity, then their number), then money at stake"),
        Column("case_id", Kind.CODE, "number of the latest request or, without one, drawn from member and provider"),
        Column("member_id", Kind.CODE, "member; never in a report", identifies_member=True),
        Column("provider_npi", Kind.NPI, "OON provider"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("county_fips", Kind.FIPS, "county of the member on asked_on"),
        Column("network_id", Kind.CODE, "network of the member on asked_on"),
        Column("state", Kind.CODE, "not_asked, pending, denied, withdrawn, agreed (not yet ended), used_up or ended"),
        Column("asked_on", Kind.DATE, "day of the latest request; the as-of date where none was made"),
        Column("grounds", Kind.TEXT, "grounds shown, separated by ;"),
        *(
            Column(ground, Kind.CODE, f"{statement}: shown, in doubt, not shown, to be entered or not known")
            for ground, statement in (
                ("gap", "S1, no usable in-network provider"),
                ("continuity", "S5, a change would end a treatment"),
                ("affordability", "S4, no OON benefits or too dear"),
                ("setback", "S6, starting over would set the patient back"),
                ("individual_need", "S7, specialised treatment"),
            )
        ),
        Column("to_enter", Kind.TEXT, "facts that a person has still to enter, separated by ;"),
        Column("is_complete", Kind.FLAG, "a ground is shown, and the provider's papers (S8) are entered"),
        Column("visits", Kind.COUNT, "days with a service in the 12 months", unit="visits"),
        Column("first_visit_date", Kind.DATE, "first visit with the provider in these claims, whenever"),
        Column("last_visit_date", Kind.DATE, "last one up to the as-of date"),
        Column("visits_before", Kind.COUNT, "OON visits before asked_on, or so far (S3)", unit="visits"),
        Column("billed_before", Kind.MONEY, "charges of those visits: the exposure (S3)", unit="USD"),
        Column("searched", Kind.COUNT, "providers of the specialty listed in range on any terms", unit="providers"),
        Column("usable", Kind.COUNT, "of those, usable for the member on asked_on", unit="providers"),
        Column("usable_seen", Kind.COUNT, "of those, with a claim in the 12 months before", unit="providers"),
        Column(
            "nearest_usable_miles",
            Kind.NUMBER,
            "to the nearest of those in range; blank = none",
            unit="miles",
            tells_who=True,
        ),
        Column("max_miles", Kind.NUMBER, "maximum distance of the standard", unit="miles"),
        Column("billed", Kind.MONEY, "charges of the visits in the 12 months", unit="USD"),
        *(c for c in COURSES.columns if c.name.startswith(("plan_paid", "member_total", "provider_net"))),
        Column("at_stake", Kind.MONEY, "member's total OON less that under an SCA; blank = not costed", unit="USD"),
        Column("procedure_code", Kind.CODE, "procedure that the rates are of: the one most billed"),
        Column("charge", Kind.MONEY, "median charge of a unit of it by this provider", unit="USD"),
        Column("in_network_rate", Kind.MONEY, "as in fees", unit="USD"),
        Column("medicare_rate", Kind.MONEY, "as in fees", unit="USD"),
        Column("out_of_network_allowed", Kind.MONEY, "as in fees", unit="USD"),
        Column("usual_charge", Kind.MONEY, "as in fees", unit="USD"),
        Column("rate_low", Kind.MONEY, "low end of the rate range suggested", unit="USD"),
        Column("rate_high", Kind.MONEY, "high end", unit="USD"),
        Column("rate_basis", Kind.TEXT, "where the range comes from"),
        Column("not_costed", Kind.TEXT, "why there are no costs; blank = costed"),
    ),
    hazards=(
        "One row is one patient: not for sharing outside the plan.",
        "A ground shown is shown by these exports and what was entered: whether it is granted, people decide.",
    ),
)

EVIDENCE = Table(
    "evidence",
    "one statement about a case",
    ("case_id", "statement", "number"),
    (
        Column("case_id", Kind.CODE, "as in cases"),
        Column("statement", Kind.CODE, "S1 to S10"),
        Column("number", Kind.COUNT, "order within the statement"),
        Column("evidence", Kind.TEXT, "what is so, with its figures, period and denominator", tells_who=True),
        Column(
            "source",
            Kind.TEXT,
            "claims, directory, members, benefits, fees, or who entered it and when",
            tells_who=True,
        ),
        Column("is_internal", Kind.FLAG, "holds figures of the plan that a provider is not shown"),
    ),
)

SEARCHED = Table(
    "searched",
    "one provider of the specialty searched for a case",
    ("case_id", "npi"),
    (
        Column("case_id", Kind.CODE, "as in cases"),
        Column("npi", Kind.NPI, "provider"),
        Column("provider_name", Kind.TEXT, "name as listed"),
        Column("taxonomy_code", Kind.TAXONOMY, "NUCC taxonomy code of the row"),
        Column("miles", Kind.NUMBER, "straight line from the member's home to the row", unit="miles", tells_who=True),
        Column("languages", Kind.TEXT, "as listed"),
        Column("telehealth", Kind.FLAG, "as listed"),
        Column("last_visit_date", Kind.DATE, "last claim in the 12 months to asked_on; blank = none"),
        Column("is_usable", Kind.FLAG, "active for the member, in range and not closed on asked_on"),
        Column("why_not", Kind.TEXT, "why the provider does not count; blank = usable"),
    ),
    hazards=("Usable is what the directory says. It is no proof that the provider sees patients.",),
)

DEMAND = Table(
    "demand",
    "one county and specialty with visits in the 12 months to the as-of date",
    ("county_fips", "specialty"),
    (
        Column("county_fips", Kind.FIPS, "county of the patient on the last visit; blank = not known"),
        Column("county", Kind.TEXT, "name and state"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)(1), or not in the standard"),
        Column("patients", Kind.COUNT, "members with a visit", unit="members"),
        Column("out_of_network_patients", Kind.COUNT, "of those, with a visit OON", unit="members"),
        Column("visits", Kind.COUNT, "member, provider and day; reversed lines left out, denied kept", unit="visits"),
        Column("out_of_network_visits", Kind.COUNT, "of those, with a line OON", unit="visits"),
        Column("share_of_visits", Kind.RATE, "OON visits / visits; blank = no visits", unit="0-1"),
        Column("billed", Kind.MONEY, "charges of the lines of the visits", unit="USD"),
        Column("out_of_network_billed", Kind.MONEY, "of those, of the lines OON", unit="USD"),
        Column("out_of_network_paid", Kind.MONEY, "plan, on the lines OON; blank = no line says it", unit="USD"),
    ),
    hazards=(
        "A patient of several specialties counts in each: add up visits, not patients.",
        "Care that nobody could find leaves no claim: few visits are no proof of little need.",
    ),
)

PARITY = Table(
    "parity",
    "one setting and kind of benefit, in the 12 months to the as-of date",
    ("setting", "benefit"),
    (
        Column("setting", Kind.CODE, "all, inpatient, emergency, outpatient office, outpatient other or unknown"),
        Column("benefit", Kind.CODE, "MH/SUD (mental health, substance use), M/S (medical/surgical) or unknown"),
        Column("patients", Kind.COUNT, "members with such a visit", unit="members"),
        Column("out_of_network_patients", Kind.COUNT, "of those, with such a visit OON", unit="members"),
        Column("share_of_patients", Kind.RATE, "OON patients / patients; blank = no patients", unit="0-1"),
        Column("share_low", Kind.RATE, "low end of its 95% interval (Wilson)", unit="0-1"),
        Column("share_high", Kind.RATE, "high end", unit="0-1"),
        Column("visits", Kind.COUNT, "as in demand", unit="visits"),
        Column("visits_by_specialty", Kind.COUNT, "of those, without a diagnosis: placed by specialty", unit="visits"),
        Column("out_of_network_visits", Kind.COUNT, "of the visits, with a line OON", unit="visits"),
        Column("share_of_visits", Kind.RATE, "OON visits / visits; blank = no visits", unit="0-1"),
        Column("ratio", Kind.NUMBER, "share of patients, MH/SUD / M/S, in the MH/SUD row; blank = undefined"),
        Column("ratio_low", Kind.NUMBER, "low end of its 95% interval (Koopman)"),
        Column("ratio_high", Kind.NUMBER, "high end; blank beside a low end = none"),
    ),
    hazards=(
        "A screening figure: no finding about 45 CFR 146.136 or 29 CFR 2590.712.",
        "A patient may be in both benefits and in several settings: add up visits, not patients.",
    ),
)

COMPLIANCE = Table(
    "compliance",
    "the plan, or one county type, county or specialty",
    ("scope", "name"),
    (
        Column("scope", Kind.CODE, "plan, county type, county or specialty"),
        Column("name", Kind.TEXT, "which one"),
        Column("cells", Kind.COUNT, "county-specialty cells", unit="cells"),
        Column("met", Kind.COUNT, "of those, cells that meet the standard", unit="cells"),
        Column("closed", Kind.COUNT, "met only if closed panels counted", unit="cells"),
        Column("no_provider", Kind.COUNT, "no member within range of a usable row", unit="cells"),
        Column("too_far", Kind.COUNT, "too far for too many members", unit="cells"),
        Column("too_few", Kind.COUNT, "fewer providers in range than the standard asks", unit="cells"),
        Column("members", Kind.COUNT, "members of its counties, each once", unit="members"),
        Column("share_within", Kind.RATE, "members within range, each once a specialty", unit="0-1"),
    ),
)

LISTINGS = Table(
    "listings",
    "one provider and specialty listed for the members on the as-of date",
    ("npi", "specialty"),
    (
        Column("npi", Kind.NPI, "provider"),
        Column("provider_name", Kind.TEXT, "name as listed"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("listings", Kind.COUNT, "active directory rows", unit="rows"),
        Column("places", Kind.COUNT, "ZIPs of those rows", unit="ZIPs"),
        Column("is_closed", Kind.FLAG, "all of them are closed to new patients"),
        Column("panel_unknown", Kind.FLAG, "none of them says whether new patients are taken"),
        Column("patients", Kind.COUNT, "members with a claim in the 12 months", unit="members"),
        Column("visits", Kind.COUNT, "their days with a claim", unit="visits"),
        Column("last_visit_date", Kind.DATE, "last claim up to the as-of date, whenever"),
        Column("members_in_range", Kind.COUNT, "members within max_miles of a row", unit="members"),
        Column("expected_patients", Kind.NUMBER, "were patients shared equally among those in range", unit="members"),
        Column("expected_visits", Kind.NUMBER, "expected patients x visits a patient of the specialty", unit="visits"),
        Column("chance_of_none", Kind.NUMBER, "chance that nobody comes, given the spread between providers"),
        Column("verdict", Kind.TEXT, "seen, or unseen and what can be said of it"),
    ),
    hazards=("Unseen is no proof of a ghost: call the provider.",),
)

LISTING_FINDINGS = Table(
    "listing_findings",
    "one provider and kind of doubt about its listings",
    ("finding", "npi", "meaning"),
    (
        Column("finding", Kind.CODE, "kind of doubt"),
        Column("npi", Kind.NPI, "provider"),
        Column("provider_name", Kind.TEXT, "name as listed"),
        Column("specialty", Kind.TEXT, "specialties concerned"),
        Column("rows", Kind.COUNT, "directory rows (of ghost, unseen, closed: specialties) concerned", unit="rows"),
        Column("meaning", Kind.TEXT, "what it means"),
    ),
)

FIX = Table(
    "fix",
    "one contract of the fewest that make a failing county and specialty meet the standard",
    ("county_fips", "specialty", "step"),
    (
        Column("county_fips", Kind.FIPS, "state and county, five digits"),
        Column("county", Kind.TEXT, "name and state"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("members", Kind.COUNT, "members covered on the as-of date", unit="members"),
        Column("status", Kind.CODE, "as in gaps, before any contract"),
        Column("step", Kind.COUNT, "order of the contracts; 0 = no candidate helps"),
        Column("npi", Kind.NPI, "provider to contract"),
        Column("provider_name", Kind.TEXT, "name in the directory or registry"),
        Column("source", Kind.TEXT, "where the provider is known from"),
        Column("visits", Kind.COUNT, "OON in the 12 months, members of any county", unit="visits"),
        Column("patients", Kind.COUNT, "members with such a visit", unit="members"),
        Column("members_gained", Kind.COUNT, "members it adds to those with a usable row in range", unit="members"),
        Column("share_after", Kind.RATE, "share within once this and the steps before are contracted", unit="0-1"),
        Column("required_share", Kind.RATE, "share that the standard requires", unit="0-1"),
        Column("accepting_after", Kind.COUNT, "usable providers in range then", unit="providers"),
        Column("required_providers", Kind.COUNT, "minimum number; blank = none set", unit="providers"),
        Column("status_after", Kind.CODE, "as in gaps, then"),
        Column("gaps_helped", Kind.COUNT, "rows asked for, of the specialty, in which the provider helps", unit="rows"),
        Column("can_close", Kind.FLAG, "whether the candidates make the row met"),
        Column("is_smallest", Kind.FLAG, "whether no smaller set of them does, which is proved"),
        Column("at_least", Kind.COUNT, "contracts that any set needs; 0 = none closes it", unit="providers"),
        Column("greedy_ratio", Kind.NUMBER, "greedy takes at most so many times the fewest (Wolsey 1982)"),
        Column("candidates", Kind.COUNT, "candidates that help at all", unit="providers"),
        Column("share_with_all", Kind.RATE, "share within if all of those were contracted", unit="0-1"),
        Column("accepting_with_all", Kind.COUNT, "usable providers in range then", unit="providers"),
    ),
    hazards=(
        "A gap is closed on paper only: whether a provider would sign, or take new patients, no export says.",
        "Each row of the gap table is closed by itself; one contract may stand in several.",
    ),
)

SERVICING = Table(
    "servicing",
    "one county, specialty and usable provider in range of its members",
    ("county_fips", "specialty", "npi"),
    (
        Column("county_fips", Kind.FIPS, "state and county, five digits"),
        Column("county", Kind.TEXT, "name and state"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("npi", Kind.NPI, "provider"),
        Column("provider_name", Kind.TEXT, "name as listed"),
        Column("members", Kind.COUNT, "members of the county", unit="members"),
        Column("members_in_range", Kind.COUNT, "of those, with a usable row of the provider in range", unit="members"),
        Column("share_in_range", Kind.RATE, "of the members of the county", unit="0-1"),
        Column("members_lost", Kind.COUNT, "of those in range, with no other usable provider", unit="members"),
        Column("patients", Kind.COUNT, "members of the county with a visit in the 12 months", unit="members"),
        Column("visits", Kind.COUNT, "member and day, reversed lines left out", unit="visits"),
        Column("share_within", Kind.RATE, "as in gaps", unit="0-1"),
        Column("share_within_after", Kind.RATE, "if the provider leaves", unit="0-1"),
        Column("accepting_after", Kind.COUNT, "usable providers in range then", unit="providers"),
        Column("status", Kind.CODE, "as in gaps"),
        Column("status_after", Kind.CODE, "then"),
    ),
    hazards=(
        "In range is where members could go; patients and visits are where they went.",
        "Two providers may each lose nobody, and both together many: see what the two do together.",
    ),
)

CHANGES = Table(
    "changes",
    "one row of the gap table, before and after a change of the network",
    ("county_fips", "specialty"),
    (
        Column("county_fips", Kind.FIPS, "state and county, five digits"),
        Column("county", Kind.TEXT, "name and state"),
        Column("county_type", Kind.TEXT, "42 CFR 422.116(c)"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("members", Kind.COUNT, "members covered on the as-of date", unit="members"),
        Column("required_share", Kind.RATE, "share that the standard requires", unit="0-1"),
        Column("required_providers", Kind.COUNT, "minimum number; blank = none set", unit="providers"),
        Column("members_gained", Kind.COUNT, "with a usable row in range, after - before", unit="members"),
        *(
            Column(f"{name}_{side}", kind, f"as in gaps, {side} the change", unit=unit)
            for name, kind, unit in (
                ("share_within", Kind.RATE, "0-1"),
                ("listed", Kind.COUNT, "providers"),
                ("in_range", Kind.COUNT, "providers"),
                ("accepting", Kind.COUNT, "providers"),
                ("seen_in_claims", Kind.COUNT, "providers"),
                ("nearest_miles", Kind.NUMBER, "miles"),
                ("status", Kind.CODE, ""),
            )
            for side in ("before", "after")
        ),
    ),
)

MEMBERS_BEHIND = Table(
    "members_behind",
    "one member of a county, for one specialty",
    ("member_id",),
    (
        Column("member_id", Kind.CODE, "member; never in a report", identifies_member=True),
        Column("zip", Kind.ZIP, "ZIP of the home", identifies_member=True),
        Column("county_fips", Kind.FIPS, "county of the home"),
        Column("network_id", Kind.CODE, "network of the member"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("nearest_miles", Kind.NUMBER, "to the nearest usable row; blank = none", unit="miles", tells_who=True),
        Column(
            "nearest_listed_miles",
            Kind.NUMBER,
            "to the nearest active row, closed ones too",
            unit="miles",
            tells_who=True,
        ),
        Column("is_within", Kind.FLAG, "whether a usable row is within the standard"),
    ),
    hazards=("One row is one member: not for sharing outside the plan.",),
)

EXCEPTIONS = Table(
    "exceptions",
    "one provider nearby who is not contracted, for a failing county and specialty",
    ("county_fips", "specialty", "npi"),
    (
        Column("county_fips", Kind.FIPS, "state and county, five digits"),
        Column("county", Kind.TEXT, "name and state"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("status", Kind.CODE, "as in gaps"),
        Column("max_miles", Kind.NUMBER, "maximum distance of the standard", unit="miles"),
        Column("npi", Kind.NPI, "provider; blank = none is known"),
        Column("provider_name", Kind.TEXT, "name in the directory or registry"),
        Column("zip", Kind.ZIP, "ZIP of the place nearest to a member"),
        Column("source", Kind.TEXT, "where the provider is known from"),
        Column("is_in_range", Kind.FLAG, "within the standard of a member; no = one of the nearest three beyond"),
        Column("is_nearer", Kind.FLAG, "nearer than any usable row to a member who has none in range"),
        Column("nearest_miles", Kind.NUMBER, "to the nearest member; blank = no known place", unit="miles"),
        Column("members_in_range", Kind.COUNT, "members of the county within the standard of it", unit="members"),
        Column("visits", Kind.COUNT, "OON in the 12 months, members of any county", unit="visits"),
        Column("patients", Kind.COUNT, "members with such a visit", unit="members"),
        Column("reason_not_contracted", Kind.TEXT, "to be entered by a person"),
        Column("pattern_of_care", Kind.TEXT, "where members of the county went in the 12 months"),
    ),
    hazards=(
        "Counts of patients are not hidden where they are small: only pattern_of_care is fit to be shared as it is.",
        "Whether an exception is due is for CMS to decide (42 CFR 422.116(f)).",
    ),
)

REGISTER = Table(
    "register",
    "one SCA request as it stood on the as-of date",
    ("case_id",),
    (
        Column("case_id", Kind.CODE, "request number"),
        Column("member_id", Kind.CODE, "member; never in a report", identifies_member=True),
        Column("provider_npi", Kind.NPI, "OON provider"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("county_fips", Kind.FIPS, "home of the member on the day of the request"),
        Column("ground", Kind.CODE, "as asked: gap, affordability, continuity, setback or individual_need"),
        Column("procedure_code", Kind.CODE, "procedure agreed"),
        Column("requested_date", Kind.DATE, "day of the request"),
        Column("decision_date", Kind.DATE, "day of the decision; blank = pending"),
        Column("days_to_decision", Kind.COUNT, "from request to decision", unit="days"),
        Column(
            "days_pending", Kind.COUNT, "from request to the as-of date, while pending", unit="days", tells_who=True
        ),
        Column("decision", Kind.CODE, "approved, denied, withdrawn or pending"),
        Column("denial_reason", Kind.TEXT, "why it was denied", tells_who=True),
        Column("state", Kind.CODE, "pending, denied, withdrawn, not_begun, in_force, used_up or expired"),
        Column("requested_rate", Kind.MONEY, "rate a unit asked for", unit="USD"),
        Column("agreed_rate", Kind.MONEY, "rate a unit agreed", unit="USD"),
        Column("in_network_rate", Kind.MONEY, "as in fees", unit="USD"),
        Column("medicare_rate", Kind.MONEY, "as in fees", unit="USD"),
        Column("usual_charge", Kind.MONEY, "as in fees", unit="USD"),
        Column("agreed_percent_of_requested_rate", Kind.NUMBER, "agreed rate / rate asked for", unit="%"),
        Column("agreed_percent_of_in_network_rate", Kind.NUMBER, "agreed rate / in-network rate", unit="%"),
        Column("agreed_percent_of_medicare_rate", Kind.NUMBER, "agreed rate / Medicare's", unit="%"),
        Column("agreed_percent_of_usual_charge", Kind.NUMBER, "agreed rate / usual charge", unit="%"),
        Column("sessions_authorized", Kind.COUNT, "visits authorised; blank = no limit", unit="visits"),
        Column("effective_date", Kind.DATE, "first day of the agreement"),
        Column("expiry_date", Kind.DATE, "last day of the agreement"),
        Column("days_to_expiry", Kind.COUNT, "to the last day; below 0 = past", unit="days", tells_who=True),
        Column("sessions_used", Kind.COUNT, "days with a line within the dates", unit="visits", default="0"),
        Column("sessions_denied", Kind.COUNT, "of those authorised, denied", unit="visits", default="0"),
        Column("sessions_left", Kind.COUNT, "authorised and not used; blank = no limit", unit="visits"),
        Column("visits_over_sessions", Kind.COUNT, "within the dates, past the sessions", unit="visits"),
        Column("first_session_date", Kind.DATE, "first visit within the dates"),
        Column("last_session_date", Kind.DATE, "last visit within the dates"),
        Column("last_visit_date", Kind.DATE, "last visit with the provider, under an agreement or not"),
        Column(
            "visits_before_request",
            Kind.COUNT,
            "with the provider in these claims, before the request and under no other agreement (S3)",
            unit="visits",
            default="0",
        ),
        Column("billed_before_request", Kind.MONEY, "charges of those visits", unit="USD", default="0"),
        Column("oon_visits_before_request", Kind.COUNT, "of those, OON: the exposure", unit="visits", default="0"),
        Column("oon_billed_before_request", Kind.MONEY, "charges of those", unit="USD", default="0"),
        Column(
            "visits_after_expiry",
            Kind.COUNT,
            "OON after the last day, under no other agreement; of several, the one that ended last",
            unit="visits",
            default="0",
        ),
        Column("billed_after_expiry", Kind.MONEY, "charges of those visits", unit="USD", default="0"),
        Column("last_visit_after_expiry", Kind.DATE, "last of those visits"),
        Column("rated_lines", Kind.COUNT, "lines that the agreed rate is for, not denied", unit="lines", default="0"),
        Column("rated_lines_known", Kind.COUNT, "of those, with an allowed amount", unit="lines", default="0"),
        *(
            column
            for amount, base in (
                ("allowed", "allowed amount against agreed rate x units or, if lower, what was billed"),
                ("billed", "charge against agreed rate x units; above it is usual"),
            )
            for side in ("above", "below")
            for column in (
                Column(f"lines_{amount}_{side}", Kind.COUNT, f"{side}: {base}", unit="lines", default="0"),
                Column(f"{amount}_{side}", Kind.MONEY, "by how much in all", unit="USD", default="0"),
            )
        ),
        Column("balance_lines", Kind.COUNT, "lines of the sessions authorised, not denied", unit="lines", default="0"),
        Column(
            "balance_lines_known",
            Kind.COUNT,
            "of those, with allowed, paid and member amounts, so that a balance bill can be told",
            unit="lines",
            default="0",
        ),
        Column("lines_balance_billed", Kind.COUNT, "of those, with a balance bill", unit="lines", default="0"),
        Column("balance_billed", Kind.MONEY, "member amount above allowed - paid", unit="USD", default="0"),
        Column("renewal_of", Kind.CODE, "the approved request of this member and provider before"),
        Column("renewal_gap_days", Kind.COUNT, "days between the two; below 0 = they overlap", unit="days"),
        Column("renewed_by", Kind.CODE, "the next request of both, approved or pending"),
    ),
    hazards=(
        "One row is one patient: not for sharing outside the plan.",
        "Claims arrive late: the last weeks may lack visits, so sessions used are a lower bound.",
        "Treatment before the first claim of the exports is not seen.",
    ),
)

MEASURES = Table(
    "measures",
    "one figure on SCA requests, for all of them or one group",
    ("scope", "group", "measure"),
    (
        Column("scope", Kind.CODE, "all, ground, specialty, denial_reason or horizon"),
        Column("group", Kind.TEXT, "which one"),
        Column("measure", Kind.CODE, "what is measured"),
        Column("value", Kind.TEXT, "the figure, exact", unit=""),
        Column("low", Kind.TEXT, "of a share the low end of its 95% interval (Wilson), else P10"),
        Column("high", Kind.TEXT, "high end, else P90"),
        Column("unit", Kind.TEXT, "of the three: requests, days, share, %, visits, lines or USD"),
        Column("numerator", Kind.COUNT, "requests, agreements or lines counted"),
        Column("denominator", Kind.COUNT, "of how many"),
        Column("patients", Kind.COUNT, "members behind the numerator", unit="members"),
        Column("patients_of", Kind.COUNT, "members behind the denominator", unit="members"),
        Column("period", Kind.TEXT, "which requests, decisions or agreements count"),
        Column("note", Kind.TEXT, "what the figure is and is not"),
    ),
    hazards=("Counts of patients are not hidden where they are small: `outcomes.withhold` does so.",),
)

ALERTS = Table(
    "alerts",
    "one request and thing to be done about it",
    ("case_id", "alert"),
    (
        Column("due_date", Kind.DATE, "day by which to act; the as-of date = now"),
        Column("alert", Kind.CODE, "what is the matter"),
        Column("who", Kind.TEXT, "who acts"),
        Column("case_id", Kind.CODE, "request number"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("amount", Kind.MONEY, "money in question; blank = none is known", unit="USD"),
        Column("reason", Kind.TEXT, "why, with figures, and what to do", tells_who=True),
    ),
    hazards=("One row is one patient: not for sharing outside the plan.",),
)

MAKE_OR_BUY = Table(
    "make_or_buy",
    "one specialty and county, or provider in it, with several SCAs in the 12 months to the as-of date",
    ("scope", "specialty", "county_fips", "provider_npi"),
    (
        Column("scope", Kind.CODE, "county or provider"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("county_fips", Kind.FIPS, "home of the members on the day of the request"),
        Column("provider_npi", Kind.NPI, "OON provider; blank = all of the county"),
        Column("agreements", Kind.COUNT, "in force on some day of the 12 months", unit="agreements"),
        Column("requests", Kind.COUNT, "made in the 12 months, whatever the decision", unit="requests"),
        Column("patients", Kind.COUNT, "members with such an agreement", unit="members"),
        Column("sessions", Kind.COUNT, "visits under them in the 12 months", unit="visits"),
        Column("units", Kind.NUMBER, "of the procedures agreed, at the agreed rate", unit="units"),
        Column("at_agreed_rate", Kind.MONEY, "allowed on those at the agreed rate", unit="USD"),
        Column("at_in_network_rate", Kind.MONEY, "at the in-network rate", unit="USD"),
        Column("above_in_network", Kind.MONEY, "what a contract at the in-network rate saves a year", unit="USD"),
        Column("pays_below", Kind.MONEY, "contracting pays if it costs less a year", unit="USD"),
        Column("break_even_rate", Kind.MONEY, "contract rate a unit at which both cost the same", unit="USD"),
        Column("break_even_agreements", Kind.COUNT, "from how many a year contracting is cheaper", unit="agreements"),
        Column("is_past", Kind.FLAG, "contracting is cheaper at this number; blank = its cost is not given"),
        Column("reason", Kind.TEXT, "the same in words"),
        Column("unrated_agreements", Kind.COUNT, "of those, without an in-network rate: left out", unit="agreements"),
    ),
    hazards=(
        "One provider's agreements may be one patient's: small counts are not hidden here.",
        "Whether the provider would sign at the in-network rate, no export says.",
    ),
)

ESTIMATES = Table(
    "estimates",
    "one approved agreement: what claims before its decision foretold, and what came of it",
    ("case_id",),
    (
        Column("case_id", Kind.CODE, "request number"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("decision_date", Kind.DATE, "claims from this day on are not used"),
        Column("effective_date", Kind.DATE, "first day of the agreement"),
        Column("expiry_date", Kind.DATE, "last day of the agreement"),
        Column("sessions_authorized", Kind.COUNT, "visits authorised; blank = no limit", unit="visits"),
        Column("basis", Kind.CODE, "pace of the visits from: course (its own) or specialty"),
        Column("interval_days", Kind.NUMBER, "usual days between two visits", unit="days"),
        Column("is_finished", Kind.FLAG, "the last day is not after the as-of date"),
        *(
            Column(f"{name}_{end}", kind, f"{words}: {end.upper() if end[0] == 'p' else 'what came of it'}", unit=unit)
            for name, kind, words, unit in (
                ("visits", Kind.COUNT, "visits within the dates", "visits"),
                ("sessions", Kind.COUNT, "of those, authorised", "visits"),
                ("plan_paid", Kind.MONEY, "plan, all visits within the dates", "USD"),
                ("cost_share", Kind.MONEY, "member, balance bills left out", "USD"),
            )
            for end in ("p10", "p50", "p90", "actual")
        ),
        *(
            Column(f"{name}_within", Kind.FLAG, "actual within P10 to P90; blank = not finished or not known")
            for name in ("visits", "sessions", "plan_paid", "cost_share")
        ),
        Column("not_costed", Kind.TEXT, "why there are no costs; blank = costed"),
    ),
    hazards=("One row is one patient: not for sharing outside the plan.",),
)

MONTH_CHANGES = Table(
    "month_changes",
    "one figure that is followed from month to month",
    ("measure",),
    (
        Column("measure", Kind.TEXT, "what is counted"),
        Column("unit", Kind.TEXT, "of what"),
        Column("before", Kind.COUNT, "on the last day of the month before; blank = no claims of it"),
        Column("now", Kind.COUNT, "on the last day of the month"),
        Column("change", Kind.COUNT, "now - before"),
    ),
)

MOVED_CASES = Table(
    "moved_cases",
    "one case that is new, gone or changed since the month before",
    ("case_id",),
    (
        Column("case_id", Kind.CODE, "as in cases"),
        Column("specialty", Kind.TEXT, "name as in 42 CFR 422.116(b)"),
        Column("state_before", Kind.CODE, "as in cases, or new"),
        Column("state", Kind.CODE, "as in cases, or no longer a case"),
        Column("grounds_before", Kind.TEXT, "grounds shown then"),
        Column("grounds", Kind.TEXT, "grounds shown now"),
        Column("at_stake", Kind.MONEY, "as in cases", unit="USD"),
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
        Column("row", Kind.COUNT, "record in the file (of CSV the header is row 1), else segment, resource or line"),
        Column("column", Kind.CODE, "canonical column; blank = the whole row"),
        Column("value_class", Kind.TEXT, "what kind of value stood there, never the value"),
        Column("reason", Kind.CODE, "rule and column; first that applies"),
        Column("rows", Kind.COUNT, "records that the line speaks of, of which the first is named", unit="records"),
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

RESULTS: dict[str, Table] = {
    t.name: t
    for t in (
        GAPS,
        COMPLIANCE,
        FIX,
        SERVICING,
        CHANGES,
        EXCEPTIONS,
        MEMBERS_BEHIND,
        COURSES,
        CASES,
        EVIDENCE,
        SEARCHED,
        DEMAND,
        PARITY,
        LISTINGS,
        LISTING_FINDINGS,
        REGISTER,
        MEASURES,
        ALERTS,
        MAKE_OR_BUY,
        ESTIMATES,
        MONTH_CHANGES,
        MOVED_CASES,
        SET_ASIDE,
        FINDINGS,
    )
}
