"""How good answers without a language model are: do they cite what answers, and do they decline what cannot be.

python -m benchmarks.answers [--json] [--limit N]

Two collections go through the real pipeline. Their own questions are answered: beside what the answer cites stand the
first hits of a plain search, which are what one would cite otherwise, and steps in between. Then the questions of other
collections are put to both, at most OTHERS_LIMIT of each.
"""

import argparse
import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from benchmarks.workbench import SHARED, commit, machine, scratch, served, table
from db.passages import Neighbours, find_neighbours
from ingest.boundaries import split_sentences
from search.answer.evidence import MIN_SCORE
from search.answer.extractive import rank_by_sentences
from search.answer.passages import Passage
from search.answer.pipeline import Answered, Retrieved, Tools, answer
from search.cite import Hit
from search.evaluate import CorpusDocument, load_data_set
from service.answering.asking import to_request
from service.answering.schemas import AnswerSettings
from service.commands.scratch import ingest_corpus, scratch_user
from service.runtime import Runtime, open_ingestor

BENCH = SHARED / "bench"
TUNED_ON = ("scifact", "cranfield", "xquad-en")
"""The threshold was chosen on these: search/answer/evidence.py."""
FIRST = (1, 3, 5)
OTHERS_LIMIT = 200
HIT_COUNT = 8
"""As many as an answer has passages for."""


@dataclass(frozen=True, slots=True)
class Span:
    """Characters of a document, by its id in the corpus."""

    document: str
    start: int
    end: int

    def holds(self, other: "Span") -> bool:
        return self.document == other.document and self.start <= other.start and other.end <= self.end

    def overlaps(self, other: "Span") -> bool:
        return self.document == other.document and self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True)
