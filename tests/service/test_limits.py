"""Plans and rates over HTTP: 402 and 429 say what is used and when to come back, and leave nothing behind."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from db.callers import Limit
from service.auth.rates import requests_allowed
from tests.running import Service, run_service


async def _store(server: Service, used: int) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute("""UPDATE "User" SET "storageUsed" = $1 WHERE "email" = 'ann@example.com'""", used)


@pytest.fixture
def ann(server: Service) -> str:
    return server.new_user("ann@example.com")


def test_an_upload_beyond_the_plan_is_refused_and_leaves_nothing(server: Service, ann: str) -> None:
    limit = 100 * 1024 * 1024
    server.call(_store(server, limit - 10))
    with server.client(ann) as client:
        assert client.post("/v1/documents", json={"title": "t", "content": "0123456789"}).status_code == 202
        reply = client.post("/v1/documents", files={"file": ("x.txt", b"one more", "text/plain")})
        usage = client.get("/v1/usage", params={"group_by": "kind"}).json()["data"]
    assert reply.status_code == 402
    assert {name: reply.json()[name] for name in ("resource", "tier", "used", "limit", "resets_at")} == {
        "resource": "storage",
        "tier": "FREE",
        "used": limit,
        "limit": limit,
        "resets_at": None,
    }
    kept = [path for path in (server.settings.home / "originals").rglob("*") if path.is_file()]
    assert len(kept) == 1
    assert [row["requests"] for row in usage if row["kind"] == "document.upload"] == [1]


def test_teams_that_come_and_go_do_not_stack_up_storage(server: Service, ann: str) -> None:
    limit = 100 * 1024 * 1024
    server.call(_store(server, limit))
    with server.client(ann) as client:
        team = client.post("/v1/teams", json={"name": "One"}).json()["id"]
        given = {"title": "t", "content": "0123456789", "team_id": team}
        assert client.post("/v1/documents?wait=30", json=given).status_code == 202
        assert client.delete(f"/v1/teams/{team}").status_code == 204
        reply = client.post("/v1/teams", json={"name": "Two"})
    assert (reply.status_code, reply.json()["used"]) == (402, limit + 10)


def test_of_forty_uploads_at_once_those_that_fit_are_taken(server: Service, ann: str) -> None:
    limit = 100 * 1024 * 1024
    server.call(_store(server, limit - 25 * 1000))

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ann}"}, timeout=60) as client:
            return await asyncio.gather(
                *(
                    client.post(
                        f"{server.url}/v1/documents",
                        files={"file": (f"{n}.txt", f"{n:1000}".encode(), "text/plain")},
                    )
                    for n in range(40)
                )
            )

    replies = asyncio.run(send())
    assert sorted(reply.status_code for reply in replies) == [202] * 25 + [402] * 15
    refused = [reply.json() for reply in replies if reply.status_code == 402]
    assert {(body["resource"], body["tier"], body["limit"]) for body in refused} == {
        ("storage", "FREE", limit)
    }
    with server.client(ann) as client:
        assert client.get("/v1/plan").json()["storage_bytes"]["used"] == limit
    kept = [path for path in (server.settings.home / "originals").rglob("*") if path.is_file()]
    assert len(kept) == 25


def test_a_body_that_cannot_fit_is_refused_before_it_is_read(server: Service, ann: str) -> None:
    server.call(_store(server, 99 * 1024 * 1024))
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(50):
            sent += 1
            yield b"x" * 1024 * 1024

    headers = {
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(50 * 1024 * 1024),
        "Authorization": f"Bearer {ann}",
    }
    # The reply comes, and the connection may go, while the body is still being sent.
    with httpx.Client(base_url=server.url, timeout=30) as client, contextlib.suppress(httpx.WriteError):
        assert client.post("/v1/documents", content=body(), headers=headers).status_code == 402
    assert sent < 50


def test_a_broken_upload_gives_its_bytes_back(server: Service, ann: str) -> None:
    with server.client(ann) as client:
        reply = client.post("/v1/documents", files={"file": ("x.bin", b"\x00\x01\x02" * 100)})
        assert reply.status_code == 415
        assert client.get("/v1/plan").json()["storage_bytes"]["used"] == 0


@pytest.fixture
def instances(database_url: str, tmp_path: Path) -> Iterator[list[Service]]:
    """Two processes' worth of service on one database, with limits."""
    limits = {"rate_limit_requests_per_hour": 50, "rate_limit_key_requests_per_hour": 40}
    with ExitStack() as stack:
        yield [
            stack.enter_context(run_service(database_url, tmp_path / name, worker=False, **limits))
            for name in ("one", "two")
        ]


