"""Lists of workflows: pages, filters, latest executions, and how often the database is asked."""

import asyncio
from typing import Any

import httpx
import pytest

from db.pool import Pool
from tests.running import Service
from tests.service.workflows.conftest import draw, join

EXECUTIONS = """
INSERT INTO "WorkflowExecution" ("workflowId", "userId", "status", "startedAt", "triggeredBy", "duration")
SELECT "id", "userId", 'SUCCESS', now() AT TIME ZONE 'UTC' - make_interval(mins => n), 'manual', n
FROM "Workflow", generate_series(1, 3) AS n
"""


def run(api: Service, statement: str) -> None:
    async def work(pool: Pool) -> None:
        async with pool.acquire() as conn:
            await conn.execute(statement)

    api.call(work(api.runtime.pool))


def test_pages_are_newest_first(client: httpx.Client) -> None:
    names = [f"flow {number}" for number in range(5)]
    for name in names:
        draw(client, name=name)
    first = client.get("/v1/workflows", params={"limit": 2}).json()
    second = client.get("/v1/workflows", params={"limit": 3, "after": first["next_cursor"]}).json()
    assert [one["name"] for one in first["data"] + second["data"]] == names[::-1]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert "nodes" not in first["data"][0]
    assert first["data"][0]["node_count"] == 2
    assert client.get("/v1/workflows", params={"after": "nonsense"}).status_code == 400


def test_filters(client: httpx.Client) -> None:
    draw(client, name="Answer mail", category="mail", tags=["a", "b"])
    draw(client, name="Other", description="About MAIL, too", tags=["b"])
    active = draw(client, name="Third")
    client.post(f"/v1/workflows/{active['id']}/activate")

    def found(**params: str) -> list[str]:
        return [one["name"] for one in client.get("/v1/workflows", params=params).json()["data"]]

    assert found(category="mail") == ["Answer mail"]
    assert found(tag="b") == ["Other", "Answer mail"]
    assert found(q="mail") == ["Other", "Answer mail"]
    assert found(q="100%") == []
    assert found(status="ACTIVE") == ["Third"]
    assert client.get("/v1/workflows", params={"status": "ODD"}).status_code == 400


def test_a_teams_workflows_are_listed_for_its_members(people: dict[str, httpx.Client]) -> None:
    ann, bob, eve = people["ann"], people["bob"], people["eve"]
    team = join(ann, bob, "bob@example.com", "VIEWER")
    draw(ann, name="The team's", team_id=team)
    draw(ann, name="Her own")
    assert [one["name"] for one in bob.get("/v1/workflows").json()["data"]] == ["The team's"]
    assert len(ann.get("/v1/workflows").json()["data"]) == 2
    assert len(ann.get("/v1/workflows", params={"team_id": team}).json()["data"]) == 1
    assert eve.get("/v1/workflows").json()["data"] == []
    assert eve.get("/v1/workflows", params={"team_id": team}).status_code == 404


def test_each_comes_with_its_latest_executions(api: Service, client: httpx.Client) -> None:
    draw(client)
    run(api, EXECUTIONS)
    [one] = client.get("/v1/workflows").json()["data"]
    [latest] = one["latest_executions"]
    assert (latest["status"], latest["triggered_by"], latest["duration_ms"]) == ("SUCCESS", "manual", 1)
    assert latest["started_at"].endswith("Z")
    assert one["statistics"]["total"] == 3
    [two] = client.get("/v1/workflows", params={"executions": 2}).json()["data"]
    assert [execution["duration_ms"] for execution in two["latest_executions"]] == [1, 2]
    [none] = client.get("/v1/workflows", params={"executions": 0}).json()["data"]
    assert none["latest_executions"] == []
    assert client.get("/v1/workflows", params={"executions": 6}).status_code == 400


@pytest.mark.parametrize("count", [1, 50])
def test_a_list_takes_as_many_statements_for_fifty_as_for_one(
    api: Service, client: httpx.Client, count: int
) -> None:
    for number in range(count):
        client.post("/v1/workflows", json={"name": f"flow {number}"})
    run(api, EXECUTIONS)
    path = "/v1/workflows?executions=3&limit=200"
    client.get(path)
    seen: list[str] = api.call(_watch(api))
    assert len(client.get(path).json()["data"]) == count
    # Left out: what the driver asks about types on a connection's first use of them.
    ours = [query for query in seen if "typeinfo_tree" not in query and "'jit'" not in query]
    assert sum('FROM "Workflow"' in query for query in ours) == 1
    # Who asks; begin, role, list, commit.
    assert len(ours) == 5, ours


async def _watch(api: Service) -> list[str]:
    """Log what every connection of the pool is asked from now on, all of them opened first."""
    seen: list[str] = []

    def log(record: Any) -> None:
        seen.append(record.query)

    pool = api.runtime.pool
    free = pool.get_max_size() - (pool.get_size() - pool.get_idle_size())
    taken = [await pool.acquire() for _ in range(free)]
    for conn in taken:
        conn.add_query_logger(log)
    await asyncio.gather(*(pool.release(conn) for conn in taken))
    return seen
