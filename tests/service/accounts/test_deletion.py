"""Deleting an account: nothing of theirs is left anywhere, and what is a team's is still the team's."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from db.tenancy import as_system
from service.accounts.deletion import sweep
from service.accounts.jobs import run_original_deletion
from tests.fakes.clerk_events import SECRET, deletion_event
from tests.fakes.identity_server import FakeIssuer
from tests.running import Service, run_service
from tests.service.accounts.conftest import Post, fetch, get_me
from tests.service.accounts.world import PERSONAL, SHARED, make_team, make_world, new_person

REMEMBERS = {"audit_log", "deleted_identity"}
"""Who did what stays written down; and whom to keep away has to be known."""


@pytest.fixture
def busy(issuer: FakeIssuer, database_url: str, tmp_path: Path) -> Iterator[Service]:
    """The service with its worker, so that documents can be searched and jobs are done."""
    with run_service(
        database_url, tmp_path / "home", oidc_issuer=issuer.issuer, clerk_webhook_secret=SECRET
    ) as service:
        yield service


def delete(server: Service, key: str, confirm: str = "ann@example.com") -> httpx.Response:
    with server.client(key) as client:
        return client.request("DELETE", "/v1/users/me", json={"confirm": confirm})


def tables_that_name(server: Service, *names: str) -> set[str]:
    """Return every table with a row in which one of the names stands, in any column of text or JSON."""
    columns = fetch(
        server,
        """
        SELECT c.relname AS tbl, a.attname AS col FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
          AND a.attnum > 0 AND NOT a.attisdropped
          AND a.atttypid = ANY ('{text,varchar,bpchar,name,json,jsonb,text[],varchar[],json[],jsonb[]}'::regtype[])
        """,
    )
    found = set()
    for column in columns:
        tbl, col = column["tbl"], column["col"]
        named = f'SELECT FROM unnest($1::text[]) AS needle WHERE strpos("{col}"::text, needle) > 0'
        if fetch(server, f'SELECT FROM "{tbl}" WHERE EXISTS ({named}) LIMIT 1', list(names)):
            found.add(tbl)
    return found


def search(server: Service, key: str, query: str) -> list[str]:
    with server.client(key) as client:
        return [hit["text"] for hit in client.post("/v1/search", json={"query": query}).json()["hits"]]


def stored_files(server: Service) -> set[str]:
    folder = server.settings.home / "originals"
    return {path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_theirs_is_left_and_the_teams_keep_theirs(busy: Service) -> None:
    world = make_world(busy)
    personal = {"User", "TeamMember", "ApiKey", "Notification", "UsageLog", "Workflow", "WorkflowExecution"}
    personal |= {"AIConversation", "Document", "Template", "Webhook", "webhook_delivery", "team_invitation"}
    personal |= {
        "idempotency_key",
        "original",
        "ingestion",
        "chunk",
        "chunk_embedding",
        "term_count",
        "rate_limit",
        "collection",
        "collection_document",
        "credential",
        "template_rating",
        "workflow_run",
    }
    assert personal <= tables_that_name(busy, world.ann, "ann@example.com")
    assert len(stored_files(busy)) == 3

    reply = delete(busy, world.key)
    assert reply.status_code == 200, reply.text
    receipt = reply.json()

    assert tables_that_name(busy, world.ann, "ann@example.com", "Ann Lee") - REMEMBERS == set()
    assert receipt["remaining"] == 0
    assert receipt["deleted"] == {
        "documents": 2,
        "originals": 2,
        "api_keys": 1,
        "conversations": 2,
        "workflows": 2,
        "executions": 2,
        "templates": 1,
        "webhooks": 1,
        "collections": 2,
        "credentials": 2,
        "ratings": 1,
        "notifications": 1,
        "usage": 5,  # a search, and the upload and the reading of two documents
        "invitations": 1,
        "memberships": 2,
        "teams": 1,
    }
    assert receipt["handed_over"] == {
        "documents": 1,
        "workflows": 2,
        "executions": 1,
        "conversations": 1,
        "webhooks": 1,
        "collections": 2,
        "credentials": 2,
        "invitations": 1,
        "usage": 3,
    }
    assert receipt["anonymised"] == {"templates": 1}
    assert get_me(busy, world.key).status_code == 401

    # Bob still finds what is the team's, and it is his to look after.
    assert SHARED in search(busy, world.bobs_key, "when is the boiler serviced")
    owners = fetch(
        busy, 'SELECT DISTINCT "userId" AS id FROM "Document" UNION SELECT "userId" FROM "Workflow"'
    )
    assert owners == [{"id": world.bob}]
    assert fetch(busy, 'SELECT "name", "authorName" AS by, "rating", "reviews" FROM "Template"') == [
        {"name": "Public", "by": "Former author", "rating": 2.0, "reviews": 1}
    ]
    assert fetch(busy, "SELECT DISTINCT user_id AS by, sealed FROM credential") == [
        {"by": world.bob, "sealed": "s"}
    ]
    assert fetch(
        busy, 'SELECT "tokens" FROM "UsageLog" WHERE "teamId" = $1 AND "tokens" = 7', world.shared
    ) == [{"tokens": 7}]
    wait_until_jobs_are_done(busy)
    assert stored_files(busy) == {SHARED}


def wait_until_jobs_are_done(server: Service) -> None:
    deadline = time.monotonic() + 30
    while fetch(server, "SELECT FROM pgqueuer WHERE execute_after <= now()"):
        assert time.monotonic() < deadline


def test_bytes_go_when_the_process_dies_after_the_commit(server: Service) -> None:
    # No worker runs here: the jobs wait, as they do when a process is killed.
    _, key = new_person(server, "ann@example.com")
    with server.client(key) as client:
        client.post("/v1/documents", json={"title": "Mine", "content": PERSONAL})
    assert delete(server, key).status_code == 200
    assert stored_files(server) == {PERSONAL}
    [job] = fetch(server, "SELECT payload FROM pgqueuer WHERE entrypoint = 'delete_originals'")
    for _ in range(2):
        server.call(run_original_deletion(server.runtime.originals, job["payload"]))
    assert stored_files(server) == set()


def test_what_was_written_meanwhile_is_found_later(server: Service) -> None:
    ann, key = new_person(server, "ann@example.com")
    bob, _ = new_person(server, "bob@example.com")
    team = make_team(server, "heating", **{bob: "OWNER", ann: "MEMBER"})
    delete(server, key)
    # An upload that had begun before: nothing ties a document to its user.
    for team_id in (None, team):
        fetch(
            server,
            'INSERT INTO "Document" ("userId", "teamId", "title", "content") VALUES ($1, $2, \'late\', \'\')',
            ann,
            team_id,
        )

    async def run() -> None:
        async with as_system(server.runtime.pool) as conn:
            await sweep(conn, ann)

    server.call(run())
    assert fetch(server, 'SELECT "userId" AS id, "teamId" AS team FROM "Document"') == [
        {"id": bob, "team": team}
    ]
    [job] = fetch(
        server,
        "SELECT execute_after > now() + interval '10 minutes' AS later FROM pgqueuer "
        "WHERE entrypoint = 'sweep_person'",
    )
    assert job["later"]


def test_the_sweep_leaves_the_living_alone(server: Service) -> None:
    ann, key = new_person(server, "ann@example.com")

    async def run() -> None:
        async with as_system(server.runtime.pool) as conn:
            await sweep(conn, ann)

    server.call(run())
    assert get_me(server, key).status_code == 200


@pytest.mark.parametrize("confirm", ["", "yes", "bob@example.com"])
def test_nobody_is_deleted_by_accident(server: Service, confirm: str) -> None:
    _, key = new_person(server, "ann@example.com")
    reply = delete(server, key, confirm)
    assert reply.status_code == 422
    assert "e-mail address" in reply.json()["detail"]
    with server.client(key) as client:
        assert client.delete("/v1/users/me").status_code == 400
    assert get_me(server, key).status_code == 200


def test_without_an_address_the_id_confirms(server: Service, issuer: FakeIssuer) -> None:
    token = issuer.mint("user_ann")
    me = get_me(server, token).json()
    assert delete(server, token, "user_ann@users.invalid").status_code == 422
    assert delete(server, token, me["id"]).status_code == 200


def test_the_last_owner_of_others_has_to_decide_first(server: Service) -> None:
    ann, key = new_person(server, "ann@example.com")
    bob, _ = new_person(server, "bob@example.com")
    heating = make_team(server, "heating", **{ann: "OWNER", bob: "ADMIN"})
    make_team(server, "alone", **{ann: "OWNER"})
    reply = delete(server, key)
    assert reply.status_code == 409
    assert reply.json()["teams"] == [{"id": heating, "name": "heating"}]
    assert len(fetch(server, 'SELECT FROM "TeamMember" WHERE "userId" = $1', ann)) == 2
    fetch(server, 'UPDATE "TeamMember" SET "role" = \'OWNER\' WHERE "userId" = $1', bob)
    assert delete(server, key).status_code == 200


@pytest.mark.parametrize(
    ("roles", "heir"),
    [
        (["VIEWER", "MEMBER", "ADMIN", "ADMIN"], 2),
        (["VIEWER", "MEMBER", "MEMBER"], 1),
        (["VIEWER", "VIEWER"], 0),
        (["ADMIN", "OWNER"], 1),
    ],
)
def test_when_clerk_deletes_the_longest_standing_inherits(
    server: Service, send_event: Post, issuer: FakeIssuer, roles: list[str], heir: int
) -> None:
    ann = get_me(server, issuer.mint("user_ann")).json()["id"]
    others = [new_person(server, f"{number}@example.com")[0] for number in range(len(roles))]
    team = make_team(server, "heating", **{ann: "OWNER"}, **dict(zip(others, roles, strict=True)))
    assert send_event(deletion_event("user_ann")).status_code == 204
    owners = fetch(server, """SELECT "userId" AS id FROM "TeamMember" WHERE "role" = 'OWNER'""")
    assert owners == [{"id": others[heir]}]
    inherited = fetch(
        server, "SELECT resource_id AS id FROM audit_log WHERE action = 'team.ownership_inherited'"
    )
    told = fetch(
        server, """SELECT "userId" AS id FROM "Notification" WHERE "data" ->> 'team_id' = $1""", team
    )
    assert inherited == told == ([] if roles[heir] == "OWNER" else owners)
    assert not fetch(server, 'SELECT FROM "User" WHERE "id" = $1', ann)


def test_a_team_beyond_its_plan_can_still_be_handed_over(server: Service) -> None:
    ann, key = new_person(server, "ann@example.com")
    bob, _ = new_person(server, "bob@example.com")
    team = make_team(server, "heating", **{ann: "OWNER", bob: "OWNER"})
    fetch(server, 'UPDATE "Team" SET "subscriptionTier" = \'PRO\' WHERE "id" = $1', team)
    for number in range(6):
        fetch(
            server,
            'INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "teamId") '
            "VALUES ($1, '[]', '[]', $2, $3)",
            str(number),
            ann,
            team,
        )
    fetch(server, 'UPDATE "Team" SET "subscriptionTier" = \'FREE\' WHERE "id" = $1', team)
    reply = delete(server, key)
    assert reply.status_code == 200, reply.text
    assert reply.json()["handed_over"]["workflows"] == 6


def test_two_owners_who_leave_at_once_do_not_leave_a_team_without_one(server: Service) -> None:
    people = [new_person(server, f"{name}@example.com") for name in ("ann", "bob", "cid")]
    roles = dict(zip([user_id for user_id, _ in people], ["OWNER", "OWNER", "MEMBER"], strict=True))
    make_team(server, "heating", **roles)

    async def both() -> list[int]:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            replies = await asyncio.gather(
                *(
                    client.request(
                        "DELETE",
                        "/v1/users/me",
                        json={"confirm": f"{name}@example.com"},
                        headers={"Authorization": f"Bearer {key}"},
                    )
                    for name, (_, key) in zip(("ann", "bob"), people, strict=False)
                )
            )
        return sorted(reply.status_code for reply in replies)

    assert asyncio.run(both()) == [200, 409]
    assert len(fetch(server, """SELECT FROM "TeamMember" WHERE "role" = 'OWNER'""")) == 1


def test_a_deletion_and_its_repeat_by_clerk(server: Service, send_event: Post, issuer: FakeIssuer) -> None:
    token = issuer.mint("user_ann", email="ann@example.com", email_verified=True)
    get_me(server, token)
    assert delete(server, token).status_code == 200
    assert send_event(deletion_event("user_ann")).status_code == 204
    actions = fetch(server, "SELECT actor, action FROM audit_log ORDER BY id")
    assert actions == [
        {"actor": "system", "action": "user.created"},
        {"actor": "user", "action": "user.deleted"},
    ]
