"""Hostile content does nothing: names that are markup, formulas or paths, parameters that are code. No network.

One report is made of a folder in which all that a person or provider may name is hostile, and a row of each of four
tables is bad, in a process that may reach no network; all tests look at it.
"""

# ruff: noqa: RUF001 - characters that look like others are what is tried

import ast
import csv
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml
from click.testing import CliRunner
from playwright.sync_api import Browser

from sca_analysis.batch import read_plans
from sca_analysis.cli import main
from sca_analysis.errors import ParameterError
from sca_analysis.exports import Exports
from sca_analysis.report import make_report
from sca_analysis.saving import guard_formulas
from tests.bad_exports import (
    BILLED,
    MEMBER,
    MONTH,
    agreements,
    as_text,
    benefits,
    claims,
    directory,
    entered,
    fees,
    members,
    write,
)
from tests.conftest import ROOT
from tests.folders import npi

MARK = "hostilemark"
SCRIPT = f"<script>window.{MARK}=1</script>"
IMAGE = f'<img src=x onerror="window.{MARK}=1">'
REFRESH = f'<meta http-equiv="refresh" content="0;url=https://{MARK}.example/">'
LINK = f'<a href="javascript:window.{MARK}=1">{MARK}</a>'
TEMPLATE = "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}"
NAMES = (SCRIPT, f'"></table>{IMAGE}', LINK, TEMPLATE, f"</script>{SCRIPT}", f'=HYPERLINK("https://{MARK}.example")')
FORMULAS = ("=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1+1)", "\t=1+1", "\r=1+1")
#: Tables with a row whose cell of this column is none.
BAD = {"claims": "provider_npi", "directory": "npi", "members": "zip", "fees": "usual_charge"}
#: A folder whose name would end a string, a statement and the kernel, if it were ever put into code.
FOLDER = 'in "); import os; os._exit(3) #\n\'\'\'""" {data}'
#: Refuses every connection and look-up that is not to this machine; a process that has it on its path starts with it.
BLOCK = """
import os, socket
def _local(host):
    return host is None or host in ("", "localhost", b"localhost", "127.0.0.1", "::1", "0.0.0.0")
def _tell(what):
    with open(os.environ["SCA_TEST_ASKED"], "a") as file:
        file.write(repr(what) + "\\n")
    raise OSError("no network in this test")
_connect, _connect_ex, _look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
def connect(self, address, _do=None):
    if self.family != getattr(socket, "AF_UNIX", None) and not _local(address[0]):
        _tell(address)
    return _connect(self, address)
def connect_ex(self, address):
    if self.family != getattr(socket, "AF_UNIX", None) and not _local(address[0]):
        _tell(address)
    return _connect_ex(self, address)
def look_up(host, *more, **named):
    if not _local(host):
        _tell(host)
    return _look_up(host, *more, **named)
socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, look_up
"""


