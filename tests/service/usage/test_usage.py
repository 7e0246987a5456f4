"""What is written down of each chargeable act, how it is summed, and what the plan says."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.running import Service


def _usage(client: Any, **query: Any) -> list[dict[str, Any]]:
    reply = client.get("/v1/usage", params=query)
    assert reply.status_code == 200, reply.text
    groups: list[dict[str, Any]] = reply.json()["data"]
    return groups


def test_every_act_is_in_the_sums_by_the_time_of_its_reply(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:
        assert _usage(client) == []
        text = "The lease ends in May."
        location = client.post("/v1/documents?wait=30", json={"title": "t", "content": text}).headers[
            "location"
        ]
        for mode in ("hybrid", "semantic", "lexical"):
            assert client.post("/v1/search", json={"query": "when does the lease end", "mode": mode}).json()[
                "hits"
            ]
        assert client.post("/v1/search", json={"query": "  "}).status_code == 422  # costs nothing
        client.delete(location)
        by_kind = {group["kind"]: group for group in _usage(client, group_by="kind")}
    assert {kind: group["requests"] for kind, group in by_kind.items()} == {
        "document.upload": 1,
        "document.ingest": 1,
        "document.delete": 1,
        "search.query": 3,
    }
    assert by_kind["document.upload"]["bytes"] == len(text)
    assert by_kind["search.query"]["tokens"] == 5  # read once; the second time its vector was remembered
    assert by_kind["document.ingest"]["tokens"] > 0


def test_sums_are_grouped_by_day_key_and_team_and_teams_are_for_admins(server: Service) -> None:
    ann, bob = server.new_user("ann@example.com"), server.new_user("bob@example.com")
    with server.client(ann) as client:
        team = client.post("/v1/teams", json={"name": "Law"}).json()["id"]
        client.post("/v1/search", json={"query": "x", "team_id": team})
        client.post("/v1/search", json={"query": "x"})
        groups = _usage(client, group_by=["day", "key", "team"])
        assert {group["team_id"] for group in groups} == {None, team}
        assert {group["day"] for group in groups} == {f"{datetime.now(UTC):%Y-%m-%d}"}
        assert len({group["key_id"] for group in groups}) == 1
        assert [group["requests"] for group in _usage(client, team_id=team)] == [1]
        tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
        assert _usage(client, **{"from": tomorrow, "to": tomorrow}) == []
        assert client.get("/v1/usage", params={"from": "2020-01-01"}).status_code == 422
        assert client.get("/v1/usage", params={"group_by": "colour"}).status_code == 400
    with server.client(bob) as client:
        assert client.get("/v1/usage", params={"team_id": team}).status_code == 404


def test_the_plan_says_what_is_used(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:
        client.post("/v1/documents", json={"title": "t", "content": "0123456789"})
        plan = client.get("/v1/plan").json()
    assert (plan["tier"], plan["effective_tier"], plan["status"]) == ("FREE", "FREE", "ACTIVE")
    assert plan["storage_bytes"] == {"used": 10, "limit": 100 * 1024**2, "resets_at": None}
    assert plan["workflows"]["limit"] == 5
    resets_at = datetime.fromisoformat(plan["executions"]["resets_at"])
    assert (plan["executions"]["used"], plan["executions"]["limit"]) == (0, 1000)
    assert resets_at > datetime.now(UTC)
    assert resets_at.day == 1
