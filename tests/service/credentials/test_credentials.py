"""Credentials: kept, used by name, and never shown."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.recording_server import RecordingServer
from tests.running import Service, run_service
from tests.service.drawing import draw, node, run

TOKEN = "tok-that-nobody-may-see"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(database_url, tmp_path / "home", workflow_allowed_networks="127.0.0.0/8") as service:
        yield service


@pytest.fixture
def client(server: Service) -> Iterator[httpx.Client]:
    with server.client() as opened:
        yield opened


def test_a_credential_is_sent_and_shown_nowhere(server: Service, client: httpx.Client) -> None:
    with RecordingServer() as others:
        others.reply("/echo", body=f'{{"you_sent": "{TOKEN}"}}'.encode())
        made = client.post(
            "/v1/credentials", json={"name": "api", "kind": "bearer", "value": {"token": TOKEN}}
        )
        assert made.status_code == 201
        drawn = draw(
            server,
            [
                node("start", "trigger"),
                node("ask", "http", {"url": f"{others.url}/echo", "credential": "api"}),
                node("end", "set", {"fields": {"ok": 1}, "mode": "replace"}),
            ],
            ["start>ask", "ask>end"],
        )
        done = run(client, drawn)
        assert done["status"] == "SUCCESS", done
        (sent,) = others.requests("/echo")
        assert sent.headers["authorization"] == f"Bearer {TOKEN}"
        log = client.get(f"/v1/executions/{done['id']}/logs").text
        assert "[hidden]" in log
        shown = [
            made.text,
            log,
            client.get("/v1/credentials").text,
            client.get(f"/v1/credentials/{made.json()['id']}").text,
        ]
        assert not [text for text in shown if TOKEN in text]
        assert client.get("/v1/credentials").json()["data"][0]["last_used_at"] is not None


def test_what_an_earlier_turn_was_sent_is_hidden_after_a_wait(server: Service, client: httpx.Client) -> None:
    with RecordingServer() as others:
        others.reply("/echo", body=f'{{"you_sent": "{TOKEN}"}}'.encode())
        client.post("/v1/credentials", json={"name": "api", "kind": "bearer", "value": {"token": TOKEN}})
        drawn = draw(
            server,
            [
                node("start", "trigger"),
                node("ask", "http", {"url": f"{others.url}/echo", "credential": "api"}),
                node("pause", "wait", {"for": "reply"}),
                node("end", "set", {"fields": {"ok": "{{ nodes['ask'] }}"}}),
            ],
            ["start>ask", "ask>pause", "pause>end"],
        )
        waiting = client.post(f"/v1/workflows/{drawn}/run?wait=1", json={}).headers["location"]
        assert client.post(f"{waiting}/resume", json={"reply": "go"}).status_code == 202
        with client.stream("GET", f"{waiting}/events") as stream:
            stream.read()
        assert client.get(waiting).json()["status"] == "SUCCESS"
        log = [one["entry"] for one in client.get(f"{waiting}/logs").json()["data"]]
        assert "[hidden]" in str([entry for entry in log if entry.get("node") == "end"])
        assert TOKEN not in str(log)


def test_a_credential_goes_to_its_hosts_alone(server: Service, client: httpx.Client) -> None:
    with RecordingServer() as others:
        client.post(
            "/v1/credentials",
            json={
                "name": "api",
                "kind": "header",
                "value": {"name": "X-Key", "value": TOKEN},
                "hosts": ["api.example.com"],
            },
        )
        drawn = draw(
            server,
            [node("start", "trigger"), node("ask", "http", {"url": f"{others.url}/x", "credential": "api"})],
            ["start>ask"],
        )
        done = run(client, drawn)
        assert done["status"] == "FAILED"
        assert "127.0.0.1" in done["error"]["message"]
        assert TOKEN not in str(done)
        assert others.requests() == []


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bearer", {}),
        ("bearer", {"token": ""}),
        ("bearer", {"token": TOKEN, "more": 1}),
        ("basic", {"username": "u"}),
        ("header", {"name": "X", "value": "a\nb"}),
        ("hmac", {"secret": 7}),
    ],
)
def test_a_value_that_is_wrong_is_refused_without_repeating_it(
    client: httpx.Client, kind: str, value: dict[str, object]
) -> None:
    reply = client.post("/v1/credentials", json={"name": "x", "kind": kind, "value": value})
    assert reply.status_code == 422
    assert TOKEN not in reply.text


def test_names_are_taken_once_and_can_be_changed(client: httpx.Client) -> None:
    first, second = (
        client.post("/v1/credentials", json={"name": name, "kind": "hmac", "value": {"secret": TOKEN}}).json()
        for name in ("a", "b")
    )
    taken = client.post("/v1/credentials", json={"name": "a", "kind": "hmac", "value": {"secret": TOKEN}})
    assert taken.status_code == 409
    assert client.patch(f"/v1/credentials/{second['id']}", json={"name": "a"}).status_code == 409
    changed = client.patch(
        f"/v1/credentials/{first['id']}",
        json={"name": "c", "value": {"secret": "another"}, "hosts": ["*.example.com"]},
    )
    assert changed.json()["name"] == "c"
    assert client.delete(f"/v1/credentials/{first['id']}").status_code == 204
    assert [one["name"] for one in client.get("/v1/credentials").json()["data"]] == ["b"]
