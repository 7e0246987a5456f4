"""/v1/templates over HTTP: publishing, finding, cloning and rating."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.pool import Pool
from service.cursors import encode_cursor
from tests.running import Service, run_service

NODES = [
    {"id": "start", "type": "trigger", "data": {"kind": "schedule", "cron": "0 9 * * 1"}},
    {"id": "call", "type": "http", "data": {"url": "https://example.com/", "credential": "their-own"}},
]
CONNECTIONS = [{"source": "start", "target": "call"}]
NEW = {
    "name": "Weekly call",
    "description": "Calls somebody.",
    "category": "Operations",
    "tags": ["http", "weekly"],
    "nodes": NODES,
    "connections": [{**CONNECTIONS[0], "token": "hunter2"}],
    "settings": {"timezone": "Europe/Berlin", "errorWorkflow": "theirs", "apiToken": "hunter2"},
}


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(database_url, tmp_path / "home", worker=False) as service:
        yield service


@pytest.fixture
def ann(api: Service) -> Iterator[httpx.Client]:
    with api.client(api.new_user("ann@example.com")) as signed_in:
        yield signed_in


@pytest.fixture
def bob(api: Service) -> Iterator[httpx.Client]:
    with api.client(api.new_user("bob@example.com")) as signed_in:
        yield signed_in


def publish(client: httpx.Client, **fields: object) -> dict[str, Any]:
    reply = client.post("/v1/templates", json={**NEW, **fields})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/templates/{made['id']}"
    return made


def names(client: httpx.Client, **params: Any) -> list[str]:
    reply = client.get("/v1/templates", params=params)
    assert reply.status_code == 200, reply.text
    return [one["name"] for one in reply.json()["data"]]


def sql(api: Service, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a statement as the service itself."""

    async def run(pool: Pool) -> list[dict[str, Any]]:
        async with pool.acquire() as conn:
            return [dict(row) for row in await conn.fetch(statement, *arguments)]

    rows: list[dict[str, Any]] = api.call(run(api.runtime.pool))
    return rows


def draw(api: Service, email: str, team_id: str | None = None, nodes: object = NODES) -> str:
    """Store a workflow of somebody's."""
    rows = sql(
        api,
        """
        INSERT INTO "Workflow" ("name", "description", "category", "tags", "nodes", "connections", "isPublic", "userId",
                                "teamId")
        SELECT 'Drawn', 'By hand.', 'Mine', ARRAY['a'], $2, $3, true, "id", $4 FROM "User" WHERE "email" = $1
        RETURNING "id"
        """,
        email,
        nodes,
        CONNECTIONS,
        team_id,
    )
    return str(rows[0]["id"])


def join(api: Service, email: str, role: str) -> str:
    """Let a person into the one team there is, made at the first call; return its id."""
    sql(api, """INSERT INTO "Team" ("name", "slug") VALUES ('Readers', 'readers') ON CONFLICT DO NOTHING""")
    rows = sql(
        api,
        """
        INSERT INTO "TeamMember" ("teamId", "userId", "role")
        SELECT t."id", u."id", $2::"TeamRole" FROM "Team" t, "User" u WHERE u."email" = $1 RETURNING "teamId"
        """,
        email,
        role,
    )
    return str(rows[0]["teamId"])


def test_what_is_published_is_seen_by_all_without_what_is_secret(
    ann: httpx.Client, bob: httpx.Client
) -> None:
    made = publish(ann)
    seen = bob.get(f"/v1/templates/{made['id']}").json()
    assert seen == made
    assert seen["nodes"][1]["data"] == {"url": "https://example.com/"}
    assert seen["settings"] == {"timezone": "Europe/Berlin"}
    assert seen["connections"] == CONNECTIONS
    assert (seen["rating"], seen["reviews"], seen["downloads"], seen["is_featured"]) == (None, 0, 0, False)
    (listed,) = bob.get("/v1/templates").json()["data"]
    assert "nodes" not in listed
    assert listed["author_id"] == made["author_id"]


def test_an_author_is_called_by_name_and_never_by_address(ann: httpx.Client) -> None:
    assert publish(ann)["author_name"] == "Somebody"
    ann.patch("/v1/users/me", json={"first_name": "Ann", "last_name": "Doe"})
    assert publish(ann)["author_name"] == "Ann Doe"


def test_what_is_not_published_is_its_authors_alone(ann: httpx.Client, bob: httpx.Client) -> None:
    made = publish(ann, is_published=False)
    path = f"/v1/templates/{made['id']}"
    assert [names(ann), names(bob)] == [[], []]
    assert (names(ann, mine=True), names(bob, mine=True)) == (["Weekly call"], [])
    assert bob.get(path).status_code == 404
    assert bob.post(f"{path}/clone", json={}).status_code == 404
    assert bob.put(f"{path}/rating", json={"stars": 1}).status_code == 404
    assert ann.post(f"{path}/clone", json={}).status_code == 201


