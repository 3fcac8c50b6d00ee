"""The request letter: what it says, to whom it says it, and that nothing is lost between HTML and Word."""

import io
import re
import zipfile
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import docx
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from sca_analysis.amounts import MONEY
from sca_analysis.annexes import load_citations
from sca_analysis.cases import CaseList, list_cases
from sca_analysis.dossier import check_elements, make_dossier, render, write_dossier
from sca_analysis.errors import ParameterError, ReportError
from sca_analysis.exports import Exports
from sca_analysis.folder import Plan
from sca_analysis.gaps import find_gaps
from sca_analysis.letters import INTERNAL, describe, find_internal
from sca_analysis.tables import CASES, ENTERED, EVIDENCE, SEARCHED
from sca_analysis.terms import LEAST_DAYS, PROCEDURE, list_procedures
from sca_analysis.word import ELEMENTS, write_docx
from tests.conftest import SAMPLE

AS_OF = date(2026, 6, 30)
CASE, MEMBER = "SCA000001", "M7654321"
PLAN = Plan(name="Plan & Sons <HMO>", kind="medicaid")
# every internal figure is one that nothing else in the case can be
FIGURES = {name: Decimal(f"{number}7{number}.9{number % 10}") for number, name in enumerate(INTERNAL, 11)}
CASE_ROW: dict[str, Any] = {
    "rank": 1,
    "case_id": CASE,
    "member_id": MEMBER,
    "provider_npi": "1000000012",
    "specialty": "Psychiatry",
    "county_fips": "23029",
    "network_id": "EX1",
    "state": "pending",
    "asked_on": pd.Timestamp("2026-06-01"),
    "grounds": "gap; affordability",
    "gap": "shown",
    "continuity": "not shown",
    "affordability": "shown",
    "setback": "to be entered",
    "individual_need": "in doubt",
    "to_enter": "setback; billing_commitment; tin",
    "is_complete": False,
    "visits": 26,
    "first_visit_date": pd.Timestamp("2025-03-03"),
    "last_visit_date": pd.Timestamp("2026-06-12"),
    "visits_before": 24,
    "billed_before": Decimal("6240.00"),
    "searched": 2,
    "usable": 0,
    "usable_seen": 0,
    "nearest_usable_miles": pd.NA,
    "max_miles": 45.0,
    "billed": Decimal("6760.00"),
    **FIGURES,
    "procedure_code": "90837",
    "charge": Decimal("260.00"),
    "medicare_rate": Decimal("154.29"),
    "usual_charge": Decimal("240.00"),
    "rate_basis": "bargaining zone",
    "not_costed": pd.NA,
}
REQUEST: dict[str, Any] = {
    "case_id": CASE,
    "procedure_code": "90837",
    "taxonomy_code": "2084P0800X",
    "provider_name": "<b>Ann</b> O'Hara & Co",
    "requested_rate": Decimal("250.00"),
    "expiry_date": pd.NaT,
    "sca_rate_basis": "usual_charge",
}
SENTENCES = [
    ("S1", "On 2026-06-01, 0 of 2 providers were usable.", "directory", False),
    ("S1", "1 of the 2 had a claim in the 12 months to 2026-06-01.", "claims", False),
    ("S1", "A secret of the plan.", "directory", True),
    ("S1", f"Told by mistake: {FIGURES['in_network_rate']:,}.", "directory", False),
    ("S3", "24 OON visits came before.", "claims", False),
    ("S4", f"Visits cost the member ${FIGURES['member_total_out_of_network']:,.2f} OON.", "claims, benefits", False),
    ("S4", "That is 12.5% of the household's income.", "entered by A on 2026-06-02", False),
    ("S5", "Treatment goes on.", "claims", False),
    ("S7", "A long course.", "claims", False),
]


