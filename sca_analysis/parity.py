"""Mental health beside medical and surgical care: how often patients of each go out of network.

In: claim lines of the twelve months to a day. Out: OON shares of mental health and substance use (MH/SUD) and
medical/surgical (M/S) patients, with intervals. A screening figure, no finding of a violation.
"""

from collections.abc import Hashable
from datetime import date
from math import exp, inf, log, sqrt
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from sca_analysis.claims import count_if, visit_lines, window
from sca_analysis.demand import VISIT, is_shown, say_part, say_period, share_of
from sca_analysis.exports import Exports, to_pandas
from sca_analysis.standards import load_taxonomy
from sca_analysis.tables import PARITY

#: What a table of `measure_parity` is and is not, in words for a report.
SCREENING = (
    "This is a screening figure, no finding of a violation of 45 CFR 146.136 or 29 CFR 2590.712: "
    "out-of-network shares also differ where needs, choices or benefits do"
)
BENEFITS = ("MH/SUD", "M/S", "unknown")
#: The classifications of 45 CFR 146.136(c)(2)(ii)(A), outpatient split as (c)(3)(iii)(C) lets plans do. Of
#: a visit with several, the first counts.
SETTINGS = ("inpatient", "emergency", "outpatient office", "outpatient other", "unknown")

# CMS place-of-service codes. Residential treatment goes with inpatient care, as skilled nursing and
# rehabilitation hospitals do (78 FR 68246); telehealth (02, 10) with the office visits it stands for.
# 99 is "other place", which may be any.
_PLACES = {
    "inpatient": "21 31 34 51 55 56 61",
    "emergency": "23",
    "outpatient office": "02 10 11",
    "outpatient other": (
        "01 03 04 05 06 07 08 09 12 13 14 15 16 17 18 19 20 22 24 25 26 27 32 33 41 42 49 50 52 53 54 57 58 60 62 65 "
        "66 71 72 81"
    ),
}
# 45 CFR 146.136(a)(2): conditions of the mental, behavioral and neurodevelopmental disorders chapter of the ICD,
# F01-F99 in ICD-10-CM; substance use disorders are F10-F19 there.
_ICD_10 = r"^[A-Z][0-9][0-9AB]\.?[0-9A-Z]{0,4}$"
_CHAPTER_5 = "^F(0[1-9]|[1-9])"
# NUCC codes of those who treat such conditions, beside the specialties below: behavioral health providers (10...),
# psychiatric and addiction nursing, addiction medicine, and the facilities for either.
_MENTAL_SPECIALTIES = ("Psychiatry", "Clinical Psychology", "Clinical Social Work")
_MENTAL_CODES = (
    *("10", "163WA0400", "163WP080", "167G", "175T", "363LP0808", "364SP08"),
    *("207LA0401", "207QA0401", "207RA0401", "2083A0300", "2084A0401"),
    *("251S", "261QM08", "261QM2800", "261QR0405", "273R", "2764", "283Q", "3105", "3208", "322D", "323P", "3245"),
)


