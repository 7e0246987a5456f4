"""Requests: what goes over the wire, what comes back, what is refused, and what is never said."""

import gzip
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.engine.errors import NodeError
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import RunContext
from service.engine.services import Services
from tests.fakes.scripted_server import (
    Drop,
    Flood,
    Hang,
    Reply,
    ScriptedServer,
    redirect,
    scripted_server,
)
from tests.service.engine.calls import new_run, open_services, outputs

JSON = {"content-type": "application/json"}


@pytest.fixture
def ask(services: Services, run: RunContext, remote: ScriptedServer) -> Any:
    async def asked(data: Mapping[str, Any], **fields: Any) -> Any:
        given = {"url": f"{remote.url}/orders", **data}
        ((handle, item),) = await outputs("http", given, {}, **{"services": services, "run": run, **fields})
        assert handle == "output"
        return item

    return asked


async def failure(ask: Any, data: Mapping[str, Any], **fields: Any) -> NodeError:
    with pytest.raises(NodeError) as raised:
        await ask(data, **fields)
    return raised.value


async def test_a_get_brings_status_headers_and_json(ask: Any, remote: ScriptedServer) -> None:
    remote.script(Reply(200, b'{"n": 7}', {**JSON, "x-a": "b", "set-cookie": "session=secret"}))
    item = await ask({"query": {"q": "a b&c", "tag": ["x", "y"], "none": None}, "headers": {"X-Custom": 5}})
    assert (item["status"], item["body"], item["headers"]["x-a"]) == (200, {"n": 7}, "b")
    assert "set-cookie" not in item["headers"]
    (request,) = remote.requests
    assert (request.method, request.path) == ("GET", "/orders?q=a+b%26c&tag=x&tag=y")
    assert request.headers["x-custom"] == "5"
    assert request.headers["user-agent"].startswith("docsearch/")
    assert request.idempotency_key is None
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("data", "body", "media_type"),
    [
        ({"body": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"body": "plain"}, b"plain", "text/plain; charset=utf-8"),
        ({"body": '{"a": 1}', "bodyType": "json"}, b'{"a": 1}', "application/json"),
        (
            {"body": {"a": "b c", "n": [1, 2]}, "bodyType": "form"},
            b"a=b+c&n=1&n=2",
            "application/x-www-form-urlencoded",
        ),
        ({"body": {"a": 1}, "bodyType": "text"}, b'{"a":1}', "text/plain; charset=utf-8"),
        ({"body": "<a/>", "headers": {"content-type": "application/xml"}}, b"<a/>", "application/xml"),
    ],
)
async def test_bodies_are_written_as_their_type_says(
    ask: Any, remote: ScriptedServer, data: dict[str, Any], body: bytes, media_type: str
) -> None:
    await ask({"method": "POST", **data})
    (request,) = remote.requests
    assert (request.body, request.headers["content-type"]) == (body, media_type)


async def test_what_changes_something_carries_the_turns_idempotency_key(
    ask: Any, remote: ScriptedServer
) -> None:
    for _ in range(2):
        await ask({"method": "POST", "body": {}}, key="turn-1")
    assert [request.idempotency_key for request in remote.requests] == ["turn-1", "turn-1"]
    assert (remote.effects, remote.duplicates) == (1, 1)
    await ask({"method": "DELETE", "headers": {"idempotency-key": "mine"}})
    assert remote.requests[-1].idempotency_key == "mine"


async def test_bodies_of_replies_are_read_by_their_type(ask: Any, remote: ScriptedServer) -> None:
    remote.script(
        Reply(200, b"caf\xe9", {"content-type": "text/plain; charset=latin-1"}),
        Reply(200, b'{"a": 1}', {"content-type": "text/plain"}),
        Reply(204, b""),
        Reply(200, gzip.compress(b'{"z": 1}'), {**JSON, "content-encoding": "gzip"}),
        Reply(200, b'{"a": 1}', {"content-type": "application/problem+json"}),
    )
    assert (await ask({}))["body"] == "café"
    assert await ask({"responseType": "json", "outputMode": "body"}) == {"a": 1}
    assert (await ask({}))["body"] is None
    assert (await ask({}))["body"] == {"z": 1}
    assert (await ask({"responseType": "text"}))["body"] == '{"a": 1}'