def case_list(
    changes: dict[str, Any] | None = None,
    request: dict[str, Any] | None = None,
    entered: dict[str, str] | None = None,
    sentences: list[tuple[str, str, str, bool]] | None = None,
) -> CaseList:
    """Return one case, written out by hand."""
    money = {c.name: MONEY for c in CASES.columns if c.kind == "money"}
    table = pd.DataFrame([CASE_ROW | (changes or {})])[list(CASES.names)].astype(money)
    told = SENTENCES if sentences is None else sentences
    evidence = [(CASE, s, n, text, source, hidden) for n, (s, text, source, hidden) in enumerate(told, 1)]
    facts = [(CASE, fact, value, "the practice", pd.Timestamp("2026-06-10")) for fact, value in (entered or {}).items()]
    seen = pd.Timestamp("2026-05-05")
    searched = [
        (CASE, "1000000020", "Bo Able MD", "2084P0800X", 12.34, "English;French", True, seen, False, "closed"),
        (CASE, "1000000012", "Ann", "2084P0800X", 13.0, pd.NA, pd.NA, pd.NaT, False, "left the network on 2026-01-31"),
    ]
    return CaseList(
        as_of=AS_OF,
        standard="Medicare Advantage",
        table=table,
        evidence=pd.DataFrame(evidence, columns=list(EVIDENCE.names)),
        searched=pd.DataFrame(searched, columns=list(SEARCHED.names)),
        entered=pd.DataFrame(facts, columns=list(ENTERED.names)),
        entered_elsewhere=0,
        requests=pd.DataFrame([REQUEST | (request or {})]).set_index("case_id", drop=False),
    )


def both(cases: CaseList, audience: Any, plan: Plan = PLAN) -> tuple[str, str]:
    """Return a letter as HTML, and all parts of it as .docx in one text."""
    context = describe(cases, CASE, plan, audience)
    page = render(context)
    with zipfile.ZipFile(io.BytesIO(write_docx(page, context["title"], CASE, AS_OF))) as parts:
        texts = [parts.read(n).decode("utf-8") for n in parts.namelist() if n.endswith((".xml", ".rels"))]
    return page, "\n".join(texts)


def figures_of(text: str) -> set[str]:
    """Return the amounts of a text, whatever stands around them."""
    return {f.replace(",", "") for f in re.findall(r"(?<![\d.,])\d[\d,]*\.\d\d(?!\d)", text)}


def test_provider_sees_no_figure_of_the_plan() -> None:
    hidden = {f"{figure:.2f}" for figure in FIGURES.values()}
    assert len(hidden) == len(INTERNAL) == 14
    context = describe(case_list(), CASE, PLAN)  # whatever a template may make of it
    for form in (str(context), *both(case_list(), "provider")):
        assert not figures_of(form) & hidden
        assert not any(figure.replace(".", "") in form for figure in hidden)
        for said in (
            "by mistake",
            "12.5%",
            "had a claim",
            "secret",
            "May 5, 2026",
            "bargaining zone",
            "In-network rate",
        ):
            assert said not in form, said
    for form in both(case_list(), "plan"):
        assert hidden <= figures_of(form)
        for said in ("12.5%", "had a claim", "secret", "May 5, 2026", "bargaining zone", "INSIDE THE PLAN"):
            assert said in form, said


def test_figure_that_the_provider_knows_is_no_secret() -> None:
    assert len(find_internal(CASE_ROW)) == 14
    assert len(find_internal(CASE_ROW | {"rate_high": CASE_ROW["usual_charge"], "rate_low": Decimal(0)})) == 12
    told = [("S4", "No benefits: the member owes all that is billed.", "benefits", False)]
    page, _ = both(case_list(sentences=told), "provider")
    assert "the member owes all that is billed" in page


def test_docx_properties_name_nobody() -> None:
    content = write_docx(render(describe(case_list(), CASE, PLAN)), "Request for a single case agreement", CASE, AS_OF)
    properties = docx.Document(io.BytesIO(content)).core_properties
    assert (properties.author, properties.last_modified_by, properties.comments) == ("", "", "")
    assert properties.title == "Request for a single case agreement"
    assert properties.created is not None
    assert properties.created.date() == AS_OF


