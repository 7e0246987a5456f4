"""Notifications: listed, counted, read, deleted, and heard of as they come."""

import contextlib
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest

from db.pool import connect
from service.cursors import encode_cursor
from tests.running import Service, run_service


async def _insert(server: Service, email: str, *titles: str) -> None:
    """As the web application does: plain rows, in the order of the titles."""
    async with server.runtime.pool.acquire() as conn:
        for title in titles:
            await conn.execute(
                """
                INSERT INTO "Notification" ("userId", "type", "title", "message")
                SELECT "id", 'SYSTEM', $2, 'm' FROM "User" WHERE "email" = $1
                """,
                email,
                title,
            )


@pytest.fixture
def client(server: Service) -> Iterator[httpx.Client]:
    with server.client(server.new_user("ann@example.com")) as opened:
        yield opened


def test_lists_are_paged_newest_first_and_narrowed_to_unread(server: Service, client: httpx.Client) -> None:
    server.call(_insert(server, "ann@example.com", "a", "b", "c"))
    first = client.get("/v1/notifications?limit=2").json()
    rest = client.get(f"/v1/notifications?limit=2&after={first['next_cursor']}").json()
    assert sorted(row["title"] for row in [*first["data"], *rest["data"]]) == ["a", "b", "c"]
    assert (first["has_more"], rest["has_more"]) == (True, False)

    read = client.post(f"/v1/notifications/{first['data'][0]['id']}/read").json()
    again = client.post(f"/v1/notifications/{first['data'][0]['id']}/read").json()
    assert read["is_read"]
    assert again["read_at"] == read["read_at"]
    assert client.get("/v1/notifications/unread-count").json() == {"unread": 2}
    assert len(client.get("/v1/notifications?unread=true").json()["data"]) == 2
    assert client.post("/v1/notifications/read-all").json() == {"marked": 2}
    assert client.get("/v1/notifications/unread-count").json() == {"unread": 0}
    assert client.delete(f"/v1/notifications/{read['id']}").status_code == 204
    assert client.delete(f"/v1/notifications/{read['id']}").status_code == 404


def test_nobody_hears_of_anothers(server: Service, client: httpx.Client) -> None:
    server.new_user("bob@example.com")
    server.call(_insert(server, "bob@example.com", "secret"))
    assert client.get("/v1/notifications").json()["data"] == []
    assert client.get("/v1/notifications/unread-count").json() == {"unread": 0}


@contextmanager
def listening(
    client: httpx.Client, **headers: str
) -> Iterator["Queue[tuple[str, str, dict[str, Any]] | None]"]:
    """Follow the stream in a thread; what comes is put into the queue as (event, id, data), None at its end."""
    heard: Queue[tuple[str, str, dict[str, Any]] | None] = Queue()

    def follow() -> None:
        # The client is closed in the middle of the stream where a test has heard enough.
        with (
            contextlib.suppress(httpx.HTTPError),
            client.stream("GET", "/v1/notifications/events", headers=headers) as reply,
        ):
            event: dict[str, str] = {}
            for line in reply.iter_lines():
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    heard.put((event["event"], event["id"], json.loads(event["data"])))
                    event = {}
        heard.put(None)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    yield heard


def test_new_ones_come_at_once_and_a_reconnect_misses_nothing(server: Service, client: httpx.Client) -> None:
    server.call(_insert(server, "ann@example.com", "before"))
    with listening(client) as heard:
        kind, place, data = heard.get(timeout=20) or pytest.fail("the stream ended")
        assert (kind, data) == ("unread", {"unread": 1})
        server.call(_insert(server, "ann@example.com", "now"))
        kind, _, data = heard.get(timeout=20) or pytest.fail("the stream ended")
        assert (kind, data["title"]) == ("notification", "now")
    server.call(_insert(server, "ann@example.com", "meanwhile"))
    key = client.headers["authorization"].removeprefix("Bearer ")
    with server.client(key) as other, listening(other, **{"Last-Event-ID": place}) as heard:
        kinds = [heard.get(timeout=20) for _ in range(3)]
    assert [found[2].get("title") for found in kinds if found] == [None, "now", "meanwhile"]