async def test_a_reply_that_cannot_be_read_fails(ask: Any, remote: ScriptedServer) -> None:
    remote.script(
        Reply(200, b"{", JSON),
        Reply(200, b"%PDF", {"content-type": "application/pdf"}),
        Reply(200, b"no gzip", {**JSON, "content-encoding": "gzip"}),
        Reply(200, gzip.compress(b" " * (1024 * 1024 + 1)), {**JSON, "content-encoding": "gzip"}),
    )
    codes = [(await failure(ask, {})).code for _ in range(4)]
    assert codes == ["unreadable_response"] * 3 + ["response_too_large"]


async def test_a_reply_without_an_end_is_cut_off(ask: Any, remote: ScriptedServer) -> None:
    remote.script(Flood())
    error = await failure(ask, {})
    assert (error.code, error.retryable) == ("response_too_large", False)


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (404, False), (408, True), (425, True), (429, True), (500, True), (503, True)],
)
async def test_statuses_say_whether_another_try_may_go_better(
    ask: Any, remote: ScriptedServer, status: int, retryable: bool
) -> None:
    remote.script(Reply(status, b"", {"retry-after": "7"}))
    error = await failure(ask, {"query": {"token": "s3cret"}})
    assert (error.code, error.retryable) == ("http_status", retryable)
    assert error.retry_after_s == (7.0 if retryable else None)
    assert error.detail == f"127.0.0.1 answered with status {status}."


async def test_other_statuses_can_be_expected(ask: Any, remote: ScriptedServer) -> None:
    remote.script(Reply(404, b"{}", JSON), Reply(302, b"", {"location": "/x"}), Reply(500, b"{}", JSON))
    assert (await ask({"successStatus": ["2xx", 404]}))["status"] == 404
    moved = await ask({"successStatus": ["3xx"], "followRedirects": False})
    assert (moved["status"], moved["headers"]["location"]) == (302, "/x")
    assert (await failure(ask, {"successStatus": ["4xx"]})).code == "http_status"


async def test_broken_connections_and_slow_servers_may_heal(ask: Any, remote: ScriptedServer) -> None:
    remote.script(Drop(), Hang())
    dropped = await failure(ask, {})
    assert (dropped.code, dropped.retryable) == ("connection_failed", True)
    slow = await failure(ask, {"timeout": 0.2})
    assert (slow.code, slow.retryable) == ("timeout", True)
    gone = await failure(ask, {"url": "http://127.0.0.1:1/"})
    assert (gone.code, gone.retryable) == ("connection_failed", True)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:5432/",
        "http://0x0a000001/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "http://user:pass@127.0.0.1/",
        "no address",
    ],
)
async def test_nothing_private_is_asked(ask: Any, url: str) -> None:
    error = await failure(ask, {"url": url})
    assert (error.code, error.retryable) == ("address_refused", False)
    assert "pass" not in error.detail.replace("password", "")


async def test_loopback_is_private_unless_the_operator_allows_it(
    database_url: str, tmp_path: Path, remote: ScriptedServer
) -> None:
    async with open_services(database_url, tmp_path / "other", workflow_allowed_networks="") as services:
        run = await new_run(services)
        with pytest.raises(NodeError) as raised:
            await outputs("http", {"url": remote.url}, {}, services=services, run=run)
    assert raised.value.code == "address_refused"
    assert remote.requests == []


async def test_redirects_are_followed_as_browsers_do(ask: Any, remote: ScriptedServer) -> None:
    remote.script(
        redirect("/seen", 303), Reply(200, b"{}", JSON), redirect("/kept", 307), Reply(200, b"{}", JSON)
    )
    await ask({"method": "POST", "body": {"a": 1}}, key="one")
    await ask({"method": "POST", "body": {"a": 1}}, key="two")
    seen = [(request.method, request.path, request.body) for request in remote.requests]
    assert seen[1] == ("GET", "/seen", b"")
    assert seen[3] == ("POST", "/kept", b'{"a":1}')


async def test_a_redirect_goes_nowhere_private_and_not_on_for_ever(ask: Any, remote: ScriptedServer) -> None:
    remote.script(redirect("http://10.0.0.1/"))
    assert (await failure(ask, {})).code == "address_refused"
    remote.script(redirect("file:///etc/passwd"))
    assert (await failure(ask, {})).code == "address_refused"
    remote.otherwise = redirect("/again")
    before = len(remote.requests)
    assert (await failure(ask, {})).code == "too_many_redirects"
    assert len(remote.requests) - before == 6