def test_only_grounds_shown_are_claimed() -> None:
    page, _ = both(case_list(), "provider")
    assert "No usable in-network provider" in page
    assert "Out-of-network care cannot be afforded" in page
    assert "The plan holds the figures" in page  # instead of those of S4
    for claim in ("Continuity of care", "Starting over", "Individual need", "Treatment goes on"):
        assert claim not in page
    context = describe(case_list(), CASE, PLAN, "plan")
    assert [(g["statement"], g["finding"]) for g in context["grounds"]] == [
        ("S1", "shown"),
        ("S5", "not shown"),
        ("S4", "shown"),
        ("S6", "to be entered"),
        ("S7", "in doubt"),
    ]
    assert [one["statement"] for one in context["other_evidence"]] == ["S3"]
    assert context["costs"]["rows"][0]["plan_paid"] == f"${FIGURES['plan_paid_in_network']:,.2f}"


def test_draft_is_marked_until_complete() -> None:
    for form in both(case_list(), "provider"):
        assert "INCOMPLETE DRAFT" in form
        assert "would starting over with a new provider set the patient back?" in form
    for form in both(case_list({"is_complete": True, "to_enter": ""}), "provider"):
        assert "INCOMPLETE DRAFT" not in form


@pytest.mark.parametrize(
    ("changes", "request_row", "entered", "rate", "basis"),
    [
        ({}, {}, {"rate_asked": "$1,275.50"}, "$1,275.50", "entered by the practice on June 10, 2026"),
        ({}, {}, {}, "$250.00", "as in the request of June 1, 2026"),
        ({}, {"requested_rate": None}, {}, "$240.00", "usual full fee"),
        ({"state": "not_asked"}, {}, {}, "$240.00", "usual full fee"),
        ({"usual_charge": None}, {"requested_rate": None}, {}, "$260.00", "median of what the provider charged"),
        ({"usual_charge": None, "charge": None}, {"requested_rate": None}, {}, "________", "to be entered"),
    ],
)
def test_rate_is_as_entered_or_requested_or_usual(
    changes: dict[str, Any], request_row: dict[str, Any], entered: dict[str, str], rate: str, basis: str
) -> None:
    context = describe(case_list(changes, request_row, entered), CASE, PLAN)
    assert context["terms"]["rate"] == rate == context["procedures"][0]["rate"]
    assert context["terms"]["rate_basis"].startswith(basis)


def test_request_for_another_procedure_comes_first() -> None:
    row = ("90837", 26, Decimal(1), Decimal(260), Decimal(99), Decimal(154), Decimal(120), Decimal(240))
    billed = pd.DataFrame([row], columns=PROCEDURE)
    context = describe(case_list(request={"procedure_code": "90834"}), CASE, PLAN, "provider", billed)
    assert [(p["code"], p["rate"], p["units"]) for p in context["procedures"]] == [
        ("90834", "$250.00", "________"),
        ("90837", "$240.00", "1"),
    ]


@pytest.mark.parametrize(
    ("state", "first", "last", "title"),
    [
        ("pending", "June 1, 2026", "November 30, 2026", "Request for a single case agreement"),
        ("not_asked", "June 30, 2026", "December 29, 2026", "Request for a single case agreement"),
        ("denied", "June 30, 2026", "December 29, 2026", "Request for a single case agreement"),
        ("agreed", "September 1, 2026", "February 28, 2027", "Request to renew a single case agreement"),
        ("ended", "June 30, 2026", "December 29, 2026", "Request to renew a single case agreement"),
    ],
)
def test_dates_asked_for(state: str, first: str, last: str, title: str) -> None:
    context = describe(case_list({"state": state}, {"expiry_date": pd.Timestamp("2026-08-31")}), CASE, PLAN)
    assert (context["terms"]["first_day"], context["terms"]["last_day"], context["title"]) == (first, last, title)
    assert bool(context["history"]) == (state != "not_asked")


