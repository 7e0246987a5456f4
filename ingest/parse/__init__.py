"""Bytes to text: one file a format, and the choice between them."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from ingest.errors import CorruptFile, IngestError, NoText
from ingest.parse.document import Block, BlockKind, ParsedDocument
from ingest.parse.sniff import SUPPORTED_MEDIA_TYPES, format_name, sniff_media_type, unsupported

__all__ = [
    "SUPPORTED_MEDIA_TYPES",
    "Block",
    "BlockKind",
    "ParsedDocument",
    "parse",
    "sniff_media_type",
]

Parser = Callable[[Path], ParsedDocument]

# Imported when first needed: a process that only reads text does not pay for pypdf, half a second and 20 MB.
_PARSERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "application/pdf": ("ingest.parse.pdf", "parse_pdf"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": (
            "ingest.parse.docx",
            "parse_docx",
        ),
        "text/html": ("ingest.parse.html", "parse_html"),
        "text/markdown": ("ingest.parse.markdown", "parse_markdown"),
        "text/csv": ("ingest.parse.csv", "parse_csv"),
        "text/tab-separated-values": ("ingest.parse.csv", "parse_tsv"),
        "text/plain": ("ingest.parse.text", "parse_text"),
    }
)


def parse(path: Path, media_type: str, filename: str | None) -> ParsedDocument:
    """Return the text and structure of a file of a supported media type.

    Raises UnsupportedFormat, CorruptFile, EncryptedFile, NoText or ParserLimit.
    """
    if path.stat().st_size == 0:
        raise NoText("The file is empty.")
    parser = _parser(media_type, filename)
    try:
        document = parser(path)
    except (IngestError, MemoryError):
        raise
    except Exception as exc:
        # Parsers of formats this loose fail in ways that no list of exceptions covers.
        name = format_name(media_type)
        raise CorruptFile(
            f"The file could not be read as {name}: it is damaged, or not {name} at all."
        ) from exc
    if not document.text.strip():
        raise NoText("The file holds no text.")
    return document


def _parser(media_type: str, filename: str | None) -> Parser:
    if media_type not in _PARSERS:
        raise unsupported(media_type, filename)
    module, function = _PARSERS[media_type]
    parser: Parser = getattr(import_module(module), function)
    return parser
