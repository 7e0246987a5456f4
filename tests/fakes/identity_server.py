"""An OpenID Connect issuer on loopback: it publishes keys, signs tokens with them, and misbehaves as it is told to."""

import functools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

CONFIGURATION = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"


@dataclass(frozen=True)
class SigningKey:
    """A key of an issuer; jwk is its public half as the issuer publishes it."""

    kid: str
    algorithm: str
    private: Any

    @property
    def jwk(self) -> dict[str, Any]:
        if isinstance(self.private, rsa.RSAPrivateKey):
            public = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            public = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        public.pop("key_ops", None)
        return public | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        pem: bytes = self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem


@functools.cache
def rsa_key(kid: str, bits: int = 2048) -> SigningKey:
    """Return the same key for the same name: making one takes a tenth of a second."""
    return SigningKey(kid, "RS256", rsa.generate_private_key(public_exponent=65537, key_size=bits))


@functools.cache
def ec_key(kid: str) -> SigningKey:
    return SigningKey(kid, "ES256", ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True)
class Page:
    """What an address answers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class FakeIssuer:
    """What tests see of a running issuer; issuer is also its address."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.keys: list[SigningKey] = [rsa_key("first")]
        self.pages: dict[str, Page] = {}
        """Answers in the place of the good ones, by path."""
        self.fetches: Counter[str] = Counter()
        self.hold = threading.Event()
        """Answers wait for it; it is set unless a test clears it."""
        self.hold.set()
        self.arrived = threading.Semaphore(0)
        self._lock = threading.Lock()

    def answer(self, path: str) -> Page:
        with self._lock:
            self.fetches[path] += 1
        self.arrived.release()
        self.hold.wait()
        if path in self.pages:
            return self.pages[path]
        if path == CONFIGURATION:
            return Page(json.dumps({"issuer": self.issuer, "jwks_uri": self.issuer + JWKS}).encode())
        if path == JWKS:
            return Page(self.jwks())
        return Page(b"{}", 404)

    def jwks(self, *more: Mapping[str, Any]) -> bytes:
        return json.dumps({"keys": [*(key.jwk for key in self.keys), *more]}).encode()

    def go_down(self, status: int = 503) -> None:
        self.pages = {CONFIGURATION: Page(b"", status), JWKS: Page(b"", status)}

    def come_back(self) -> None:
        self.pages = {}

    def claims(self, subject: str = "user_ann", **changes: Any) -> dict[str, Any]:
        """Return the claims of a good token; a change to None leaves that claim out."""
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": subject, "iat": now, "nbf": now, "exp": now + 60} | changes
        return {name: value for name, value in claims.items() if value is not None}

    def mint(
        self,
        subject: str = "user_ann",
        *,
        key: SigningKey | None = None,
        headers: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Return a token, signed with the newest key or another; changes are to its claims."""
        key = key or self.keys[-1]
        # Not jwt.encode, which would refuse some of what a forger may send.
        return jwt.PyJWS().encode(
            json.dumps(self.claims(subject, **changes)).encode(),
            key.private,
            algorithm=key.algorithm,
            headers={"kid": key.kid} | dict(headers or {}),
        )


@contextmanager
def fake_issuer() -> Iterator[FakeIssuer]:
    """Run an issuer for the length of a test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    issuer = FakeIssuer(f"http://127.0.0.1:{server.server_port}")
    server.issuer = issuer  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        issuer.hold.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        issuer: FakeIssuer = self.server.issuer  # type: ignore[attr-defined]
        page = issuer.answer(self.path)
        self.send_response(page.status)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(page.body)))
        self.end_headers()
        try:
            self.wfile.write(page.body)
        except OSError:  # who asked has read enough
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay quiet."""