def test_those_of_one_millisecond_are_all_heard_of_once(server: Service, client: httpx.Client) -> None:
    with listening(client) as heard:
        heard.get(timeout=20)
        titles = []
        for row_id in ("c", "a", "b"):  # ids are random: a later row may well sort first
            server.call(_insert_at_noon(server, row_id))
            _, _, data = heard.get(timeout=20) or pytest.fail("the stream ended")
            titles.append(data["title"])
    assert titles == ["c", "a", "b"]


async def _insert_at_noon(server: Service, row_id: str) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute(
            """
            INSERT INTO "Notification" ("id", "userId", "type", "title", "message", "createdAt")
            SELECT $1, "id", 'SYSTEM', $1, 'm', '2100-01-01 12:00' FROM "User" WHERE "email" = 'ann@example.com'
            """,
            row_id,
        )


def test_the_stream_does_not_hold_a_shutdown_up(database_url: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with run_service(database_url, tmp_path, worker=False) as service:
            client = stack.enter_context(service.client())
            heard = stack.enter_context(listening(client))
            assert heard.get(timeout=20) is not None
        assert heard.get(timeout=20) is None


def test_the_stream_ends_with_its_key(server: Service, client: httpx.Client) -> None:
    with listening(client) as heard:
        heard.get(timeout=20)
        server.call(_revoke(server))
        # Woken by the next notification, it looks whether it may go on.
        server.call(_insert(server, "ann@example.com", "too late"))
        assert heard.get(timeout=20) is None


async def _revoke(server: Service) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute("""
            UPDATE "ApiKey" SET "isActive" = false
            WHERE "userId" = (SELECT "id" FROM "User" WHERE "email" = 'ann@example.com')
        """)


def test_a_cursor_of_another_list_is_refused(client: httpx.Client) -> None:
    reply = client.get("/v1/notifications/events", headers={"Last-Event-ID": "nonsense"})
    assert reply.status_code == 400


def test_one_that_commits_late_is_not_passed_over(server: Service, client: httpx.Client) -> None:
    """It is older by its time than what was heard meanwhile: the stream goes by transactions."""
    key = client.headers["authorization"].removeprefix("Bearer ")
    with listening(client) as heard:
        heard.get(timeout=20)
        slow = server.call(_begin(server, "ann@example.com", "slow"))
        server.call(_insert(server, "ann@example.com", "quick"))
        _, place, data = heard.get(timeout=20) or pytest.fail("the stream ended")
        assert data["title"] == "quick"
        server.call(_commit(slow))
        _, _, data = heard.get(timeout=20) or pytest.fail("the stream ended")
        assert data["title"] == "slow"
    with server.client(key) as other, listening(other, **{"Last-Event-ID": place}) as heard:
        again = [heard.get(timeout=20) for _ in range(2)]
    assert [found[2].get("title") for found in again if found] == [None, "slow"]


async def _begin(server: Service, email: str, title: str) -> Any:
    conn = await connect(server.database_url)
    await conn.execute("BEGIN")
    await conn.execute(
        """
        INSERT INTO "Notification" ("userId", "type", "title", "message")
        SELECT "id", 'SYSTEM', $2, 'm' FROM "User" WHERE "email" = $1
        """,
        email,
        title,
    )
    return conn


async def _commit(conn: Any) -> None:
    await conn.execute("COMMIT")
    await conn.close()


@pytest.mark.parametrize(
    "snapshot", ["", "1", "2:1:", "1:5:4,3", "1:5:5", "1:5:2,2", "x:y:", "1:99999999999999999999:", "0:1:"]
)
def test_a_place_that_is_none_is_refused(client: httpx.Client, snapshot: str) -> None:
    place = encode_cursor(["2026-01-01T00:00:00Z", snapshot])
    reply = client.get("/v1/notifications/events", headers={"Last-Event-ID": place})
    assert reply.status_code == 400
