"""DOCX: headings by style or outline level, paragraphs, lists, tables row by row, text boxes and notes.

Headers, footers, comments and deleted text are left out. The XML is read directly: python-docx leaves out what
stands in text boxes, content controls and insertions, and loads every picture.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ingest.parse.builder import DocumentBuilder
from ingest.parse.clean import clean_line, clean_paragraph
from ingest.parse.document import BlockKind, ParsedDocument
from ingest.parse.docx_package import MATH, WORD, Element, open_package

MAX_STYLE_DEPTH = 20

CELL_SEPARATOR = " | "

_W = {
    name: f"{{{WORD}}}{name}"
    for name in (
        *("p", "tbl", "tr", "tc", "t", "br", "cr", "tab", "noBreakHyphen", "pPr", "pStyle", "outlineLvl"),
        *("numPr", "numId", "val", "style", "styleId", "name", "basedOn", "del", "moveFrom", "rPr"),
        *("txbxContent", "delText", "instrText", "tblPr", "tcPr", "tblGrid", "sectPr"),
    )
}
_ALTERNATE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_CHOICE = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Choice"
_MATH_TEXT = f"{{{MATH}}}t"
_SKIPPED = frozenset(
    _W[name]
    for name in ("del", "moveFrom", "rPr", "delText", "instrText", "tblPr", "tcPr", "tblGrid", "sectPr")
)
_PIECES = {
    _W["br"]: "\n",
    _W["cr"]: "\n",
    _W["tab"]: "\t",
    _W["noBreakHyphen"]: "-",
}


def parse_docx(path: Path) -> ParsedDocument:
    package = open_package(path)
    styles = _Styles.read(package.styles)
    walk = _Walk(styles)
    walk.blocks(package.body)
    for notes in package.notes:
        walk.blocks(notes)
    metadata = dict(package.properties)
    return walk.builder.build(metadata.pop("title", None) or walk.title, metadata)


@dataclass(slots=True)
class _Styles:
    """Which paragraph styles are headings, and of what level; which are list items; which is the title."""

    heading_levels: dict[str, int] = field(default_factory=dict)
    lists: set[str] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, element: Element | None) -> "_Styles":
        styles = cls()
        if element is None:
            return styles
        by_id = {style.get(_W["styleId"]): style for style in element.iter(_W["style"])}
        for style_id, style in by_id.items():
            styles._add(style_id, list(_lineage(style, by_id)))
        return styles

    def _add(self, style_id: str, lineage: Sequence[Element]) -> None:
        """Look the style's own properties up first, then those it is based on."""
        for style in lineage:
            name = (_value(style.find(_W["name"])) or "").lower()
            if name == "title":
                self.titles.add(style_id)
                self.heading_levels[style_id] = 1
                return
            level = _level_of_name(name) or _outline_level(style.find(_W["pPr"]))
            if level:
                self.heading_levels[style_id] = level
                return
        if any("list" in (_value(style.find(_W["name"])) or "").lower() for style in lineage) or any(
            style.find(f"{_W['pPr']}/{_W['numPr']}") is not None for style in lineage
        ):
            self.lists.add(style_id)


def _lineage(style: Element, by_id: dict[str, Element]) -> Iterator[Element]:
    current: Element | None = style
    for _ in range(MAX_STYLE_DEPTH):
        if current is None:
            return
        yield current
        current = by_id.get(_value(current.find(_W["basedOn"])) or "")


def _value(element: Element | None) -> str | None:
    return None if element is None else element.get(_W["val"])


def _level_of_name(name: str) -> int:
    kind, _, level = name.partition(" ")
    return int(level) if kind == "heading" and level.isdecimal() and int(level) > 0 else 0


def _outline_level(properties: Element | None) -> int:
    """Return 1 to 9 for an outline level, which Word counts from 0 and calls 9 for body text; 0 for none."""
    level = _value(properties.find(_W["outlineLvl"])) if properties is not None else None
    return int(level) + 1 if level is not None and level.isdecimal() and int(level) < 9 else 0


