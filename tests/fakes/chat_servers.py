"""Chat providers on loopback: they stream as OpenAI, Gemini and Anthropic do, or misbehave as they are told to.

    with FakeOpenAI() as server:
        server.script(Refuse(429, headers={"retry-after": "0"}), Say("It is in ", "hall B."))
        ...                       # ask at server.url
        server.requests[0].messages
        server.disconnected.wait(5)

What is scripted is done once each, in turn; then, and without a script, the server does what `always` says.
"""

import json
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from tests.fakes.chat_wire import WIRES, Wire

Reason = Literal["stop", "length", "refused"]


@dataclass(frozen=True)
class Say:
    """Answer with these parts, one event each."""

    parts: tuple[str, ...]
    reason: Reason
    prompt_tokens: int | None
    completion_tokens: int | None
    pause_after: int | None
    gap_s: float

    def __init__(
        self,
        *parts: str,
        reason: Reason = "stop",
        prompt_tokens: int | None = 11,
        completion_tokens: int | None = 7,
        pause_after: int | None = None,
        gap_s: float = 0.0,
    ) -> None:
        """Tokens None: no account is given. pause_after: so many parts, wait for release(). gap_s: between parts."""
        for name, value in locals().items():
            if name != "self":
                object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Refuse:
    """Answer with a status, the provider's explanation and headers."""

    status: int
    message: str = "no"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Break:
    """Cut the connection after so many parts, in the middle of the body."""

    after: int = 1


@dataclass(frozen=True)
class EndEarly:
    """End the body as if all were well, after so many parts and without the finish marker."""

    after: int = 1


@dataclass(frozen=True)
class FailWithin:
    """Send an error as an event, after so many parts: the provider is overloaded."""

    after: int = 1


@dataclass(frozen=True)
class Garbage:
    """Send what is no JSON, after so many parts."""

    after: int = 0


class Page:
    """Answer 200 with a page in HTML."""


class Hang:
    """Answer nothing until release(), or until the client has gone."""


class Silent:
    """Send the headers, and then nothing until release(), or until the client has gone."""


@dataclass(frozen=True)
class Unknown:
    """Refuse requests that hold this parameter, as one it does not know, and answer the others."""

    parameter: str


Behaviour = Say | Refuse | Break | EndEarly | FailWithin | Garbage | Page | Hang | Silent | Unknown
HELLO = Say("Hello", ", ", "world.")


@dataclass(frozen=True)
class ChatRequest:
    """A request as it came, and what it says whatever the provider."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    wire: Wire

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Role and text of each, system ones first where they are kept apart."""
        return self.wire.messages(self.body)

    @property
    def prompt(self) -> str:
        return "\n".join(text for _, text in self.messages)

    @property
    def key(self) -> str | None:
        return self.wire.key(self.headers)


