"""/v1/webhooks over HTTP: what can be added and changed, by whom, and what is never shown."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from db.pool import Pool
from service.secrets import PREFIX, SecretBox
from service.webhooks.endpoints import EVENT_TYPES
from service.webhooks.routes import MAX_WEBHOOKS
from tests.fakes.webhook_receiver import Receiver
from tests.running import ENCRYPTION_KEY, Service

URL = "https://hooks.example.com/in"


@pytest.fixture
def client(api: Service) -> Any:
    with api.client() as signed_in:
        yield signed_in


def add(client: httpx.Client, **fields: object) -> dict[str, Any]:
    reply = client.post("/v1/webhooks", json={"url": URL, **fields})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/webhooks/{made['id']}"
    return made


def sql(api: Service, statement: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a statement as the service itself."""

    async def run(pool: Pool) -> list[dict[str, Any]]:
        async with pool.acquire() as conn:
            return [dict(row) for row in await conn.fetch(statement, *arguments)]

    rows: list[dict[str, Any]] = api.call(run(api.runtime.pool))
    return rows


def join(api: Service, email: str, role: str) -> str:
    """Let a person into the one team there is, made at the first call; return its id."""
    rows = sql(
        api,
        """
        WITH found AS (SELECT "id" FROM "Team"),
             made AS (INSERT INTO "Team" ("name", "slug") SELECT 'Readers', 'readers'
                      WHERE NOT EXISTS (SELECT FROM found) RETURNING "id"),
             team AS (SELECT "id" FROM found UNION ALL SELECT "id" FROM made)
        INSERT INTO "TeamMember" ("teamId", "userId", "role")
        SELECT team."id", u."id", $2::"TeamRole" FROM team, "User" u WHERE u."email" = $1
        RETURNING "teamId"
        """,
        email,
        role,
    )
    return str(rows[0]["teamId"])


def test_the_secret_is_shown_once_and_stored_sealed(api: Service, client: httpx.Client) -> None:
    made = add(client, events=["document.ready", "document.ready"], description=" the  index\npage ")
    assert made["secret"].startswith("whsec_")
    assert (made["events"], made["description"]) == (["document.ready"], "the index page")
    assert (made["is_active"], made["total_calls"], made["team_id"]) == (True, 0, None)
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert client.get(f"/v1/webhooks/{made['id']}").json() == shown
    assert client.get("/v1/webhooks").json()["data"] == [shown]
    (row,) = sql(api, 'SELECT "secret" FROM "Webhook"')
    assert row["secret"].startswith(PREFIX)
    assert SecretBox(ENCRYPTION_KEY).open(row["secret"]) == made["secret"]


def test_an_unknown_event_is_refused_naming_those_there_are(client: httpx.Client) -> None:
    reply = client.post("/v1/webhooks", json={"url": URL, "events": ["document.ready", "document.read", "*"]})
    assert reply.status_code == 422
    assert "document.read" in reply.json()["detail"]
    assert reply.json()["known"] == list(EVENT_TYPES)


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "ftp://example.com/",
        "https://a:b@c.example/",
    ],
)
def test_an_address_that_could_never_be_sent_to_is_refused(client: httpx.Client, url: str) -> None:
    assert client.post("/v1/webhooks", json={"url": url}).status_code == 422
    made = add(client)
    assert client.patch(f"/v1/webhooks/{made['id']}", json={"url": url}).status_code == 422


@pytest.mark.parametrize(
    "body", [{}, {"url": 1}, {"url": URL, "secret": "mine"}, {"url": URL, "events": "all"}]
)
def test_a_body_of_another_form_is_refused(client: httpx.Client, body: dict[str, object]) -> None:
    assert client.post("/v1/webhooks", json=body).status_code == 400


def test_there_is_a_limit_however_many_ask_at_once(client: httpx.Client) -> None:
    def one(_: int) -> int:
        return client.post("/v1/webhooks", json={"url": URL}).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(one, range(MAX_WEBHOOKS + 10)))
    assert sorted(statuses) == [201] * MAX_WEBHOOKS + [409] * 10
    reply = client.post("/v1/webhooks", json={"url": URL})
    assert reply.json()["limit"] == MAX_WEBHOOKS


def test_lists_are_paged_newest_first(client: httpx.Client) -> None:
    ids = [add(client)["id"] for _ in range(5)][::-1]
    seen: list[str] = []
    after = None
    while True:
        page = client.get("/v1/webhooks", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [webhook["id"] for webhook in page["data"]]
        after = page["next_cursor"]
        if not page["has_more"]:
            break
    assert seen == ids


def test_a_webhook_is_changed_paused_resumed_and_deleted(api: Service, client: httpx.Client) -> None:
    path = f"/v1/webhooks/{add(client, description='one')['id']}"
    changed = client.patch(path, json={"url": URL + "/2", "events": ["ping"], "description": None}).json()
    assert (changed["url"], changed["events"], changed["description"]) == (URL + "/2", ["ping"], None)
    assert client.patch(path, json={}).json()["events"] == ["ping"]
    paused = client.patch(path, json={"is_active": False}).json()
    assert (paused["is_active"], paused["pause_reason"]) == (False, "by_hand")
    assert client.post(f"{path}/test").status_code == 409
    sql(api, """UPDATE "Webhook" SET "failingSince" = now(), "pauseReason" = 'failing'""")
    resumed = client.patch(path, json={"is_active": True}).json()
    assert (resumed["is_active"], resumed["paused_at"], resumed["pause_reason"]) == (True, None, None)
    assert resumed["failing_since"] is None
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).status_code == 404


