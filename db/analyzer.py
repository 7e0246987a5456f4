"""Text to lexical terms: one set of rules for chunks, queries and highlights.

A word is indexed by its stem; a compound (state-of-the-art, snake_case, camelCase, a.b.c) by its parts and as
a whole without its joints, so that "e-mail" finds "email". Scripts that do not space their words are indexed
by overlapping pairs of characters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import Stemmer

from db.languages import LATIN_LANGUAGES, STOP_WORDS, script_language

TERM_LIMIT = 1_000_000_000
"""Terms are hashes in 1..TERM_LIMIT-1; 0 is left to count chunks. Being stored, they may never change."""

LONGEST_WORD = 64
"""Code points of a word that count: base64 and other machine noise may go on for pages."""

# Thai, Lao, Myanmar, Khmer, kana, Han have no spaces between words; Hangul glues its particles to them.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)


def _mark_ranges() -> str:
    """Return the combining marks of the basic plane, for a character class: parts of words, yet not \\w."""
    marks = [point for point in range(0x300, 0x10000) if unicodedata.category(chr(point)) in ("Mn", "Mc")]
    starts = [point for before, point in zip([-2, *marks], marks, strict=False) if point != before + 1]
    ends = [point for point, after in zip(marks, [*marks[1:], -2], strict=True) if after != point + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


_LETTERS = rf"[^\W_{_UNSPACED}]+(?:[{_mark_ranges()}]+[^\W_{_UNSPACED}]*)*"
_JOINT = r"[-.'’‐‑\u00ad\u200c\u200d]|_+|(?<=\d),(?=\d{3}(?!\d))"
# The ending keeps C, C++ and C# apart.
_TOKEN = re.compile(rf"[{_UNSPACED}]+|{_LETTERS}(?:(?:{_JOINT}){_LETTERS})*(?:\+\+|\#(?!\w))?")
_UNSPACED_START = re.compile(f"[{_UNSPACED}]")
# camelCase, but not mRNA, pH or iPhone: a part has two letters.
_SEAM = re.compile(rf"{_JOINT}|(?<=[a-z0-9]{{2}})(?=[A-Z][A-Za-z0-9])")
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d.,]*")

_ARABIC_SPELLING = str.maketrans("أإآٱىیکةؤئ", "ااااييكهوي", "ـ")
_ARABIC_VOWELS = re.compile("[\u064b-\u065f\u0670]")
_UNMARKED_LETTERS = str.maketrans(
    {"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)
_LATIN_MARKS = re.compile("[\u0300-\u036f]")

_STEMMED = (*LATIN_LANGUAGES, "greek", "russian", "armenian", "arabic", "hindi", "tamil")
# Our own cache of whole words makes Snowball's own one useless, and a call without it is safe in any thread.
_STEMMERS = {name: Stemmer.Stemmer(name, 0) for name in _STEMMED}


@dataclass(frozen=True, slots=True)
class Token:
    surface: str
    char_start: int
    char_end: int


def read_tokens(text: str) -> Iterator[Token]:
    """Yield the words of a text, and from an unspaced run its pairs of characters, which overlap by one."""
    for match in _TOKEN.finditer(text):
        yield from _split_run(match.group(), match.start())


def find_surfaces(text: str, wanted: Set[str]) -> Iterator[Token]:
    """Yield those of read_tokens whose surface is wanted, several times as fast."""
    for match in _TOKEN.finditer(text):
        surface = match.group()
        if surface in wanted:
            yield Token(surface, match.start(), match.end())
        elif not surface.isascii():
            yield from (token for token in _split_run(surface, match.start()) if token.surface in wanted)


def _split_run(surface: str, start: int) -> Iterator[Token]:
    if len(surface) > 2 and _UNSPACED_START.match(surface):
        yield from (Token(surface[i : i + 2], start + i, start + i + 2) for i in range(len(surface) - 1))
    else:
        yield Token(surface, start, start + len(surface))


def count_surfaces(text: str) -> Counter[str]:
    """Count what read_tokens yields, without the spans and several times as fast."""
    counts = Counter(_TOKEN.findall(text))
    for run in [run for run in counts if not run.isascii() and len(run) > 2 and _UNSPACED_START.match(run)]:
        times = counts.pop(run)
        for i in range(len(run) - 1):
            counts[run[i : i + 2]] += times
    return counts


@lru_cache(maxsize=200_000)
def hash_terms(surface: str, language: str) -> tuple[int, ...]:
    """Return the distinct terms of a word; none if the language has it among its stop words."""
    return tuple(dict.fromkeys(_hash_term(term) for term in find_terms(surface, language)))


def find_terms(surface: str, language: str) -> list[str]:
    """Return the terms of a word in plain: stems of its parts, then that of the whole if it has several."""
    word = _take_apart(surface)
    if word.is_whole:
        return list(word.parts)
    kept = [part for part in word.parts if part not in STOP_WORDS[language]]
    terms = [_stem(part, language) for part in kept]
    # "don't" and "l'homme" are no compounds: an apostrophe beside a small word only elides.
    if len(word.parts) > 1 and not (word.has_apostrophe and len(kept) < len(word.parts)):
        terms.append(_stem("".join(word.parts), language))
    return terms


@dataclass(frozen=True, slots=True)
class _Word:
    """What of a word does not depend on the language; a whole one is a term as it is."""

    parts: tuple[str, ...]
    is_whole: bool = False
    has_apostrophe: bool = False


@lru_cache(maxsize=50_000)
def _take_apart(surface: str) -> _Word:
    if _UNSPACED_START.match(surface):
        return _Word((unicodedata.normalize("NFKC", surface).casefold(),), is_whole=True)
    word = _POSSESSIVE.sub("", unicodedata.normalize("NFKC", surface[:LONGEST_WORD]))
    if _NUMBER.fullmatch(word):
        return _Word((_plain_digits(word.replace(",", "")),), is_whole=True)
    parts = tuple(part.casefold() for part in _SEAM.split(word) if part)
    return _Word(parts, has_apostrophe="'" in word or "’" in word)


def _stem(word: str, language: str) -> str:
    """Return the stem with accents folded: after stemming, because stemmers read accents."""
    if word.isascii():
        return str(_STEMMERS[language].stemWord(word))
    script = script_language(word[0])
    if script == "arabic":
        word = _ARABIC_VOWELS.sub("", word).translate(_ARABIC_SPELLING)
    stem = str(_STEMMERS[script or language].stemWord(word))
    if script in (None, "greek"):
        decomposed = unicodedata.normalize("NFKD", stem.translate(_UNMARKED_LETTERS))
        return unicodedata.normalize("NFC", _LATIN_MARKS.sub("", decomposed))
    return _plain_digits(stem.replace("ё", "е"))


def _plain_digits(word: str) -> str:
    """Return the word with the decimal digits of every script as 0-9."""
    if word.isascii():
        return word
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in word)


@lru_cache(maxsize=200_000)
def _hash_term(term: str) -> int:
    digest = blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (TERM_LIMIT - 1) + 1


def hash_mark(name: str) -> int:
    """Return the term of something that is no word; words hold no NUL."""
    return _hash_term(f"\0{name}")