def test_a_workflow_becomes_a_template_with_its_name(api: Service, ann: httpx.Client) -> None:
    workflow_id = draw(api, "ann@example.com")
    reply = ann.post("/v1/templates", json={"workflow_id": workflow_id, "description": "Better words."})
    made = reply.json()
    assert (made["name"], made["description"], made["category"], made["tags"]) == (
        "Drawn",
        "Better words.",
        "Mine",
        ["a"],
    )
    assert "credential" not in made["nodes"][1]["data"]


def test_a_workflow_of_others_becomes_none(api: Service, ann: httpx.Client, bob: httpx.Client) -> None:
    theirs = {"workflow_id": draw(api, "ann@example.com")}
    assert bob.post("/v1/templates", json=theirs).status_code == 404  # though it is public
    join(api, "ann@example.com", "OWNER")
    team_id = join(api, "bob@example.com", "VIEWER")
    teams = {"workflow_id": draw(api, "ann@example.com", team_id)}
    assert bob.post("/v1/templates", json=teams).status_code == 403
    sql(api, """UPDATE "TeamMember" SET "role" = 'MEMBER' WHERE "role" = 'VIEWER'""")
    assert bob.post("/v1/templates", json=teams).status_code == 201


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"nodes": None, "connections": None, "settings": None}, 422, "workflow_id"),
        ({"workflow_id": "w"}, 422, "either"),
        ({"name": None}, 422, "name"),
        ({"nodes": []}, 400, "nodes"),
        ({"nodes": [{"id": "x"}]}, 422, "nodes[0]"),
        ({"connections": [{"source": "a"}]}, 422, "connections[0]"),
        ({"nodes": [{**NODES[0], "data": {"deep": nested(900)}}]}, 422, "deep"),
        ({"price": -1}, 400, "price"),
        ({"stars": 5}, 400, "stars"),
    ],
)
def test_what_cannot_be_a_template_is_refused(
    ann: httpx.Client, fields: dict[str, Any], status: int, word: str
) -> None:
    reply = ann.post("/v1/templates", json={**NEW, **fields})
    assert reply.status_code == status
    assert word in reply.text


def test_what_cannot_be_stored_is_left_out_or_not_found(ann: httpx.Client) -> None:
    nodes = [{**NODES[0], "data": {"kind": "manual", "note": "a\x00b"}}]
    made = publish(ann, name="A\x00B", description="x\x00y", tags=["t\x00"], nodes=nodes, connections=[])
    assert made["nodes"][0]["data"]["note"] == "ab"
    assert "\x00" not in made["name"] + made["description"] + made["tags"][0]
    for params in ({"q": "\x00"}, {"tag": "\x00"}, {"category": "a\x00"}):
        assert ann.get("/v1/templates", params=params).status_code == 400
    assert ann.post("/v1/templates", json={"workflow_id": "\x00"}).status_code == 404


def test_only_its_author_changes_and_deletes_it(ann: httpx.Client, bob: httpx.Client) -> None:
    made = publish(ann)
    path = f"/v1/templates/{made['id']}"
    assert bob.patch(path, json={"name": "Mine now"}).status_code == 403
    assert bob.delete(path).status_code == 403
    changed = ann.patch(path, json={"name": "Daily call", "tags": ["daily", "daily"]}).json()
    assert (changed["name"], changed["tags"], changed["nodes"]) == ("Daily call", ["daily"], made["nodes"])
    assert changed["updated_at"] > made["updated_at"]
    again = ann.patch(path, json={"nodes": NODES[:1], "connections": []}).json()
    assert (again["nodes"], again["connections"], again["settings"]) == (NODES[:1], [], {})
    assert ann.patch(path, json={"nodes": NODES}).status_code == 422
    assert ann.patch(path, json={"is_published": False}).status_code == 200
    assert bob.get(path).status_code == 404
    assert ann.delete(path).status_code == 204
    assert ann.get(path).status_code == 404


