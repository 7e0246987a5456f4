"""Where running text may be cut: sentences, lines, words, and inside a word only between graphemes."""

import re
import unicodedata
from collections.abc import Iterator

Span = tuple[int, int]

# A full stop, question or exclamation mark of any script, with the quotes and brackets that close on it.
# CJK and full-width marks end a sentence by themselves; the others only before white space.
_SENTENCE_END = re.compile(
    r"(?:[。！？｡︒﹒﹗﹖]+[」』”’）】》〉\"')\]]*|(?<![.!?…])[.!?…؟۔।॥።၊။]+[\"'”’»)\]}]*(?=\s))\s*"
)
_WORD = re.compile(r"\S+")
_LINE = re.compile(r"[^\n]+")

# English, German, French, Spanish, Italian, Dutch, Portuguese; lower case, without the last stop.
_ABBREVIATIONS = frozenset(
    """
    mr mrs ms dr prof rev gen sen rep gov capt lt col sgt jr sr st mt ft vs viz cf al ca approx dept est fig figs
    eq eqs ref refs sec ch vol vols no nos art p pp para ed eds inc ltd co corp e.g i.e a.m p.m u.s u.k u.n ph.d
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun min max
    z.b d.h u.a bzw vgl nr abb tab str hr fr abs ziff o.ä u.ä s.o s.u zzgl inkl ggf evtl
    m mme mlle mm av bd p.ex c.-à-d sra srta ud uds pág págs núm dott sig sigg d.w.z bijv dhr mevr
    """.split()  # noqa: SIM905 - a list of words
)
_LONGEST_ABBREVIATION = max(map(len, _ABBREVIATIONS))

_ZERO_WIDTH_JOINER = "\u200d"
_VIRAMA_CLASS = 9
_GRAPHEME_SEARCH = 64
"""A grapheme longer than this many code points is not writing; cut it where it must be."""


def split_sentences(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the sentences of text[start:end], without white space around them."""
    sentence_start = start
    for match in _SENTENCE_END.finditer(text, start, end):
        if match.end() < end and _ends_sentence(text, sentence_start, match, end):
            yield from _trimmed(text, sentence_start, match.end())
            sentence_start = match.end()
    yield from _trimmed(text, sentence_start, end)


def split_lines(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the lines of text[start:end] that have text, without white space around them."""
    for match in _LINE.finditer(text, start, end):
        yield from _trimmed(text, match.start(), match.end())


def split_words(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield what stands between white space in text[start:end]."""
    for match in _WORD.finditer(text, start, end):
        yield match.span()


def previous_grapheme_boundary(text: str, position: int, floor: int) -> int:
    """Return the last place at or before position, and after floor, that does not divide a grapheme.

    A small part of UAX #29: marks, joiners, variation selectors, emoji modifiers, flags, Indic conjuncts and
    Hangul syllables stay whole. Returns position itself where no better place is near.
    """
    for candidate in range(position, max(floor, position - _GRAPHEME_SEARCH), -1):
        if _is_grapheme_boundary(text, candidate):
            return candidate
    return position


def trim(text: str, start: int, end: int) -> Span:
    """Return the span without the white space at its ends; empty where there is nothing else."""
    part = text[start:end]
    stripped = part.lstrip()
    start += len(part) - len(stripped)
    return start, start + len(stripped.rstrip())


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    start, end = trim(text, start, end)
    if start < end:
        yield start, end


def _ends_sentence(text: str, sentence_start: int, match: re.Match[str], end: int) -> bool:
    first = match.group()[0]
    if first not in ".…":
        return True
    following = text[match.end()]
    if following.islower():
        return False
    word_start = max(sentence_start, match.start() - _LONGEST_ABBREVIATION - 1)
    words = text[word_start : match.start()].split()
    if not words or first == "…":
        return first == "…"
    word = words[-1].lstrip("([{\"'“‘«").lower()
    # "J. Smith", and "1. First" at the start of a sentence, which numbers what follows.
    is_initial = len(word) == 1 and word.isalpha() and following.isupper()
    is_number = word.isdigit() and text[sentence_start : match.start()].strip() == word
    return not (is_initial or is_number or word in _ABBREVIATIONS)


def _is_grapheme_boundary(text: str, position: int) -> bool:
    if position <= 0 or position >= len(text):
        return True
    before, after = text[position - 1], text[position]
    if after < "\u0300":
        return before != _ZERO_WIDTH_JOINER
    if (
        unicodedata.category(after)[0] == "M"
        or after in "\u200c\u200d"
        or "\U0001f3fb" <= after <= "\U0001f3ff"
    ):
        return False
    if before == _ZERO_WIDTH_JOINER or unicodedata.combining(before) == _VIRAMA_CLASS:
        return False
    if _is_flag_letter(before) and _is_flag_letter(after):
        return _flag_letters_before(text, position) % 2 == 0
    return not ("\u1160" <= after <= "\u11ff" and "\u1100" <= before <= "\u11ff")


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, position: int) -> int:
    count = 0
    while count < min(position, _GRAPHEME_SEARCH) and _is_flag_letter(text[position - count - 1]):
        count += 1
    return count
