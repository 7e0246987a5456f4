import asyncio

import msgspec

from db.seed import Seeded, seed

NOTHING = Seeded(models=0, templates=0)


async def rows(conn):
    models = await conn.fetch(
        'SELECT "name", "provider", "modelId", "config", "isActive" FROM "AIModel" ORDER BY 1'
    )
    templates = await conn.fetch(
        'SELECT "name", "category", "tags", "price", "authorId", "isFeatured" FROM "Template"'
    )
    return [tuple(row) for row in models], [tuple(row) for row in templates]


async def test_the_documented_samples_are_loaded(conn):
    assert await seed(conn) == Seeded(models=2, templates=1)
    models, templates = await rows(conn)
    assert models == [
        ("Gemini 1.5 Flash", "GEMINI", "gemini-1.5-flash", {"maxTokens": 2048, "temperature": 0.7}, True),
        ("Llama 3 70B", "GROQ", "llama3-70b-8192", {"maxTokens": 8192, "temperature": 0.7}, True),
    ]
    assert templates == [
        ("AI Content Generator", "Marketing", ["ai", "content", "marketing"], 0.0, "system", True)
    ]


async def test_seeding_again_changes_nothing(conn):
    await seed(conn)
    await conn.execute("""UPDATE "AIModel" SET "config" = '{"mine": 1}', "name" = 'Renamed'""")
    before = await rows(conn)
    assert await seed(conn) == NOTHING
    assert await rows(conn) == before


async def test_a_template_seeded_by_the_web_application_is_recognised(conn):
    await conn.execute("""
        INSERT INTO "Template" ("id", "name", "description", "category", "nodes", "connections", "authorId",
                                "authorName")
        VALUES ('theirs', 'AI Content Generator', '', '', '{}', '{}', 'system', 'AutomateAI')
    """)
    assert (await seed(conn)).templates == 0


async def test_seeders_at_once_load_it_once(pool):
    async def one():
        async with pool.acquire() as conn, conn.transaction():
            return msgspec.structs.astuple(await seed(conn))

    counts = await asyncio.gather(*(one() for _ in range(4)))
    assert sorted(counts) == [(0, 0), (0, 0), (0, 0), (2, 1)]
