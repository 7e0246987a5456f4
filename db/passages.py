"""What stands around a chunk, and the text of any span of a document."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from db.pool import Conn


class Neighbour(msgspec.Struct, frozen=True):
    """A chunk as its neighbour sees it; token_count is the embedder's, its title and headings included."""

    chunk_id: UUID
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    token_count: int


@dataclass(frozen=True, slots=True)
class Neighbours:
    before: Neighbour | None
    after: Neighbour | None


async def find_neighbours(
    conn: Conn, spaces: Sequence[str], chunk_ids: Sequence[UUID]
) -> dict[UUID, Neighbours]:
    """Return the chunks before and after each, in the same document; chunks that are gone are left out."""
    rows = await conn.fetch(
        """
        SELECT c.id AS of, n.ordinal > c.ordinal AS is_after, n.id AS chunk_id, n.char_start, n.char_end,
               n.page_start, n.page_end, n.token_count
        FROM chunk AS c
        JOIN chunk AS n ON n.space_id = c.space_id AND n.document_id = c.document_id
                       AND n.ordinal IN (c.ordinal - 1, c.ordinal + 1)
        WHERE c.space_id = ANY($1::text[]) AND c.id = ANY($2::uuid[])
        """,
        list(spaces),
        list(chunk_ids),
    )
    found: dict[UUID, dict[bool, Neighbour]] = {chunk_id: {} for chunk_id in chunk_ids}
    for row in rows:
        found[row["of"]][row["is_after"]] = Neighbour(
            row["chunk_id"],
            row["char_start"],
            row["char_end"],
            row["page_start"],
            row["page_end"],
            row["token_count"],
        )
    return {
        chunk_id: Neighbours(sides.get(False), sides.get(True)) for chunk_id, sides in found.items() if sides
    }


async def read_spans(
    conn: Conn, spaces: Sequence[str], spans: Sequence[tuple[str, int, int]]
) -> list[str | None]:
    """Return content[start:end] of each (document_id, start, end), in their order; None where it is not there.

    A document is unpacked once, however many of its spans are wanted.
    """
    rows = await conn.fetch(
        """
        WITH wanted AS (
            SELECT * FROM unnest($2::text[], $3::integer[], $4::integer[])
                WITH ORDINALITY AS w (document_id, char_start, char_end, place)
        ),
        contents AS MATERIALIZED (
            SELECT "id" AS document_id, "content" || '' AS content FROM "Document"
            WHERE "spaceId" = ANY($1::text[]) AND "id" IN (SELECT document_id FROM wanted)
        )
        SELECT w.place, substr(d.content, w.char_start + 1, w.char_end - w.char_start) AS text
        FROM wanted AS w LEFT JOIN contents AS d USING (document_id)
        ORDER BY w.place
        """,
        list(spaces),
        [span[0] for span in spans],
        [span[1] for span in spans],
        [span[2] for span in spans],
    )
    return [
        row["text"] if row["text"] and len(row["text"]) == end - start else None
        for row, (_, start, end) in zip(rows, spans, strict=True)
    ]
