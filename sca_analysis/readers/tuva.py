"""The input layer of the Tuva Project, CSV or Parquet: ``tuva-medical-claim`` and ``tuva-eligibility``.

Columns as in Tuva's data dictionary of the input layer, also under the names of earlier releases (``patient_id``;
``rendering_npi`` before ``rendering_id``, and so on). What follows from it:
- A member is ``person_id``, which may not be blank there and which eligibility and claims share.
- ``provider_npi`` is the rendering provider; without one, of an institutional claim the facility, then the billing
  provider, and of any other the billing provider, then the facility.
- ``member_amount`` is coinsurance, copayment and deductible together.
- ``network_status`` is ``in_network_flag``, where the release has one.
- Adjusted and reversed claims are settled before the input layer, so there is no version and no status.
- Institutional lines may have a revenue centre and no HCPCS code: only warned of.

``plan`` is no network as a directory names them: network_id stays blank, so that the plan of exports.yaml fills it,
or ``columns: {network_id: plan}``.
"""

from functools import partial

from sca_analysis.readers.presets import Layout, add_up, read_preset, recognise

_MEMBER = "coalesce([person_id], [patient_id], [member_id])"
_RENDERING = "[rendering_npi], [rendering_id]"
_BILLING = "[billing_npi], [billing_id]"
_FACILITY = "[facility_npi], [facility_id]"

MEDICAL_CLAIM = (
    Layout(
        "claims",
        ("claim_id", "claim_line_number", "claim_type", "charge_amount", "hcpcs_code", "data_source"),
        {
            "claim_id": "[claim_id]",
            "line_number": "[claim_line_number]",
            "member_id": _MEMBER,
            "provider_npi": f"CASE WHEN lower([claim_type]) = 'institutional' "
            f"THEN coalesce({_RENDERING}, {_FACILITY}, {_BILLING}) "
            f"ELSE coalesce({_RENDERING}, {_BILLING}, {_FACILITY}) END",
            "service_date": "coalesce([claim_line_start_date], [claim_start_date])",
            "procedure_code": "[hcpcs_code]",
            "diagnosis_code": "[diagnosis_code_1]",
            "place_of_service": "[place_of_service_code]",
            "units": "[service_unit_quantity]",
            "billed_amount": "[charge_amount]",
            "allowed_amount": "[allowed_amount]",
            "paid_amount": "[paid_amount]",
            "member_amount": add_up("coinsurance_amount", "copayment_amount", "deductible_amount"),
            "network_status": "[in_network_flag]",
        },
        values={"network_status": {"1": "in", "0": "out", "true": "in", "false": "out"}},
        rules={"missing:procedure_code": "warn"},
    ),
)

ELIGIBILITY = (
    Layout(
        "members",
        ("enrollment_start_date", "enrollment_end_date", "birth_date", "zip_code", "data_source"),
        {
            "member_id": _MEMBER,
            "zip": "[zip_code]",
            "effective_date": "[enrollment_start_date]",
            "termination_date": "[enrollment_end_date]",
            "birth_year": "regexp_extract([birth_date], '\\d{4}')",
        },
    ),
)

read_medical_claim = partial(read_preset, format_name="tuva-medical-claim", layouts=MEDICAL_CLAIM)
read_eligibility = partial(read_preset, format_name="tuva-eligibility", layouts=ELIGIBILITY)
recognise_medical_claim = partial(recognise, layouts=MEDICAL_CLAIM)

recognise_eligibility = partial(recognise, layouts=ELIGIBILITY)
