"""``synthea``: the CSV export of Synthea, a generator of synthetic patients.

- claims: ``claims_transactions.csv``, of which the rows of TYPE CHARGE are claim lines (about one in four; payments
  and transfers are set aside). With ``claims.csv`` beside it, the diagnosis that the line points to; with
  ``patients.csv``, the member's ZIP.
- directory: ``providers.csv``; it has no network, so every row counts for every network.
- members: ``payer_transitions.csv`` with ``patients.csv`` beside it (a row is a span of coverage; spans of the payer
  NO_INSURANCE, by ``payers.csv``, are set aside), or ``patients.csv`` alone (one row a patient, always covered).

Identifiers are UUIDs, so the shape of NPIs is only warned of; codes are SNOMED CT, not CPT and ICD-10-CM; nothing
says what a plan allows. A patient may lack a ZIP, but has coordinates.
"""

from functools import partial

from sca_analysis.readers.presets import Beside, Layout, read_preset, recognise

#: NUCC codes of Synthea's specialties, which are Medicare's specialty names.
SPECIALTIES = {
    "ADDICTION MEDICINE": "2084A0401X",
    "ALLERGY/IMMUNOLOGY": "207K00000X",
    "ANESTHESIOLOGY": "207L00000X",
    "AUDIOLOGIST": "231H00000X",
    "CARDIAC SURGERY": "208G00000X",
    "CARDIOVASCULAR DISEASE (CARDIOLOGY)": "207RC0000X",
    "CERTIFIED NURSE MIDWIFE": "367A00000X",
    "CERTIFIED REGISTERED NURSE ANESTHETIST": "367500000X",
    "CHIROPRACTIC": "111N00000X",
    "CLINICAL PSYCHOLOGIST": "103TC0700X",
    "CLINICAL SOCIAL WORKER": "1041C0700X",
    "COLORECTAL SURGERY (PROCTOLOGY)": "208C00000X",
    "CRITICAL CARE (INTENSIVISTS)": "207RC0200X",
    "DERMATOLOGY": "207N00000X",
    "DIAGNOSTIC RADIOLOGY": "2085R0202X",
    "EMERGENCY MEDICINE": "207P00000X",
    "ENDOCRINOLOGY": "207RE0101X",
    "FAMILY PRACTICE": "207Q00000X",
    "GASTROENTEROLOGY": "207RG0100X",
    "GENERAL PRACTICE": "208D00000X",
    "GENERAL SURGERY": "208600000X",
    "GERIATRIC MEDICINE": "207RG0300X",
    "HEMATOLOGY": "207RH0000X",
    "HEMATOLOGY/ONCOLOGY": "207RH0003X",
    "HOSPITALIST": "208M00000X",
    "INFECTIOUS DISEASE": "207RI0200X",
    "INTERNAL MEDICINE": "207R00000X",
    "INTERVENTIONAL CARDIOLOGY": "207RI0011X",
    "MEDICAL ONCOLOGY": "207RX0202X",
    "NEPHROLOGY": "207RN0300X",
    "NEUROLOGY": "2084N0400X",
    "NEUROSURGERY": "207T00000X",
    "NURSE PRACTITIONER": "363LP2300X",
    "OBSTETRICS/GYNECOLOGY": "207V00000X",
    "OCCUPATIONAL THERAPY": "225X00000X",
    "OPHTHALMOLOGY": "207W00000X",
    "OPTOMETRY": "152W00000X",
    "ORTHOPEDIC SURGERY": "207X00000X",
    "OTOLARYNGOLOGY": "207Y00000X",
    "PATHOLOGY": "207ZP0102X",
    "PEDIATRIC MEDICINE": "208000000X",
    "PHYSICAL MEDICINE AND REHABILITATION": "208100000X",
    "PHYSICAL THERAPY": "225100000X",
    "PHYSICIAN ASSISTANT": "363AM0700X",
    "PLASTIC AND RECONSTRUCTIVE SURGERY": "208200000X",
    "PODIATRY": "213E00000X",
    "PSYCHIATRY": "2084P0800X",
    "PULMONARY DISEASE": "207RP1001X",
    "RADIATION ONCOLOGY": "2085R0001X",
    "REGISTERED DIETITIAN OR NUTRITION PROFESSIONAL": "133V00000X",
    "RHEUMATOLOGY": "207RR0500X",
    "SPEECH LANGUAGE PATHOLOGIST": "235Z00000X",
    "THORACIC SURGERY": "208G00000X",
    "UROLOGY": "208800000X",
    "VASCULAR SURGERY": "2086S0129X",
}