def measure_parity(exports: Exports, as_of: date) -> pd.DataFrame:
    """Return OON use of mental health and substance use care beside that of medical/surgical care.

    Parameters
    ----------
    exports : Exports
    as_of : date
        Last day of the twelve months.

    Returns
    -------
    DataFrame
        Columns of ``tables.PARITY``: setting "all", then each of ``SETTINGS``; in each MH/SUD and M/S,
        also without visits, and "unknown" where there are such.

    Notes
    -----
    A visit is MH/SUD where a line has an ICD-10-CM diagnosis of F01-F99, else M/S where a line has another;
    where none has any, the specialty of the provider decides (NUCC codes), and without one of these
    the benefit is unknown. 45 CFR 146.136(a)(2) and 29 CFR 2590.712(a)(2) name that chapter of the
    ICD, or the DSM, which lists a few codes outside it: those are M/S here. These words are of 2024; the
    Departments said on 2025-05-15 that they do not enforce what was new in that rule. The rule
    of 2013 left it to generally recognized independent standards, the ICD being one.

    Patients are the unit of the intervals, because visits of one patient are not independent. They
    are score intervals, right for few patients and for none or all OON: Wilson's for a share, Koopman's
    for the ratio. They tell what chance alone could do in claims like these, not errors in the claims. A
    patient with care of both kinds is in both, which the ratio's interval takes for two people: it is
    wider than it need be where the same people go OON for both.

    """
    first, last = window(as_of)
    by_visit = (
        visit_lines(exports, first, last)
        .group_by(*VISIT)
        .agg(
            is_out_of_network=nw.col("is_out_of_network").any(),
            diagnosis=_is_mental_diagnosis().max(),
            specialty=_is_mental_specialty().max(),
            setting=_setting().min(),
        )
    )
    is_out, setting = nw.col("is_out_of_network"), nw.col("setting")
    is_placed = nw.col("diagnosis").is_null() & ~nw.col("specialty").is_null()
    visits = {f"visits_{n}": setting == n for n in range(len(SETTINGS))}
    by_patient = (
        by_visit.with_columns(benefit=nw.coalesce("diagnosis", "specialty"))
        .group_by("member_id", "benefit")
        .agg(
            **{k: count_if(at) for k, at in visits.items()},
            **{f"out_of_network_{k}": count_if(at & is_out) for k, at in visits.items()},
            **{f"placed_{k}": count_if(at & is_placed) for k, at in visits.items()},
        )
    )
    columns = [f"{p}{k}" for p in ("", "out_of_network_", "placed_") for k in visits]
    seen = {c: nw.col(c) for c in columns if not c.startswith("placed")}
    seen["visits_all"] = nw.sum_horizontal(*visits)
    seen["out_of_network_visits_all"] = nw.sum_horizontal(*(f"out_of_network_{k}" for k in visits))
    added = to_pandas(
        by_patient.group_by("benefit").agg(
            **{c: nw.col(c).sum() for c in columns},
            **{c.replace("visits", "patients"): count_if(n > 0) for c, n in seen.items()},
        )
    )
    counts = {(None if pd.isna(row["benefit"]) else int(row["benefit"])): row for row in added.to_dict("records")}
    rows = [
        _parity_row(name, benefit, counts.get(kind, {}), numbers)
        for name, numbers in [("all", list(range(len(SETTINGS)))), *((s, [n]) for n, s in enumerate(SETTINGS))]
        for benefit, kind in zip(BENEFITS, (1, 0, None), strict=True)
    ]
    table = pd.DataFrame(rows)
    table["share_of_visits"] = share_of(table["out_of_network_visits"], table["visits"])
    table = _add_intervals(table[(table["benefit"] != "unknown") | (table["visits"] > 0)].reset_index(drop=True))
    return table[list(PARITY.names)]