async def test_nothing_secret_goes_along_to_another_host(
    ask: Any, remote: ScriptedServer, services: Services, run: RunContext
) -> None:
    await add_credential(services, run, "api", "bearer", {"token": "s3cret"})
    secrets = {"X-Api-Key": "k3y", "Cookie": "c00kie"}
    with scripted_server() as other:
        remote.script(redirect(f"{other.url}/there"), redirect("/here"), Reply(200, b"{}", JSON))
        await ask({"credential": "api", "headers": secrets})
        await ask({"credential": "api", "headers": secrets})
        (elsewhere,) = other.requests
    assert not {"authorization", "cookie", "x-api-key"} & set(elsewhere.headers)
    same_host = remote.requests[-1]
    assert same_host.path == "/here"
    assert (same_host.headers["authorization"], same_host.headers["x-api-key"]) == ("Bearer s3cret", "k3y")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "internal"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"Proxy-Authorization": "x"},
        {"X-A": "1\r\nX-B: 2"},
        {"X-A\r\nX-B": "1"},
        {"X A": "1"},
        {"X-A": "snow☃"},
    ],
)
async def test_headers_of_the_connection_cannot_be_set(
    ask: Any, remote: ScriptedServer, headers: dict[str, str]
) -> None:
    error = await failure(ask, {"headers": headers})
    assert (error.code, error.field) == ("bad_config", "data.headers")
    assert remote.requests == []


async def test_a_body_that_is_too_large_is_not_sent(ask: Any, remote: ScriptedServer) -> None:
    error = await failure(ask, {"method": "POST", "body": "x" * (1024 * 1024 + 1)})
    assert (error.code, remote.requests) == ("request_too_large", [])


def test_problems_are_seen_before_a_run() -> None:
    problems = NODE_TYPES["http"].problems({"headers": {"Host": "x"}, "successStatus": ["2xx", "ok"]})
    assert [key for key, _ in problems] == ["url", "headers", "successStatus"]


async def test_a_certificate_that_nobody_vouches_for_is_refused(ask: Any, tmp_path: Path) -> None:
    with scripted_server(_self_signed(tmp_path)) as secure:
        error = await failure(ask, {"url": secure.url})
        assert (error.code, secure.requests) == ("tls_failed", [])


async def add_credential(
    services: Services,
    run: RunContext,
    name: str,
    kind: str,
    value: Mapping[str, str],
    hosts: tuple[str, ...] = (),
) -> None:
    sealed = services.secret_box.seal(msgspec.json.encode(dict(value)).decode())
    async with services.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO credential (user_id, team_id, name, kind, hosts, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
            run.user_id,
            run.team_id,
            name,
            kind,
            list(hosts),
            sealed,
        )


@pytest.mark.parametrize(
    ("kind", "value", "header"),
    [
        ("bearer", {"token": "t"}, ("authorization", "Bearer t")),
        ("basic", {"username": "u", "password": "p"}, ("authorization", "Basic dTpw")),
        ("header", {"name": "X-Key", "value": "k"}, ("x-key", "k")),
    ],
)
async def test_credentials_become_headers(
    ask: Any,
    remote: ScriptedServer,
    services: Services,
    run: RunContext,
    kind: str,
    value: dict[str, str],
    header: tuple[str, str],
) -> None:
    await add_credential(services, run, "api", kind, value, ("127.0.0.1", "*.example.com"))
    await ask({"credential": "api", "headers": {"Authorization": "mine"}})
    (request,) = remote.requests
    assert request.headers[header[0]] == header[1]


async def test_a_credential_is_used_only_where_it_belongs(
    ask: Any, remote: ScriptedServer, services: Services, run: RunContext
) -> None:
    await add_credential(services, run, "elsewhere", "bearer", {"token": "s3cret"}, ("*.example.com",))
    await add_credential(services, run, "signing", "hmac", {"secret": "s3cret"})
    await add_credential(services, run, "broken", "bearer", {"token": "a\r\nX: b"})
    stranger = await new_run(services, "stranger@example.com")
    await add_credential(services, stranger, "theirs", "bearer", {"token": "s3cret"})
    async with services.pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO credential (user_id, name, kind, sealed) VALUES ($1, 'damaged', 'bearer', 'enc:xyz')",
            run.user_id,
        )
    errors = {
        name: await failure(ask, {"credential": name})
        for name in ("elsewhere", "signing", "broken", "theirs", "missing", "nul\x00", "damaged")
    }
    assert {name: error.code for name, error in errors.items()} == {
        "elsewhere": "credential_host",
        "signing": "credential_unusable",
        "broken": "bad_config",
        "theirs": "credential_not_found",
        "missing": "credential_not_found",
        "nul\x00": "credential_not_found",
        "damaged": "credential_unreadable",
    }
    assert not any("s3cret" in error.detail or "X: b" in error.detail for error in errors.values())
    assert remote.requests == []


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "self-signed.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
