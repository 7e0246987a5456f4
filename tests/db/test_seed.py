import asyncio

import msgspec

from db.seed import Seeded, SeededTemplate, seed
from service.templates.seeds import seeded_templates

NOTHING = Seeded(models=0, templates=0)
GENERATOR = "AI Content Generator"
NODES = [{"id": "start", "type": "trigger", "data": {}}]
ONE = SeededTemplate(
    id="one",
    name="One",
    description="d",
    category="c",
    tags=["a"],
    featured=True,
    nodes=NODES,
    connections=[],
)


async def rows(conn):
    models = await conn.fetch(
        'SELECT "name", "provider", "modelId", "config", "isActive" FROM "AIModel" ORDER BY 1'
    )
    templates = await conn.fetch('SELECT * FROM "Template" ORDER BY "id"')
    return [tuple(row) for row in models], [dict(row) for row in templates]


async def test_the_documented_samples_are_loaded(conn):
    templates = seeded_templates()
    assert await seed(conn, templates) == Seeded(models=2, templates=len(templates))
    models, found = await rows(conn)
    assert models == [
        ("Gemini 1.5 Flash", "GEMINI", "gemini-1.5-flash", {"maxTokens": 2048, "temperature": 0.7}, True),
        ("Llama 3 70B", "GROQ", "llama3-70b-8192", {"maxTokens": 8192, "temperature": 0.7}, True),
    ]
    (generator,) = [row for row in found if row["name"] == GENERATOR]
    assert (generator["category"], generator["tags"], generator["price"]) == (
        "Marketing",
        ["ai", "content", "marketing"],
        0.0,
    )
    assert {(row["authorId"], row["authorName"], row["isPublished"]) for row in found} == {
        ("system", "AutomateAI", True)
    }
    assert generator["isFeatured"]


async def test_seeding_again_changes_nothing(conn):
    await seed(conn, seeded_templates())
    await conn.execute("""UPDATE "AIModel" SET "config" = '{"mine": 1}', "name" = 'Renamed'""")
    before = await rows(conn)
    assert await seed(conn, seeded_templates()) == NOTHING
    assert await rows(conn) == before


async def test_a_template_that_a_new_version_changes_is_updated_and_keeps_what_became_of_it(conn):
    await seed(conn, [ONE])
    await conn.execute(
        """
        UPDATE "Template" SET "downloads" = 7, "rating" = 4.5, "reviews" = 2, "isPublished" = false,
                              "isFeatured" = false
        """
    )
    newer = msgspec.structs.replace(ONE, name="One, renamed", nodes=[*NODES, {"id": "x", "type": "set"}])
    assert await seed(conn, [newer]) == Seeded(models=0, templates=0, templates_updated=1)
    _, (row,) = await rows(conn)
    assert (row["id"], row["name"], row["nodes"]) == ("one", "One, renamed", newer.nodes)
    assert (row["downloads"], row["rating"], row["reviews"]) == (7, 4.5, 2)
    assert (row["isPublished"], row["isFeatured"]) == (False, False)
    assert await seed(conn, [newer]) == NOTHING


async def test_a_template_seeded_by_the_web_application_is_recognised_and_filled(conn):
    await conn.execute("""
        INSERT INTO "Template" ("id", "name", "description", "category", "nodes", "connections", "authorId",
                                "authorName")
        VALUES ('theirs', 'One', '', '', '{}', '{}', 'system', 'AutomateAI')
    """)
    assert await seed(conn, [ONE]) == Seeded(models=2, templates=0, templates_updated=1)
    _, (row,) = await rows(conn)
    assert (row["id"], row["nodes"], row["connections"]) == ("theirs", NODES, [])


async def test_a_persons_template_of_the_same_name_is_left_alone(conn):
    await conn.execute("""
        INSERT INTO "Template" ("id", "name", "description", "category", "nodes", "connections", "authorId",
                                "authorName")
        VALUES ('theirs', 'One', '', '', '{}', '{}', 'somebody', 'Somebody')
    """)
    assert (await seed(conn, [ONE])).templates == 1
    _, found = await rows(conn)
    assert {row["id"]: row["nodes"] for row in found} == {"one": NODES, "theirs": {}}


async def test_seeders_at_once_load_it_once(pool):
    async def one():
        async with pool.acquire() as conn, conn.transaction():
            return msgspec.structs.astuple(await seed(conn, [ONE]))

    counts = await asyncio.gather(*(one() for _ in range(4)))
    assert sorted(counts) == [(0, 0, 0), (0, 0, 0), (0, 0, 0), (2, 1, 0)]
