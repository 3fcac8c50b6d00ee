"""CMS's RIF files (research identifiable files): one row a line, header columns repeated on each.

- ``rif-carrier`` for claims: physicians and suppliers (LINE_*), also durable medical equipment (DME).
- ``rif-outpatient`` for claims: revenue centre lines (REV_CNTR*) of hospital outpatient claims, and of inpatient,
  skilled nursing, home health and hospice claims, which share them.
- ``rif-beneficiary`` for members: one row a beneficiary and year, or of the history of a beneficiary.

Variables as in CMS's Chronic Conditions Warehouse codebooks. What follows from them:
- ``claim_version`` is the weekly processing date and, at one date, insert before update before delete (DML_IND); a
  deleted line is reversed. Claims that are not final (FINAL_ACTION N) are set aside.
- ``claim_status`` denied, by ResDAC's tables of values: of a carrier claim the payment denial code says denied (0, D,
  P) or Medicare secondary payer, cost avoided (E-K, Q-Y, two digits; 1-9, A and B say who was paid); of a line the
  processing indicator says the same, or benefits exhausted, non-covered, invalid, laboratory not certified (L),
  duplicate, not necessary or bundled (Z; A, O, R and S are none); an institution's claim has a reason for
  non-payment other than P (payment requested) and Z (a request for anticipated payment, home health).
- ``provider_npi`` of an institution: the rendering, else the attending physician, else the organisation.
- ``member_amount`` of carrier lines is deductible and coinsurance; of revenue centres the patient's responsibility.
- A revenue centre 0001 without a procedure is the total of its claim, which would count the claim twice: set aside.
- Institutional files give no allowed amount, inpatient ones no payment by line: those stay blank.

Medicare is one network, so network_id stays blank. Synthetic files bear NPIs that nobody has and mostly no HCPCS
codes, so those are only warned of: set ``rules`` to be strict.
"""

from functools import partial
from typing import Literal

from sca_analysis.readers.presets import Layout, add_up, read_preset, recognise

DATE_FORMATS = ("%d-%b-%Y", "%d%b%Y", "%Y%m%d", "%Y-%m-%d", "%m/%d/%Y")
_WEEK = f"try_strptime([NCH_WKLY_PROC_DT], list_value({', '.join(repr(f) for f in DATE_FORMATS)}))"
_ACTION = "CASE upper([DML_IND]) WHEN 'DELETE' THEN '3' WHEN 'UPDATE' THEN '2' ELSE '1' END"
_VERSION = f"strftime({_WEEK}, '%Y%m%d') || {_ACTION}"
_DELETED = "WHEN upper([DML_IND]) = 'DELETE' THEN 'reversed'"
_RULES: dict[str, Literal["set_aside", "warn"]] = {
    "npi_shape": "warn",
    "npi_check_digit": "warn",
    "missing:procedure_code": "warn",
}
_MONTHS = ("DEC", "NOV", "OCT", "SEPT", "AUG", "JUL", "JUN", "MAY", "APR", "MAR", "FEB", "JAN")


def _is_one_of(column: str, codes: str) -> str:
    """SQL that is true for a code of one character, or for Medicare secondary payer, cost avoided."""
    listed = ", ".join(f"'{c}'" for c in codes + "EFGHJKQTUVXY")
    return f"(upper([{column}]) IN ({listed}) OR regexp_full_match([{column}], '\\d{{2}}'))"


