"""CSV and TSV: one line of text a row, each value with the name of its column, so that a row stands alone."""

import csv
import io
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ingest.parse.builder import DocumentBuilder
from ingest.parse.clean import clean_text
from ingest.parse.document import BlockKind, ParsedDocument
from ingest.parse.encoding import decode_text

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_ROWS = 50
SAMPLE_CHARS = 65_536

VALUE_SEPARATOR = "; "
HEADER_SEPARATOR = " | "

_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s?[\d.,' ]*\d\s?%?[)]?(?:[eE][-+]?\d+)?$")
_SEP_LINE = re.compile(r"\Asep=(.)\n", re.IGNORECASE)

# A cell may be as long as the file: the file's size is what is limited.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


def parse_csv(path: Path) -> ParsedDocument:
    source = clean_text(decode_text(path.read_bytes()))
    # Excel's own way to say what it separates by.
    if named := _SEP_LINE.match(source):
        return _parse(source[named.end() :], named.group(1))
    return _parse(source, find_delimiter(source))


def parse_tsv(path: Path) -> ParsedDocument:
    return _parse(clean_text(decode_text(path.read_bytes())), "\t")


def find_delimiter(source: str) -> str:
    """Return the delimiter that gives the most rows of one width, wider being better; a comma if none does."""
    sample = source[:SAMPLE_CHARS]
    return max(DELIMITERS, key=lambda delimiter: _regularity(sample, delimiter))


def _regularity(sample: str, delimiter: str) -> float:
    widths = [len(row) for row in islice(_rows(sample, delimiter), SAMPLE_ROWS) if row]
    if not widths or max(widths) == 1:
        return 0.0
    width, count = Counter(widths).most_common(1)[0]
    return 0.0 if width == 1 else count / len(widths) + min(statistics.fmean(widths), 100) / 1000


def _rows(source: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(source, newline=""), delimiter=delimiter, strict=False)


def _parse(source: str, delimiter: str) -> ParsedDocument:
    builder = DocumentBuilder()
    rows = ([" ".join(cell.split()) for cell in row] for row in _rows(source, delimiter))
    filled = (row for row in rows if any(row))
    head = list(islice(filled, SAMPLE_ROWS))
    header = head[0] if _has_header(head) else None
    if header is not None:
        builder.add(BlockKind.TABLE_ROW, HEADER_SEPARATOR.join(filter(None, header)))
        head = head[1:]
    for row in head:
        builder.add(BlockKind.TABLE_ROW, _row_text(row, header))
    for row in filled:
        builder.add(BlockKind.TABLE_ROW, _row_text(row, header))
    return builder.build(None)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: distinct short words, no numbers, and something below it."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [name for name in rows[0] if name]
    if len(names) * 2 < len(rows[0]) or len(set(names)) < len(names):
        return False
    return not any(_NUMBER.match(name) or len(name) > 100 for name in names)


def _row_text(row: Sequence[str], header: Sequence[str] | None) -> str:
    if header is None:
        return HEADER_SEPARATOR.join(filter(None, row))
    names = [*header, *[""] * (len(row) - len(header))]
    pairs = ((name, value) for name, value in zip(names, row, strict=False) if value)
    return VALUE_SEPARATOR.join(f"{name}: {value}" if name else value for name, value in pairs)
