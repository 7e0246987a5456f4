"""Citations in an answer, as it streams: each [n] is one of the passages that were given, or it is not shown.

Models write [1], [1, 3], [1][3], and now and then a number that no passage has. A citation is read as soon as its
bracket closes; until then its beginning is held back, so that no half of one is ever shown. Inside code, brackets are
the code's own.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_CITATION = re.compile(r"((?<![ \t])[ \t]{0,8}|)\[\^?(\d{1,3}(?:\s*[,;–-]\s*\^?\d{1,3})*)\]")
# The beginning of what may become a citation, at the end of what has come.
_BEGINNING = re.compile(r"\[(?:\^?[\d,;–\-\s^]*)?$")
_TICKS_OR_GAP = re.compile(r"`+|\n[ \t]*\n")


_HELD_SPACES = 64
"""Of white space and backticks before what may become a citation: more is let out as it is."""


def without_citations(text: str) -> str:
    """Return an answer without its marks: the numbers were those of its own passages."""
    return re.sub(r"\[\d{1,3}\]", "", text)


@dataclass(frozen=True, slots=True)
class Cited:
    """A passage was cited, for the first time."""

    number: int


@dataclass(slots=True)
class CitationReader:
    """Reads text in parts of any size; what comes out is the same however it was cut.

    count is how many passages there are, numbered from 1.
    """

    count: int
    text: str = ""
    """What has come out so far."""
    cited: list[int] = field(default_factory=list)
    """Numbers of the passages cited, in the order of their first citation."""
    _held: str = ""
    _fence: str = ""
    """The backticks that code was opened with; empty outside of code."""

    def feed(self, part: str) -> Iterator[str | Cited]:
        """Yield text that is safe to show, and what it cites."""
        self._held += part
        yield from self._release(final=False)

    def finish(self) -> Iterator[str | Cited]:
        """Yield what was held back."""
        yield from self._release(final=True)

    def _release(self, *, final: bool) -> Iterator[str | Cited]:
        ready, self._held = (self._held, "") if final else _split_safe(self._held)
        shown: list[str] = []
        found: list[int] = []
        for piece, is_code in self._by_code(ready):
            if is_code:
                shown.append(piece)
                continue
            text, numbers = self._check(piece)
            shown.append(text)
            found += numbers
        text = "".join(shown)
        self.text += text
        if text:
            yield text
        for number in found:
            if number not in self.cited:
                self.cited.append(number)
                yield Cited(number)

    def _by_code(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield text in turns outside and inside of code; the backticks go with the code."""
        start = 0
        for match in _TICKS_OR_GAP.finditer(text):
            if "\n" in match.group():
                # A lone backtick is no code: what is written in a line ends with its paragraph.
                if 0 < len(self._fence) < 3:
                    yield text[start : match.end()], True
                    self._fence, start = "", match.end()
            elif not self._fence:
                yield text[start : match.start()], False
                self._fence, start = match.group(), match.start()
            elif match.group() == self._fence:
                yield text[start : match.end()], True
                self._fence, start = "", match.end()
        yield text[start:], bool(self._fence)

    def _check(self, text: str) -> tuple[str, list[int]]:
        """Return text with only the citations that are of a passage, and their numbers."""
        found: list[int] = []

        def keep(match: re.Match[str]) -> str:
            spaces, inside = match.groups()
            numbers = [number for number in _numbers(inside) if 1 <= number <= self.count]
            found.extend(numbers)
            # One of nothing goes with the space before it: "so it is [9]." becomes "so it is."
            return "".join([spaces, *(f"[{number}]" for number in numbers)]) if numbers else ""

        return _CITATION.sub(keep, text), found


def _split_safe(text: str) -> tuple[str, str]:
    """Return what may be read now, and the end that has to wait: half a citation, backticks, spaces before either."""
    match = _BEGINNING.search(text)
    cut = match.start() if match else len(text)
    least = max(0, cut - _HELD_SPACES)
    while cut > least and text[cut - 1] in "` \t\n":
        cut -= 1
    return text[:cut], text[cut:]


def _numbers(inside: str) -> Sequence[int]:
    """Return the numbers of "1, 3" and of "2-4"."""
    numbers: list[int] = []
    for part in re.split(r"\s*[,;]\s*", inside):
        ends = [int(number) for number in re.findall(r"\d+", part)]
        first, last = ends[0], ends[-1]
        numbers += range(first, min(last, first + 20) + 1) if last >= first else ends
    return list(dict.fromkeys(numbers))