@settings(deadline=None, max_examples=60)
@given(visits=st.integers(1, 400), began=st.integers(0, 700))
def test_sessions_keep_the_pace(visits: int, began: int) -> None:
    first = pd.Timestamp(AS_OF) - pd.Timedelta(days=began)
    terms = describe(case_list({"visits": visits, "first_visit_date": first}), CASE, PLAN)["terms"]
    days = len(pd.date_range("2026-06-01", "2026-11-30"))
    past = max(len(pd.date_range(max(first, pd.Timestamp("2025-07-01")), AS_OF)), LEAST_DAYS)
    sessions = 0
    while sessions * past < visits * days:  # as few as keep the pace
        sessions += 1
    assert terms["sessions"] == str(sessions)
    assert f"{visits} visits in the {past} days" in terms["sessions_basis"]


def test_sessions_and_papers_as_entered() -> None:
    entered = {"sessions_wanted": "20", "place": "telehealth", "billing_commitment": "no", "w9": "yes", "tin": "12-3"}
    context = describe(case_list(entered=entered), CASE, PLAN)
    assert context["terms"]["sessions"] == "20"
    assert context["terms"]["place"] == "telehealth"
    assert context["terms"]["billing"].startswith("not given so far (entered by the practice")
    assert (context["provider"]["w9"], context["provider"]["tin"]) == ("yes", "12-3")
    assert context["provider"]["license"] == "________"
    assert describe(case_list(), CASE, PLAN)["terms"]["billing"] == "to be confirmed by the provider"
    assert "Enter place" not in " ".join(context["checklist"])


def test_case_without_visits() -> None:
    none = {"visits": 0, "first_visit_date": pd.NaT, "last_visit_date": pd.NaT, "visits_before": 0, "billed": None}
    none |= dict.fromkeys(INTERNAL) | {"not_costed": "no OON visits in the twelve months", "max_miles": None}
    for audience in ("provider", "plan"):
        page, _ = both(case_list(none, {"procedure_code": None}), audience)
        assert "No visit with this provider" in page
        assert "No search could be made" in page
    assert "Not costed: no OON visits" in page


def test_citations_are_those_of_the_kind_of_plan() -> None:
    rows = load_citations()
    assert set(rows["plan_kind"]) == {"medicare-advantage", "marketplace", "medicaid", "employer"}
    assert not rows.eq("").any(axis=None)
    assert not rows.duplicated(["plan_kind", "topic", "citation"]).any()
    assert rows["source"].str.contains(r"2026-\d\d-\d\d$").all(), "each says when it was confirmed"
    for kind in rows["plan_kind"].unique():
        cited = describe(case_list(), CASE, Plan(kind=kind), "plan")["citations"]
        assert [c["citation"] for c in cited] == load_citations(kind)["citation"].tolist()
    context = describe(case_list(), CASE, Plan(), "plan")
    assert len(context["citations"]) == len(rows)
    assert "not known" in context["citation_notes"][0]
    assert "42 CFR 438.206(b)(4)" in both(case_list(), "provider")[0]
    assert "422.112" not in both(case_list(), "provider")[0]


def test_citations_follow_what_is_claimed() -> None:
    def topics(changes: dict[str, Any], code: str = "2084P0800X") -> set[str]:
        cited = describe(case_list(changes, {"taxonomy_code": code}), CASE, PLAN)["citations"]
        return {one["topic"] for one in cited}

    assert topics({}) == {"network gap", "network adequacy", "cost share", "parity"}
    assert topics({"gap": "in doubt", "continuity": "shown"}) == {"continuity", "cost share", "parity"}
    assert "parity" not in topics({"specialty": "Dermatology"}, "207N00000X")
    assert "parity" in topics({"specialty": "not in the standard"}, "101YM0800X")


def test_letter_says_that_citations_are_no_advice() -> None:
    for form in both(case_list(), "provider"):
        assert "These are citations, not legal advice." in form
        assert "Rules of the states vary" in form