CARRIER = (
    Layout(
        "claims",
        ("BENE_ID", "CLM_ID", "LINE_NUM", "LINE_SBMTD_CHRG_AMT"),
        {
            "claim_id": "[CLM_ID]",
            "line_number": "[LINE_NUM]",
            "claim_version": _VERSION,
            "member_id": "[BENE_ID]",
            "provider_npi": "coalesce([PRF_PHYSN_NPI], [PRVDR_NPI], [ORG_NPI_NUM])",
            "service_date": "coalesce([LINE_1ST_EXPNS_DT], [CLM_FROM_DT])",
            "procedure_code": "[HCPCS_CD]",
            "diagnosis_code": "coalesce([PRNCPAL_DGNS_CD], [LINE_ICD_DGNS_CD])",
            "place_of_service": "[LINE_PLACE_OF_SRVC_CD]",
            "units": "[LINE_SRVC_CNT]",
            "billed_amount": "[LINE_SBMTD_CHRG_AMT]",
            "allowed_amount": "[LINE_ALOWD_CHRG_AMT]",
            "paid_amount": "[LINE_NCH_PMT_AMT]",
            "member_amount": add_up("LINE_BENE_PTB_DDCTBL_AMT", "LINE_COINSRNC_AMT"),
            "claim_status": f"CASE {_DELETED} WHEN {_is_one_of('CARR_CLM_PMT_DNL_CD', '0DP')} "
            f"OR {_is_one_of('LINE_PRCSG_IND_CD', 'BCDILMNPZ')} THEN 'denied' END",
        },
        date_format=DATE_FORMATS,
        keep={"FINAL_ACTION": ("F", "")},
        rules=_RULES,
    ),
)

OUTPATIENT = (
    Layout(
        "claims",
        ("BENE_ID", "CLM_ID", "CLM_LINE_NUM", "REV_CNTR", "REV_CNTR_TOT_CHRG_AMT"),
        {
            "claim_id": "[CLM_ID]",
            "line_number": "[CLM_LINE_NUM]",
            "claim_version": _VERSION,
            "member_id": "[BENE_ID]",
            "provider_npi": "coalesce([RNDRNG_PHYSN_NPI], [AT_PHYSN_NPI], [ORG_NPI_NUM])",
            "service_date": "coalesce([REV_CNTR_DT], [CLM_FROM_DT])",
            "procedure_code": "[HCPCS_CD]",
            "diagnosis_code": "[PRNCPAL_DGNS_CD]",
            "units": "[REV_CNTR_UNIT_CNT]",
            "billed_amount": "[REV_CNTR_TOT_CHRG_AMT]",
            "paid_amount": "[REV_CNTR_PMT_AMT_AMT]",
            "member_amount": "[REV_CNTR_PTNT_RSPNSBLTY_PMT]",
            "claim_status": f"CASE {_DELETED} WHEN upper([CLM_MDCR_NON_PMT_RSN_CD]) NOT IN ('P', 'Z') "
            "THEN 'denied' END",
        },
        date_format=DATE_FORMATS,
        keep={"FINAL_ACTION": ("F", "")},
        rules=_RULES,
        where="[REV_CNTR] IS DISTINCT FROM '0001' OR [HCPCS_CD] IS NOT NULL",
        selector="REV_CNTR",
    ),
)

BENEFICIARY = (
    Layout(
        "members",
        ("BENE_ID", "BENE_BIRTH_DT", "STATE_CODE"),
        {
            "member_id": "[BENE_ID]",
            "zip": "coalesce([BENE_ZIP_CD], [ZIP_CD])",
            # the county of the last month that is known
            "county_fips": f"coalesce({', '.join(f'[FIPS_STATE_CNTY_{m}_CD]' for m in _MONTHS)}, "
            f"{', '.join(f'[STATE_CNTY_FIPS_CD_{m:02}]' for m in range(12, 0, -1))})",
            "effective_date": "coalesce([COVSTART], [EFCTV_BGN_DT])",
            "termination_date": "coalesce([DEATH_DT], [BENE_DEATH_DT], [EFCTV_END_DT])",
            "birth_year": "regexp_extract([BENE_BIRTH_DT], '\\d{4}')",
        },
        date_format=DATE_FORMATS,
    ),
)

read_carrier = partial(read_preset, format_name="rif-carrier", layouts=CARRIER)
read_outpatient = partial(read_preset, format_name="rif-outpatient", layouts=OUTPATIENT)
read_beneficiary = partial(read_preset, format_name="rif-beneficiary", layouts=BENEFICIARY)
recognise_carrier = partial(recognise, layouts=CARRIER)

recognise_outpatient = partial(recognise, layouts=OUTPATIENT)

recognise_beneficiary = partial(recognise, layouts=BENEFICIARY)
