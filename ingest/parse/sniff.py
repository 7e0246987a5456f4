"""Find out what a file is: by its first bytes, then by its name, then by what the sender says."""

import codecs
import re
from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

from ingest.errors import UnsupportedFormat

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MARKDOWN = "text/markdown"
CSV = "text/csv"
TSV = "text/tab-separated-values"
PLAIN = "text/plain"

SUPPORTED_MEDIA_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        PDF: (".pdf",),
        DOCX: (".docx", ".docm", ".dotx"),
        HTML: (".html", ".htm", ".xhtml"),
        MARKDOWN: (".md", ".markdown", ".mdown", ".mkd"),
        CSV: (".csv",),
        TSV: (".tsv", ".tab"),
        PLAIN: (".txt", ".text", ".log", ".rst", ".adoc", ".asciidoc", ".org", ".tex"),
    }
)
"""Media types that can be parsed, and the file name extensions they go by."""

SNIFF_BYTES = 4096
"""How much of a file's beginning sniff_media_type wants to see."""

_NAMES = {
    PDF: "PDF",
    DOCX: "Word (DOCX)",
    HTML: "HTML",
    MARKDOWN: "Markdown",
    CSV: "CSV",
    TSV: "TSV",
    PLAIN: "plain text",
}
_BY_EXTENSION = {
    extension: media for media, extensions in SUPPORTED_MEDIA_TYPES.items() for extension in extensions
}
_ALIASES = {
    "application/x-pdf": PDF,
    "application/xhtml+xml": HTML,
    "text/x-markdown": MARKDOWN,
    "application/csv": CSV,
    "text/x-rst": PLAIN,
    "text/asciidoc": PLAIN,
}
_FOREIGN = (
    (b"{\\rtf", "RTF"),
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"II*\x00", "TIFF image"),
    (b"MM\x00*", "TIFF image"),
    (b"\x1f\x8b", "gzip archive"),
    (b"7z\xbc\xaf", "7-Zip archive"),
    (b"Rar!", "RAR archive"),
    (b"\x7fELF", "program"),
    (b"MZ", "program"),
    (b"%!PS", "PostScript"),
    (b"SQLite format 3", "SQLite database"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
)
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP_CONTENTS = (
    (b"application/epub+zip", "EPUB"),
    (b"application/vnd.oasis.opendocument", "OpenDocument"),
    (b"ppt/", "PowerPoint"),
    (b"xl/", "Excel"),
)
_HTML_START = re.compile(
    rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_CONTROLS = bytes(byte for byte in range(32) if byte < 9 or 13 < byte < 27 or byte > 27)
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def format_name(media_type: str) -> str:
    return _NAMES.get(media_type, media_type)


def unsupported(found: str, filename: str | None) -> UnsupportedFormat:
    name = f"{filename!r}" if filename else "The file"
    supported = ", ".join(
        f"{_NAMES[media]} ({', '.join(extensions)})" for media, extensions in SUPPORTED_MEDIA_TYPES.items()
    )
    return UnsupportedFormat(f"{name} is {found}, which cannot be read. Supported: {supported}.")


def sniff_media_type(head: bytes, filename: str | None, declared: str | None) -> str:
    """Return the supported media type of a file that begins with head (SNIFF_BYTES of it, or all).

    Raises UnsupportedFormat, whose detail lists what is supported.
    """
    extension = PurePath(filename).suffix.lower() if filename else ""
    by_name = _BY_EXTENSION.get(extension)
    by_sender = _normalise(declared)
    if b"%PDF-" in head[:1024]:
        return PDF
    if head.startswith(_ZIP):
        return _sniff_zip(head, by_name or by_sender, filename)
    if head.startswith(_OLE):
        # A password turns a DOCX into an OLE file; its parser tells that from an old .doc.
        if by_name == DOCX:
            return DOCX
        raise unsupported("an old Microsoft Office or Outlook file", filename)
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            raise unsupported(f"of the format {name}", filename)
    if _is_binary(head):
        raise unsupported("a binary file of an unknown format", filename)
    return _sniff_text(head, extension, by_name, by_sender, filename)


def _normalise(declared: str | None) -> str | None:
    media_type = (declared or "").partition(";")[0].strip().lower()
    media_type = _ALIASES.get(media_type, media_type)
    return media_type if media_type in SUPPORTED_MEDIA_TYPES else None


def _sniff_zip(head: bytes, expected: str | None, filename: str | None) -> str:
    for mark, name in _ZIP_CONTENTS:
        if mark in head:
            raise unsupported(f"of the format {name}", filename)
    if b"word/" in head or expected == DOCX:
        return DOCX
    raise unsupported("a ZIP archive", filename)


def _sniff_text(
    head: bytes, extension: str, by_name: str | None, by_sender: str | None, filename: str | None
) -> str:
    # Markdown and tables may begin with a tag; whatever else begins as a page is one, a renamed PDF included.
    if by_name not in {MARKDOWN, CSV, TSV} and _HTML_START.match(head):
        return HTML
    if by_name is not None:
        return by_name
    if by_sender is not None:
        return by_sender
    if not extension:
        return PLAIN
    raise unsupported(f"of the format {extension}", filename)


def _is_binary(head: bytes) -> bool:
    """Whether the bytes cannot be text: zeros, unless they alternate as UTF-16 has them, or many controls."""
    if head.startswith((*_UTF16_MARKS, codecs.BOM_UTF32_BE)):
        return False
    zeros = head.count(0)
    if zeros:
        return max(head[::2].count(0), head[1::2].count(0)) < zeros * 0.9 or zeros < len(head) * 0.2
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > len(head) * 0.1
