"""Bad case files of ``sca quote``: each is a function that writes it and returns its path.

All are refused, but for those whose ``Quoted.fine`` says that they are odd and still sound.
"""

# ruff: noqa: RUF001 - characters that look like others are what is tried

import copy
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bad_exports import (
    put,
)
from tests.bad_settings import laughs

SOUND: dict[str, Any] = {
    "name": "spoiled",
    "billed_per_unit": "200.00",
    "in_network_rate": "110.00",
    "out_of_network_allowed": "140.00",
    "visits": [{"date": "2026-01-06", "units": 1}, {"date": "2026-01-13", "units": 1}],
    "agreement": {
        "rate": "180.00",
        "sessions_authorized": 10,
        "effective_date": "2026-01-01",
        "expiry_date": "2026-12-31",
    },
    "benefits": {
        "in_network": {"deductible": "500.00", "coinsurance": "0.20", "out_of_pocket_max": "3000.00"},
        "out_of_network": {"deductible": "1500.00", "coinsurance": "0.40", "out_of_pocket_max": "8000.00"},
    },
    "collection_rate": {"cost_share": "1", "balance_bill": "1"},
}


@dataclass(frozen=True)
class Quoted:
    """A case file: how it is written, and whether it is sound all the same."""

    name: str
    write: Callable[[Path], Path]
    fine: bool = False


def _file(content: str | bytes, suffix: str = "json") -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        path = folder / f"case.{suffix}"
        put(path, content)
        return path

    return spoil


def _changed(where: str, value: Any) -> str:
    """The sound case as JSON, one field of which is this; ``raw:`` begins JSON that no Python value gives."""
    content = copy.deepcopy(SOUND)
    *parents, last = where.split(".")
    at: Any = content
    for one in parents:
        at = at[int(one)] if isinstance(at, list) else at[one]
    at[int(last) if isinstance(at, list) else last] = "§" if str(value).startswith("raw:") else value
    text = json.dumps(content)
    return text.replace('"§"', str(value)[4:]) if str(value).startswith("raw:") else text


_FIELDS: dict[str, tuple[Any, ...]] = {
    "billed_per_unit": (
        None,
        True,
        [],
        {},
        "",
        "much",
        "-1",
        "raw:NaN",
        "raw:Infinity",
        "raw:-Infinity",
        "raw:1e400",
        "raw:1e999999999",
        "9" * 5000,
        "raw:" + "9" * 5000,
        "1e3",
        "1,000",
        "0x1F",
        "１００",
        "raw:100.001",
        "raw:-0.01",
        {"90837": "raw"},
        {"": "1"},
        {" ": "1"},
    ),
    "visits": (None, [], {}, "x", 7, [None], [[]], ["2026-01-06"], [{}]),
    "visits.0.date": (
        None,
        46027,
        "46027",
        "1/2/26",
        "2026-02-30",
        "0000-00-00",
        "20260106",
        "２０２６-01-06",
        ["2026-01-06"],
        "2026-01-06T10:00",
    ),
    "visits.0.units": (None, True, 0, -1, "-1", "raw:NaN", "raw:1e400", "raw:1e-400", 1001, "raw:0.0001", "one", []),
    "agreement": (None, [], "x", {}),
    "agreement.rate": (None, "-1", "raw:NaN", {}, {"90837": "-1"}),
    "agreement.sessions_authorized": (-1, "raw:1.5", "10", True, "raw:1e400", 10**12),
    "agreement.expiry_date": ("2025-12-31", "never", 0),
    "benefits": (None, [], {"in_network": None}),
    "benefits.in_network": (None, {}, {"deductible": "1"}),
    "benefits.in_network.coinsurance": (None, "1.01", "-0.1", "20%", "raw:NaN", "raw:0.00000001"),
    "benefits.in_network.copay": ("-1", "free"),
    "benefits.plan_year_start": ("02-30", "1-1", 101, None),
    "collection_rate": (None, {}, {"cost_share": "1"}),
    "collection_rate.cost_share": ("2", "-1", "raw:Infinity", None),
}


