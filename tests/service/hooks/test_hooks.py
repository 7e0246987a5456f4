"""Webhooks that start workflows, as their senders see them."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from db.tenancy import as_system
from tests.running import Service
from tests.service.drawing import draw, node, tokens_of


@pytest.fixture
def sender(server: Service) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with server.client(None) as opened:
        yield opened


@pytest.fixture
def owner(server: Service) -> Iterator[httpx.Client]:
    """Whose the workflows are."""
    with server.client() as opened:
        yield opened


def hook(**data: Any) -> dict[str, Any]:
    return node("hook", "trigger", {"kind": "webhook", **data})


ECHO = node(
    "echo",
    "set",
    {
        "fields": {
            "said": "{{ input.text }}",
            "agent": "{{ trigger.headers['x-agent'] }}",
            "q": "{{ trigger.query.q }}",
        },
        "mode": "replace",
    },
)


def test_the_body_is_the_first_item_and_the_output_the_answer(
    server: Service, sender: httpx.Client, owner: httpx.Client
) -> None:
    drawn = draw(server, [hook(responseMode="lastNode"), ECHO], ["hook>echo"])
    token, _ = tokens_of(server, drawn)
    reply = sender.post(
        f"/v1/hooks/{token}?q=7",
        json={"text": "hi"},
        headers={"X-Agent": "me", "Authorization": "Basic c2VjcmV0"},
    )
    assert reply.status_code == 200, reply.text
    assert reply.json() == {"said": "hi", "agent": "me", "q": "7"}
    assert reply.headers["x-content-type-options"] == "nosniff"
    execution = owner.get(f"/v1/executions/{reply.headers['x-execution-id']}").json()
    assert execution["triggered_by"] == "webhook"
    assert "c2VjcmV0" not in owner.get(f"/v1/executions/{execution['id']}/logs").text


def test_a_form_a_text_and_a_query_are_read(server: Service, sender: httpx.Client) -> None:
    drawn = draw(server, [hook(responseMode="lastNode", method="ANY")], [])
    token, _ = tokens_of(server, drawn)
    assert sender.post(f"/v1/hooks/{token}", data={"a": "1"}).json() == {"a": "1"}
    assert sender.post(f"/v1/hooks/{token}", content="hi", headers={"Content-Type": "text/plain"}).json() == {
        "text": "hi"
    }
    assert sender.get(f"/v1/hooks/{token}?a=1&a=2&b=3").json() == {"a": ["1", "2"], "b": "3"}
    assert sender.post(f"/v1/hooks/{token}", json=[1, 2]).json() == {"body": [1, 2]}
    assert (
        sender.post(
            f"/v1/hooks/{token}", content="{", headers={"Content-Type": "application/json"}
        ).status_code
        == 400
    )


def test_json_that_is_no_utf8_is_the_senders_fault(server: Service, sender: httpx.Client) -> None:
    token, _ = tokens_of(server, draw(server, [hook(responseMode="lastNode")], []))
    content, address = b'{"a":"\xff"}', f"/v1/hooks/{token}"
    assert (
        sender.post(address, content=content, headers={"Content-Type": "application/json"}).status_code == 400
    )
    assert sender.post(address, content=content).json() == {"text": '{"a":"\ufffd"}'}


def test_a_respond_node_answers_before_the_run_ends(server: Service, sender: httpx.Client) -> None:
    drawn = draw(
        server,
        [
            hook(responseMode="respondNode"),
            node(
                "say",
                "respond",
                {"status": 201, "headers": {"X-Mine": "yes"}, "body": {"got": "{{ input.n }}"}},
            ),
            node("wait", "wait", {"for": "reply"}),
        ],
        ["hook>say", "say>wait"],
    )
    token, _ = tokens_of(server, drawn)
    reply = sender.post(f"/v1/hooks/{token}", json={"n": 3})
    assert (reply.status_code, reply.json(), reply.headers["x-mine"]) == (201, {"got": 3}, "yes")
    assert "sandbox" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("status", [204, 205, 304])
def test_an_answer_without_content_arrives(server: Service, sender: httpx.Client, status: int) -> None:
    drawn = draw(
        server, [hook(responseMode="respondNode"), node("say", "respond", {"status": status})], ["hook>say"]
    )
    token, _ = tokens_of(server, drawn)
    reply = sender.post(f"/v1/hooks/{token}", json={"a": 1})
    assert (reply.status_code, reply.content) == (status, b"")


def test_an_answer_has_the_headers_of_the_node_and_our_guards_each_once(
    server: Service, sender: httpx.Client
) -> None:
    headers = {"Cache-Control": "max-age=60", "Content-Type": "text/csv; charset=iso-8859-1"}
    own = {"body": "a", "bodyType": "text", "headers": headers}
    for said, content_type, cached in (
        (own, "text/csv; charset=iso-8859-1", "max-age=60"),
        ({"body": "a", "bodyType": "text"}, "text/plain; charset=utf-8", "no-store"),
        ({"body": {"a": 1}}, "application/json", "no-store"),
    ):
        drawn = draw(server, [hook(responseMode="respondNode"), node("say", "respond", said)], ["hook>say"])
        reply = sender.post(f"/v1/hooks/{tokens_of(server, drawn)[0]}", json={})
        assert reply.headers.get_list("content-type") == [content_type]
        assert reply.headers.get_list("cache-control") == [cached]
        assert reply.headers.get_list("content-security-policy") == ["sandbox; default-src 'none'"]
        assert reply.headers.get_list("x-content-type-options") == ["nosniff"]


def test_a_failed_run_says_nothing_of_its_inside(server: Service, sender: httpx.Client) -> None:
    drawn = draw(
        server,
        [hook(responseMode="lastNode"), node("no", "stop", {"error": True, "message": "inside"})],
        ["hook>no"],
    )
    token, _ = tokens_of(server, drawn)
    reply = sender.post(f"/v1/hooks/{token}", json={})
    assert reply.status_code == 500
    assert reply.json()["execution_status"] == "FAILED"
    assert "inside" not in reply.text


def test_unknown_and_inactive_addresses_are_answered_alike(server: Service, sender: httpx.Client) -> None:
    drawn = draw(server, [hook()], [], active=False)
    token, test_token = tokens_of(server, drawn)
    inactive, unknown = sender.post(f"/v1/hooks/{token}", json={}), sender.post("/v1/hooks/nothing", json={})
    assert (
        (inactive.status_code, inactive.json())
        == (unknown.status_code, unknown.json())
        == (404, unknown.json())
    )
    tried = sender.post(f"/v1/hooks/test/{test_token}", json={})
    assert tried.status_code == 202
    assert sender.post(f"/v1/hooks/{test_token}", json={}).status_code == 404


@pytest.mark.parametrize("nodes", [[], [node("hook", "trigger", {"kind": "webhook"}, disabled=True)]])
def test_the_address_of_a_trigger_that_is_no_more_starts_nothing_else(
    server: Service, sender: httpx.Client, owner: httpx.Client, nodes: list[dict[str, Any]]
) -> None:
    drawn = draw(server, [hook(), node("hand", "trigger")], [])
    token, test_token = tokens_of(server, drawn)

    async def edit() -> None:
        # As the web application does, which leaves the trigger's row as it is.
        async with as_system(server.runtime.pool) as conn:
            await conn.execute('UPDATE "Workflow" SET "nodes" = $1', [*nodes, node("hand", "trigger")])

    server.call(edit())
    for address in (token, f"test/{test_token}"):
        assert sender.post(f"/v1/hooks/{address}", json={}).status_code == 404
    assert owner.get("/v1/executions").json()["data"] == []


def test_the_method_is_the_triggers_own(server: Service, sender: httpx.Client) -> None:
    drawn = draw(server, [hook(method="PUT")], [])
    token, _ = tokens_of(server, drawn)
    assert sender.post(f"/v1/hooks/{token}", json={}).status_code == 405
    assert sender.put(f"/v1/hooks/{token}", json={}).status_code == 202


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_a_signature_is_asked_for_and_checked(
    server: Service, sender: httpx.Client, owner: httpx.Client, encoding: str
) -> None:
    secret = "whsec-of-the-sender"
    made = owner.post(
        "/v1/credentials", json={"name": "partner", "kind": "hmac", "value": {"secret": secret}}
    )
    assert made.status_code == 201, made.text
    drawn = draw(
        server,
        [hook(hmac={"credential": "partner", "header": "X-Sig", "prefix": "v1=", "encoding": encoding})],
        [],
    )
    token, _ = tokens_of(server, drawn)
    body = b'{"a": 1}'
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    signature = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    send: dict[str, Any] = {
        "content": body,
        "headers": {"Content-Type": "application/json", "X-Sig": f"v1={signature}"},
    }
    assert sender.post(f"/v1/hooks/{token}", **send).status_code == 202
    for wrong in ("", "v1=", f"v1={signature[:-4]}", "v1=zz", f"v1={'0' * 64}"):
        refused = sender.post(f"/v1/hooks/{token}", content=body, headers={"X-Sig": wrong})
        assert refused.status_code == 401
        assert secret not in refused.text
    tampered = sender.post(f"/v1/hooks/{token}", content=b'{"a": 2}', headers=send["headers"])
    assert tampered.status_code == 401
    assert len(owner.get("/v1/executions").json()["data"]) == 1


def test_where_bodies_are_signed_there_is_one(
    server: Service, sender: httpx.Client, owner: httpx.Client
) -> None:
    owner.post(
        "/v1/credentials", json={"name": "partner", "kind": "hmac", "value": {"secret": "of-the-sender"}}
    )
    signed = hook(method="ANY", hmac={"credential": "partner", "header": "X-Sig"})
    token, _ = tokens_of(server, draw(server, [signed], []))
    headers = {"X-Sig": hmac.new(b"of-the-sender", b"", hashlib.sha256).hexdigest()}
    for method in ("GET", "DELETE", "POST"):
        refused = sender.request(method, f"/v1/hooks/{token}?amount=1000000", headers=headers)
        assert refused.status_code == 401
        assert "only a body is" in refused.json()["detail"]
    assert owner.get("/v1/executions").json()["data"] == []


def test_a_signed_field_tells_repeats_where_it_is_named(
    server: Service, sender: httpx.Client, owner: httpx.Client
) -> None:
    owner.post(
        "/v1/credentials", json={"name": "partner", "kind": "hmac", "value": {"secret": "of-the-sender"}}
    )
    check = {"credential": "partner", "header": "X-Sig", "idempotencyField": "order"}
    token, _ = tokens_of(server, draw(server, [hook(hmac=check)], []))

    def send(body: bytes, key: str) -> httpx.Response:
        signature = hmac.new(b"of-the-sender", body, hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Sig": signature, "Idempotency-Key": key}
        return sender.post(f"/v1/hooks/{token}", content=body, headers=headers)

    replayed = {send(b'{"order": 7}', f"key-{number}").json()["execution_id"] for number in range(3)}
    assert len(replayed) == 1
    assert send(b'{"order": 8}', "key-0").json()["execution_id"] not in replayed
    for body in (
        b"{}",
        b'{"order": ""}',
        b'{"order": true}',
        b'[{"order": 7}]',
        b'{"order": "' + b"x" * 256 + b'"}',
    ):
        refused = send(body, "key-0")
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith("order: ")


def test_a_repeated_delivery_starts_one_run(server: Service, sender: httpx.Client) -> None:
    token, _ = tokens_of(server, draw(server, [hook()], []))
    replies = [
        sender.post(f"/v1/hooks/{token}", json={}, headers={"Idempotency-Key": "evt_1"}).json()
        for _ in range(3)
    ]
    assert len({reply["execution_id"] for reply in replies}) == 1


def test_a_body_that_is_too_large_is_refused(
    server: Service, sender: httpx.Client, owner: httpx.Client
) -> None:
    token, _ = tokens_of(server, draw(server, [hook()], []))
    assert sender.post(f"/v1/hooks/{token}", content=b"x" * (1024 * 1024 + 1)).status_code == 413
    assert owner.get("/v1/executions").json()["data"] == []


GIVES_ITS_ADDRESS = [
    hook(responseMode="respondNode"),
    node("link", "respond", {"body": {"url": "{{ execution.resume_url }}"}}),
]


def test_a_waiting_run_is_answered_at_its_own_address(
    server: Service, sender: httpx.Client, owner: httpx.Client
) -> None:
    drawn = draw(
        server,
        [
            *GIVES_ITS_ADDRESS,
            node("ask", "wait", {"for": "reply"}),
            node("end", "set", {"fields": {"answer": "{{ input.reply.ok }}"}, "mode": "replace"}),
        ],
        ["hook>link", "link>ask", "ask>end"],
    )
    token, _ = tokens_of(server, drawn)
    asked = sender.post(f"/v1/hooks/{token}", json={})
    path = asked.json()["url"].partition("/v1/")[2]
    execution = f"/v1/executions/{asked.headers['x-execution-id']}"
    with owner.stream("GET", f"{execution}/events") as stream:
        for line in stream.iter_lines():
            if "node.waiting" in line:
                break
    # What is logged last is written before the step is; the address may be a moment early.
    replied = [sender.post(f"/v1/{path}", json={"ok": True}) for _ in range(50)]
    assert [reply.status_code for reply in replied].count(202) == 1
    assert sender.post(f"/v1/{path[:-1]}x", json={}).status_code == 404
    with owner.stream("GET", f"{execution}/events") as stream:
        text = "".join(stream.iter_text())
    assert '"output":{"answer":true}' in text


def test_an_address_answers_the_first_wait_of_its_run_alone(
    server: Service, sender: httpx.Client, owner: httpx.Client
) -> None:
    drawn = draw(
        server,
        [
            *GIVES_ITS_ADDRESS,
            node("customer", "wait", {"for": "reply"}),
            node("between", "set", {"fields": {"said": "{{ input.reply }}"}}),
            node("manager", "wait", {"for": "reply"}),
            node("end", "set", {"fields": {"approved": "{{ input.reply.ok }}"}, "mode": "replace"}),
        ],
        ["hook>link", "link>customer", "customer>between", "between>manager", "manager>end"],
    )
    token, _ = tokens_of(server, drawn)
    asked = sender.post(f"/v1/hooks/{token}", json={})
    path = f"/v1/{asked.json()['url'].partition('/v1/')[2]}"
    execution = f"/v1/executions/{asked.headers['x-execution-id']}"
    with owner.stream("GET", f"{execution}/events") as stream:
        answered = 0
        for line in stream.iter_lines():
            if "node.waiting" not in line:
                continue
            # The step may be written a moment after the log.
            statuses = [
                sender.post(path + suffix, json={"ok": True}).status_code
                for suffix in ("", "?node=manager") * 25
            ]
            answered += statuses.count(202)
            if answered == 1 and 202 not in statuses:
                break
    assert answered == 1
    approval = {"node_id": "manager", "reply": {"ok": False}}
    approved = [owner.post(f"{execution}/resume", json=approval).status_code for _ in range(50)]
    assert approved.count(202) == 1
    with owner.stream("GET", f"{execution}/events") as stream:
        assert '"output":{"approved":false}' in "".join(stream.iter_text())


def test_limits_are_429_and_leave_nothing(server: Service, sender: httpx.Client, owner: httpx.Client) -> None:
    token, _ = tokens_of(server, draw(server, [hook()], []))

    async def limit() -> None:
        async with server.runtime.pool.acquire() as conn:
            await conn.execute('UPDATE "User" SET "subscriptionTier" = \'FREE\'')

    server.call(limit())
    replies = [sender.post(f"/v1/hooks/{token}", json={}) for _ in range(33)]
    statuses = [reply.status_code for reply in replies]
    refused = [reply for reply in replies if reply.status_code == 429]
    assert set(statuses) == {202, 429}
    assert refused[-1].headers["retry-after"].isdigit()
    assert statuses.count(202) == len(owner.get("/v1/executions?limit=200").json()["data"]) <= 30


def test_an_empty_idempotency_key_is_none(server: Service, sender: httpx.Client, owner: httpx.Client) -> None:
    drawn = draw(server, [hook(responseMode="lastNode")], [])
    token, _ = tokens_of(server, drawn)
    empty = {"Idempotency-Key": ""}
    given = [sender.post(f"/v1/hooks/{token}", json={"n": n}, headers=empty) for n in (1, 2)]
    assert [one.json() for one in given] == [{"n": 1}, {"n": 2}]
    runs = [owner.post(f"/v1/workflows/{drawn}/run", json={}, headers=empty) for _ in range(2)]
    assert len({one.json()["id"] for one in runs}) == 2
