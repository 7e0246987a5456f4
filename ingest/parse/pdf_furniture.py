"""Running heads, feet and page numbers: what a page repeats because it is a page."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from ingest.parse.pdf_lines import Line

EDGE_LINES = 2
"""Running heads and feet are looked for among so many lines at the top and at the bottom."""

MIN_PAGES = 3
MIN_SHARE = 0.25
"""Left and right pages may have heads of their own, and pages that begin a chapter have none."""

Y_TOLERANCE_PT = 8.0

_DIGITS = re.compile(r"\d+")

Key = tuple[str, int]


def drop_furniture(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Return the pages without the lines that stand, but for their numbers, in the same place of many pages."""
    edges = [_edge_lines(page) for page in pages]
    counts = Counter(key for page in edges for key in set(page.values()))
    enough = max(MIN_PAGES, MIN_SHARE * sum(bool(page) for page in pages))
    repeated = {key for key, count in counts.items() if count >= enough}
    repeated -= _bare_numbers_that_do_not_count_pages(repeated, pages, edges)
    return [
        [line for position, line in enumerate(page) if edge.get(position) not in repeated]
        for page, edge in zip(pages, edges, strict=True)
    ]


def _edge_lines(page: Sequence[Line]) -> dict[int, Key]:
    by_height = sorted(range(len(page)), key=lambda position: page[position].y)
    edge = {*by_height[:EDGE_LINES], *by_height[-EDGE_LINES:]}
    return {position: _key(page[position]) for position in edge}


def _key(line: Line) -> Key:
    return _DIGITS.sub("#", line.text.casefold()), round(line.y / Y_TOLERANCE_PT)


def _bare_numbers_that_do_not_count_pages(
    keys: set[Key], pages: Sequence[Sequence[Line]], edges: Sequence[dict[int, Key]]
) -> set[Key]:
    """A number at a page's edge is its number only if it goes up with the pages; else it may be a table's."""
    offsets: defaultdict[Key, Counter[int]] = defaultdict(Counter)
    for index, (page, edge) in enumerate(zip(pages, edges, strict=True)):
        for position, key in edge.items():
            if key in keys and key[0] == "#" and len(page[position].text) < 8:
                offsets[key][int(page[position].text) - index] += 1
    return {key for key, counter in offsets.items() if max(counter.values()) * 2 < counter.total()}
