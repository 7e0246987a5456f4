"""From the lines of pages to headings and paragraphs."""

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.parse.builder import MAX_HEADING_LEVEL, DocumentBuilder
from ingest.parse.document import BlockKind
from ingest.parse.pdf_lines import Line

HEADING_SCALE = 1.12
"""Type this much larger than the body's is a heading's."""

SAME_LEVEL_SCALE = 0.9

MAX_HEADING_CHARS = 150
MAX_BOLD_HEADING_CHARS = 90
MAX_HEADING_SHARE = 0.25
"""Where more of the text than this looks like headings, type size says nothing: a poster, or slides."""

PARAGRAPH_GAP = 1.4
"""A step down of this many usual line steps begins a paragraph."""

SHORT_LINE_SHARE = 0.6
"""A line this much shorter than most was ended on purpose."""

_LIST_MARKER = re.compile(r"(?:[•▪◦●○■□‣⁃∙·*–—-]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")
_ENDS_SENTENCE = re.compile(r"[.!?:;。！？…][\"'”’»)\]]*$")
_NUMBERED = re.compile(r"(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[IVX]{1,5}\.|[A-Z]\.)\s+\S")
_DIVIDED_WORD = re.compile(r"(\w*[^\W\d_])[-‐]$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[^\W\d_]+(?:[-‐][^\W\d_]+)*")


@dataclass(frozen=True, slots=True)
class Style:
    """What a document's type tells: the size of its body, and the levels of the sizes above it."""

    body_size: float
    levels: dict[float, int]
    bold_level: int
    words: frozenset[str]
    """Words as they stand inside lines, to tell a divided word from one with a hyphen."""

    def heading_level(self, line: Line) -> int:
        """Return 1 to 6 for a heading, 0 for anything else."""
        if not self.levels and not self.bold_level:
            return 0
        if line.is_tabular or not _looks_like_heading(line, MAX_HEADING_CHARS):
            return 0
        level = self.levels.get(_bucket(line.size), 0)
        if level:
            return level
        return self.bold_level if self.bold_level and _is_bold_heading(line, self.body_size) else 0


def find_style(pages: Sequence[Sequence[Line]]) -> Style:
    chars_by_size: Counter[float] = Counter()
    bold_chars = total_chars = 0
    for line in _lines(pages):
        chars_by_size[_bucket(line.size)] += len(line.text)
        total_chars += len(line.text)
        bold_chars += len(line.text) if line.is_bold else 0
    body_size = chars_by_size.most_common(1)[0][0] if chars_by_size else 0.0
    levels = _rank(_heading_sizes(pages, body_size, total_chars))
    has_bold_headings = bold_chars < total_chars * MAX_HEADING_SHARE
    bold_level = min(max(levels.values(), default=0) + 1, MAX_HEADING_LEVEL) if has_bold_headings else 0
    return Style(body_size, levels, bold_level, _words(pages))


def lay_out(pages: Sequence[Sequence[Line]], style: Style) -> DocumentBuilder:
    """Return the document with its pages begun where their first character stands."""
    layout = _Layout(style)
    for page in pages:
        layout.add_page(page)
    return layout.builder


def _lines(pages: Sequence[Sequence[Line]]) -> Iterable[Line]:
    return (line for page in pages for line in page)


def _heading_sizes(pages: Sequence[Sequence[Line]], body_size: float, total_chars: int) -> list[float]:
    """The sizes of headings, largest first; none where they would be too much of the text."""
    chars: Counter[float] = Counter()
    for line in _lines(pages):
        if line.size >= body_size * HEADING_SCALE and _looks_like_heading(line, MAX_HEADING_CHARS):
            chars[_bucket(line.size)] += len(line.text)
    return sorted(chars, reverse=True) if chars.total() <= total_chars * MAX_HEADING_SHARE else []


def _rank(sizes: Sequence[float]) -> dict[float, int]:
    """Give sizes, largest first, levels from 1; sizes that differ by little share one."""
    levels: dict[float, int] = {}
    level, largest = 0, float("inf")
    for size in sizes:
        if size < largest * SAME_LEVEL_SCALE:
            level, largest = min(level + 1, MAX_HEADING_LEVEL), size
        levels[size] = level
    return levels


def _words(pages: Sequence[Sequence[Line]]) -> frozenset[str]:
    words: set[str] = set()
    for line in _lines(pages):
        found = _WORD.findall(line.text.casefold())
        # The last word may be the first half of one.
        words.update(found[:-1] if line.text.endswith(("-", "‐")) else found)
    return frozenset(words)


