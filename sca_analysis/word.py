"""A page of simple HTML as a Word document: headings, paragraphs, lists, tables, and nothing lost on the way.

In: HTML of the elements of ``ELEMENTS``. Out: the bytes of a .docx on Letter paper with page numbers.
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any, cast

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PageElement, PreformattedString
from docx import Document
from docx.document import Document as Doc
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Inches, Pt, RGBColor
from docx.styles.style import ParagraphStyle
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph

from sca_analysis.errors import ParameterError

_HEADINGS = frozenset({"h1", "h2", "h3"})
_INLINE = frozenset({"strong", "em", "br"})
_ROWS = frozenset({"thead", "tbody", "tr", "th", "td"})
_BLOCKS = frozenset({"p", "ul", "ol", "table", "section", "div"}) | _HEADINGS
#: The elements that a letter may have.
ELEMENTS = _BLOCKS | _INLINE | _ROWS | {"li"}

#: Characters that no XML, and so no .docx, can hold: shown as U+FFFD.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_FONT = "Arial"
_SIZES = {"Normal": 10.5, "Heading 1": 16, "Heading 2": 12.5, "Heading 3": 10.5}
_DARK, _RED, _GREY = RGBColor(0x1A, 0x1A, 0x1A), RGBColor(0x8A, 0x1C, 0x1C), RGBColor(0x44, 0x44, 0x44)
_WIDTH = 6.5  # inches between the margins of Letter paper
_INDENT = 0.08  # of a table, so that its text stands below that of paragraphs [inches]
_CHARACTER, _PADDING = 0.078, 0.2  # of a table's text and of a cell's sides [inches]
_MOST = 90  # characters of a text that count for the width of its column


def write_docx(page: str, title: str, footer: str, day: date, where: str = "the page") -> bytes:
    """Return an HTML page as .docx.

    Parameters
    ----------
    page : str
        HTML whose body has only ``ELEMENTS``. Of classes, page, number, mark, small and facts have an effect.
    title : str
        Title among the document's properties; author and the like stay empty.
    footer : str
        Stands before the page number.
    day : date
        The day of creation among the properties.
    where : str
        What a message calls the page.

    Raises
    ------
    ParameterError
        If an element is not known, or stands where it cannot: says which, and in which line of the page.

    """
    title, footer = (_NO_XML.sub("\ufffd", text) for text in (title, footer))
    document = _start(title, footer, day)
    soup = BeautifulSoup(page, "html.parser")
    for text in soup.find_all(string=_NO_XML):
        text.replace_with(_NO_XML.sub("\ufffd", text))
    _Walker(document, where).walk(soup.body or soup)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


class _Walker:
    """Puts the elements of a page into a document, one after the other."""

    def __init__(self, document: Doc, where: str) -> None:
        self.document = document
        self.where = where
        self.starts_page = False  # the next paragraph begins a page

    def walk(self, parent: Tag) -> None:
        """Add what stands in the body, a section or a div."""
        self.starts_page |= "page" in _classes(parent)
        loose: list[PageElement] = []
        for child in parent.children:
            if _is_inline(child):
                loose.append(child)
                continue
            self._add_loose(loose)
            loose = []
            if isinstance(child, Tag):
                self._add_block(child)
        self._add_loose(loose)

    def _add_loose(self, nodes: list[PageElement]) -> None:
        if any(str(node).strip() for node in nodes):
            self._fill(self._paragraph(), nodes)

    def _add_block(self, tag: Tag) -> None:
        if tag.name in ("section", "div"):
            self.walk(tag)
        elif tag.name in _HEADINGS:
            self._fill(self._paragraph(f"Heading {tag.name[1]}"), list(tag.children))
        elif tag.name == "p":
            paragraph = self._paragraph()
            self._fill(paragraph, list(tag.children))
            _dress(paragraph, _classes(tag))
        elif tag.name in ("ul", "ol"):
            self._add_list(tag)
        elif tag.name == "table":
            self._add_table(tag)
        else:
            raise self._misplaced(tag)

    def _paragraph(self, style: str = "Normal") -> Paragraph:
        paragraph = self.document.add_paragraph(style=style)
        paragraph.paragraph_format.page_break_before = self.starts_page or None
        self.starts_page = False
        return paragraph

    def _fill(self, paragraph: Paragraph, nodes: list[PageElement]) -> None:
        """Add text and line breaks; spaces and line ends of the source count as one space."""
        runs: list[tuple[str, bool, bool]] = []
        for text, strong, em in self._flatten(nodes):
            before = runs[-1][0] if runs else "\n"
            said = text if text == "\n" else re.sub(r"[ \t\r\n\f]+", " ", text)
            if before.endswith((" ", "\n")) and said != "\n":
                said = said.lstrip(" ")
            if said == "\n" and runs:
                runs[-1] = (before.rstrip(" "), *runs[-1][1:])
            if said:
                runs.append((said, strong, em))
        for number, (text, strong, em) in enumerate(runs):
            run = paragraph.add_run(text.rstrip(" ") if number == len(runs) - 1 else text)  # "\n" becomes a break
            run.bold, run.italic = strong or None, em or None

    def _flatten(
        self, nodes: list[PageElement], strong: bool = False, em: bool = False
    ) -> Iterator[tuple[str, bool, bool]]:
        for node in nodes:
            if isinstance(node, Tag):
                if node.name not in _INLINE:
                    raise self._misplaced(node)
                if node.name == "br":
                    yield "\n", strong, em
                yield from self._flatten(list(node.children), strong or node.name == "strong", em or node.name == "em")
            elif isinstance(node, NavigableString) and not isinstance(node, PreformattedString):
                yield str(node), strong, em

    def _add_list(self, tag: Tag, depth: int = 1) -> None:
        if depth > 3:
            raise self._misplaced(tag)
        style = ("List Bullet" if tag.name == "ul" else "List Number") + (f" {depth}" if depth > 1 else "")
        numbering = self._restart(style) if tag.name == "ol" else None
        for item in self._children(tag, "li"):
            inner = [child for child in item.children if isinstance(child, Tag) and child.name in ("ul", "ol")]
            paragraph = self._paragraph(style)
            if numbering is not None:
                properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()
                properties.get_or_add_ilvl().val, properties.get_or_add_numId().val = 0, numbering
            self._fill(paragraph, [child for child in item.children if child not in inner])
            for nested in inner:
                self._add_list(nested, depth + 1)

    def _restart(self, style: str) -> int:
        """Return the number of a new list that begins at 1: lists of one style count on otherwise."""
        numbering: Any = self.document.part.numbering_part.element
        numbered: Any = self.document.styles[style].element
        abstract = numbering.num_having_numId(numbered.pPr.numPr.numId.val).abstractNumId.val
        number = numbering.add_num(abstract)
        number.add_lvlOverride(ilvl=0).add_startOverride(1)
        return int(number.numId)

    def _add_table(self, tag: Tag) -> None:
        rows = list(self._list_rows(tag))
        if not rows or not rows[0][0]:
            return
        most = max(len(cells) for cells, _ in rows)
        if any(len(cells) != most for cells, _ in rows):
            raise ParameterError(f"{self.where}: the rows of the table in line {tag.sourceline} differ in length.")
        table = self.document.add_table(rows=0, cols=most, style="Table Grid")
        table.autofit = False
        _dress_table(table)
        widths = _share_width(rows, is_facts="facts" in _classes(tag))
        for cells, is_head in rows:
            row: Any = table.add_row()
            _mark_row(row._tr, is_head=is_head)
            for cell, place, width in zip(cells, row.cells, widths, strict=True):
                place.width = Inches(width)
                self._fill_cell(place, cell)
        for column, width in zip(table.columns, widths, strict=True):
            column.width = Inches(width)
        self._space_after(table)

    def _list_rows(self, tag: Tag) -> Iterator[tuple[list[Tag], bool]]:
        """Yield the cells of each row, and whether it is a heading row."""
        for part in self._children(tag, "thead", "tbody", "tr"):
            for row in [part] if part.name == "tr" else self._children(part, "tr"):
                yield list(self._children(row, "th", "td")), part.name == "thead"

    def _fill_cell(self, place: _Cell, cell: Tag) -> None:
        for attribute in ("colspan", "rowspan"):
            if cell.has_attr(attribute):
                raise ParameterError(
                    f"{self.where}: the cell in line {cell.sourceline} of the page has {attribute}, which a letter "
                    "cannot have: give each its own cell."
                )
        paragraph = place.paragraphs[0]
        parts = [child for child in cell.children if isinstance(child, Tag) and child.name == "p"]
        if parts and any(str(c).strip() for c in cell.children if c not in parts):
            raise self._misplaced(parts[0])
        for number, nodes in enumerate([list(part.children) for part in parts] or [list(cell.children)]):
            paragraph = place.add_paragraph() if number else paragraph
            self._fill(paragraph, nodes)
            paragraph.paragraph_format.space_after = Pt(0)
            if "number" in _classes(cell):
                paragraph.alignment = WD_ALIGN_PARAGRAPH.RIGHT
            for run in paragraph.runs:
                run.font.size = Pt(9.5)
                run.bold = True if cell.name == "th" else run.bold
        if cell.name == "th":
            _shade(place._tc.get_or_add_tcPr(), "EEEEEE")

    def _space_after(self, table: Table) -> None:
        """Keep a table apart from what follows: Word would join it to a next table."""
        paragraph = self.document.add_paragraph()
        paragraph.paragraph_format.space_after = Pt(0)
        paragraph.paragraph_format.line_spacing = Pt(8)

    def _children(self, tag: Tag, *names: str) -> Iterator[Tag]:
        """Yield the children, which must be of these names; text beside them would be lost."""
        for child in tag.children:
            if isinstance(child, Tag):
                if child.name not in names:
                    raise self._misplaced(child)
                yield child
            elif not isinstance(child, PreformattedString) and str(child).strip():
                raise ParameterError(
                    f"{self.where}: text stands between the parts of the <{tag.name}> in line {tag.sourceline} of the "
                    "page that it makes: put it into one of them."
                )

    def _misplaced(self, tag: Tag) -> ParameterError:
        parent = tag.parent.name if tag.parent is not None else "page"
        reason = f"cannot stand in <{parent}>" if tag.name in ELEMENTS else "is no element that a letter may have"
        return ParameterError(
            f"{self.where}: <{tag.name}> in line {tag.sourceline} of the page that it makes {reason}."
        )


def _is_inline(node: PageElement) -> bool:
    return not isinstance(node, Tag) or node.name in _INLINE


def _classes(tag: Tag) -> list[str]:
    return tag.get_attribute_list("class") if tag.has_attr("class") else []


def _dress(paragraph: Paragraph, classes: list[str]) -> None:
    """Give a paragraph of class mark its frame, one of class small its size."""
    if "mark" in classes:
        properties: Any = paragraph._p.get_or_add_pPr()
        frame = OxmlElement("w:pBdr")
        for side in ("top", "left", "bottom", "right"):
            edge = OxmlElement(f"w:{side}")
            for key, value in (("val", "single"), ("sz", "12"), ("space", "4"), ("color", "8A1C1C")):
                edge.set(qn(f"w:{key}"), value)
            frame.append(edge)
        properties.insert_element_before(
            frame, "w:shd", "w:tabs", "w:suppressAutoHyphens", "w:spacing", "w:ind", "w:jc", "w:rPr", "w:sectPr"
        )
    for run in paragraph.runs:
        if "mark" in classes:
            run.bold, run.font.color.rgb = True, _RED
        elif "small" in classes:
            run.font.size, run.font.color.rgb = Pt(9), _GREY


def _dress_table(table: Table) -> None:
    """Give a table grey lines and cells some air, and set it in by its cells' padding."""
    properties: Any = table._tbl.tblPr
    indent, borders, margins = (OxmlElement(f"w:{name}") for name in ("tblInd", "tblBorders", "tblCellMar"))
    indent.set(qn("w:w"), str(round(_INDENT * 1440)))
    indent.set(qn("w:type"), "dxa")
    for side in ("top", "left", "bottom", "right", "insideH", "insideV"):
        edge = OxmlElement(f"w:{side}")
        for key, value in (("val", "single"), ("sz", "4"), ("space", "0"), ("color", "999999")):
            edge.set(qn(f"w:{key}"), value)
        borders.append(edge)
    for side, twips in (("top", 40), ("left", 100), ("bottom", 40), ("right", 100)):
        margin = OxmlElement(f"w:{side}")
        margin.set(qn("w:w"), str(twips))
        margin.set(qn("w:type"), "dxa")
        margins.append(margin)
    layout = properties.find(qn("w:tblLayout"))
    for part in (indent, borders):  # Word wants its elements in this order
        layout.addprevious(part)
    layout.addnext(margins)