class Question:
    """gold are spans that answer, or documents that do, as spans without an end."""

    text: str
    gold: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Collection:
    name: str
    corpus: Sequence[CorpusDocument]
    questions: Sequence[Question]
    is_judged_by_span: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What one question found, in the order of each way of finding it; quotes are the sentences of CITED_ALWAYS."""

    gold: Sequence[Span]
    ways: Mapping[str, Sequence[Span]]
    quotes: Sequence[Span]
    declined: bool
    best_score: float


@dataclass(frozen=True, slots=True)
class Line:
    """One way on one collection: the share that is held by the first 1, 3 and 5, and the mean length of one."""

    collection: str
    way: str
    held: Sequence[float]
    chars: float


@dataclass(frozen=True, slots=True)
class Declined:
    collection: str
    questions_of: str
    questions: int
    share: float
    best_scores: Sequence[float]
    """Of the best hit of each question, which is what the threshold is compared with."""


HITS = "hits of a plain search"
BY_SENTENCE = "hits ranked by their sentences"
WIDENED = "hits of a plain search, each with both neighbours"
CITED = "citations of the answer"
CITED_ALWAYS = "citations, were nothing declined"
WAYS = (HITS, BY_SENTENCE, WIDENED, CITED, CITED_ALWAYS)


async def main(limit: int | None, as_json: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    collections = [_claude_docs(limit), _chunking_eval(limit)]
    others = {one.name: [question.text for question in one.questions][:OTHERS_LIMIT] for one in collections}
    others |= {name: _questions_of(name, limit) for name in TUNED_ON}
    lines: list[Line] = []
    quotes: dict[str, float] = {}
    next_door: dict[str, Sequence[float]] = {}
    declined: list[Declined] = []
    async with (
        scratch() as (settings, dsn),
        served(settings, dsn) as runtime,
        open_ingestor(runtime) as ingestor,
    ):
        for collection in collections:
            async with scratch_user(runtime.pool) as space:
                corpus_ids = await ingest_corpus(ingestor, space, collection.corpus, lambda: None)
                found = [
                    await _ask_own(runtime, space, corpus_ids, question) for question in collection.questions
                ]
                lines += _lines_of(collection, found)
                if collection.is_judged_by_span:
                    quotes[collection.name] = _quotes_at_first(found)
                    next_door[collection.name] = _next_door(found)
                declined.append(
                    _declined(
                        collection.name, collection.name, [(one.declined, one.best_score) for one in found]
                    )
                )
                for name, texts in others.items():
                    if name != collection.name:
                        foreign = [await _answer(runtime, space, text, MIN_SCORE) for text in texts]
                        pairs = [
                            (answered.declined, _best_score(retrieved)) for retrieved, answered in foreign
                        ]
                        declined.append(_declined(collection.name, name, pairs))
    if as_json:
        made = {
            "commit": commit(),
            "min_score": MIN_SCORE,
            "held": [asdict(line) for line in lines],
            "first_quote_overlaps_gold": quotes,
            "next_door": next_door,
            "declined": [asdict(row) for row in declined],
        }
        print(json.dumps(made, indent=1))
        return
    _print(lines, quotes, next_door, declined)


async def _answer(runtime: Runtime, space: str, text: str, min_score: float) -> tuple[Retrieved, Answered]:
    request = to_request(AnswerSettings(), text, (), None, min_score)
    retrieved: Retrieved | None = None
    answered: Answered | None = None
    tools = Tools(runtime.pool, runtime.embedder, None, split_sentences)
    async for event in answer(tools, (space,), request):
        if isinstance(event, Retrieved):
            retrieved = event
        elif isinstance(event, Answered):
            answered = event
    assert retrieved is not None, "an answer begins with what was retrieved"
    assert answered is not None, "and it ends"
    return retrieved, answered


async def _ask_own(runtime: Runtime, space: str, corpus_ids: Mapping[str, str], question: Question) -> Found:
    retrieved, answered = await _answer(runtime, space, question.text, MIN_SCORE)
    _, always = await _answer(runtime, space, question.text, 0.0)
    hits = retrieved.result.hits
    async with runtime.pool.acquire() as conn:
        around = await find_neighbours(conn, (space,), [hit.chunk_id for hit in hits[:HIT_COUNT]])
    by_sentence = rank_by_sentences(hits, retrieved.result.words, split_sentences)
    ways = {
        HITS: [_span(hit, corpus_ids) for hit in hits[:HIT_COUNT]],
        BY_SENTENCE: [_span(hit, corpus_ids) for hit in by_sentence[:HIT_COUNT]],
        WIDENED: [_widen(_span(hit, corpus_ids), around.get(hit.chunk_id)) for hit in hits[:HIT_COUNT]],
        CITED: [_span(citation.passage, corpus_ids) for citation in answered.citations],
        CITED_ALWAYS: [_span(citation.passage, corpus_ids) for citation in always.citations],
    }
    quotes = [
        Span(corpus_ids[citation.passage.document_id], *citation.quote)
        for citation in always.citations
        if citation.quote is not None
    ]
    return Found(question.gold, ways, quotes, answered.declined, _best_score(retrieved))


def _best_score(retrieved: Retrieved) -> float:
    return max((hit.score for hit in retrieved.result.hits), default=0.0)


def _span(hit: Hit | Passage, corpus_ids: Mapping[str, str]) -> Span:
    return Span(corpus_ids[hit.document_id], hit.char_start, hit.char_end)


def _widen(span: Span, around: Neighbours | None) -> Span:
    if around is None:
        return span
    start = span.start if around.before is None else min(span.start, around.before.char_start)
    end = span.end if around.after is None else max(span.end, around.after.char_end)
    return replace(span, start=start, end=end)


def _lines_of(collection: Collection, found: Sequence[Found]) -> Iterator[Line]:
    """Yield a line for each way; a question that was declined has no citation, and so holds nothing."""
    share = _share_of_spans if collection.is_judged_by_span else _share_of_questions
    for way in WAYS:
        spans = [span for one in found for span in one.ways[way][: FIRST[-1]]]
        chars = sum(span.end - span.start for span in spans) / max(1, len(spans))
        yield Line(collection.name, way, [share(found, way, first) for first in FIRST], chars)


def _share_of_spans(found: Sequence[Found], way: str, first: int) -> float:
    """Return how many of all gold spans lie wholly within one of the first."""
    held = [any(span.holds(gold) for span in one.ways[way][:first]) for one in found for gold in one.gold]
    return sum(held) / len(held)


def _share_of_questions(found: Sequence[Found], way: str, first: int) -> float:
    """Return how many questions have one of their gold documents among the first."""
    held = [
        any(span.document == gold.document for span in one.ways[way][:first] for gold in one.gold)
        for one in found
    ]
    return sum(held) / len(held)


def _quotes_at_first(found: Sequence[Found]) -> float:
    """Return how many questions have a first quoted sentence that shares characters with a gold span."""
    return sum(
        any(quote.overlaps(gold) for quote in one.quotes[:1] for gold in one.gold) for one in found
    ) / len(found)


def _next_door(found: Sequence[Found]) -> list[float]:
    """Return how many gold spans lie not within one of the first hits, but within one and its neighbours.

    For the first 1, 3, 5 and HIT_COUNT hits.
    """
    return [
        _share_of_spans(found, WIDENED, first) - _share_of_spans(found, HITS, first)
        for first in (*FIRST, HIT_COUNT)
    ]


def _declined(collection: str, questions_of: str, outcomes: Sequence[tuple[bool, float]]) -> Declined:
    share = sum(declined for declined, _ in outcomes) / len(outcomes)
    return Declined(
        collection, questions_of, len(outcomes), share, [round(score, 4) for _, score in outcomes]
    )


def _claude_docs(limit: int | None) -> Collection:
    data = load_data_set(BENCH / "claude-docs")
    questions = [
        Question(
            text, [Span(document, 0, 0) for document, grade in data.judgements[query].items() if grade > 0]
        )
        for query, text in data.queries.items()
    ]
    return Collection("claude-docs", data.corpus, questions[:limit], is_judged_by_span=False)


def _chunking_eval(limit: int | None) -> Collection:
    """The texts whole, as they were published; gold spans count their characters."""
    folder = BENCH / "chunking-eval"
    corpus = [
        CorpusDocument(path.stem, path.stem.replace("_", " "), path.read_bytes().decode())
        for path in sorted((folder / "native" / "corpora").glob("*.md"))
    ]
    questions = [
        Question(
            row["text"],
            [
                Span(row["metadata"]["corpus"], gold["start_index"], gold["end_index"])
                for gold in row["metadata"]["references"]
            ],
        )
        for row in map(json.loads, filter(None, _read(folder / "queries.jsonl").split("\n")))
    ]
    return Collection("chunking-eval", corpus, questions[:limit], is_judged_by_span=True)


def _questions_of(name: str, limit: int | None) -> list[str]:
    return list(load_data_set(BENCH / name).queries.values())[: limit or OTHERS_LIMIT]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _print(
    lines: Sequence[Line],
    quotes: Mapping[str, float],
    next_door: Mapping[str, Sequence[float]],
    declined: Sequence[Declined],
) -> None:
    share: Callable[[float], str] = lambda value: f"{value:.3f}"  # noqa: E731 - one format for all
    print(f"commit {commit()}, {machine()}, threshold {MIN_SCORE}\n")
    print(
        table(
            ("collection", "what is read", "gold in 1", "in 3", "in 5", "characters of one"),
            [(line.collection, line.way, *map(share, line.held), f"{line.chars:.0f}") for line in lines],
        )
    )
    for name, overlapping in quotes.items():
        print(
            f"\nThe first quoted sentence overlaps a gold span in {overlapping:.3f} of the questions of {name}."
        )
    print()
    print(
        table(
            ("collection", "questions of", "questions", "declined", ""),
            [_declined_row(row) for row in declined],
        )
    )


def _declined_row(row: Declined) -> tuple[object, ...]:
    if row.questions_of == row.collection:
        note = "wrongly"
    else:
        note = (
            "not held out: the threshold was chosen on these questions"
            if row.questions_of in TUNED_ON
            else "held out"
        )
    return row.collection, row.questions_of, row.questions, f"{row.share:.3f}", note


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--limit", type=int, default=None, help="questions of each collection")
    given = parser.parse_args()
    asyncio.run(main(given.limit, given.json))
