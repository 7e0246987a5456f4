"""The lines of a PDF page with their place and type size, as pypdf's text visitor lets us see them."""

import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from pypdf import PageObject

from ingest.parse.clean import clean_line

_BOLD_FONT = re.compile(r"bold|black|heavy|semib|demi|medi\b|CMBX|[-,]B\b", re.IGNORECASE)

GLYPH_WIDTH = 0.5
"""An average glyph's width as a part of the type size: pypdf does not say where a run ends. East Asian: 1."""

CELL_GAP = 1.5
"""White space in one line wider than this many type sizes parts two cells of a table."""

_LEADER = re.compile(r"(?:[.·…_]\s?){6,}")
"""The dots between a heading and its page number: each of them would count as a token."""

_GARBAGE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]|\\(cid:\\d+\\)|/g\\d{2,}")
MAX_GARBAGE_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text, clean; x and y of where it begins and the size most of it has, in points."""

    text: str
    x: float
    y: float
    size: float
    is_bold: bool
    is_tabular: bool


def is_garbage(raw: str) -> bool:
    """Whether a page's text is mostly what fonts without a Unicode mapping leave behind."""
    visible = sum(not character.isspace() for character in raw)
    garbage = sum(len(match.group()) for match in _GARBAGE.finditer(raw))
    return visible > 0 and garbage > visible * MAX_GARBAGE_SHARE


def read_page(page: PageObject) -> tuple[list[Line], str]:
    """Return the page's lines in the order pypdf gives them, and its raw text."""
    collector = _Collector()
    page.extract_text(visitor_text=collector.visit)
    collector.end_line()
    return collector.lines, "".join(collector.raw)


@dataclass(slots=True)
class _Run:
    text: str
    x: float
    y: float
    size: float
    is_bold: bool


@dataclass(slots=True)
class _Collector:
    lines: list[Line] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    _runs: list[_Run] = field(default_factory=list)

    def visit(self, text: str, cm: Sequence[float], tm: Sequence[float], font: Any, font_size: float) -> None:
        if not text:
            return
        self.raw.append(text)
        is_bold = _is_bold(font)
        size = font_size * _scale(tm) * _scale(cm)
        x = tm[4] * cm[0] + tm[5] * cm[2] + cm[4]
        y = tm[4] * cm[1] + tm[5] * cm[3] + cm[5]
        first, *others = text.split("\n")
        self._add(_Run(first, x, y, size, is_bold))
        for other in others:
            self.end_line()
            self._add(_Run(other, x, y, size, is_bold))

    def end_line(self) -> None:
        runs, self._runs = self._runs, []
        text = clean_line(_LEADER.sub(" … ", "".join(run.text for run in runs)))
        if not text:
            return
        longest = max(runs, key=lambda run: len(run.text.strip()))
        bold = sum(len(run.text) for run in runs if run.is_bold)
        whole = sum(len(run.text) for run in runs)
        self.lines.append(
            Line(
                text, runs[0].x, longest.y, round(abs(longest.size), 1), bold > whole * 0.9, _has_cells(runs)
            )
        )

    def _add(self, run: _Run) -> None:
        if run.text.strip() or (self._runs and run.text):
            self._runs.append(run)


def _is_bold(font: Any) -> bool:
    name = font.get("/BaseFont") if font is not None else None
    return isinstance(name, str) and _BOLD_FONT.search(name) is not None


def _scale(matrix: Sequence[float]) -> float:
    return math.hypot(matrix[2], matrix[3])


def _has_cells(runs: Sequence[_Run]) -> bool:
    """Whether the line has a gap that no space between words is wide enough for."""
    visible = [run for run in runs if run.text.strip()]
    for left, right in pairwise(visible):
        width = _width(left.text.strip()) * left.size
        gap = right.x - (left.x + width)
        if gap > max(CELL_GAP * left.size, width * 0.3):
            return True
    return False


def _width(text: str) -> float:
    if text.isascii():
        return len(text) * GLYPH_WIDTH
    return sum(1.0 if unicodedata.east_asian_width(glyph) in "WF" else GLYPH_WIDTH for glyph in text)