class _FakeChat:
    """What tests see of a running server; url is what a model's endpoint is set to."""

    wire: Wire

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.always: Behaviour | Callable[[ChatRequest], Behaviour] = HELLO
        self.disconnected = threading.Event()
        """Set when a client has gone before the answer was whole."""
        self.arrived = threading.Semaphore(0)
        """Released once a request."""
        self._script: deque[Behaviour | Callable[[ChatRequest], Behaviour]] = deque()
        self._released = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}{self.wire.prefix}"

    def script(self, *behaviours: Behaviour | Callable[[ChatRequest], Behaviour]) -> None:
        """Do these with the next requests, one each."""
        with self._lock:
            self._script.extend(behaviours)

    def release(self) -> None:
        """Let everything that waits go on."""
        self._released.set()

    def wait_for_request(self, timeout_s: float = 20) -> ChatRequest:
        """Return the last request, once one has come that nobody has waited for yet."""
        assert self.arrived.acquire(timeout=timeout_s), "no request came"
        return self.requests[-1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next_behaviour(self, request: ChatRequest) -> Behaviour:
        with self._lock:
            self.requests.append(request)
            behaviour = self._script.popleft() if self._script else self.always
        self.arrived.release()
        return behaviour(request) if callable(behaviour) else behaviour

    def wait(self, connection: socket.socket, seconds: float | None = None) -> bool:
        """Wait for release() or for so long; False where the client has gone meanwhile."""
        end = None if seconds is None else time.monotonic() + seconds
        while not self._released.is_set() and (end is None or time.monotonic() < end):
            if _is_gone(connection):
                self.disconnected.set()
                return False
            self._released.wait(0.01)
        return True


class FakeOpenAI(_FakeChat):
    wire = WIRES["openai"]


class FakeGemini(_FakeChat):
    wire = WIRES["gemini"]


class FakeAnthropic(_FakeChat):
    wire = WIRES["anthropic"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Stay quiet: clients go away in the middle of things here."""


def _is_gone(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        fake: _FakeChat = self.server.fake  # type: ignore[attr-defined]
        content = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = ChatRequest(self.path, headers, json.loads(content), fake.wire)
        if not fake.wire.is_path(self.path):
            self._refuse(fake, Refuse(404, f"no such path: {self.path}"))
            return
        try:
            self._behave(fake, request, fake.next_behaviour(request))
        except (BrokenPipeError, ConnectionResetError):
            fake.disconnected.set()
            self.close_connection = True

    def _behave(self, fake: _FakeChat, request: ChatRequest, behaviour: Behaviour) -> None:
        match behaviour:
            case Refuse():
                self._refuse(fake, behaviour)
            case Unknown(parameter) if parameter in json.dumps(request.body):
                self._refuse(
                    fake, Refuse(400, f"Unsupported parameter: '{parameter}' is not supported here.")
                )
            case Unknown():
                self._stream(fake, fake.wire.answer(request.body, HELLO))
            case Say():
                self._say(fake, request, behaviour)
            case Hang():
                fake.wait(self.connection)
                self.close_connection = True
            case Silent():
                self._begin()
                fake.wait(self.connection)
                self.close_connection = True
            case Page():
                self._reply(200, b"<html>Welcome</html>", {"content-type": "text/html"})
            case Break(after):
                self._begin()
                self._send(fake.wire.beginning(request.body, HELLO, after))
                # A chunk is announced, and never comes.
                self.wfile.write(b"ff\r\nda")
                self.close_connection = True
            case EndEarly(after):
                self._stream(fake, fake.wire.beginning(request.body, HELLO, after))
            case FailWithin(after):
                self._stream(fake, [*fake.wire.beginning(request.body, HELLO, after), fake.wire.overloaded()])
            case Garbage(after):
                events = list(fake.wire.beginning(request.body, HELLO, after))
                self._stream(fake, [*events, fake.wire.garbage()])

    def _say(self, fake: _FakeChat, request: ChatRequest, say: Say) -> None:
        self._begin()
        sent = 0
        for event in fake.wire.answer(request.body, say):
            if fake.wire.is_text(event):
                paused = say.pause_after is not None and sent == say.pause_after
                if (paused or (sent and say.gap_s)) and not fake.wait(
                    self.connection, None if paused else say.gap_s
                ):
                    self.close_connection = True
                    return
                sent += 1
            self._send([event])
        self.wfile.write(b"0\r\n\r\n")

    def _stream(self, fake: _FakeChat, events: Iterator[str] | list[str]) -> None:
        self._begin()
        self._send(events)
        self.wfile.write(b"0\r\n\r\n")

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _send(self, events: Iterator[str] | list[str]) -> None:
        for event in events:
            data = event.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _refuse(self, fake: _FakeChat, refusal: Refuse) -> None:
        body = fake.wire.error(refusal.status, refusal.message, refusal.code)
        self._reply(
            refusal.status,
            json.dumps(body).encode(),
            {"content-type": "application/json", **refusal.headers},
        )

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay quiet."""