def test_filters_choose(api: Service, ann: httpx.Client) -> None:
    publish(ann, name="One", category="Marketing", tags=["ai"])
    publish(ann, name="Two", description="Answers a question", tags=["support"])
    sql(api, """UPDATE "Template" SET "isFeatured" = true WHERE "name" = 'Two'""")
    assert names(ann, category="Marketing") == ["One"]
    assert names(ann, tag="support") == ["Two"]
    assert names(ann, featured=True) == ["Two"]
    assert names(ann, featured=False) == ["One"]
    assert names(ann, q="QUESTION two") == ["Two"]
    assert names(ann, q="question one") == []
    assert names(ann, q="%") == []


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("popular", ["featured", "loved", "known", "old"]),
        ("new", ["known", "loved", "featured", "old"]),
        ("rated", ["loved", "known", "featured", "old"]),
    ],
)
def test_pages_are_in_order_and_complete(
    api: Service, ann: httpx.Client, sort: str, expected: list[str]
) -> None:
    figures = {
        "old": (False, 0, None, 0),
        "featured": (True, 0, 2.5, 2),
        "loved": (False, 9, 5, 3),
        "known": (False, 8, 5, 1),
    }
    for name, (featured, downloads, rating, reviews) in figures.items():
        publish(ann, name=name)
        sql(
            api,
            """
            UPDATE "Template" SET "isFeatured" = $2, "downloads" = $3, "rating" = $4, "reviews" = $5 WHERE "name" = $1
            """,
            name,
            featured,
            downloads,
            rating,
            reviews,
        )
    assert names(ann, sort=sort) == expected
    found, after = [], None
    for _ in expected:
        asked: dict[str, Any] = {"sort": sort, "limit": 1} | ({"after": after} if after else {})
        page = ann.get("/v1/templates", params=asked).json()
        found += [one["name"] for one in page["data"]]
        after = page["next_cursor"]
    assert found == expected
    assert after is None


def test_a_cursor_of_another_order_is_refused(ann: httpx.Client) -> None:
    publish(ann, name="a")
    publish(ann, name="b")
    after = ann.get("/v1/templates", params={"limit": 1}).json()["next_cursor"]
    assert ann.get("/v1/templates", params={"after": after, "sort": "new"}).status_code == 400
    too_much = encode_cursor(("popular", True, 2**40, 0.0, 0, "2026-01-01T00:00:00Z", "x"))
    assert ann.get("/v1/templates", params={"after": too_much}).status_code == 400


def test_a_clone_is_a_draft_of_the_callers(api: Service, ann: httpx.Client, bob: httpx.Client) -> None:
    made = publish(ann)
    reply = bob.post(f"/v1/templates/{made['id']}/clone", json={"name": "Mine"})
    assert reply.status_code == 201
    (row,) = sql(
        api,
        """
        SELECT w.*, u."email" FROM "Workflow" w JOIN "User" u ON u."id" = w."userId" WHERE w."id" = $1
        """,
        reply.json()["workflow_id"],
    )
    assert (row["name"], row["status"], row["isActive"], row["isPublic"]) == ("Mine", "DRAFT", False, False)
    assert (row["email"], row["teamId"], row["description"]) == ("bob@example.com", None, "Calls somebody.")
    assert (row["nodes"], row["connections"]) == (made["nodes"], CONNECTIONS)
    assert row["settings"] == {"timezone": "Europe/Berlin"}
    (version,) = sql(
        api, 'SELECT "version", "nodes" FROM "WorkflowVersion" WHERE "workflowId" = $1', row["id"]
    )
    assert version == {"version": 1, "nodes": made["nodes"]}
    (trigger,) = sql(
        api, 'SELECT "nodeId", "isActive" FROM "WorkflowTrigger" WHERE "workflowId" = $1', row["id"]
    )
    assert trigger == {"nodeId": "start", "isActive": False}
    (schedule,) = sql(
        api, 'SELECT "timezone", "isActive" FROM "WorkflowSchedule" WHERE "workflowId" = $1', row["id"]
    )
    assert schedule == {"timezone": "Europe/Berlin", "isActive": False}


def test_a_clone_needs_no_body(ann: httpx.Client, bob: httpx.Client) -> None:
    assert bob.post(f"/v1/templates/{publish(ann)['id']}/clone").status_code == 201


def test_a_clone_names_no_credential_whoever_wrote_the_template(api: Service, bob: httpx.Client) -> None:
    (row,) = sql(
        api,
        """
        INSERT INTO "Template" ("name", "description", "category", "nodes", "connections", "authorId", "authorName",
                                "isPublished")
        VALUES ('Bait', '', 'x', $1, $2, 'system', 'x', true) RETURNING "id"
        """,
        NODES,
        CONNECTIONS,
    )
    reply = bob.post(f"/v1/templates/{row['id']}/clone", json={})
    (made,) = sql(api, 'SELECT "nodes" FROM "Workflow" WHERE "id" = $1', reply.json()["workflow_id"])
    assert made["nodes"][1]["data"] == {"url": "https://example.com/"}


