"""Templates: workflows that their authors show to all, to be copied."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from db.pool import Conn

Sort = Literal["popular", "new", "rated"]

_COLUMNS = """
t."id" AS id, t."name" AS name, t."description" AS description, t."category" AS category,
COALESCE(t."tags", '{}') AS tags, t."price" AS price, t."downloads" AS downloads, t."rating" AS rating,
t."reviews" AS reviews, t."authorId" AS author_id, t."authorName" AS author_name, t."isFeatured" AS is_featured,
t."isPublished" AS is_published, t."createdAt" AS created_at, t."updatedAt" AS updated_at
"""

Key = tuple[str, str]
# What each order goes by, with its type, from the highest; the id makes it total. The first two have an index.
_ORDERS: Mapping[Sort, tuple[Key, ...]] = {
    "popular": (('t."isFeatured"', "boolean"), ('t."downloads"', "integer"), ('t."id"', "text")),
    "new": (('t."createdAt"', "timestamptz"), ('t."id"', "text")),
    "rated": (
        ('COALESCE(t."rating", 0)', "double precision"),
        ('t."reviews"', "integer"),
        ('t."id"', "text"),
    ),
}


class TemplateRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str
    category: str
    tags: list[str]
    price: float
    downloads: int
    rating: float | None
    """Mean of its stars; None without any."""
    reviews: int
    author_id: str
    author_name: str
    is_featured: bool
    is_published: bool
    created_at: datetime
    updated_at: datetime


class TemplateContent(TemplateRow, frozen=True, kw_only=True):
    """A template with its workflow, in the platform's JSON, which the web application may have written."""

    nodes: Any
    connections: Any
    settings: Any


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Cursor(NamedTuple):
    """The last template of a page, by what each order goes by."""

    sort: Sort
    is_featured: bool
    downloads: Count
    rating: float
    reviews: Count
    created_at: datetime
    id: str

    @classmethod
    def after(cls, row: TemplateRow, sort: Sort) -> "Cursor":
        return cls(
            sort, row.is_featured, row.downloads, row.rating or 0.0, row.reviews, row.created_at, row.id
        )

    def position(self) -> tuple[Any, ...]:
        match self.sort:
            case "popular":
                return self.is_featured, self.downloads, self.id
            case "new":
                return self.created_at, self.id
            case "rated":
                return self.rating, self.reviews, self.id


async def list_templates(
    conn: Conn,
    *,
    author_id: str | None,
    category: str | None,
    tag: str | None,
    words: Sequence[str],
    featured: bool | None,
    sort: Sort,
    limit: int,
    after: Cursor | None,
) -> list[TemplateRow]:
    """Return up to limit of those that are published, or of an author's, published or not.

    Each of words has to be in the name, the description or a tag.
    """
    keys = _ORDERS[sort]
    placeholders = ", ".join(
        f"${place}::{kind}" if kind != "timestamptz" else f"(${place}::{kind} AT TIME ZONE 'UTC')"
        for place, (_, kind) in enumerate(keys, start=7)
    )
    beyond = "" if after is None else f"AND ({', '.join(key for key, _ in keys)}) < ({placeholders})"
    # Not one condition for both: only the plain one is that of the indexes.
    seen = '$1::text IS NULL AND t."isPublished"' if author_id is None else 't."authorId" = $1'
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM "Template" t
        WHERE {seen}
          AND ($2::text IS NULL OR t."category" = $2)
          AND ($3::text IS NULL OR t."tags" @> ARRAY[$3::text])
          AND ($4::boolean IS NULL OR t."isFeatured" = $4)
          AND NOT EXISTS (
              SELECT FROM unnest($5::text[]) AS wanted (word)
              WHERE strpos(lower(concat_ws(' ', t."name", t."description", array_to_string(t."tags", ' '))),
                           lower(word)) = 0)
          {beyond}
        ORDER BY {", ".join(f"{key} DESC" for key, _ in keys)}
        LIMIT $6
        """,  # noqa: S608 - the columns and orders are the constants above
        author_id,
        category,
        tag,
        featured,
        list(words),
        limit,
        *(() if after is None else after.position()),
    )
    return [TemplateRow(**row) for row in rows]


async def find_template(conn: Conn, user_id: str, template_id: str) -> TemplateContent | None:
    """Return a template that is published, or the user's own."""
    row = await conn.fetchrow(
        f"""
        SELECT {_COLUMNS}, t."nodes" AS nodes, t."connections" AS connections, t."settings" AS settings
        FROM "Template" t WHERE t."id" = $2 AND (t."isPublished" OR t."authorId" = $1)
        """,  # noqa: S608 - the columns are the constant above
        user_id,
        template_id,
    )
    return None if row is None else TemplateContent(**row)


