"""Publish a run notebook as one offline HTML page.

In: a notebook that has been run. Out: HTML with plotly once, the figures as data, no code and no request to
any network. Its Content-Security-Policy names the page's own scripts by their SHA-256 and allows no others,
so that a value of an export that got into the page as markup would still not run.
"""

import base64
import hashlib
from typing import Any

import jinja2
import markupsafe
import nbformat
import plotly.io
from bs4 import BeautifulSoup
from nbconvert.filters import markdown2html
from plotly.offline import get_plotlyjs

FIGURE = "application/vnd.plotly.v1+json"
_SCRIPTS = ("figures.js", "tables.js")


def render(notebook: nbformat.NotebookNode, title: str, mark: str = "") -> str:
    """Return a run notebook as one HTML page that needs no network: plotly once, no code.

    Parameters
    ----------
    notebook : NotebookNode
        Cells tagged ``not-in-report`` are left out.
    title : str
        Title of the page.
    mark : str
        What stands at the head of the page while it is read, and on every page that is printed; may be blank.

    """
    loader = jinja2.PackageLoader("sca_analysis")
    environment = jinja2.Environment(loader=loader, autoescape=True)
    # Markdown is ours or computed from counts and amounts; markdown2html sanitises neither
    style, *scripts = (loader.get_source(environment, name)[0] for name in ("report.css", *_SCRIPTS))
    plotlyjs = get_plotlyjs().replace("\r\n", "\n")  # a browser hashes lines as it reads them
    blocks = _list_blocks(notebook)
    figures = [b.pop("figure") for b in blocks if b["kind"] == "figure"]
    return environment.get_template("report.html.j2").render(
        title=f"{title} ({mark.partition(':')[0]})" if mark else title,
        mark=mark,
        blocks=blocks,
        contents=[heading for b in blocks for heading in b.get("headings", [])],
        figures=_share_templates(figures),
        style=style,
        plotlyjs=plotlyjs,
        scripts=scripts,
        policy=_policy([plotlyjs, *scripts]),
    )


def _policy(scripts: list[str]) -> str:
    """Return what the page may do: run these scripts, style itself, and show images that it holds or makes."""
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{d}'" for d in digests)
    # plotly writes its styles into the page, and makes the image that a reader saves
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _list_blocks(notebook: nbformat.NotebookNode) -> list[dict[str, Any]]:
    """Return what the page shows, in order: words, figures, tables and plain text."""
    blocks: list[dict[str, Any]] = []
    taken: set[str] = set()
    for number, cell in enumerate(notebook.cells, start=1):
        if "not-in-report" in (cell.metadata.get("tags") or []):
            continue
        if cell.cell_type == "markdown":
            blocks.append(_words(cell.source, taken))
        for place, output in enumerate(cell.get("outputs") or [], start=1):
            data = output.get("data") or {}
            if FIGURE in data:
                blocks.append(_figure(data[FIGURE], f"figure-{number}-{place}"))
            elif "text/html" in data:
                blocks.append(_table(data["text/html"]))
            elif "text/markdown" in data:
                blocks.append(_words(data["text/markdown"], taken))
            elif "text/plain" in data:
                blocks.append({"kind": "plain", "text": data["text/plain"]})
    return blocks


def _words(markdown: str, taken: set[str]) -> dict[str, Any]:
    """Return Markdown as HTML, with its headings of the second level, each of which has an id of its own."""
    soup = BeautifulSoup(markdown2html(markdown), "html.parser")
    for link in soup.select("a.anchor-link"):
        link.decompose()  # they show a pilcrow, and are stops of the keyboard without use
    headings = []
    for heading in soup.find_all(["h1", "h2", "h3", "h4"]):
        stem = name = str(heading.get("id") or "part")
        while name in taken:
            name = f"{stem}-{len(taken)}"
        taken.add(name)
        heading["id"] = name
        if heading.name == "h2":
            headings.append({"id": name, "text": heading.get_text()})
    return {"kind": "words", "html": markupsafe.Markup(str(soup)), "headings": headings}  # noqa: S704


def _table(html: str) -> dict[str, Any]:
    """Return a table with its caption as its name; a sentence in place of a table stays one."""
    caption = BeautifulSoup(html, "html.parser").find("caption")
    safe = markupsafe.Markup(html)  # noqa: S704 - display escapes every cell
    if "<table" not in html:
        return {"kind": "words", "html": safe}
    return {"kind": "table", "html": safe, "label": caption.get_text(" ", strip=True) if caption else "table"}


def _figure(figure: Any, name: str) -> dict[str, Any]:
    """Return a figure, and what it says in words: its finding and its source."""
    title = figure.get("layout", {}).get("title") or {}
    told = [_plain(title.get("text")), _plain((title.get("subtitle") or {}).get("text"))]
    label = " ".join(part if part.endswith(".") else f"{part}." for part in told if part) or "Chart without a title."
    return {"kind": "figure", "id": name, "label": label, "figure": {"id": name} | dict(figure)}


def _plain(text: str | None) -> str:
    """Return text of plotly, in which ``<br>`` and entities stand, as plain text."""
    return markupsafe.Markup((text or "").replace("<br>", " ")).striptags()  # noqa: S704 - tags are taken out


def _share_templates(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return figures for the script, with each plotly template once and the dark one beside them."""
    templates: list[Any] = []
    shared = []
    for figure in figures:
        layout = dict(figure["layout"])
        template = layout.pop("template", None)
        if template not in templates:
            templates.append(template)
        shared.append(
            {"id": figure["id"], "data": figure["data"], "layout": layout, "template": templates.index(template)}
        )
    return {"figures": shared, "templates": templates, "dark": plotly.io.templates["plotly_dark"].to_plotly_json()}
