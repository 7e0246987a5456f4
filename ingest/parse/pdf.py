"""PDF: the text layer, page by page, with headings by type size; what has none needs OCR, and says so."""

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError, PyPdfError

from ingest.errors import CorruptFile, EncryptedFile, NoText, ParserLimit
from ingest.parse.clean import clean_line
from ingest.parse.document import BlockKind, ParsedDocument
from ingest.parse.pdf_furniture import drop_furniture
from ingest.parse.pdf_layout import find_style, lay_out
from ingest.parse.pdf_lines import Line, is_garbage, read_page

MAX_PAGES = 20_000

_MACHINE_TITLE = re.compile(
    r"^(?:microsoft (?:word|powerpoint|excel)|untitled|document\d*$|title$|slide \d+$|\(anonymous\)|[\W\d_]*$)"
    r"|\.(?:docx?|dotx?|odt|indd|tex|dvi|pdf|pptx?|xlsx?|rtf|qxd|fm|ai|eps|p65|wpd|txt|html?)$",
    re.IGNORECASE,
)
_INFO_KEYS = {"/Author": "author", "/Subject": "subject", "/Keywords": "keywords"}

# pypdf reports each oddity of each file it reads; what matters is raised.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def parse_pdf(path: Path) -> ParsedDocument:
    with path.open("rb") as stream:
        try:
            reader = PdfReader(stream, strict=False)
            _decrypt(reader)
            return _parse(reader)
        except FileNotDecryptedError as exc:
            raise EncryptedFile("The PDF is encrypted and needs a password to open.") from exc
        except LimitReachedError as exc:
            raise ParserLimit("The PDF unpacks to more than can be read safely.") from exc
        except PyPdfError as exc:
            raise CorruptFile("The PDF is damaged or cut off, and cannot be opened.") from exc


def _decrypt(reader: PdfReader) -> None:
    """Open a PDF that is encrypted for its owner only: anyone may read that, with an empty password."""
    if not reader.is_encrypted:
        return
    try:
        opened = reader.decrypt("")
    except (DependencyError, NotImplementedError) as exc:
        raise EncryptedFile("The PDF is encrypted by a method that is not supported.") from exc
    if not opened:
        raise EncryptedFile("The PDF is encrypted and needs a password to open.")


def _parse(reader: PdfReader) -> ParsedDocument:
    pages: list[list[Line]] = []
    unreadable: list[int] = []
    for number, lines in enumerate(_read_pages(reader), start=1):
        pages.append(lines or [])
        if lines is None:
            unreadable.append(number)
    if not any(pages):
        raise _nothing_to_read(len(pages), len(unreadable))
    pages = drop_furniture(pages)
    style = find_style(pages)
    builder = lay_out(pages, style)
    metadata = _metadata(reader)
    if unreadable:
        metadata["unreadable_pages"] = ", ".join(map(str, unreadable))
    title = metadata.pop("title", None)
    document = builder.build(title, metadata)
    return document if title else _with_title(document)


def _read_pages(reader: PdfReader) -> Iterator[list[Line] | None]:
    """Yield each page's lines; None for a page that is broken or whose fonts have no mapping to text."""
    count = len(reader.pages)
    if count > MAX_PAGES:
        raise ParserLimit(f"The PDF has {count} pages; {MAX_PAGES} is the limit.")
    for index in range(count):
        try:
            lines, raw = read_page(reader.pages[index])
        except (MemoryError, FileNotDecryptedError):
            raise
        except Exception:  # noqa: BLE001 - broken files raise anything; the other pages may be good
            yield None
            continue
        yield None if is_garbage(raw) else lines


def _nothing_to_read(pages: int, unreadable: int) -> CorruptFile | NoText:
    if pages == 0:
        return CorruptFile("The PDF has no pages.")
    if unreadable:
        return NoText(
            "The text of the PDF cannot be decoded: its fonts are damaged or have no mapping. It needs OCR."
        )
    return NoText(
        "The PDF has no text layer: its pages are images, or empty. It needs OCR before it can be read."
    )


def _metadata(reader: PdfReader) -> dict[str, str]:
    try:
        info: Mapping[str, Any] = reader.metadata or {}
    except Exception:  # noqa: BLE001 - a broken information dictionary is no reason to refuse the text
        return {}
    metadata = {name: clean_line(str(info[key])) for key, name in _INFO_KEYS.items() if info.get(key)}
    title = clean_line(str(info.get("/Title") or ""))
    if title and not _MACHINE_TITLE.search(title):
        metadata["title"] = title
    return metadata


def _with_title(document: ParsedDocument) -> ParsedDocument:
    """Take the largest heading of the first page that has one for the title."""
    end = next((start for start in document.page_starts if start > 0), len(document.text))
    headings = [
        block for block in document.blocks if block.kind is BlockKind.HEADING and block.char_start < end
    ]
    if not headings:
        return document
    best = min(headings, key=lambda block: (block.level, block.char_start))
    return ParsedDocument(
        text=document.text,
        blocks=document.blocks,
        page_starts=document.page_starts,
        title=document.text[best.char_start : best.char_end],
        metadata=document.metadata,
    )
