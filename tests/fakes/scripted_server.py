"""A server on loopback: it records every request, and does with it as it is told to.

    with scripted_server() as server:
        server.script(Reply(503, headers={"retry-after": "7"}), Reply(body=b'{"ok": true}'))
        ...                              # ask at server.url
        server.requests[0].json
        server.duplicates                # requests with an Idempotency-Key that was there before

What is scripted is done once each, in turn; then the server does what `otherwise` says. A request with an
Idempotency-Key that has been answered well gets the same answer again, and counts as a duplicate.
"""

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Generic, TypeVar


@dataclass(frozen=True)
class Reply:
    status: int = 200
    body: bytes = b'{"ok": true}'
    headers: Mapping[str, str] = field(default_factory=dict)


def redirect(to: str, status: int = 302) -> Reply:
    return Reply(status, b"", {"location": to})


class Hang:
    """Answer nothing until the server is released."""


class Drop:
    """Close the connection instead of answering."""


class Drip:
    """Send the headers, and a byte of the body whenever something still reads it, without an end."""


class Flood:
    """Send a body without an end, as fast as it is read."""


Behaviour = Reply | Hang | Drop | Drip | Flood


@dataclass(frozen=True)
class Recorded:
    """A request as it came."""

    method: str
    path: str
    """With its query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def idempotency_key(self) -> str | None:
        return self.headers.get("idempotency-key")


R = TypeVar("R", bound=Recorded)
S = TypeVar("S", bound="Scripted[Any]")


class Scripted(Generic[R]):
    """What tests see of a running server; it hands requests out as the given kind of Recorded."""

    def __init__(self, url: str, kind: type[R]) -> None:
        self.url = url
        self.kind = kind
        self.requests: list[R] = []
        self.duplicates = 0
        self.otherwise: Behaviour = Reply(headers={"content-type": "application/json"})
        self.released = threading.Event()
        self._script: deque[Behaviour] = deque()
        self._answered: dict[str, Reply] = {}
        self._arrived = threading.Condition()

    def script(self, *behaviours: Behaviour) -> None:
        with self._arrived:
            self._script.extend(behaviours)

    @property
    def effects(self) -> int:
        """How many requests with an Idempotency-Key were answered well, duplicates not counted."""
        return len(self._answered)

    def wait_for(self, count: int, timeout_s: float = 30) -> list[R]:
        """Return the requests once there are count of them."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout_s):
                raise AssertionError(f"{len(self.requests)} of {count} requests came")
            return list(self.requests)

    def next_behaviour(self, request: R) -> Behaviour:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
            key = request.idempotency_key
            if key is not None and key in self._answered:
                self.duplicates += 1
                return self._answered[key]
            behaviour = self._script.popleft() if self._script else self.otherwise
            if key is not None and isinstance(behaviour, Reply) and behaviour.status < 300:
                self._answered[key] = behaviour
            return behaviour


ScriptedServer = Scripted[Recorded]


@contextmanager
def scripted_server(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    """Run a server for the length of a test."""
    with serve(lambda url: Scripted(url, Recorded), tls) as running:
        yield running


@contextmanager
def serve(make: Callable[[str], S], tls: ssl.SSLContext | None = None) -> Iterator[S]:
    """Run what make gives for the server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        # Shaken hands with in the connection's own thread, so that a failure does not end the server.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    scripted = make(f"{scheme}://127.0.0.1:{server.server_port}")
    server.scripted = scripted  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield scripted
    finally:
        scripted.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        # Clients go away in the middle of things here.
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def _answer(self) -> None:
        scripted: ScriptedServer = self.server.scripted  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        match scripted.next_behaviour(scripted.kind(self.command, self.path, headers, body)):
            case Reply(status, content, extra):
                self._head(status, {**extra, "content-length": str(len(content))})
                if self.command != "HEAD":
                    self.wfile.write(content)
            case Hang():
                scripted.released.wait()
                self.close_connection = True
            case Drop():
                self.close_connection = True
            case Drip():
                self._head(200, {"connection": "close"})
                while not scripted.released.wait(0.02):
                    self.wfile.write(b".")
            case Flood():
                self._head(200, {"connection": "close", "content-type": "text/plain"})
                while not scripted.released.is_set():
                    self.wfile.write(b"flood " * 10_000)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _answer  # noqa: N815

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay quiet."""