def test_what_was_done_is_in_the_audit_log_without_secrets(api: Service, client: httpx.Client) -> None:
    made = add(client)
    path = f"/v1/webhooks/{made['id']}"
    client.patch(path, json={"url": URL + "/token"})
    secret = client.post(f"{path}/rotate-secret").json()["secret"]
    client.delete(path)
    rows = sql(api, "SELECT action, resource_id, details::text AS details FROM audit_log ORDER BY id")
    assert [row["action"].removeprefix("webhook.") for row in rows] == [
        "created",
        "updated",
        "secret_rotated",
        "deleted",
    ]
    assert {row["resource_id"] for row in rows} == {made["id"]}
    text = str(rows)
    assert made["secret"] not in text
    assert secret not in text
    assert "token" not in text


def test_a_rotated_secret_is_new_and_the_old_one_stays_for_a_day(api: Service, client: httpx.Client) -> None:
    made = add(client)
    rotated = client.post(f"/v1/webhooks/{made['id']}/rotate-secret")
    assert rotated.status_code == 200
    (row,) = sql(
        api,
        """SELECT "secret", "previousSecret", "previousSecretUntil" - now() AS left_ FROM "Webhook" """,
    )
    box = SecretBox(ENCRYPTION_KEY)
    assert box.open(row["secret"]) == rotated.json()["secret"] != made["secret"]
    assert box.open(row["previousSecret"]) == made["secret"]
    assert 23 * 3600 < row["left_"].total_seconds() <= 24 * 3600


def test_deliveries_are_listed_filtered_shown_and_sent_again(api: Service, client: httpx.Client) -> None:
    path = f"/v1/webhooks/{add(client)['id']}"
    sent = [client.post(f"{path}/test") for _ in range(3)]
    assert [reply.status_code for reply in sent] == [202] * 3
    ids = [reply.json()["id"] for reply in sent][::-1]
    sql(api, "UPDATE webhook_delivery SET status = 'failed', attempts = 10 WHERE id = $1::uuid", ids[1])
    pages = client.get(f"{path}/deliveries", params={"limit": 2}).json()
    assert [row["id"] for row in pages["data"]] == ids[:2]
    rest = client.get(f"{path}/deliveries", params={"limit": 2, "after": pages["next_cursor"]}).json()
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == (ids[2:], False)
    failed = client.get(f"{path}/deliveries", params={"status": "failed"}).json()["data"]
    assert [row["id"] for row in failed] == [ids[1]]
    detail = client.get(f"{path}/deliveries/{ids[1]}").json()
    assert '"type":"ping"' in detail["body"]
    again = client.post(f"{path}/deliveries/{ids[1]}/replay")
    assert again.status_code == 202
    assert (again.json()["status"], again.json()["attempts"]) == ("pending", 0)
    assert again.json()["event_id"] == detail["event_id"]
    jobs = sql(api, "SELECT count(*) AS n FROM pgqueuer WHERE payload = convert_to($1, 'UTF8')", ids[1])
    assert jobs[0]["n"] == 2
    for missing in ("nothing", "00000000-0000-0000-0000-000000000000"):
        assert client.get(f"{path}/deliveries/{missing}").status_code == 404
        assert client.post(f"{path}/deliveries/{missing}/replay").status_code == 404
    assert client.get(f"{path}/deliveries", params={"after": "eyJ9"}).status_code == 400