async def _ask(urls: list[str], key: str, times: int) -> list[httpx.Response]:
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, timeout=60) as client:
        return await asyncio.gather(*(client.get(f"{urls[n % len(urls)]}/v1/teams") for n in range(times)))


async def _another_key(server: Service) -> str:
    from tests.service.isolation import _insert_key

    async with server.runtime.pool.acquire() as conn:
        user_id = await conn.fetchval("""SELECT "id" FROM "User" WHERE "email" = 'ann@example.com'""")
    return await _insert_key(server, user_id, ["admin"], "active")


def test_rates_hold_to_the_request_across_instances(instances: list[Service]) -> None:
    first = instances[0].new_user("ann@example.com")
    second = instances[0].call(_another_key(instances[0]))
    urls = [service.url for service in instances]

    replies = asyncio.run(_ask(urls, first, 200))
    passed = [reply for reply in replies if reply.status_code == 200]
    assert len(passed) == 40  # the key's own limit
    assert {reply.status_code for reply in replies} == {200, 429}
    left = sorted(int(reply.headers["ratelimit"].split('"key-hour";r=')[1].split(";")[0]) for reply in passed)
    assert left == list(range(40))

    refused = next(reply for reply in replies if reply.status_code == 429)
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert refused.headers["ratelimit-remaining"] == "0"
    assert '"user-hour";q=50;w=3600' in refused.headers["ratelimit-policy"]
    assert refused.headers["content-type"] == "application/problem+json"

    # Another key of the same person has no more than what the person has left: nothing, of 50 in 200 requests.
    assert {reply.status_code for reply in asyncio.run(_ask(urls, second, 5))} == {429}


def test_a_persons_limit_spans_their_keys(instances: list[Service]) -> None:
    first = instances[0].new_user("ann@example.com")
    second = instances[0].call(_another_key(instances[0]))
    urls = [service.url for service in instances]
    assert {reply.status_code for reply in asyncio.run(_ask(urls, first, 30))} == {200}
    replies = asyncio.run(_ask(urls, second, 30))
    assert sum(reply.status_code == 200 for reply in replies) == 20
    bob = instances[1].new_user("bob@example.com")
    assert {reply.status_code for reply in asyncio.run(_ask(urls, bob, 5))} == {200}


def test_the_plan_says_which_rates_apply(instances: list[Service], server: Service) -> None:
    with instances[0].client(instances[0].new_user("ann@example.com")) as client:
        limited = client.get("/v1/plan").json()
    with server.client() as client:
        free = client.get("/v1/plan").json()
    assert (limited["requests_per_minute"], limited["requests_per_hour"]) == (None, 40)
    assert (free["requests_per_minute"], free["requests_per_hour"]) == (None, None)


def test_a_token_is_bound_by_the_limit_of_its_person_alone() -> None:
    limits = (Limit("user", 60, 50), Limit("key", 60, 40), Limit("key", 3600, 400))
    assert requests_allowed(limits, 60, by_key=True) == 40
    assert requests_allowed(limits, 60, by_key=False) == 50
    assert requests_allowed(limits, 3600, by_key=False) is None


def test_a_key_revoked_here_is_refused_there_at_once(instances: list[Service]) -> None:
    ann = instances[0].new_user("ann@example.com")
    with instances[0].client(ann) as here:
        made = here.post("/v1/api-keys", json={"name": "x", "scopes": ["keys"]}).json()
        with instances[1].client(made["key"]) as there:
            assert there.get("/v1/api-keys").status_code == 200
            assert here.delete(f"/v1/api-keys/{made['api_key']['id']}").status_code == 204
            assert there.get("/v1/api-keys").status_code == 401


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<p>" + b"words " * 100 + b"</p>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_page_that_does_not_fit_fails_its_document(database_url: str, tmp_path: Path) -> None:
    pages = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=pages.serve_forever)
    thread.start()
    try:
        with run_service(database_url, tmp_path / "home", fetch_allowed_networks="127.0.0.0/8") as service:
            ann = service.new_user("ann@example.com")
            service.call(_store(service, 100 * 1024 * 1024 - 10))
            with service.client(ann) as client:
                url = f"http://127.0.0.1:{pages.server_port}/page.html"
                reply = client.post("/v1/documents?wait=30", json={"url": url}).json()
                assert client.get("/v1/plan").json()["storage_bytes"]["used"] == 100 * 1024 * 1024 - 10
            assert not [path for path in (tmp_path / "home" / "originals").rglob("*") if path.is_file()]
    finally:
        pages.shutdown()
        thread.join()
        pages.server_close()
    assert reply["status"] == "failed"
    assert (reply["error"]["stage"], reply["error"]["code"]) == ("fetch", "plan_limit")