_DIAGNOSES = " ".join(f"WHEN '{n}' THEN [DIAGNOSIS{n}]" for n in range(1, 9))
_YEAR = "CASE WHEN regexp_full_match({0}, '\\d{{4}}') THEN {0} || '{1}' ELSE {0} END"
_BIRTH_YEAR = "regexp_extract([BIRTHDATE], '^\\d{4}')"

LAYOUTS = (
    Layout(
        "claims",
        ("CLAIMID", "CHARGEID", "PATIENTID", "TYPE", "TRANSFEROUTID", "PROVIDERID"),
        {
            "claim_id": "[CLAIMID]",
            "line_number": "[CHARGEID]",
            "member_id": "[PATIENTID]",
            "provider_npi": "[PROVIDERID]",
            "service_date": "[FROMDATE]",
            "procedure_code": "[PROCEDURECODE]",
            "diagnosis_code": f"CASE coalesce([DIAGNOSISREF1], '1') {_DIAGNOSES} END",
            "units": "[UNITS]",
            "billed_amount": "[AMOUNT]",
            "member_zip": "[ZIP]",
        },
        keep={"TYPE": ("CHARGE",)},
        rules={"npi_shape": "warn"},
        joins=(Beside("claims.csv", {"CLAIMID": "Id"}), Beside("patients.csv", {"PATIENTID": "Id"})),
    ),
    Layout(
        "directory",
        ("Id", "ORGANIZATION", "NAME", "SPECIALITY", "LAT", "LON"),
        {
            "npi": "[Id]",
            "provider_name": "[NAME]",
            "taxonomy_code": "[SPECIALITY]",
            "zip": "[ZIP]",
            "latitude": "[LAT]",
            "longitude": "[LON]",
            "location_id": "[ORGANIZATION]",
        },
        values={"taxonomy_code": SPECIALTIES},
        rules={"npi_shape": "warn"},
    ),
    Layout(
        "members",
        ("PATIENT", "PAYER", "OWNERSHIP"),
        {
            "member_id": "[PATIENT]",
            "zip": "[ZIP]",
            "latitude": "[LAT]",
            "longitude": "[LON]",
            "network_id": "[PAYER]",
            # older versions of Synthea give years alone
            "effective_date": _YEAR.format("coalesce([START_DATE], [START_YEAR])", "-01-01"),
            "termination_date": _YEAR.format("coalesce([END_DATE], [END_YEAR])", "-12-31"),
            "birth_year": _BIRTH_YEAR,
        },
        rules={"missing:zip": "warn"},
        joins=(Beside("patients.csv", {"PATIENT": "Id"}, is_needed=True), Beside("payers.csv", {"PAYER": "Id"})),
        where="coalesce([NAME], '') <> 'NO_INSURANCE'",
        selector="PAYER",
    ),
    Layout(
        "members",
        ("Id", "BIRTHDATE", "DEATHDATE", "SSN", "HEALTHCARE_EXPENSES"),
        {
            "member_id": "[Id]",
            "zip": "[ZIP]",
            "latitude": "[LAT]",
            "longitude": "[LON]",
            "termination_date": "[DEATHDATE]",
            "birth_year": _BIRTH_YEAR,
        },
        rules={"missing:zip": "warn"},
    ),
)

read_synthea = partial(read_preset, format_name="synthea", layouts=LAYOUTS)
recognise_synthea = partial(recognise, layouts=LAYOUTS)