ROUTES = [
    ("GET", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/rotate-secret"),
    ("POST", "/test"),
    ("GET", "/deliveries"),
    ("GET", "/deliveries/{delivery}"),
    ("POST", "/deliveries/{delivery}/replay"),
]


def test_another_tenant_sees_and_changes_nothing(api: Service, client: httpx.Client) -> None:
    made = add(client)
    path = f"/v1/webhooks/{made['id']}"
    delivery = client.post(f"{path}/test").json()["id"]
    with api.client(api.new_user("stranger@example.com")) as stranger:
        for method, rest in ROUTES:
            json = {"description": "mine"} if method == "PATCH" else None
            reply = stranger.request(method, path + rest.replace("{delivery}", delivery), json=json)
            assert reply.status_code == 404, (method, rest)
        own = add(stranger)["id"]
        assert [row["id"] for row in stranger.get("/v1/webhooks").json()["data"]] == [own]
        # Nor by way of a webhook of their own.
        assert stranger.get(f"/v1/webhooks/{own}/deliveries/{delivery}").status_code == 404
        assert stranger.post(f"/v1/webhooks/{own}/deliveries/{delivery}/replay").status_code == 404
    unchanged = client.get(path).json()
    assert unchanged == {name: value for name, value in made.items() if name != "secret"}


def test_a_teams_webhooks_are_for_those_who_manage_them(api: Service) -> None:
    people = {role: f"{role.lower()}@example.com" for role in ("OWNER", "ADMIN", "MEMBER", "VIEWER")}
    clients = {}
    for role, email in people.items():
        clients[role] = api.client(api.new_user(email))
        team_id = join(api, email, role)
    made = add(clients["ADMIN"], team_id=team_id)
    assert made["team_id"] == team_id
    for role in ("OWNER", "ADMIN"):
        assert clients[role].get(f"/v1/webhooks/{made['id']}").status_code == 200
        listed = clients[role].get("/v1/webhooks", params={"team_id": team_id}).json()["data"]
        assert [row["id"] for row in listed] == [made["id"]]
    for role in ("MEMBER", "VIEWER"):
        assert clients[role].get(f"/v1/webhooks/{made['id']}").status_code == 404
        assert clients[role].get("/v1/webhooks").json()["data"] == []
        for reply in (
            clients[role].get("/v1/webhooks", params={"team_id": team_id}),
            clients[role].post("/v1/webhooks", json={"url": URL, "team_id": team_id}),
        ):
            assert reply.status_code == 403
            assert reply.json()["required_role"] == "ADMIN"
    with api.client() as outside:
        assert outside.post("/v1/webhooks", json={"url": URL, "team_id": team_id}).status_code == 404
    # Who made it is not enough once they are not an admin any more.
    sql(api, """UPDATE "TeamMember" SET "role" = 'MEMBER' WHERE "role" = 'ADMIN'""")
    assert clients["ADMIN"].get(f"/v1/webhooks/{made['id']}").status_code == 404
    for client in clients.values():
        client.close()


@pytest.mark.parametrize("role", ["OWNER", "ADMIN"])
def test_a_teams_webhook_stays_the_teams_when_its_maker_is_removed(api: Service, role: str) -> None:
    with (
        api.client(api.new_user("maker@example.com")) as maker,
        api.client(api.new_user("owner@example.com")) as owner,
        api.client(api.new_user("other@example.com")) as other,
    ):
        team_id = join(api, "owner@example.com", "OWNER")
        join(api, "maker@example.com", "ADMIN")
        join(api, "other@example.com", role)
        path = f"/v1/webhooks/{add(maker, team_id=team_id)['id']}"
        made_by = maker.get("/v1/users/me").json()["id"]
        assert owner.delete(f"/v1/teams/{team_id}/members/{made_by}").status_code == 204
        # It goes on, and hears of just that.
        [told] = other.get(f"{path}/deliveries").json()["data"]
        assert told["event_type"] == "team.member_removed"
        for method, rest in ROUTES:
            reply = maker.request(
                method, path + rest.replace("{delivery}", told["id"]), json={} if method == "PATCH" else None
            )
            assert reply.status_code == 404, (method, rest)
        assert maker.get("/v1/webhooks").json()["data"] == []
        assert [row["is_active"] for row in other.get("/v1/webhooks").json()["data"]] == [True]
        assert other.post(f"{path}/rotate-secret").status_code == 200
        assert other.patch(path, json={"url": "https://example.com/other"}).status_code == 200
        assert other.delete(path).status_code == 204
        assert owner.get("/v1/webhooks").json()["data"] == []


def test_metrics_tell_what_waits_and_for_how_long(api: Service, client: httpx.Client) -> None:
    def measured() -> dict[str, float]:
        lines = client.get("/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("docsearch_webhook_"))
        return {name.removeprefix("docsearch_webhook_"): float(value) for name, value in pairs}

    due, later = (f'deliveries_pending{{when="{when}"}}' for when in ("due", "later"))
    none = measured()
    assert (none[due], none[later], none["oldest_pending_seconds"]) == (0, 0, 0)
    path = f"/v1/webhooks/{add(client)['id']}/test"
    for _ in range(4):
        assert client.post(path).status_code == 202
    sql(
        api,
        """
        WITH rows AS (SELECT id, row_number() OVER (ORDER BY id) AS n FROM webhook_delivery)
        UPDATE webhook_delivery d
        SET next_attempt_at = CASE WHEN n = 1 THEN now() + interval '1 hour' ELSE next_attempt_at END,
            created_at = created_at - CASE WHEN n = 2 THEN interval '1 hour' ELSE interval '2 hours' END,
            status = CASE WHEN n > 2 THEN 'delivered' ELSE 'pending' END
        FROM rows WHERE rows.id = d.id
        """,
    )
    found = measured()
    assert (found[due], found[later]) == (1, 1)
    assert 7200 <= found["oldest_pending_seconds"] < 7300


def test_an_operator_may_let_a_private_network_in(client: httpx.Client, receiver: Receiver) -> None:
    assert client.post("/v1/webhooks", json={"url": receiver.url}).status_code == 201
    assert client.post("/v1/webhooks", json={"url": "http://10.0.0.1/"}).status_code == 422
