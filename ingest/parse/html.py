"""HTML: headings, paragraphs, lists, tables row by row and code, in document order.

Scripts, styles and navigation go; everything else a reader could see stays, because a page's own idea of its
main part is too often wrong, and a lost paragraph cannot be found while a kept footer does no harm.
"""

import re
from itertools import accumulate
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from ingest.parse.builder import DocumentBuilder
from ingest.parse.clean import clean_line, clean_paragraph, clean_text
from ingest.parse.document import BlockKind, ParsedDocument
from ingest.parse.encoding import decode_text

CELL_SEPARATOR = " | "

NAVIGATION_SHARE = 0.5
"""Navigation that holds more than half of a page's text is the page, such as a table of contents."""

_INVISIBLE = frozenset(
    """
    script style template head noscript svg math iframe object canvas select datalist audio video
    """.split()  # noqa: SIM905 - a list of words
)
_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption
    figure footer form header hgroup hr html legend li main menu nav ol p pre section summary table tbody td
    tfoot th thead title tr ul h1 h2 h3 h4 h5 h6
    """.split()  # noqa: SIM905 - a list of words
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LAYOUT = "table, h1, h2, h3, h4, h5, h6, pre, ul, ol"
"""A table cell that holds one of these is a place on the page, not a value."""

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:-]+)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\A\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_:-]+)")
_WHITE_SPACE = re.compile(r"\s+")
_TEXT, _DOCUMENT = "-text", "-document"

MAX_DEPTH = 512
"""Browsers stop nesting here too; the parser's time grows with the square of the depth."""

_NESTABLE = ("div", "span", "font", "b", "i", "em", "strong", "section", "blockquote", "ul", "table")


def parse_html(path: Path) -> ParsedDocument:
    return parse_markup(decode_html(path.read_bytes()))


def html_to_text(markup: str) -> str:
    """Return the visible text of a fragment, its blocks on lines of their own."""
    return clean_paragraph(parse_markup(markup).text)


def decode_html(data: bytes) -> str:
    """Decode by byte order mark, else by the encoding the page names, else by its content."""
    declared = _META_CHARSET.search(data, 0, 4096) or _XML_ENCODING.match(data)
    if declared is not None and not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        name = declared.group(1).decode("ascii").lower()
        # The web's Latin-1 is Windows-1252 (WHATWG Encoding Standard).
        name = "cp1252" if name in {"iso-8859-1", "latin1", "us-ascii", "ascii"} else name
        try:
            return data.decode(name)
        except (LookupError, UnicodeDecodeError):
            pass  # a page that misnames its encoding is read by its content
    return decode_text(data)


def parse_markup(markup: str) -> ParsedDocument:
    """Return decoded HTML as a document."""
    tree = LexborHTMLParser(_flatten(markup))
    _drop_navigation(tree)
    walk = _Walk()
    root = tree.root
    if root is not None:
        walk.run(root)
    return walk.builder.build(_title(tree) or walk.first_heading, _metadata(tree))


def _flatten(markup: str) -> str:
    """Drop the tags of an element that is nested absurdly deep within itself."""
    for tag in _NESTABLE:
        if markup.count(f"<{tag}") > MAX_DEPTH and _depth(markup, tag) > MAX_DEPTH:
            markup = re.sub(rf"</?{tag}\b[^<>]*>", " ", markup)
    return markup


def _depth(markup: str, tag: str) -> int:
    steps = (-1 if match.group(1) else 1 for match in re.finditer(rf"<(/?){tag}\b", markup))
    return max(accumulate(steps), default=0)


def _drop_navigation(tree: LexborHTMLParser) -> None:
    body = tree.body
    if body is None:
        return
    navigation = [node for node in tree.css("nav, [role=navigation]") if not _is_inside_navigation(node)]
    sizes = [len(node.text()) for node in navigation]
    if navigation and sum(sizes) < len(body.text()) * NAVIGATION_SHARE:
        for node in navigation:
            node.decompose()


def _is_inside_navigation(node: LexborNode) -> bool:
    parent = node.parent
    while parent is not None:
        if parent.tag == "nav" or (parent.tag != _DOCUMENT and parent.attributes.get("role") == "navigation"):
            return True
        parent = parent.parent
    return False


def _title(tree: LexborHTMLParser) -> str | None:
    node = tree.css_first("head > title")
    return node.text() if node is not None and node.text().strip() else None


def _metadata(tree: LexborHTMLParser) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for node in tree.css("head > meta[name][content]"):
        name, content = node.attributes.get("name"), node.attributes.get("content")
        if name and content and name.lower() in {"author", "description", "keywords", "date"}:
            metadata[name.lower()] = clean_line(content)
    return metadata