def _mark_row(row: Any, *, is_head: bool) -> None:
    """Keep a row on one page, and repeat a heading row on each."""
    properties = row.get_or_add_trPr()
    properties.append(OxmlElement("w:cantSplit"))
    if is_head:
        properties.append(OxmlElement("w:tblHeader"))


def _shade(properties: Any, fill: str) -> None:
    shade = OxmlElement("w:shd")
    for key, value in (("val", "clear"), ("color", "auto"), ("fill", fill)):
        shade.set(qn(f"w:{key}"), value)
    properties.append(shade)


def _share_width(rows: list[tuple[list[Tag], bool]], *, is_facts: bool) -> list[float]:
    """Return the width of each column [inches], by its longest word and its longest text."""
    columns = list(zip(*(cells for cells, _ in rows), strict=True))
    width = _WIDTH - _INDENT
    if is_facts and len(columns) == 2:
        return [width * 0.3, width * 0.7]
    texts = [[cell.get_text(" ", strip=True) for cell in column] for column in columns]
    words = [max((len(w) for text in column for w in text.split()), default=0) for column in texts]
    least = [_CHARACTER * word + _PADDING for word in words]
    if sum(least) >= width:
        return [width * inches / sum(least) for inches in least]
    more = [1 + min(_MOST, max(map(len, column))) - min(_MOST, word) for column, word in zip(texts, words, strict=True)]
    return [inches + (width - sum(least)) * part / sum(more) for inches, part in zip(least, more, strict=True)]