def test_names_stay_text() -> None:
    page, word = both(case_list(), "provider")
    assert "<b>" not in page
    assert "&lt;b&gt;Ann&lt;/b&gt; O&#39;Hara &amp; Co" in page
    assert "&lt;b&gt;Ann&lt;/b&gt; O'Hara &amp; Co" in word
    assert "Plan &amp; Sons &lt;HMO&gt;" in word


def test_requesting_provider_is_told_apart_in_the_search() -> None:
    page, _ = both(case_list(), "provider")
    assert "the provider of this request; left the network on January 31, 2026" in page
    assert page.count("the provider of this request") == 1


def test_page_loads_nothing() -> None:
    page, _ = both(case_list(), "plan")
    assert not re.search(r"https?:|src=|href=|url\(|<script|@import", page)


def own(folder: Path, text: str) -> Path:
    path = folder / "practice.html"
    path.write_text(text, encoding="utf-8")
    return path


def test_template_of_a_practice_may_replace_a_block(tmp_path: Path) -> None:
    mine = own(
        tmp_path, '{% extends "request_letter.html" %}\n{% block head %}<h1>Our {{ reference }}</h1>{% endblock %}'
    )
    page = render(describe(case_list(), CASE, PLAN), mine)
    assert f"<h1>Our {CASE}</h1>" in page
    assert "What is asked for" in page


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("<p>\n{{ provider.nmae }}</p>", "error in line 2: 'dict object' has no attribute 'nmae'"),
        ("<p>\n\n{% if %}</p>", "error in line 3: "),
        ("{{ ''.__class__.__mro__ }}", "error in line 1: access to attribute '__class__'"),
        ("\n{% include '/etc/hostname' %}", "error in line 2: there is no template '/etc/hostname'"),
        ("{{ 1 / 0 }}", "error in line 1: ZeroDivisionError"),
        ("{{ [][patient.member_id] }}", "error in line 1: "),
        ("{{ reference.format(1, 2, *3) }}", "error in line 1: TypeError"),
    ],
)
def test_error_of_a_template_is_one_sentence(tmp_path: Path, template: str, said: str) -> None:
    with pytest.raises(ParameterError) as caught:
        render(describe(case_list(), CASE, PLAN), own(tmp_path, template))
    message = str(caught.value)
    assert message.startswith(f"the template practice.html: {said}")
    assert message.endswith(".")
    assert MEMBER not in message
    assert str(tmp_path) not in message


def test_template_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        render({}, tmp_path / "none.html")
    (tmp_path / "latin.html").write_bytes("<p>Å</p>".encode("latin-1"))
    with pytest.raises(ParameterError, match="not UTF-8"):
        render({}, tmp_path / "latin.html")


@pytest.mark.parametrize("tag", ["img", "script", "a", "span", "iframe", "h4", "svg"])
def test_other_elements_are_refused(tag: str) -> None:
    page = f"<body>\n<p>a</p>\n<p><{tag}>b</{tag}></p></body>"
    with pytest.raises(ParameterError, match=f"<{tag}> in line 3"):
        check_elements(page, "practice.html")
    with pytest.raises(ParameterError, match=f"<{tag}> in line 3"):
        write_docx(page, "", "", AS_OF)


@pytest.mark.parametrize(
    "page",
    [
        "<p>a<p>b",
        "<ul>text<li>a</li></ul>",
        "<ul><p>a</p></ul>",
        "<table><tr>text<td>a</td></tr></table>",
        "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>",
        "<table><tr><td colspan='2'>a</td></tr></table>",
        "<table><tr><td>a<p>b</p></td></tr></table>",
        "<table><tr><td><ul><li>a</li></ul></td></tr></table>",
        "<p><ul><li>a</li></ul></p>",
        "<li>a</li>",
        "<td>a</td>",
        "<h1><h2>a</h2></h1>",
    ],
)
def test_what_would_be_lost_is_refused(page: str) -> None:
    with pytest.raises(ParameterError, match=r"line 1|differ in length"):
        write_docx(f"<body>{page}</body>", "", "", AS_OF)


