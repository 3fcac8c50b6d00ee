"""Write the data dictionary from ``tables``: ``python -m sca_analysis.dictionary > data/README.md``."""

import sys

from sca_analysis.rules import MEANINGS, RECORD_MEANINGS, RELAXABLE
from sca_analysis.tables import EXPORTS, RESULTS, Table

_HEAD = """# Data dictionary
Written from `sca_analysis/tables.py` by `python -m sca_analysis.dictionary > data/README.md`; a test keeps it true.

- `sample/` holds synthetic exports (`sca sample`): nobody in it exists. `sample/planted.csv` is the answer key.
- `example_case.json` is one case for `sca quote`; `scenarios/` holds what-ifs of it, and `golden.csv` their results.
- `raw/` is where your own exports go; git ignores it.

An exports folder holds an `exports.yaml`, or files named after the tables below in these columns. Bold columns cannot
be blank. All codes, NPIs and ZIP codes are text; money is exact to the cent, rates to six decimals.
"""
_RULES = """## Rules
Every row read is accepted or set aside under the first rule that it breaks. The rules marked * can be turned into a
warning for one source (`rules: {npi_check_digit: warn}`, or with a column, `"missing:zip": warn`).

| rule | meaning |
| --- | --- |
"""


def write_dictionary() -> str:
    """Return the data dictionary as Markdown."""
    exports = "".join(_describe(t) for t in EXPORTS.values())
    results = "".join(_describe(t) for t in RESULTS.values())
    rules = "".join(f"| {r}{'*' if r in RELAXABLE else ''} | {m} |\n" for r, m in (MEANINGS | RECORD_MEANINGS).items())
    return f"{_HEAD}\n# Exports\n\n{exports}{_RULES}{rules}\n# Results\n\n{results}".rstrip() + "\n"


def _describe(table: Table) -> str:
    lines = [
        f"## {table.name}{' (required)' if table.required else ''}",
        f"One row: {table.grain}. Key: {', '.join(table.key)}.",
        "",
        "| column | kind | unit | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for column in table.columns:
        name = f"**{column.name}**" if column.required else column.name
        allowed = f" ({', '.join(column.allowed)})" if column.allowed else ""
        left_out = ". Not in a de-identified table" if column.identifies_member or column.tells_who else ""
        lines.append(f"| {name} | {column.kind} | {column.unit} | {column.meaning}{allowed}{left_out} |")
    lines += ["", *(f"- {hazard}" for hazard in table.hazards), *([""] if table.hazards else [])]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(write_dictionary())