class _Walk:
    """Walks the tree without recursion: pages with a hundred thousand nested elements exist."""

    def __init__(self) -> None:
        self.builder = DocumentBuilder()
        self.first_heading: str | None = None
        self._inline: list[str] = []
        self._lists: list[int | None] = []
        self._marker = ""
        self._row: int | None = None
        self._cells: list[str] = []
        self._verbatim = 0

    def run(self, root: LexborNode) -> None:
        node: LexborNode | None = root
        while node is not None:
            child = node.first_child if self._enter(node) else None
            if child is not None:
                node = child
                continue
            node = self._next(node, root)
        self._flush(BlockKind.PARAGRAPH)

    def _next(self, node: LexborNode, root: LexborNode) -> LexborNode | None:
        """Leave the node and those that end with it; return what comes after."""
        current: LexborNode | None = node
        while current is not None:
            self._leave(current)
            # Nodes compare by their markup: their identity is a number.
            if current.mem_id == root.mem_id:
                return None
            following = current.next
            if following is not None:
                return following
            current = current.parent
        return None

    def _enter(self, node: LexborNode) -> bool:
        """Take in what the node begins with; return whether to look inside it."""
        tag = node.tag or ""
        if tag == _TEXT:
            text = node.text_content or ""
            # A line break in the source is a space; the breaks that count are elements.
            self._inline.append(text if self._verbatim else _WHITE_SPACE.sub(" ", text))
            return False
        if tag in _INVISIBLE or (tag.startswith("-") and tag != _DOCUMENT):
            return False
        if tag == "br":
            self._inline.append("\n")
        elif tag == "img":
            self._inline.append(node.attributes.get("alt") or "")
        elif tag in _BLOCKS:
            self._open_block(tag, node)
        return True

    def _open_block(self, tag: str, node: LexborNode) -> None:
        if self._row is not None:
            self._inline.append(" ")
            return
        self._flush(BlockKind.PARAGRAPH)
        if tag in {"ul", "menu", "dir"}:
            self._lists.append(None)
        elif tag == "ol":
            self._lists.append(_first_number(node))
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag == "pre":
            self._verbatim += 1
        elif tag == "tr" and not node.css_first(_LAYOUT):
            self._row = node.mem_id

    def _leave(self, node: LexborNode) -> None:
        tag = node.tag or ""
        if tag not in _BLOCKS:
            return
        if self._row is not None:
            self._leave_in_row(tag, node)
        elif tag in _HEADINGS:
            self._flush_heading(_HEADINGS[tag])
        elif tag == "pre":
            self._flush(BlockKind.CODE)
            self._verbatim -= 1
        else:
            self._flush(BlockKind.PARAGRAPH)
            if tag in {"ul", "ol", "menu", "dir"} and self._lists:
                self._lists.pop()
            elif tag == "li":
                self._marker = ""

    def _leave_in_row(self, tag: str, node: LexborNode) -> None:
        if tag in {"td", "th"}:
            self._cells.append(clean_line(self._take()))
        elif node.mem_id == self._row:
            loose = clean_line(self._take())
            cells, self._cells, self._row = [*self._cells, *filter(None, [loose])], [], None
            if any(cells):
                self.builder.add(BlockKind.TABLE_ROW, CELL_SEPARATOR.join(cells))
        else:
            self._inline.append(" ")

    def _flush_heading(self, level: int) -> None:
        text = clean_line(self._take())
        self._marker = ""
        self.builder.add_heading(text, level)
        if self.first_heading is None and text and level == 1:
            self.first_heading = text

    def _flush(self, kind: BlockKind) -> None:
        text = self._take()
        if self._verbatim:
            self.builder.add(BlockKind.CODE, clean_text(text).rstrip())
            return
        text = clean_paragraph(text)
        if not text:
            return
        marker, self._marker = self._marker, ""
        self.builder.add(BlockKind.LIST_ITEM if marker else kind, marker + text)

    def _take(self) -> str:
        text = "".join(self._inline)
        self._inline.clear()
        return text

    def _next_marker(self) -> str:
        if not self._lists or self._lists[-1] is None:
            return "- "
        number = self._lists[-1]
        self._lists[-1] = number + 1
        return f"{number}. "


def _first_number(node: LexborNode) -> int:
    start = node.attributes.get("start") or "1"
    return int(start) if start.lstrip("-").isdecimal() and len(start) < 9 else 1
