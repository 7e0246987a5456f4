"""Answers without a language model: the sentences of the documents that answer best, word for word, each cited.

A sentence is scored by the share of the question's words that it holds, each weighed by how rare it is in the
searcher's own documents; its passage by its own score and that of its best sentence.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from db.analyzer import count_surfaces, hash_terms
from db.lexical import LexicalQuery
from search.answer.passages import Passage
from search.cite import Hit

SplitSentences = Callable[[str, int, int], Iterable[tuple[int, int]]]

NAME = "extractive"

SENTENCE_WEIGHT = 0.5
"""Of the best sentence, beside the passage's own score. Of 790 gold spans (benchmarks/RESULTS.md) the first chunk holds
.589 instead of .553, before chunks are packed into passages; the first three hold as many as without it, the first five
a few less (.878, .885)."""

MAX_QUOTES = 5
RANKED_HITS = 12
"""Passages that a good sentence may lift. Further down there are none that answer."""

FULL_LENGTH = 30
"""Characters. A heading says the words of the question and nothing more: what is shorter counts by its length."""

HEADER = "These sentences of the documents answer best (no language model was asked):"


@dataclass(frozen=True, slots=True)
class Quote:
    """text is content[char_start:char_end] of the passage's document."""

    number: int
    text: str
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class _Best:
    score: float
    start: int
    end: int


def rank_by_sentences(hits: Sequence[Hit], words: LexicalQuery, split: SplitSentences) -> list[Hit]:
    """Return the hits with those first whose best sentence says most of the question."""
    head, tail = hits[:RANKED_HITS], hits[RANKED_HITS:]
    scored = {
        hit.chunk_id: hit.score + SENTENCE_WEIGHT * _best_sentence(hit.text, words, split).score
        for hit in head
    }
    return [*sorted(head, key=lambda hit: -scored[hit.chunk_id]), *tail]


def quote_sentences(passages: Sequence[Passage], words: LexicalQuery, split: SplitSentences) -> list[Quote]:
    """Return the best sentence of each of the first passages, in their order."""
    quotes = []
    for passage in passages[:MAX_QUOTES]:
        best = _best_sentence(passage.text, words, split)
        quotes.append(
            Quote(
                passage.number,
                passage.text[best.start : best.end],
                passage.char_start + best.start,
                passage.char_start + best.end,
            )
        )
    return quotes


def write_answer(quotes: Sequence[Quote]) -> str:
    """Return the quotes as an answer with citations, which says how it was made."""
    lines = [f"- {' '.join(quote.text.split())} [{quote.number}]" for quote in quotes]
    return "\n".join([HEADER, "", *lines])


def _best_sentence(text: str, words: LexicalQuery, split: SplitSentences) -> _Best:
    """Return the sentence that says most of the question, the first of equal ones; without words the first of all."""
    weights = {term.term: term.idf for term in words.terms}
    total = words.best_score or 1.0
    best: _Best | None = None
    for start, end in split(text, 0, len(text)):
        sentence = text[start:end]
        held = {
            term
            for surface in count_surfaces(sentence)
            for language in words.languages
            for term in hash_terms(surface, language)
        }
        share = sum(weight for term, weight in weights.items() if term in held) / total
        score = min(1.0, share) * min(1.0, len(sentence) / FULL_LENGTH)
        if best is None or score > best.score:
            best = _Best(score, start, end)
    return best or _Best(0.0, 0, len(text))
