"""Sample rows: the two AI models and the template that the platform's schema document seeds, and more templates."""

from collections.abc import Sequence
from typing import Any

import msgspec

from db.pool import Conn

# Name, provider, model id and configuration of each.
MODELS: tuple[tuple[str, str, str, dict[str, float]], ...] = (
    ("Gemini 1.5 Flash", "GEMINI", "gemini-1.5-flash", {"maxTokens": 2048, "temperature": 0.7}),
    ("Llama 3 70B", "GROQ", "llama3-70b-8192", {"maxTokens": 8192, "temperature": 0.7}),
)


class SeededTemplate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A template that comes along. Its id never changes: it is found by it, and by its name where the web application's
    own seed has put it there under another one."""

    id: str
    name: str
    description: str
    category: str
    tags: list[str]
    featured: bool
    nodes: list[Any]
    connections: list[Any]
    settings: dict[str, Any] = {}


class Seeded(msgspec.Struct, kw_only=True, frozen=True):
    """How many rows were added, and how many templates were not what this version has; none where all was there."""

    models: int
    templates: int
    templates_updated: int = 0


async def seed(conn: Conn, templates: Sequence[SeededTemplate]) -> Seeded:
    """Add what is missing. Models that are there, edited or not, stay so; templates become what this version has.

    What became of a template stays: downloads, ratings, whether it is published and featured.
    """
    models = await _seed_models(conn)
    written = [await _seed_template(conn, template) for template in templates]
    return Seeded(
        models=models,
        templates=sum(added for added, _ in written),
        templates_updated=sum(updated for _, updated in written),
    )


async def _seed_models(conn: Conn) -> int:
    rows = await conn.fetch(
        """
        INSERT INTO "AIModel" ("name", "provider", "modelId", "config", "isActive")
        SELECT name, provider::"AIProvider", model_id, config, true
        FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[])
             AS sample (name, provider, model_id, config)
        ON CONFLICT ("provider", "modelId") DO NOTHING
        RETURNING "id"
        """,
        *(list(column) for column in zip(*MODELS, strict=True)),
    )
    return len(rows)


async def _seed_template(conn: Conn, template: SeededTemplate) -> tuple[int, int]:
    """Return how many rows were added and updated. Two seeders at once meet in the primary key."""
    row = await conn.fetchrow(
        """
        WITH updated AS (
            UPDATE "Template"
            SET "name" = $2, "description" = $3, "category" = $4, "tags" = $5, "nodes" = $6, "connections" = $7,
                "settings" = $8
            WHERE "authorId" = 'system' AND ("id" = $1 OR "name" = $2)
              AND ("name", "description", "category", "tags", "nodes", "connections", "settings")
                  IS DISTINCT FROM ($2, $3, $4, $5::text[], $6::jsonb, $7::jsonb, $8::jsonb)
            RETURNING 1
        ),
        added AS (
            INSERT INTO "Template" ("id", "name", "description", "category", "tags", "nodes", "connections", "settings",
                                    "price", "authorId", "authorName", "isPublished", "isFeatured")
            SELECT $1, $2, $3, $4, $5, $6, $7, $8, 0, 'system', 'AutomateAI', true, $9
            WHERE NOT EXISTS (SELECT FROM "Template" WHERE "id" = $1 OR "authorId" = 'system' AND "name" = $2)
            ON CONFLICT ("id") DO NOTHING
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM added) AS added, (SELECT count(*) FROM updated) AS updated
        """,
        template.id,
        template.name,
        template.description,
        template.category,
        template.tags,
        template.nodes,
        template.connections,
        template.settings,
        template.featured,
    )
    return (row["added"], row["updated"]) if row else (0, 0)
