"""Sample rows, as the platform's schema document seeds them: two AI models and a template."""

import msgspec

from db.pool import Conn

# Name, provider, model id and configuration of each.
MODELS: tuple[tuple[str, str, str, dict[str, float]], ...] = (
    ("Gemini 1.5 Flash", "GEMINI", "gemini-1.5-flash", {"maxTokens": 2048, "temperature": 0.7}),
    ("Llama 3 70B", "GROQ", "llama3-70b-8192", {"maxTokens": 8192, "temperature": 0.7}),
)

# Templates have no natural key. A fixed id makes two seeders at once meet in the primary key; the name under
# the author "system" recognises one that the web application's own seed put there under an id of its own.
TEMPLATE_ID = "5a7e1d0c-6f0b-4c1e-9d53-0f2b8c6a4e01"


class Seeded(msgspec.Struct, kw_only=True, frozen=True):
    """How many rows were added; none where they were there already."""

    models: int
    templates: int


async def seed(conn: Conn) -> Seeded:
    """Add what is missing. Rows that are there, edited or not, are left alone."""
    return Seeded(models=await _seed_models(conn), templates=await _seed_template(conn))


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


async def _seed_template(conn: Conn) -> int:
    added = await conn.fetchval(
        """
        INSERT INTO "Template" ("id", "name", "description", "category", "tags", "nodes", "connections",
                                "price", "authorId", "authorName", "isPublished", "isFeatured")
        SELECT $1, $2, 'Generate blog posts with AI', 'Marketing', ARRAY['ai', 'content', 'marketing'],
               '{}', '{}', 0, 'system', 'AutomateAI', true, true
        WHERE NOT EXISTS (SELECT FROM "Template" WHERE "authorId" = 'system' AND "name" = $2)
        ON CONFLICT ("id") DO NOTHING
        RETURNING 1
        """,
        TEMPLATE_ID,
        "AI Content Generator",
    )
    return int(added or 0)