def test_a_clone_goes_into_a_team_of_members(api: Service, ann: httpx.Client, bob: httpx.Client) -> None:
    clone = f"/v1/templates/{publish(ann)['id']}/clone"
    team_id = join(api, "ann@example.com", "OWNER")
    assert bob.post(clone, json={"team_id": team_id}).status_code == 404
    join(api, "bob@example.com", "VIEWER")
    assert bob.post(clone, json={"team_id": team_id}).status_code == 403
    sql(api, """UPDATE "TeamMember" SET "role" = 'MEMBER' WHERE "role" = 'VIEWER'""")
    reply = bob.post(clone, json={"team_id": team_id})
    assert reply.status_code == 201
    (row,) = sql(api, 'SELECT "teamId" FROM "Workflow" WHERE "id" = $1', reply.json()["workflow_id"])
    assert row["teamId"] == team_id


def test_each_clone_is_counted_once_however_many_come_at_once(api: Service, ann: httpx.Client) -> None:
    made = publish(ann)
    path = f"/v1/templates/{made['id']}"
    key = api.new_user("many@example.com")
    sql(api, """UPDATE "User" SET "subscriptionTier" = 'ENTERPRISE' WHERE "email" = 'many@example.com'""")

    def clone(_: int) -> int:
        with api.client(key) as client:
            return client.post(f"{path}/clone", json={}).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(clone, range(24))) == {201}
    after = ann.get(path).json()
    assert after["downloads"] == 24
    assert after["updated_at"] == made["updated_at"]


def test_a_clone_that_the_plan_refuses_is_not_counted(
    api: Service, ann: httpx.Client, bob: httpx.Client
) -> None:
    path = f"/v1/templates/{publish(ann)['id']}"
    while (reply := bob.post(f"{path}/clone", json={})).status_code == 201:
        pass
    assert reply.status_code == 402
    (drawn,) = sql(
        api, 'SELECT count(*) AS n FROM "Workflow" WHERE "userId" <> $1', ann.get(path).json()["author_id"]
    )
    assert ann.get(path).json()["downloads"] == drawn["n"] > 0


def test_what_has_a_price_is_its_authors_alone(ann: httpx.Client, bob: httpx.Client) -> None:
    path = f"/v1/templates/{publish(ann, price=9.5)['id']}"
    refused = bob.post(f"{path}/clone", json={})
    assert refused.status_code == 402
    assert refused.json()["price"] == 9.5
    seen = bob.get(path).json()
    assert (seen["price"], seen["nodes"], seen["connections"], seen["settings"]) == (9.5, None, None, None)
    assert ann.get(path).json()["nodes"]
    assert ann.post(f"{path}/clone", json={}).status_code == 201
    assert path.rpartition("/")[2] in [row["id"] for row in bob.get("/v1/templates").json()["data"]]
    assert bob.put(f"{path}/rating", json={"stars": 3}).json()["rating"] == 3


def test_a_person_has_one_rating(api: Service, ann: httpx.Client, bob: httpx.Client) -> None:
    made = publish(ann)
    path = f"/v1/templates/{made['id']}"
    with api.client(api.new_user("cyd@example.com")) as cyd:
        assert bob.put(f"{path}/rating", json={"stars": 2}).json()["rating"] == 2
        cyd.put(f"{path}/rating", json={"stars": 4})
        rated = bob.put(f"{path}/rating", json={"stars": 5}).json()
        assert (rated["rating"], rated["reviews"]) == (4.5, 2)
        assert rated["updated_at"] == made["updated_at"]
        assert cyd.delete(f"{path}/rating").status_code == 204
        assert cyd.delete(f"{path}/rating").status_code == 404
    assert bob.delete(f"{path}/rating").status_code == 204
    seen = ann.get(path).json()
    assert (seen["rating"], seen["reviews"]) == (None, 0)


def test_nobody_rates_their_own_nor_beyond_the_stars(ann: httpx.Client, bob: httpx.Client) -> None:
    path = f"/v1/templates/{publish(ann)['id']}/rating"
    assert ann.put(path, json={"stars": 5}).status_code == 403
    assert bob.put(path, json={"stars": 0}).status_code == 400
    assert bob.put(path, json={"stars": 6}).status_code == 400


def test_those_who_rate_at_once_are_all_counted(api: Service, ann: httpx.Client) -> None:
    path = f"/v1/templates/{publish(ann)['id']}"
    keys = [api.new_user(f"p{n}@example.com") for n in range(12)]

    def rate(key: str) -> int:
        with api.client(key) as client:
            return client.put(f"{path}/rating", json={"stars": 3}).status_code

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(rate, keys)) == {200}
    seen = ann.get(path).json()
    assert (seen["rating"], seen["reviews"]) == (3, 12)