_WORDS = st.text("abcXYZ019$&<>\"'é.,", min_size=1, max_size=6)


def _escaped(word: str) -> str:
    return word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_INLINE = st.recursive(
    _WORDS.map(_escaped),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(" ".join),
        inner.map(lambda x: f"<strong>{x}</strong>"),
        inner.map(lambda x: f"<em>\n{x} </em>"),
        st.tuples(inner, inner).map(lambda x: f"{x[0]}<br>{x[1]}"),
    ),
    max_leaves=6,
)
_LIST = st.recursive(
    _INLINE.map(lambda x: f"<li>{x}</li>"),
    lambda inner: st.tuples(_INLINE, st.sampled_from(["ul", "ol"]), inner).map(
        lambda x: f"<li>{x[0]}<{x[1]}>{x[2]}</{x[1]}></li>"
    ),
    max_leaves=2,
).flatmap(lambda x: st.sampled_from(["ul", "ol"]).map(lambda tag: f"<{tag}>\n{x}\n</{tag}>"))
_TABLE = st.lists(st.tuples(_INLINE, _INLINE), min_size=1, max_size=3).map(
    lambda rows: (
        "<table><thead><tr><th>head</th><th class='number'>two</th></tr></thead><tbody>"
        + "".join(f"<tr><td>{a}</td><td><p>{b}</p><p>more</p></td></tr>" for a, b in rows)
        + "</tbody></table>"
    )
)
_BLOCK = st.one_of(
    st.tuples(st.sampled_from(["h1", "h2", "h3", "p"]), _INLINE).map(lambda x: f"<{x[0]}>{x[1]}</{x[0]}>"),
    _LIST,
    _TABLE,
    _INLINE,  # text that stands loose in the body or in a section
)
_PAGE = st.lists(
    st.one_of(_BLOCK, _BLOCK.map(lambda x: f"<section class='page'>{x}<!-- no --></section>")), min_size=1, max_size=4
).map("\n".join)


@settings(deadline=None, max_examples=60)
@given(page=_PAGE)
def test_nothing_is_lost_in_word(page: str) -> None:
    content = write_docx(f"<body>{page}</body>", "", "", AS_OF)
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        body = parts.read("word/document.xml").decode("utf-8")
    said = re.sub(r"<w:br/>|</w:p>", " ", body)
    said = re.sub(r"<[^>]+>", "", said).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    blocks = re.sub(r"<br>|</?(?:p|h\d|li|ul|ol|td|th|tr|table|section)\b[^>]*>", " ", page)
    expected = re.sub(r"<!--.*?-->|</?(?:strong|em|thead|tbody)>", "", blocks)
    expected = expected.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert said.split() == expected.split()


def paragraphs_of(page: str) -> list[Any]:
    return list(docx.Document(io.BytesIO(write_docx(f"<body>{page}</body>", "", "foot", AS_OF))).paragraphs)


def test_emphasis_breaks_and_spaces() -> None:
    [only] = paragraphs_of("<p>\n  One <strong>two\n three</strong> <em>four</em><br>\n five  </p>")
    assert only.text == "One two three four\nfive"
    assert [(r.text, r.bold, r.italic) for r in only.runs if r.text.strip()] == [
        ("One ", None, None),
        ("two three", True, None),
        ("four", None, True),
        ("five", None, None),
    ]