class NewTemplateRow(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str
    category: str
    tags: Sequence[str]
    price: float
    is_published: bool
    nodes: Sequence[Any]
    connections: Sequence[Any]
    settings: Mapping[str, Any] | None


async def insert_template(conn: Conn, author_id: str, new: NewTemplateRow) -> str:
    """Return the new template's id. Its author is called by their name, never by their address."""
    template_id: str = await conn.fetchval(
        """
        INSERT INTO "Template" ("name", "description", "category", "tags", "price", "isPublished", "nodes",
                                "connections", "settings", "authorId", "authorName")
        SELECT $2, $3, $4, $5, $6, $7, $8, $9, $10, u."id",
               COALESCE(NULLIF(concat_ws(' ', NULLIF(u."firstName", ''), NULLIF(u."lastName", '')), ''),
                        NULLIF(u."username", ''), 'Somebody')
        FROM "User" u WHERE u."id" = $1
        RETURNING "id"
        """,
        author_id,
        new.name,
        new.description,
        new.category,
        list(new.tags),
        new.price,
        new.is_published,
        list(new.nodes),
        list(new.connections),
        None if new.settings is None else dict(new.settings),
    )
    return template_id


class TemplateChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes other than it is; None leaves it. nodes, connections and settings go together."""

    name: str | None = None
    description: str | None = None
    category: str | None = None
    tags: Sequence[str] | None = None
    price: float | None = None
    is_published: bool | None = None
    nodes: Sequence[Any] | None = None
    connections: Sequence[Any] | None = None
    settings: Mapping[str, Any] | None = None


async def update_template(conn: Conn, author_id: str, template_id: str, changes: TemplateChanges) -> None:
    await conn.execute(
        """
        UPDATE "Template"
        SET "name" = COALESCE($3, "name"), "description" = COALESCE($4, "description"),
            "category" = COALESCE($5, "category"), "tags" = COALESCE($6, "tags"), "price" = COALESCE($7, "price"),
            "isPublished" = COALESCE($8, "isPublished"), "nodes" = COALESCE($9::jsonb, "nodes"),
            "connections" = COALESCE($10::jsonb, "connections"),
            "settings" = CASE WHEN $9::jsonb IS NULL THEN "settings" ELSE $11::jsonb END
        WHERE "id" = $2 AND "authorId" = $1
        """,
        author_id,
        template_id,
        changes.name,
        changes.description,
        changes.category,
        None if changes.tags is None else list(changes.tags),
        changes.price,
        changes.is_published,
        None if changes.nodes is None else list(changes.nodes),
        None if changes.connections is None else list(changes.connections),
        None if changes.settings is None else dict(changes.settings),
    )


async def delete_template(conn: Conn, author_id: str, template_id: str) -> bool:
    tag: str = await conn.execute(
        'DELETE FROM "Template" WHERE "id" = $2 AND "authorId" = $1', author_id, template_id
    )
    return tag == "DELETE 1"


class SourceWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow that a template is made of."""

    name: str
    description: str | None
    category: str | None
    tags: list[str]
    team_id: str | None
    nodes: Any
    connections: Any
    settings: Any


async def find_source(
    conn: Conn, user_id: str, team_ids: Sequence[str], workflow_id: str
) -> SourceWorkflow | None:
    """Return a workflow of the user's own or of one of the teams; one that is merely public is neither."""
    row = await conn.fetchrow(
        """
        SELECT "name" AS name, "description" AS description, "category" AS category, COALESCE("tags", '{}') AS tags,
               "teamId" AS team_id, "nodes" AS nodes, "connections" AS connections, "settings" AS settings
        FROM "Workflow"
        WHERE "id" = $3 AND ("teamId" = ANY($2::text[]) OR "teamId" IS NULL AND "userId" = $1)
        """,
        user_id,
        list(team_ids),
        workflow_id,
    )
    return None if row is None else SourceWorkflow(**row)


async def count_download(conn: Conn, template_id: str) -> None:
    """Count one more; conn is the service's. Holds the template's row until the transaction ends."""
    await conn.execute(
        'UPDATE "Template" SET "downloads" = LEAST("downloads"::bigint + 1, 2147483647) WHERE "id" = $1',
        template_id,
    )


async def rate_template(conn: Conn, user_id: str, template_id: str, stars: int) -> None:
    """Set a person's one rating of a template that is published; the template's own figures follow."""
    await conn.execute(
        """
        INSERT INTO template_rating (template_id, user_id, stars) VALUES ($2, $1, $3)
        ON CONFLICT (template_id, user_id) DO UPDATE SET stars = excluded.stars, rated_at = now()
        """,
        user_id,
        template_id,
        stars,
    )


async def delete_rating(conn: Conn, user_id: str, template_id: str) -> bool:
    tag: str = await conn.execute(
        "DELETE FROM template_rating WHERE template_id = $2 AND user_id = $1", user_id, template_id
    )
    return tag == "DELETE 1"
