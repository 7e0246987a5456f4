"""One attempt: what a receiver gets and can verify, what its answer means, and where nothing is ever sent."""

import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import WebhookVerificationError

from service.webhooks.sending import Attempt, Verdict, WebhookSender
from service.webhooks.signing import new_secret
from tests.fakes.scripted_server import Drip, Drop, Flood, Hang, Reply
from tests.fakes.webhook_receiver import Receiver, webhook_receiver

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SECRET = new_secret()
BODY = '{"type":"ping","data":{"title":"Grüße"}}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook_receiver() as running:
        yield running


async def send(url: str, *, keys: tuple[str, ...] = (SECRET,), timeout_s: float = 15) -> Attempt:
    sender = WebhookSender(LOOPBACK, timeout_s=timeout_s)
    return await sender.send(url, keys=keys, message_id="msg_1", body=BODY)


async def test_a_receiver_can_verify_what_it_gets(receiver: Receiver) -> None:
    attempt = await send(receiver.url)
    assert (attempt.verdict, attempt.status, attempt.error) == (Verdict.DELIVERED, 204, None)
    (request,) = receiver.requests
    assert request.verify(SECRET) == json.loads(BODY)
    assert (request.path, request.message_id) == ("/hook", "msg_1")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("docsearch/")
    with pytest.raises(WebhookVerificationError):
        request.verify(new_secret())


async def test_during_a_rotation_either_secret_verifies(receiver: Receiver) -> None:
    other = new_secret()
    await send(receiver.url, keys=(SECRET, other))
    (request,) = receiver.requests
    assert request.headers["webhook-signature"].count("v1,") == 2
    assert request.verify(SECRET) == request.verify(other)


def test_secrets_are_random_and_of_the_documented_form() -> None:
    secret = new_secret()
    assert secret.startswith("whsec_")
    assert len(secret) == len("whsec_") + 44
    assert secret != new_secret()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (301, Verdict.REFUSED),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (408, Verdict.RETRY),
        (410, Verdict.GONE),
        (422, Verdict.REFUSED),
        (425, Verdict.RETRY),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
    ],
)
async def test_the_status_says_what_becomes_of_the_delivery(
    receiver: Receiver, status: int, verdict: Verdict
) -> None:
    receiver.script(Reply(status))
    attempt = await send(receiver.url)
    assert (attempt.status, attempt.verdict) == (status, verdict)
    assert (attempt.error is None) == (verdict is Verdict.DELIVERED)


@pytest.mark.parametrize(
    ("header", "delay_s"),
    [
        ("0", 0),
        ("120", 120),
        ("86401", 86400),
        ("9" * 1000, 86400),
        ("-5", None),
        ("soon", None),
        (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 0),
        (format_datetime(datetime(2120, 1, 1, tzinfo=UTC), usegmt=True), 86400),
    ],
)
async def test_a_receiver_may_ask_for_patience(
    receiver: Receiver, header: str, delay_s: float | None
) -> None:
    receiver.script(Reply(503, headers={"Retry-After": header}))
    assert (await send(receiver.url)).retry_after_s == delay_s


async def test_a_date_to_come_back_at_is_understood(receiver: Receiver) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    receiver.script(Reply(429, headers={"Retry-After": when}))
    delay_s = (await send(receiver.url)).retry_after_s
    assert delay_s is not None
    assert 290 < delay_s <= 300


async def test_the_reply_is_kept_cleaned_and_cut(receiver: Receiver) -> None:
    receiver.script(Reply(400, body="wrong\x00 \x1b[31mcolour\r\n\ud7ff".encode() + b"\xff" + b"x" * 5000))
    excerpt = (await send(receiver.url)).excerpt
    assert excerpt is not None
    assert excerpt.startswith("wrong [31mcolour\n")
    assert "\x00" not in excerpt
    assert len(excerpt) <= 1024


async def test_a_reply_without_end_is_left_after_its_beginning(receiver: Receiver) -> None:
    receiver.script(Flood())
    attempt = await send(receiver.url)
    assert attempt.verdict is Verdict.DELIVERED
    assert attempt.excerpt is not None
    assert len(attempt.excerpt) == 1024


@pytest.mark.parametrize("behaviour", [Hang(), Drip()], ids=["silent", "dripping"])
async def test_a_slow_receiver_has_the_whole_budget_and_no_more(
    receiver: Receiver, behaviour: Hang | Drip
) -> None:
    receiver.script(behaviour)
    attempt = await send(receiver.url, timeout_s=0.3)
    assert (attempt.verdict, attempt.error, attempt.status) == (Verdict.RETRY, "timeout", None)
    assert 300 <= attempt.duration_ms < 5000


async def test_a_dropped_connection_may_be_tried_again(receiver: Receiver) -> None:
    receiver.script(Drop())
    attempt = await send(receiver.url)
    assert (attempt.verdict, attempt.error) == (Verdict.RETRY, "connection_failed")


async def test_nobody_listening_may_be_tried_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        attempt = await send(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    assert (attempt.verdict, attempt.error) == (Verdict.RETRY, "connection_failed")


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.script(Reply(307, headers={"Location": "http://169.254.169.254/latest/meta-data"}))
    receiver.script(Reply(308, headers={"Location": receiver.url}))
    for _ in range(2):
        attempt = await send(receiver.url)
        assert (attempt.verdict, attempt.error) == (Verdict.REFUSED, "redirected")
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[fd00:ec2::254]/",
        "https://100.64.0.1/",
        "http://0.0.0.0/",
        "http://0x0a000001/",
        "http://user:password@127.0.0.1/",
        "file:///etc/passwd",
        "not a url",
    ],
)
async def test_private_addresses_and_other_schemes_are_refused(url: str) -> None:
    attempt = await send(url)
    assert (attempt.verdict, attempt.error, attempt.status) == (Verdict.REFUSED, "address_refused", None)


async def test_a_name_that_later_points_inside_is_refused(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "10.0.0.1"])

    def getaddrinfo(_host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = receiver.url.replace("127.0.0.1", "rebound.example")
    assert (await send(url)).verdict is Verdict.DELIVERED
    assert (await send(url)).error == "address_refused"
    assert [request.headers["host"] for request in receiver.requests] == [
        url.removeprefix("http://").removesuffix("/hook")
    ]


async def test_plain_http_goes_to_allowed_networks_alone(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["127.0.0.1", "198.41.0.4"])

    def getaddrinfo(_host: str, port: int, *_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = receiver.url.replace("127.0.0.1", "receiver.internal")
    assert (await send(url)).verdict is Verdict.DELIVERED
    assert (await send(url)).error == "address_refused"


async def test_a_name_without_an_address_may_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    attempt = await send("https://nowhere.example/")
    assert (attempt.verdict, attempt.error) == (Verdict.RETRY, "name_unresolved")


async def test_a_certificate_is_verified(tmp_path: Path) -> None:
    certificate = _self_signed(tmp_path)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    with webhook_receiver(served) as receiver:
        attempt = await send(receiver.url)
        assert (attempt.verdict, attempt.error) == (Verdict.RETRY, "tls_failed")
        assert receiver.requests == []
        trusting = WebhookSender(LOOPBACK, tls=ssl.create_default_context(cafile=str(certificate)))
        attempt = await trusting.send(receiver.url, keys=[SECRET], message_id="msg_1", body=BODY)
        assert attempt.verdict is Verdict.DELIVERED
        (request,) = receiver.requests
        assert request.verify(SECRET) == json.loads(BODY)


def _self_signed(folder: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that only itself vouches for, and return their file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
