"""The project as a whole: who may import whom, what is committed, and what the documents promise."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

from sca_analysis.dictionary import write_dictionary
from tests.renew_notebooks import CHECKED

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# A module imports only from floors below its own. Within the floors of design, a module that others of its
# floor stand on (rules under check, check under exports, claims under gaps, casefile under quotes) has its own step.
FLOORS = [
    {"errors", "tables", "amounts", "cover"},
    {"standards", "medicare", "shapes", "phrases", "word", "holding", "pseudonyms", "months", "keeping"},
    {"readers", "travel", "privacy", "pdf"},
    {"rules", "places", "folder"},
    {"plain", "dictionary"},
    {"check"},
    {"remittances"},
    {"intake"},
    {"cache"},
    {"engines"},
    {"exports"},
    {"claims", "costs", "mapping"},
    {"network", "casefile", "runs"},
    {"reach", "candidates", "demand", "break_even"},
    {"gaps", "cells", "listings", "parity", "hsd"},
    {"compliance", "remedies", "servicing", "exception_file", "courses", "quotes", "search", "register"},
    {"adequacy", "charts", "history", "grounds", "course_cases", "portfolio", "estimates", "contracting", "alerts"},
    {"cases", "outcomes", "annexes"},
    {
        "changes",
        "maps",
        "network_charts",
        "display",
        "scenarios",
        "entries",
        "outcome_charts",
        "case_charts",
        "coverage_charts",
        "terms",
    },
    {"shared_tables"},
    {"monthly", "what_if", "letters", "page"},
    {"dossier", "saving", "sample"},
    {"report"},
    {"batch", "fee_charts", "case_library", "kept"},
    {"fee_words", "cli"},
    {"controls"},
]
ONLY = {
    "plotly": {
        "charts",
        "network_charts",
        "maps",
        "page",
        "outcome_charts",
        "fee_charts",
        "case_charts",
        "coverage_charts",
    },
    "ipywidgets": {"controls"},
    "duckdb": {"readers", "check", "remittances", "intake", "engines", "exports"},
    "openpyxl": {"readers"},
}
TOP = {"notebooks", "data", "sca_analysis", "tests", "environment.yml", "README.md"}
PROJECT_FILES = {"pyproject.toml", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"}


def imports_of(path: Path) -> set[str]:
    """Return the dotted names that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "sca_analysis":
            found |= {f"sca_analysis.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def modules() -> dict[str, set[str]]:
    """Return the imports of each module; a package counts as one."""
    package = ROOT / "sca_analysis"
    found: dict[str, set[str]] = {}
    for path in package.rglob("*.py"):
        name = path.relative_to(package).parts[0].removesuffix(".py")
        if name != "__init__":
            found.setdefault(name, set()).update(imports_of(path))
    return found


def test_data_flows_one_way() -> None:
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    assert set(modules()) == set(floor), "every module has a floor"
    for name, imported in modules().items():
        for one in imported:
            if one.startswith("sca_analysis."):
                other = one.split(".")[1]
                assert other == name or floor[other] < floor[name], f"{name} imports {other}"


def test_libraries_stay_where_they_belong() -> None:
    for name, imported in modules().items():
        for library, allowed in ONLY.items():
            if any(one.split(".")[0] == library for one in imported):
                assert name in allowed, f"{name} imports {library}"


def test_top_level_is_what_was_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in listed.stdout.splitlines()}
    assert {t for t in top if not t.startswith(".")} <= TOP | PROJECT_FILES
    assert top >= TOP


def test_conda_environment_equals_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = set(project["project"]["dependencies"]) | set(project["dependency-groups"]["dev"])
    wanted.add(f"python{project['project']['requires-python']}")
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = [d for d in environment["dependencies"] if isinstance(d, str) and d != "pip"]
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    conda_names = {"python-duckdb": "duckdb"}
    found = {re.sub(r"^[\w-]+", lambda m: conda_names.get(m[0], m[0]), d) for d in [*listed, *pip[:-1]]}
    assert found == wanted


def test_resolution_is_pinned_by_date_and_no_lock_is_committed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", project["tool"]["uv"]["exclude-newer"])
    assert "uv.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_data_dictionary_is_true() -> None:
    assert (ROOT / "data" / "README.md").read_text(encoding="utf-8") == write_dictionary(), (
        "run: uv run python -m sca_analysis.dictionary > data/README.md"
    )


def test_readme_commands_are_those_of_ci() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install uv && uv run sca report 2026-06" in readme
    assert "pip install uv && uv run pytest" in readme
    assert "pip install uv && uv run pytest" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme() -> None:
    from sca_analysis.cli import main

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in main.commands:
        assert f"sca {command}" in readme, f"README.md does not say what sca {command} does"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_thin_and_cleared(path: Path) -> None:
    book = nbformat.read(path, as_version=4)
    assert book.metadata.kernelspec.name == "python3"
    assert book.metadata.kernelspec.language == "python"
    code = [c for c in book.cells if c.cell_type == "code"]
    parameters = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    assert len(parameters) == 1, "papermill needs one cell tagged parameters"
    for statement in ast.parse(parameters[0].source).body:
        assert isinstance(statement, ast.Assign), "the parameters cell holds literals only"
        ast.literal_eval(statement.value)
    assert all("#" in line for line in parameters[0].source.splitlines()), "unit and meaning beside each parameter"
    checked = [c for c in code if c.source.startswith(CHECKED)]
    assert checked, "no checked output"
    for cell in code:
        assert len(cell.source.splitlines()) <= 15, "a cell is a sentence"
        assert not re.search(r"^\s*(def|class) |^[!%]", cell.source, re.M), "logic belongs into the package"
        assert cell.outputs == [] or cell in checked, "only checked outputs are committed"
    assert not re.search(r"\bM\d{7}\b", path.read_text(encoding="utf-8")), "a member identifier of the sample"


@pytest.mark.parametrize(
    "command", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=["lint", "format", "types"]
)
def test_style(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
