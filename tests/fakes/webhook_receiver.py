"""A receiver of webhooks on loopback: it records what comes, and answers as it is told to."""

import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Answer:
    """Answer with a status, headers and a body."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Drop:
    """Close the connection instead of answering."""


class Hang:
    """Answer nothing until the receiver is released."""


class Drip:
    """Send the headers, and a byte of the body whenever something still reads it, without an end."""


class Flood:
    """Send a body without an end, as fast as it is read."""


Behaviour = Answer | Drop | Hang | Drip | Flood


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]

    def verify(self, secret: str) -> Any:
        """Return the event in it. Raises where the signature is not by this secret, or not of now."""
        return Webhook(secret).verify(self.body, dict(self.headers))


class Receiver:
    """What tests see of a running receiver."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Received] = []
        self.script: deque[Behaviour] = deque()
        """What to do with the next requests; when it is used up, what `otherwise` says."""
        self.otherwise: Behaviour = Answer()
        self.released = threading.Event()
        self._arrived = threading.Condition()

    def wait_for(self, count: int, timeout_s: float = 30) -> list[Received]:
        """Return the requests once there are count of them."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout_s):
                raise AssertionError(f"{len(self.requests)} of {count} requests came")
            return list(self.requests)

    def next_behaviour(self, request: Received) -> Behaviour:
        with self._arrived:
            self.requests.append(request)
            behaviour = self.script.popleft() if self.script else self.otherwise
            self._arrived.notify_all()
        return behaviour


@contextmanager
def webhook_receiver(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver for the length of a test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls is not None:
        # Shaken hands with in the connection's own thread, so that a failure does not end the server.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_port}/hook")
    server.receiver = receiver  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        # The sender closes as soon as it has read enough, or was not let in.
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        match receiver.next_behaviour(Received(self.path, headers, body)):
            case Answer(status, extra, content):
                self._head(status, {**extra, "content-length": str(len(content))})
                self.wfile.write(content)
            case Drop():
                self.close_connection = True
            case Hang():
                receiver.released.wait()
                self.close_connection = True
            case Drip():
                self._head(200, {"connection": "close"})
                while not receiver.released.wait(0.02):
                    self.wfile.write(b".")
            case Flood():
                self._head(200, {"connection": "close"})
                while not receiver.released.is_set():
                    self.wfile.write(b"flood " * 10_000)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay quiet."""