def test_headings_lists_and_new_pages() -> None:
    page = "<h1>A</h1><ol><li>x</li><li>y<ul><li>z</li></ul></li></ol><ol><li>again</li></ol>"
    found = paragraphs_of(page + "<section class='page'><h2>B</h2><p>c</p></section>")
    assert [(p.text, p.style.name) for p in found] == [
        ("A", "Heading 1"),
        ("x", "List Number"),
        ("y", "List Number"),
        ("z", "List Bullet 2"),
        ("again", "List Number"),
        ("B", "Heading 2"),
        ("c", "Normal"),
    ]
    numbers = [p._p.pPr.numPr.numId.val for p in found if p.style.name == "List Number"]
    assert numbers[0] == numbers[1] != numbers[2], "a second list begins at 1 again"
    numbering = found[0].part.numbering_part.element
    for number in set(numbers):
        [start] = numbering.xpath(f"./w:num[@w:numId='{number}']/w:lvlOverride/w:startOverride/@w:val")
        assert start == "1"
    assert [p.text for p in found if p.paragraph_format.page_break_before] == ["B"]


def test_tables_repeat_their_heading_and_fit_the_page() -> None:
    content = make_table(
        "<thead><tr><th>Code</th><th class='number'>Rate</th></tr></thead>" + "<tr><td>a</td><td>b</td></tr>"
    )
    [table] = content.tables
    heads = [bool(row._tr.xpath("./w:trPr/w:tblHeader")) for row in table.rows]
    assert heads == [True, False]
    assert all(row._tr.xpath("./w:trPr/w:cantSplit") for row in table.rows)
    section = content.sections[0]
    assert (section.page_width.inches, section.page_height.inches) == (8.5, 11)
    width = sum(column.width.inches for column in table.columns)
    assert width == pytest.approx(6.42, abs=0.01)
    assert table.cell(0, 1).paragraphs[0].alignment == 2
    footer = section.footer.paragraphs[0]
    assert footer.text == "foot · page  of "
    assert [e.text for e in footer._p.xpath(".//w:instrText")] == ["PAGE", "NUMPAGES"]


def make_table(rows: str) -> Any:
    return docx.Document(io.BytesIO(write_docx(f"<body><table>{rows}</table></body>", "", "foot", AS_OF)))


def test_packaged_template_uses_every_kind_of_element_that_it_may() -> None:
    page, _ = both(case_list(), "plan")
    used = {tag.name for tag in BeautifulSoup(page, "html.parser").body.find_all(True)}  # type: ignore[union-attr]
    assert used <= ELEMENTS
    assert {"h1", "h2", "h3", "table", "thead", "ul", "em", "strong", "br", "section"} <= used


# On the committed sample


@pytest.fixture(scope="module")
def exports() -> Exports:
    return Exports.open(SAMPLE)


@pytest.fixture(scope="module")
def sample(exports: Exports) -> CaseList:
    return list_cases(exports, AS_OF, find_gaps(exports, AS_OF))


def each_state(cases: CaseList) -> list[str]:
    """Return the first case of each state."""
    return [str(c) for c in cases.table.drop_duplicates("state")["case_id"]]


def test_no_case_of_the_sample_tells_a_provider_what_the_plan_knows(exports: Exports, sample: CaseList) -> None:
    # independent of how letters withholds: every amount in the text must be one that a provider knows
    assert len(sample.table) > 50
    for case_id in sample.table["case_id"]:
        row = sample.find(case_id)
        known = {"billed", "billed_before", "charge", "usual_charge", "medicare_rate"}
        allowed = {f"{row[c]:.2f}" for c in known if pd.notna(row[c])}
        rate = sample.requests.loc[case_id, "requested_rate"]
        allowed |= {f"{rate:.2f}"} if pd.notna(rate) else set()
        asked = sample.entered[(sample.entered["case_id"] == case_id) & (sample.entered["fact"] == "rate_asked")]
        allowed |= {f"{Decimal(v):.2f}" for v in asked["value"]}
        context = describe(sample, case_id, exports.plan)
        assert context["costs"] is None
        shown = {f.replace(",", "") for f in re.findall(r"\$([\d,]+\.\d\d)", str(context))}
        assert shown <= allowed, case_id