def share_interval(part: int, whole: int, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return Wilson's score interval of a share, 0-1; None without anybody."""
    if whole == 0:
        return None
    low, high = binomtest(part, whole).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def ratio_interval(
    part: int, whole: int, base_part: int, base_whole: int, confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return Koopman's score interval of the ratio of two shares, part / whole over base_part / base_whole.

    The high end is infinite where base_part is 0; None where a whole is 0 or both parts are.
    Unlike the logarithmic interval, it does not shrink to a point where all or none are counted.

    References
    ----------
    Koopman PAR, Biometrics 1984; 40: 513-517.

    """
    if whole == 0 or base_whole == 0 or part + base_part == 0:
        return None
    limit = float(norm.ppf((1 + confidence) / 2))
    high = _low_end(base_part, base_whole, part, whole, limit)  # the ratio the other way round
    return _low_end(part, whole, base_part, base_whole, limit), 1 / high if high else inf


def describe_parity(parity: pd.DataFrame, as_of: date, least: int) -> str:
    """Say in plain words how OON use of MH/SUD and M/S patients compares, over all settings.

    ``parity`` is as from `measure_parity` for ``as_of``. Where 1 to ``least`` - 1 members are on one
    side of a figure, it is not shown.
    """
    rows = parity[parity["setting"] == "all"].set_index("benefit")
    mental, other = rows.loc["MH/SUD"], rows.loc["M/S"]
    words = {"MH/SUD": "mental health or substance use", "M/S": "medical/surgical"}
    parts = []
    for benefit, row in (("MH/SUD", mental), ("M/S", other)):
        text = f"{say_part(row, least)} patients with {words[benefit]} visits"
        if is_shown(row, least) and row["patients"]:
            text += f" ({row['share_of_patients']:.1%}, 95% interval {row['share_low']:.1%} to {row['share_high']:.1%})"
        parts.append(text)
    text = f"In {say_period(as_of)}, {' and '.join(parts)} had at least one of these out of network"
    if is_shown(mental, least) and is_shown(other, least) and pd.notna(mental["ratio"]):
        high = "any" if pd.isna(mental["ratio_high"]) else f"{mental['ratio_high']:.2f}"
        text += f", a ratio of {mental['ratio']:.2f} (95% interval {mental['ratio_low']:.2f} to {high})"
    visits = int(rows["visits"].sum())
    unknown = visits - int(mental["visits"] + other["visits"])
    left = f"; {unknown:,} of {visits:,} visits, without diagnosis and specialty, are in neither" if unknown else ""
    return f"{text}{left}. {SCREENING}."


def _is_mental_diagnosis() -> nw.Expr:
    """Return 1 for a diagnosis of F01-F99, 0 for another ICD-10-CM code, blank without one."""
    code = nw.col("diagnosis_code").str.strip_chars().str.to_uppercase()
    flag = nw.when(code.str.contains(_CHAPTER_5)).then(nw.lit(1)).otherwise(nw.lit(0))
    return nw.when(code.str.contains(_ICD_10)).then(flag)


def _is_mental_specialty() -> nw.Expr:
    """Return 1 for a taxonomy code of MH/SUD care, 0 for another of NUCC's, blank without one."""
    taxonomy = load_taxonomy()
    code = taxonomy["taxonomy_code"]
    is_mental = taxonomy["specialty"].isin(_MENTAL_SPECIALTIES) | code.str.startswith(_MENTAL_CODES)
    flag = nw.when(nw.col("taxonomy_code").is_in(code[is_mental].tolist())).then(nw.lit(1)).otherwise(nw.lit(0))
    return nw.when(nw.col("taxonomy_code").is_in(code.tolist())).then(flag)


def _setting() -> nw.Expr:
    """Return the number in ``SETTINGS`` of a line's place of service; a lost leading zero is put back."""
    place = nw.col("place_of_service").str.strip_chars().str.zfill(2)
    known = (
        nw.when(place.is_in(codes.split())).then(nw.lit(SETTINGS.index(setting))) for setting, codes in _PLACES.items()
    )
    return nw.coalesce(*known, nw.lit(SETTINGS.index("unknown")))


def _parity_row(setting: str, benefit: str, counts: dict[Hashable, Any], numbers: list[int]) -> dict[str, object]:
    """Return the counts of one setting, of those with these numbers, and benefit; zero where there are none."""
    name = "all" if setting == "all" else str(numbers[0])

    def total(kind: str) -> int:
        return sum(int(counts.get(f"{kind}_{n}", 0)) for n in numbers)

    return {
        "setting": setting,
        "benefit": benefit,
        "patients": int(counts.get(f"patients_{name}", 0)),
        "out_of_network_patients": int(counts.get(f"out_of_network_patients_{name}", 0)),
        "visits": total("visits"),
        "visits_by_specialty": total("placed_visits"),
        "out_of_network_visits": total("out_of_network_visits"),
    }


def _add_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Add share of patients and ratio of MH/SUD to M/S, each with its interval."""
    columns = ["share_of_patients", "share_low", "share_high", "ratio", "ratio_low", "ratio_high"]
    counts = {(r.setting, r.benefit): (r.out_of_network_patients, r.patients) for r in table.itertuples()}
    rows = []
    for (setting, benefit), (part, whole) in counts.items():
        row = dict.fromkeys(columns, np.nan)
        if interval := share_interval(part, whole):
            row |= {"share_of_patients": part / whole, "share_low": interval[0], "share_high": interval[1]}
        base_part, base_whole = counts[setting, "M/S"]
        if benefit == "MH/SUD" and (interval := ratio_interval(part, whole, base_part, base_whole)):
            row |= {"ratio_low": interval[0], "ratio_high": interval[1] if interval[1] < inf else np.nan}
            row["ratio"] = (part / whole) / (base_part / base_whole) if base_part else np.nan
        rows.append(row)
    return pd.concat([table, pd.DataFrame(rows, columns=columns).astype("Float64")], axis=1)


def _low_end(part: int, whole: int, base_part: int, base_whole: int, limit: float) -> float:
    """Return the ratio of shares, below what was found, whose score is ``limit`` standard errors."""
    if part == 0:
        return 0.0

    def score(log_ratio: float) -> float:
        """How far the shares found are above this ratio, in standard errors under it; falls as it grows."""
        ratio = exp(log_ratio)
        both = ratio * (whole + base_part) + part + base_whole
        root = sqrt(max(both**2 - 4 * ratio * (whole + base_whole) * (part + base_part), 0.0))
        base = min(2 * (part + base_part) / (both + root), 1.0)  # likeliest share of the base under the ratio
        share = min(ratio * base, 1.0)
        variance = share * (1 - share) / whole + ratio**2 * base * (1 - base) / base_whole
        above = part / whole - ratio * base_part / base_whole
        return above / sqrt(variance) if variance > 0 else 0.0  # only at the ratio found, where all are counted

    found = log(part / whole) - log(base_part / base_whole) if base_part else log(whole) + 40
    return float(exp(brentq(lambda x: score(x) - limit, log(part / whole) - 40, found)))
