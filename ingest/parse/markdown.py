"""Markdown (CommonMark with tables): what a reader sees, without the marks; front matter becomes metadata.

Link targets and image addresses are left out, link texts and alternative texts kept.
"""

import re
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ingest.parse.builder import DocumentBuilder
from ingest.parse.clean import clean_line, clean_paragraph, clean_text
from ingest.parse.document import BlockKind, ParsedDocument
from ingest.parse.encoding import decode_text
from ingest.parse.html import html_to_text
from ingest.parse.text import parse_plain

MAX_CHARS = 16_000_000
"""About a minute of markdown-it; what is longer is a dump, and is read as plain text."""

MAX_NESTING = 80
"""markdown-it drops what is nested deeper than its limit, and recurses to get there."""

CELL_SEPARATOR = " | "

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"([A-Za-z_][\w .-]*):(?:\s+(.*))?$")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def parse_markdown(path: Path) -> ParsedDocument:
    source = clean_text(decode_text(path.read_bytes()))
    if len(source) > MAX_CHARS:
        return parse_plain(source)
    metadata, body = split_front_matter(source)
    reader = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable(["table", "strikethrough"])
    tokens = reader.parse(body)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return parse_plain(source)
    walk = _Walk(tokens)
    walk.run()
    return walk.builder.build(metadata.pop("title", None) or walk.first_heading, metadata)


def split_front_matter(source: str) -> tuple[dict[str, str], str]:
    """Return the simple entries of a YAML front matter (scalars, and lists joined by commas), and the rest.

    Nested entries are left out: metadata is flat, and what is nested is meant for a site generator.
    """
    match = _FRONT_MATTER.match(source)
    if match is None:
        return {}, source
    metadata: dict[str, str] = {}
    key: str | None = None
    for line in match.group(1).splitlines():
        item = line.strip()
        if entry := _KEY.match(line):
            key = entry.group(1).strip()
            metadata[key] = _scalar(entry.group(2) or "")
        elif key is not None and item.startswith("- "):
            metadata[key] = ", ".join(filter(None, (metadata[key], _scalar(item[2:]))))
    return {key: value for key, value in metadata.items() if value}, source[match.end() :]


def _scalar(value: str) -> str:
    value = value.strip()
    if value in {"|", ">", "|-", ">-", "null", "~"}:
        return ""
    if value.startswith("[") and value.endswith("]"):
        return ", ".join(_scalar(item) for item in value[1:-1].split(",") if item.strip())
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


class _Walk:
    """Goes through the flat token list once, and remembers which list items and table rows are open."""

    def __init__(self, tokens: list[Token]) -> None:
        self.builder = DocumentBuilder()
        self.first_heading: str | None = None
        self._tokens = tokens
        self._lists: list[int | None] = []
        self._marker = ""
        self._cells: list[str] | None = None
        self._heading_level = 0

    def run(self) -> None:
        for token in self._tokens:
            match token.type:
                case "inline":
                    self._inline(token)
                case "heading_open":
                    self._heading_level = int(token.tag[1])
                case "heading_close":
                    self._heading_level = 0
                case "bullet_list_open":
                    self._lists.append(None)
                case "ordered_list_open":
                    self._lists.append(int(token.attrGet("start") or 1))
                case "bullet_list_close" | "ordered_list_close":
                    self._lists.pop()
                case "list_item_open":
                    self._open_item()
                case "fence" | "code_block":
                    self._block(BlockKind.CODE, clean_text(token.content).rstrip())
                case "html_block":
                    self._block(BlockKind.PARAGRAPH, html_to_text(_COMMENT.sub("", token.content)))
                case "tr_open":
                    self._cells = []
                case "tr_close":
                    self._close_row()
                case _:
                    pass

    def _open_item(self) -> None:
        number = self._lists[-1]
        self._marker = "- " if number is None else f"{number}. "
        if number is not None:
            self._lists[-1] = number + 1

    def _inline(self, token: Token) -> None:
        text = _inline_text(token)
        if self._cells is not None:
            self._cells.append(clean_line(text))
        elif self._heading_level:
            self._heading(text)
        elif self._marker:
            self._block(BlockKind.LIST_ITEM, clean_paragraph(text))
        else:
            self._block(BlockKind.PARAGRAPH, clean_paragraph(text))

    def _heading(self, text: str) -> None:
        self._marker = ""
        self.builder.add_heading(text, self._heading_level)
        if self.first_heading is None and self._heading_level == 1:
            self.first_heading = text

    def _block(self, kind: BlockKind, text: str) -> None:
        marker, self._marker = self._marker, ""
        if text:
            self.builder.add(kind, marker + text if kind is BlockKind.LIST_ITEM else text)

    def _close_row(self) -> None:
        cells, self._cells = self._cells or [], None
        if any(cells):
            self.builder.add(BlockKind.TABLE_ROW, CELL_SEPARATOR.join(cells))


def _inline_text(token: Token) -> str:
    parts: list[str] = []
    for child in token.children or ():
        match child.type:
            case "softbreak":
                parts.append(" ")
            case "hardbreak":
                parts.append("\n")
            case "image":
                parts.append(_inline_text(child) or child.content)
            case "html_inline":
                parts.append("\n" if _BREAK.match(child.content) else "")
            case _:
                parts.append(child.content)
    return "".join(parts)