def test_letters_of_the_sample_leak_nothing_in_either_form(exports: Exports, sample: CaseList) -> None:
    for case_id in each_state(sample):
        row = {str(k): v for k, v in sample.find(case_id).items()}
        billed = list_procedures(exports, sample, case_id)
        known = {v for c in ("charge", "usual_charge", "medicare_rate") for v in billed[c]}
        known |= {sample.requests.loc[case_id, "requested_rate"]} - {pd.NA, None}
        hidden = {f.replace(",", "") for f in find_internal(row)} - {f"{k:.2f}" for k in known if pd.notna(k)}
        assert hidden
        context = describe(sample, case_id, exports.plan, "provider", billed)
        page = render(context)
        assert not figures_of(page) & hidden
        with zipfile.ZipFile(io.BytesIO(write_docx(page, context["title"], case_id, AS_OF))) as parts:
            for name in parts.namelist():
                assert not figures_of(parts.read(name).decode("utf-8", errors="ignore")) & hidden, name
        assert hidden <= figures_of(render(describe(sample, case_id, exports.plan, "plan", billed)))


def test_procedures_are_what_was_billed(exports: Exports, sample: CaseList) -> None:
    case_id = str(sample.table["case_id"].iloc[0])
    row = sample.find(case_id)
    lines = pd.read_csv(SAMPLE / "claims.csv", dtype=str)
    mine = lines[(lines["member_id"] == row["member_id"]) & (lines["provider_npi"] == row["provider_npi"])]
    days = mine[(mine["service_date"] > "2025-06-30") & (mine["service_date"] <= "2026-06-30")]
    found = list_procedures(exports, sample, case_id)
    assert set(found["procedure_code"]) <= set(days["procedure_code"])
    assert found["visits"].max() == row["visits"]
    assert (found["charge"] * found["units"] * found["visits"]).sum() == pytest.approx(float(row["billed"]), rel=0.3)


def test_files_are_written_by_suffix(exports: Exports, sample: CaseList, tmp_path: Path) -> None:
    case_id = str(sample.table["case_id"].iloc[0])
    for name, begins in (("a.docx", b"PK"), ("a.html", b"<!DOCTYPE html>"), ("b.HTML", b"<!DOCTYPE html>")):
        assert write_dossier(sample, exports, case_id, tmp_path / name) == tmp_path / name
        assert (tmp_path / name).read_bytes().startswith(begins)
    member = sample.find(case_id)["member_id"]
    refusals: list[tuple[Callable[[], object], type[Exception], str]] = [
        (lambda: write_dossier(sample, exports, case_id, tmp_path / "a.pdf"), ParameterError, "not as '.pdf'"),
        (lambda: write_dossier(sample, exports, case_id, tmp_path / "a"), ParameterError, "without suffix"),
        (
            lambda: write_dossier(sample, exports, case_id, tmp_path / f"{member}.docx"),
            ParameterError,
            "member's number",
        ),
        (lambda: write_dossier(sample, exports, "none", tmp_path / "a.docx"), ParameterError, "is no case"),
        (lambda: write_dossier(sample, exports, case_id, tmp_path / "no" / "a.docx"), ReportError, "written to"),
    ]
    for refused, kind, said in refusals:
        with pytest.raises(kind, match=said) as caught:
            refused()
        assert str(member) not in str(caught.value)


def test_template_of_a_practice_makes_a_docx(exports: Exports, sample: CaseList, tmp_path: Path) -> None:
    case_id = str(sample.table["case_id"].iloc[0])
    mine = own(tmp_path, "<h1>{{ title }}</h1><p>{{ costs }} {{ grounds | length }}</p>")
    content = make_dossier(sample, exports, case_id, template=mine)
    assert docx.Document(io.BytesIO(content)).paragraphs[0].text.startswith("Request")
    linked = own(tmp_path, "<p><img src='x.png'></p>")
    for suffix in (".docx", ".html"):
        with pytest.raises(ParameterError, match=r"practice\.html: <img> in line 1"):
            make_dossier(sample, exports, case_id, suffix, template=linked)