def _start(title: str, footer: str, day: date) -> Doc:
    """Return an empty document: Letter paper, plain styles, page numbers, properties that name no one."""
    document = Document()
    section = document.sections[0]
    section.page_width, section.page_height = Inches(8.5), Inches(11)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Inches(1)
    for name, size in _SIZES.items():
        style = cast(ParagraphStyle, document.styles[name])
        style.font.name, style.font.size, style.font.color.rgb = _FONT, Pt(size), _DARK
        fonts: Any = style.element.get_or_add_rPr().get_or_add_rFonts()
        for key in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{key}"), None)  # a theme's font would come before ours
        style.paragraph_format.space_before = Pt(0 if name == "Normal" else size - 2)
        style.paragraph_format.space_after = Pt(7 if name == "Normal" else 4)
        style.paragraph_format.keep_with_next = name != "Normal"
    _number_pages(section.footer.paragraphs[0], footer)
    properties = document.core_properties
    properties.title, properties.author, properties.last_modified_by, properties.comments = title, "", "", ""
    properties.created = properties.modified = datetime.combine(day, time(), UTC)
    return document


def _number_pages(paragraph: Paragraph, words: str) -> None:
    """Write the words and "page 1 of 2" with Word's own fields."""
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for text, field in ((f"{words} · page ", "PAGE"), (" of ", "NUMPAGES")):
        paragraph.add_run(text)
        for kind in ("begin", None, "end"):
            run: Any = paragraph.add_run()._r
            part = OxmlElement("w:fldChar" if kind else "w:instrText")
            if kind:
                part.set(qn("w:fldCharType"), kind)
            else:
                part.text = field
            run.append(part)
    for run in paragraph.runs:
        run.font.size, run.font.color.rgb = Pt(9), _GREY