class _Walk:
    """Goes through the story in document order, without recursion but for nested tables and text boxes."""

    def __init__(self, styles: _Styles) -> None:
        self.builder = DocumentBuilder()
        self.title: str | None = None
        self._styles = styles

    def blocks(self, container: Element) -> None:
        for child in container:
            if child.tag == _W["p"]:
                self._paragraph(child)
            elif child.tag == _W["tbl"]:
                self._table(child)
            elif child.tag == _ALTERNATE:
                self._alternate(child)
            elif child.tag not in _SKIPPED and child.tag != _W["pPr"] and isinstance(child.tag, str):
                # Content controls, insertions, custom XML: what they hold is text like any other.
                self.blocks(child)

    def _alternate(self, element: Element) -> None:
        choice = element.find(_CHOICE)
        self.blocks(choice if choice is not None else element)

    def _paragraph(self, paragraph: Element) -> None:
        boxes: list[Element] = []
        text = _text(paragraph, boxes)
        properties = paragraph.find(_W["pPr"])
        style_id = _value(properties.find(_W["pStyle"])) if properties is not None else None
        level = _outline_level(properties) or self._styles.heading_levels.get(style_id or "", 0)
        if level and len(text) <= 500:
            self._heading(clean_line(text), level, is_title=style_id in self._styles.titles)
        elif _is_numbered(properties) or style_id in self._styles.lists:
            stripped = clean_paragraph(text)
            self.builder.add(BlockKind.LIST_ITEM, f"- {stripped}" if stripped else "")
        else:
            self.builder.add(BlockKind.PARAGRAPH, clean_paragraph(text))
        for box in boxes:
            self.blocks(box)

    def _heading(self, text: str, level: int, *, is_title: bool) -> None:
        self.builder.add_heading(text, level)
        if text and (is_title or (self.title is None and level == 1)):
            self.title = text

    def _table(self, table: Element) -> None:
        for row in _rows(table):
            cells = list(_cells(row))
            if len(cells) == 1:
                # A table of one column is a frame around text.
                self.blocks(cells[0])
                continue
            boxes: list[Element] = []
            texts = [clean_line(" ".join(_cell_texts(cell, boxes))) for cell in cells]
            if any(texts):
                self.builder.add(BlockKind.TABLE_ROW, CELL_SEPARATOR.join(texts))
            for box in boxes:
                self.blocks(box)


def _is_numbered(properties: Element | None) -> bool:
    numbering = properties.find(_W["numPr"]) if properties is not None else None
    # numId 0 takes the numbering of the style away.
    return numbering is not None and _value(numbering.find(_W["numId"])) not in {None, "0"}


def _rows(table: Element) -> Iterator[Element]:
    """Yield the table's own rows, also those inside content controls, and not those of tables in its cells."""
    for child in table:
        if child.tag == _W["tr"]:
            yield child
        elif isinstance(child.tag, str) and child.tag not in _SKIPPED and child.tag != _W["tc"]:
            yield from _rows(child)


def _cells(row: Element) -> Iterator[Element]:
    for child in row:
        if child.tag == _W["tc"]:
            yield child
        elif isinstance(child.tag, str) and child.tag not in _SKIPPED and child.tag != _W["p"]:
            yield from _cells(child)


def _cell_texts(cell: Element, boxes: list[Element]) -> Iterator[str]:
    for paragraph in cell.iter(_W["p"]):
        if next(paragraph.iterancestors(_W["txbxContent"], _W["tc"])).tag == _W["tc"]:
            yield _text(paragraph, boxes)


def _text(paragraph: Element, boxes: list[Element]) -> str:
    """Return the paragraph's text; text boxes that hang on it are put into boxes, to come after it."""
    parts: list[str] = []
    pending = list(reversed(paragraph))
    while pending:
        element = pending.pop()
        tag = element.tag
        if tag in (_W["t"], _MATH_TEXT):
            # Entities, which no honest file has, are left unresolved: what stands around them is kept.
            parts.extend([element.text or "", *(child.tail or "" for child in element)])
        elif tag in _PIECES:
            parts.append(_PIECES[tag])
        elif tag == _W["txbxContent"]:
            boxes.append(element)
        elif tag == _ALTERNATE:
            # The same content in two forms, for new readers and for old ones.
            choice = element.find(_CHOICE)
            pending.extend(reversed(choice if choice is not None else element))
        elif tag not in _SKIPPED and tag != _W["pPr"] and isinstance(tag, str):
            pending.extend(reversed(element))
    return "".join(parts)