def quote_cases() -> Iterable[Quoted]:
    sound = json.dumps(SOUND)
    for where, values in _FIELDS.items():
        for value in values:
            shown = str(value)[:24]
            yield Quoted(f"{where} {shown} of {len(str(value))}", _file(_changed(where, value)))
    deep = "[" * 20_000
    yaml_case = json.dumps(SOUND).replace('"2026-01-06"', "2026-01-06")  # JSON is YAML
    named: dict[str, str | bytes] = {
        "empty": "",
        "blank": " \n\n",
        "null": "null",
        "a number": "7",
        "a list": "[]",
        "text": '"case"',
        "an object of nothing": "{}",
        "cut": sound[: len(sound) // 2],
        "a comma too many": sound.replace("}", ",}", 1),
        "comments": "// a case\n" + sound,
        "a name twice": sound.replace('"name"', '"in_network_rate": "1.00", "name"', 1),
        "a name nobody knows": sound.replace('"name"', '"nom"', 1),
        "a name with a homoglyph": sound.replace('"visits"', '"visіts"', 1),
        "a name of several lines": sound.replace('"name"', '"na\\nme\\u2028: x"', 1),
        "a name of 1 MB": sound.replace('"name"', f'"{"n" * 1_000_000}"', 1),
        "a name that is half a character": sound.replace('"name"', '"\\ud800"', 1),
        "a code that is half a character": sound.replace('"units"', '"procedure_code": "\\ud800", "units"', 1),
        "a code of several lines without a rate": sound.replace(
            '"units"', '"procedure_code": "a\\nb", "units"'
        ).replace('"200.00"', '{"90837": "1"}', 1),
        "300,000 names": "{" + ",".join(f'"n{n}": 0' for n in range(300_000)) + "}",
        "an expected and more": json.dumps({"case": SOUND, "expected": {}, "more": 1}),
        "20,000 deep": deep,
        "20,000 deep within": sound.replace('"spoiled"', deep + "]" * 20_000),
        "1,500 deep within": sound.replace('"spoiled"', "[" * 1500 + "]" * 1500),
        "utf-16": sound.encode("utf-16"),
        "cp1252": sound.replace("spoiled", "Anaïs").encode("cp1252"),
        "NUL bytes": bytes(1000),
        "a lone surrogate": sound.replace("spoiled", "\\ud800").replace("}", ', "x": 1}', 1),
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "two cases": sound + "\n" + sound,
    }
    for name, content in named.items():
        yield Quoted(name, _file(content))
    written: dict[str, str] = {
        "yaml with tabs": "name: x\n\tvisits: []\n",
        "yaml with a python object": yaml_case.replace('"spoiled"', "!!python/object/apply:os.system ['exit 1']"),
        "yaml of a billion laughs": laughs() + yaml_case.replace('"spoiled"', "*a29"),
        "yaml with an alias of itself": "&a [*a]",
        "yaml 20,000 deep": deep,
        "yaml with a name twice": "name: a\nname: b\n",
        "yaml with a list for a name": "? [a, b]\n: c\n",
        "yaml with a mapping for a name": "? {a: b}\n: c\n",
        "yaml with .nan": yaml_case.replace('"200.00"', ".nan"),
        "yaml with a number of base 60": yaml_case.replace('"200.00"', "3:20.00"),
        "yaml with a merge of nothing": "<<: 7\n",
        "yaml with a day that is none": yaml_case.replace("2026-01-06", "2026-02-30"),
        "yaml of two documents": "a: 1\n---\nb: 2\n",
        "yaml with an integer of 5,000 digits": f"name: {'9' * 5000}\n",
        "yaml with a set": "!!set {a, b}\n",
        "yaml with bytes that are none": "name: !!binary '!!!'\n",
        "yaml with a time that is none": "name: 2026-01-01 99:99:99\n",
        "yaml with a mapping in a pair list": "!!pairs [a, b]\n",
    }
    for name, text in written.items():
        yield Quoted(name, _file(text, "yaml"))
    yield Quoted("a folder", lambda folder: _made(folder / "case.json", Path.mkdir))
    yield Quoted("a pipe", lambda folder: _made(folder / "case.json", os.mkfifo))
    yield Quoted("a device", lambda folder: _made(folder / "case.json", lambda p: p.symlink_to("/dev/zero")))
    yield Quoted("a broken link", lambda folder: _made(folder / "case.json", lambda p: p.symlink_to("nowhere")))
    yield Quoted("nothing", lambda folder: folder / "case.json")
    yield Quoted("a path with a NUL", lambda folder: folder / "ca\0se.json")
    yield Quoted("a path of 5,000 characters", lambda folder: folder / ("c" * 5000))
    yield Quoted("60 MB", _file('{"name": "' + "x" * 60_000_000 + '"}'))
    yield Quoted("a byte-order mark", _file("\ufeff" + sound), fine=True)
    yield Quoted("the largest of all", _file(_largest()), fine=True)
    yield Quoted("a name of markup", _file(sound.replace("spoiled", "<script>alert(1)</script>")), fine=True)


def _made(path: Path, make: Callable[[Path], Any]) -> Path:
    make(path)
    return path


def _largest() -> str:
    """The most that a case may hold, at which no amount may overflow."""
    content = copy.deepcopy(SOUND)
    content |= dict.fromkeys(("billed_per_unit", "in_network_rate", "out_of_network_allowed"), "9999999.99")
    content["agreement"]["rate"] = "9999999.99"
    content["visits"] = [{"date": f"2026-01-{d:02d}", "units": 1000} for d in range(1, 29)]
    return json.dumps(content)