def write_hostile(folder: Path) -> Path:
    """The tiny good folder, with hostile names wherever exports may hold any; numbers and codes stay good."""
    lines = claims()
    for row, formula in zip(lines, FORMULAS * 2, strict=True):
        row |= {
            "claim_id": f"../../{row['claim_id']}",
            "procedure_code": formula if row["network_status"] == "in" else "90837",
        }
    listed = [row | {"provider_name": name, "location_id": name} for row, name in zip(directory(), NAMES, strict=False)]
    listed += [
        listed[0] | {"npi": npi(n), "provider_name": name, "location_id": f"C:\\CON\\..\\{n}"}
        for n, name in enumerate((*NAMES, *FORMULAS), 20)
    ]
    # OON and listed elsewhere, so that cases show its name
    listed.append(listed[0] | {"npi": npi(9), "network_id": "=N9", "provider_name": IMAGE + SCRIPT})
    asked = agreements()[0]
    rows = [
        asked | {"case_id": f"../../{SCRIPT}"},
        asked | {"case_id": "=1+1", "member_id": "QX7002", "ground": IMAGE, "decision": "denied",
                 "denial_reason": FORMULAS[0]},
        asked | {"case_id": "/etc/passwd", "member_id": "QX7003", "denial_reason": SCRIPT, "decision": "withdrawn"},
    ]  # fmt: skip
    told = [row | {"case_id": f"../../{SCRIPT}", "entered_by": IMAGE} for row in entered()]
    told.append(told[0] | {"fact": "setback_reason", "value": f"{SCRIPT}{TEMPLATE}\x1b\x0b"})
    own = {"county_fips": "23011", "county_name": SCRIPT + IMAGE + REFRESH, "state": "ME", "county_type": "Micro"}
    given = {
        "claims": lines,
        "directory": listed,
        "members": members(),
        "benefits": benefits(),
        "fees": [*fees(), *(fees()[0] | {"procedure_code": f} for f in FORMULAS[:4])],
        "agreements": rows,
        "entered": told,
        "counties": [own],
    }
    for table, column in BAD.items():
        given[table] = [*given[table], given[table][0] | {column: "1.23E+09x"}]
    # each value in quotes, so that a lone carriage return does not end the row
    write(folder, **{table: as_text(rows, quoting=csv.QUOTE_ALL) for table, rows in given.items()})
    (folder / "claims.csv").rename(folder / "=1+1 <b>.csv")
    tables = ("directory", "members", "benefits", "fees", "agreements", "entered", "counties")
    config = {t: [{"path": f"{t}.csv"}] for t in tables} | {"claims": [{"path": "=1+1 <b>.csv"}]}
    plan = {"name": f"{SCRIPT}{IMAGE}{REFRESH}{TEMPLATE}"}
    (folder / "exports.yaml").write_text(yaml.safe_dump({"plan": plan, **config}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hostile(tmp_path_factory.mktemp("hostile") / FOLDER)


@pytest.fixture(scope="module")
def report(hostile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the hostile folder, made by the command in a process without a network."""
    work = tmp_path_factory.mktemp("offline")
    (work / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    asked = work / "asked"
    asked.touch()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(work), str(ROOT)]), "SCA_TEST_ASKED": str(asked)}
    command = [sys.executable, "-c", "from sca_analysis.cli import main; main()", "report", MONTH]
    done = subprocess.run(
        [*command, "--data", str(hostile), "--out", str(work / "out")],
        env=environment, cwd=work, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert asked.read_text(encoding="utf-8") == "", "something was asked of a network"
    assert (
        sorted(p.name for p in work.iterdir()) == ["__pycache__", "asked", "out", "sitecustomize.py"]
        or not (work / "__pycache__").exists()
    )
    return work / "out" / MONTH


def test_block_refuses_the_network_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK, encoding="utf-8")
    tries = "import urllib.request as u\ntry:\n u.urlopen('http://192.0.2.1', timeout=1)\nexcept OSError as e: print(e)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "SCA_TEST_ASKED": str(tmp_path / "asked")}
    done = subprocess.run([sys.executable, "-c", tries], env=environment, capture_output=True, text=True)
    assert "no network in this test" in done.stdout
    assert "192.0.2.1" in (tmp_path / "asked").read_text(encoding="utf-8")


def test_bad_rows_are_counted_and_change_no_figure(report: Path, hostile: Path) -> None:
    """All that was set aside is counted; what is left bills the same as if it had never been there."""
    rows = {one["table"]: one for one in json.loads((report / "manifest.json").read_text(encoding="utf-8"))["rows"]}
    assert all(one["rows_read"] == one["accepted"] + one["set_aside"] for one in rows.values())
    assert {table: one["set_aside"] for table, one in rows.items() if one["set_aside"]} == dict.fromkeys(BAD, 1)
    assert rows["claims"]["rows_read"] == len(claims()) + 1
    assert sum(Exports.open(hostile).frame("claims")["billed_amount"]) == BILLED
    for path in report.rglob("*"):
        if path.suffix in (".html", ".csv", ".json", ".ipynb"):
            assert MEMBER not in path.read_text(encoding="utf-8"), path.name


def test_page_shows_hostile_names_as_text(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    body = page.split("</head>", 1)[1]
    assert MARK in body, "the names are shown"
    for raw in (SCRIPT, IMAGE, REFRESH, LINK, "<script>window", "<img src=x", '<meta http-equiv="refresh'):
        assert raw not in body, raw
    assert "class &#39;type&#39;" not in body, "no template ran"
    assert "Content-Security-Policy" in page.split("</head>", 1)[0]


def test_nothing_runs_in_a_browser(report: Path, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    told: list[str] = []
    page.on("dialog", lambda d: (told.append(d.message), d.dismiss()))
    page.on("console", lambda m: told.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: told.append(str(e)))
    page.on("request", lambda r: told.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    address = (report / "report.html").as_uri()
    page.goto(address)
    page.wait_for_function("document.querySelectorAll('figure .main-svg').length > 0")
    page.mouse.move(400, 400)
    page.wait_for_timeout(300)
    assert page.evaluate(f"window.{MARK}") is None
    assert page.evaluate("[...document.querySelectorAll('img, iframe, object, embed, form, base')].length") == 0
    assert (
        page.evaluate("[...document.querySelectorAll('a')].filter(a => /^(javascript|data):/i.test(a.href)).length")
        == 0
    )
    own = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/i.test(a.name))).length"
    )
    assert own == 0, "no element has a handler in its markup"
    assert (page.url, told) == (address, [])
    context.close()


def test_notebook_holds_no_markup_of_names(report: Path) -> None:
    for cell in json.loads((report / "report.ipynb").read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in ("text/html", "text/markdown"):
                text = "".join(data.get(kind, ""))
                assert not re.search(r"<(script|img|meta|a)\b[^>]*" + MARK, text), cell["source"]
                assert SCRIPT not in text


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would reckon with it; written apart from the product's own rule."""
    return text.lstrip(" ")[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠") and not re.fullmatch(
        r"-?[0-9][0-9,]*(\.[0-9]+)?(e-?[0-9]+)?", text
    )


def test_csv_tables_hold_no_formula(report: Path) -> None:
    found = 0
    for path in [*(report / "tables").glob("*.csv"), report / "set_aside.csv"]:
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.reader(stream):
                assert not [cell for cell in row if is_formula(cell)], path.name
                found += sum(cell.startswith("'") for cell in row)
    assert found > 0, "there were some to neutralise"


def test_workbook_holds_no_formula_and_no_link(report: Path) -> None:
    book = openpyxl.load_workbook(report / "tables.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f" or cell.hyperlink]
    assert any(isinstance(cell.value, str) and cell.value.startswith("=") for cell in cells), "text stays as it is"
    with zipfile.ZipFile(report / "tables.xlsx") as archive:
        parts = "".join(archive.read(n).decode() for n in archive.namelist() if n.startswith("xl/worksheets/"))
    assert "<f>" not in parts


def test_numbers_stay_numbers_and_text_is_guarded() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "text": ["=1", "-1", "-1.50", "+cmd", "@a", "plain", None, "\tx", "- dash"],
            "number": [-1.5] * 9,
            "n": [-1] * 9,
        }
    )
    guarded = guard_formulas(frame)
    assert guarded["text"].tolist()[:6] == ["'=1", "-1", "-1.50", "'+cmd", "'@a", "plain"]
    assert guarded["text"].isna().tolist() == frame["text"].isna().tolist()
    assert guarded["text"].tolist()[7:] == ["'\tx", "'- dash"]
    assert guarded[["number", "n"]].equals(frame[["number", "n"]])
    assert frame.loc[0, "text"] == "=1", "the frame given is as it was"


def test_nothing_is_written_outside(report: Path, hostile: Path) -> None:
    outside = {p.name for p in hostile.parent.iterdir()}
    assert outside == {FOLDER}
    names = {p.relative_to(report).as_posix() for p in report.rglob("*")}
    assert not [name for name in names if ".." in name or "script" in name or name.startswith("/")]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Every connection and look-up beyond this machine is refused and noted."""
    asked: list[object] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def refuse(address: object) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            refuse(address)
        connect(self, address)  # type: ignore[arg-type]

    def resolve(host: object, *more: Any, **named: Any) -> Any:
        if host not in (None, "127.0.0.1", "::1", "localhost"):
            refuse(host)
        return look_up(host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "create_connection", lambda address, *_, **__: refuse(address))
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield asked
    assert asked == []


@pytest.mark.parametrize("suffix", [".docx", ".html"])
def test_commands_ask_nothing_of_a_network_and_letters_hold_text(
    hostile: Path, offline: list[object], tmp_path: Path, suffix: str
) -> None:
    run = CliRunner()
    data = ["--data", str(hostile)]
    if suffix == ".docx":
        for command in (["check"], ["gaps"], ["quote", str(_worked_case(tmp_path))]):
            result = run.invoke(main, [*command, *([] if command[0] == "quote" else data)])
            assert result.exit_code == 0, result.stderr
    listed = json.loads(run.invoke(main, ["cases", *data, "--json"]).stdout)
    chosen = next(row["case_id"] for row in listed if SCRIPT in row["case_id"])
    out = tmp_path / f"letter{suffix}"
    result = run.invoke(main, ["dossier", chosen, *data, "--out", str(out), "--for", "plan"])
    assert result.exit_code == 0, result.stderr or repr(result.exception)
    if suffix == ".html":
        text = out.read_text(encoding="utf-8")
        assert SCRIPT not in text
        assert IMAGE not in text
    else:
        with zipfile.ZipFile(out) as archive:
            assert not [n for n in archive.namelist() if "vba" in n.lower() or "embed" in n.lower()]
            relations = "".join(archive.read(n).decode() for n in archive.namelist() if n.endswith(".rels"))
            document = archive.read("word/document.xml").decode()
        assert MARK not in relations
        assert "<script>" not in document
        assert "instrText" not in document, "no field that Word would run"
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "case.json") == [out.name]
    assert offline == []


def _worked_case(folder: Path) -> Path:
    from tests.bad_quotes import SOUND

    path = folder / "case.json"
    path.write_text(json.dumps(SOUND), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "month", ["2026-06'; import os", "2026-06\n", "__import__('os')", "../2026-06", "2026-06/..", "２０２６-06"]
)
def test_month_that_is_code_or_a_path_is_refused(month: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no month"):
        make_report(month, tmp_path, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_plans_file_gives_no_code(tmp_path: Path) -> None:
    path = tmp_path / "plans.yaml"
    path.write_text(
        "- {name: !!python/object/apply:os.system ['exit 1'], data: a, out: b, months: 2026-06}\n", encoding="utf-8"
    )
    with pytest.raises(ParameterError, match=r"plans\.yaml"):
        read_plans(path)
    name = '"); import os; os._exit(3) #'
    path.write_text(yaml.safe_dump([{"name": name, "data": "a", "out": "b", "months": "2026-06"}]), encoding="utf-8")
    assert [run.name for run in read_plans(path)] == [name]


# ---- the package itself ----

_SAFE_LOADERS = ("BaseLoader", "SafeLoader", "_TextLoader", "_ExactLoader")


def test_package_runs_no_text_as_code_and_unpickles_nothing() -> None:
    for path in sorted((ROOT / "sca_analysis").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"pickle", "shelve", "marshal", "dill", "joblib"}, where
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"), where
            assert not called.endswith((".read_pickle", ".to_pickle", ".unsafe_load", ".full_load")), where
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert given.get("shell", "False") == "False", where
            if called in ("yaml.load", "yaml.load_all"):
                assert given.get("Loader", "").removeprefix("yaml.") in _SAFE_LOADERS, where
            if called.split(".")[-1] in ("Environment", "SandboxedEnvironment"):
                assert given.get("autoescape") == "True", where
            if called == "np.load":
                assert given.get("allow_pickle", "False") == "False", where
