"""Which passages a question is answered from: whole, best first, within a budget of tokens, numbered from 1.

        hits ──► those that fit ──► neighbours, where room is left ──► what adjoins becomes one ──► [1] [2] [3]

A chunk ends where its window ended, not where its thought does: of the spans that answer, one in six is whole only with
the neighbours of the first hit, and still one in twenty-one with those of the first eight (benchmarks/RESULTS.md). So
what the hits leave of the budget goes to the chunks before and after them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.passages import Neighbours, find_neighbours, read_spans
from db.pool import Pool
from search.cite import Hit

MAX_PASSAGES = 8
"""Models read the middle of a long context worst (Liu et al., "Lost in the Middle", 2023), and the gold passage is
among the first eight in nearly all of the cases in which it is found at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """text is content[char_start:char_end] of the document; pages count from 1; chunk_id is the hit's own."""

    number: int
    document_id: str
    chunk_id: UUID
    title: str
    text: str
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    headings: list[str]
    score: float
    metadata: Mapping[str, Any]


@dataclass(slots=True)
class _Draft:
    """A passage in the making: the hit, and how far it reaches by now."""

    hit: Hit
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None

    @property
    def is_whole_hit(self) -> bool:
        return (self.char_start, self.char_end) == (self.hit.char_start, self.hit.char_end)

    def reach(self, start: int, end: int, pages: tuple[int | None, int | None]) -> None:
        self.char_start, self.char_end = min(self.char_start, start), max(self.char_end, end)
        self.page_start = _least(self.page_start, pages[0])
        self.page_end = _most(self.page_end, pages[1])


async def pack(
    pool: Pool,
    spaces: tuple[str, ...],
    hits: Sequence[Hit],
    *,
    budget_tokens: int,
    count_tokens: Callable[[str], int],
    max_passages: int = MAX_PASSAGES,
) -> list[Passage]:
    """Return the passages for a question, best first; none where not even one fits."""
    chosen, left = _choose(hits, budget_tokens, count_tokens, max_passages)
    if not chosen:
        return []
    async with pool.acquire() as conn:
        around = await find_neighbours(conn, spaces, [hit.chunk_id for hit in chosen])
        drafts = _merge(_extend(chosen, around, left))
        wide = [draft for draft in drafts if not draft.is_whole_hit]
        texts = await read_spans(
            conn, spaces, [(draft.hit.document_id, draft.char_start, draft.char_end) for draft in wide]
        )
    # A document that was deleted or stored anew meanwhile: the hit itself is still what was found.
    by_draft = {id(draft): text for draft, text in zip(wide, texts, strict=True) if text}
    return [_passage(number, draft, by_draft.get(id(draft))) for number, draft in enumerate(drafts, 1)]


def _choose(
    hits: Sequence[Hit], budget_tokens: int, count_tokens: Callable[[str], int], max_passages: int
) -> tuple[list[Hit], int]:
    """Return the hits that fit, and the tokens that are left; a hit that is too long does not end the list."""
    chosen: list[Hit] = []
    left = budget_tokens
    for hit in hits:
        tokens = count_tokens(hit.text)
        if tokens <= left:
            chosen.append(hit)
            left -= tokens
        if len(chosen) == max_passages:
            break
    return chosen, left


def _extend(hits: Sequence[Hit], around: Mapping[UUID, Neighbours], left: int) -> list[_Draft]:
    """Give each hit, best first, the chunk after it and the chunk before it, as long as there is room."""
    drafts = [_Draft(hit, hit.char_start, hit.char_end, hit.page_start, hit.page_end) for hit in hits]
    taken = {hit.chunk_id for hit in hits}
    for draft in drafts:
        found = around.get(draft.hit.chunk_id)
        for neighbour in (found.after, found.before) if found else ():
            if neighbour is None:
                continue
            if neighbour.chunk_id not in taken:
                if neighbour.token_count > left:
                    continue
                left -= neighbour.token_count
                taken.add(neighbour.chunk_id)
            # One that is taken is a passage already: reaching it makes the two one.
            draft.reach(neighbour.char_start, neighbour.char_end, (neighbour.page_start, neighbour.page_end))
    return drafts


def _merge(drafts: Sequence[_Draft]) -> list[_Draft]:
    """Make one of what overlaps in a document, at the place of the better of the two."""
    merged: list[_Draft] = []
    for draft in drafts:
        apart: list[_Draft] = []
        first = draft
        for known in merged:
            if known.hit.document_id == draft.hit.document_id and _overlap(known, first):
                known.reach(first.char_start, first.char_end, (first.page_start, first.page_end))
                if first is not draft:
                    continue  # two that were apart are joined by this one
                first = known
            apart.append(known)
        merged = apart if first is not draft else [*apart, draft]
    return merged


def _overlap(one: _Draft, other: _Draft) -> bool:
    return one.char_start < other.char_end and other.char_start < one.char_end


def _passage(number: int, draft: _Draft, text: str | None) -> Passage:
    hit = draft.hit
    if text is None:
        draft = _Draft(hit, hit.char_start, hit.char_end, hit.page_start, hit.page_end)
    return Passage(
        number=number,
        document_id=hit.document_id,
        chunk_id=hit.chunk_id,
        title=hit.title,
        text=hit.text if text is None else text,
        char_start=draft.char_start,
        char_end=draft.char_end,
        page_start=draft.page_start,
        page_end=draft.page_end,
        headings=hit.headings,
        score=hit.score,
        metadata=hit.metadata,
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((page for page in (one, other) if page is not None), default=None)


def _most(one: int | None, other: int | None) -> int | None:
    return max((page for page in (one, other) if page is not None), default=None)