def _bucket(size: float) -> float:
    return round(size * 2) / 2


def _looks_like_heading(line: Line, max_chars: int) -> bool:
    letters = sum(character.isalpha() for character in line.text)
    return len(line.text) <= max_chars and letters >= 2 and letters * 2 > len(line.text.replace(" ", ""))


def _is_bold_heading(line: Line, body_size: float) -> bool:
    if not line.is_bold or line.size < body_size * 0.95 or len(line.text) > MAX_BOLD_HEADING_CHARS:
        return False
    first = line.text.lstrip("\"'“‘«([")[:1]
    return not first.islower() and not line.text.endswith((".", ",", ";", ":", "-"))


class _Layout:
    def __init__(self, style: Style) -> None:
        self.builder = DocumentBuilder()
        self._style = style
        self._before: Line | None = None
        self._before_level = 0
        self._step = 0.0
        self._usual_chars = 0.0

    def add_page(self, page: Sequence[Line]) -> None:
        self.builder.start_page()
        self._measure(page)
        for position, line in enumerate(page):
            self._add(line, starts_page=position == 0)

    def _measure(self, page: Sequence[Line]) -> None:
        body = [line for line in page if abs(line.size - self._style.body_size) < 1.0] or list(page)
        steps = [above.y - below.y for above, below in pairwise(body)]
        downward = [step for step, line in zip(steps, body, strict=False) if 0 < step < 4 * line.size]
        # The common line step is a low one: gaps between paragraphs are the outliers.
        self._step = statistics.quantiles(downward, n=3)[0] if len(downward) > 1 else 0.0
        lengths = sorted(len(line.text) for line in body)
        self._usual_chars = lengths[int(len(lengths) * 0.8)] if lengths else 0

    def _add(self, line: Line, *, starts_page: bool) -> None:
        level = self._style.heading_level(line)
        joint = self._joint(line, level, starts_page=starts_page)
        if joint is None or self.builder.is_empty:
            self._begin(line, level)
        elif joint == "-":
            self.builder.drop_last_character()
            self.builder.continue_block(line.text, joint="", starts_page=starts_page)
        else:
            self.builder.continue_block(line.text, joint=joint, starts_page=starts_page)
        self._before, self._before_level = line, level

    def _begin(self, line: Line, level: int) -> None:
        if level:
            self.builder.add_heading(line.text, level)
        elif line.is_tabular:
            self.builder.add(BlockKind.TABLE_ROW, line.text)
        elif _LIST_MARKER.match(line.text):
            self.builder.add(BlockKind.LIST_ITEM, line.text)
        else:
            self.builder.add(BlockKind.PARAGRAPH, line.text)

    def _joint(self, line: Line, level: int, *, starts_page: bool) -> str | None:
        """What stands between this line and the one before: "-" for a divided word, None for a new block."""
        before = self._before
        if before is None or level != self._before_level or line.is_tabular or before.is_tabular:
            return None
        if abs(line.size - before.size) > 0.12 * before.size:
            return None
        down = before.y - line.y
        if level:
            is_same = not starts_page and 0 < down < 2 * line.size and not _NUMBERED.match(line.text)
            return " " if is_same else None
        if _LIST_MARKER.match(line.text):
            return None
        if starts_page or down < -0.5 * line.size:
            return self._joint_over_break(before, line)
        if self._step and down > self._step * PARAGRAPH_GAP:
            return None
        return self._joint_in_paragraph(before, line)

    def _joint_over_break(self, before: Line, line: Line) -> str | None:
        """A new page or column goes on with a sentence that the last one left open."""
        if not line.text[0].islower() or _ENDS_SENTENCE.search(before.text):
            return None
        return self._word_joint(before, line)

    def _joint_in_paragraph(self, before: Line, line: Line) -> str | None:
        is_short = len(before.text) < self._usual_chars * SHORT_LINE_SHARE
        ends = _ENDS_SENTENCE.search(before.text) is not None
        is_indented = line.x > before.x + line.size * 0.8
        if ends and (is_short or is_indented):
            return None
        if is_short and not line.text[0].islower():
            return "\n"
        return self._word_joint(before, line)

    def _word_joint(self, before: Line, line: Line) -> str:
        divided, first = _DIVIDED_WORD.search(before.text), _FIRST_WORD.match(line.text)
        if divided is None or first is None:
            return " "
        head, tail = divided.group(1).casefold(), first.group().casefold()
        # "n-dimensional" and "F-measure" are never divided there.
        if len(head) < 2 or not first.group()[0].islower() or f"{head}-{tail}" in self._style.words:
            return ""
        return "-"
