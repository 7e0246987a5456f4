"""A server on loopback that workflows send requests to: it remembers them, and can be slow, refuse and redirect.

As good receivers do, it counts an effect once, however often it is asked for under one Idempotency-Key.
"""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Received:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class RecordingServer:
    def __init__(self, delay_s: tuple[float, float] | None = None) -> None:
        """delay_s: how long each answer takes, between the two."""
        self._delay_s = delay_s
        self._received: list[Received] = []
        self._effects: dict[str, Received] = {}
        self._failures: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self._replies: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self._held: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for held in self._held.values():
            held.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def requests(self, path: str | None = None) -> list[Received]:
        with self._lock:
            return [one for one in self._received if path is None or one.path == path]

    @property
    def effects(self) -> dict[str, Received]:
        """What was done, by Idempotency-Key: a repeat does nothing more."""
        with self._lock:
            return dict(self._effects)

    def fail(self, path: str, *, times: int, status: int, headers: dict[str, str] | None = None) -> None:
        self._failures[path] = [(status, headers or {})] * times

    def reply(
        self, path: str, *, status: int = 200, headers: dict[str, str] | None = None, body: bytes = b"{}"
    ) -> None:
        self._replies[path] = (status, headers or {"Content-Type": "application/json"}, body)

    def hold(self, path: str) -> None:
        """Answer nothing there until release."""
        self._held[path] = threading.Event()

    def release(self, path: str) -> None:
        self._held[path].set()

    async def arrived(self, path: str, count: int = 1) -> None:
        """Return when so many requests have come there."""
        async with asyncio.timeout(20):
            while len(self.requests(path)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.005)  # the server is a thread: it has no event of this loop

    def counted(self) -> Counter[str]:
        return Counter(one.path for one in self.requests())

    def take(self, received: Received) -> tuple[int, dict[str, str], bytes]:
        with self._lock:
            self._received.append(received)
        held = self._held.get(received.path)
        if held is not None:
            held.wait(30)
        with self._lock:
            failures = self._failures.get(received.path)
            if failures:
                status, headers = failures.pop()
                return status, headers, b"not now"
            key = received.headers.get("idempotency-key")
            if key is not None:
                self._effects.setdefault(key, received)
        if self._delay_s is not None:
            time.sleep(random.uniform(*self._delay_s))
        if received.path in self._replies:
            return self._replies[received.path]
        return (
            200,
            {"Content-Type": "application/json"},
            json.dumps({"ok": True, "path": received.path}).encode(),
        )


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Stay quiet: clients die in the middle of things here."""


def _handler(server: RecordingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # whoever sent it is dead: half a request is none
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, given, sent = server.take(Received(self.command, parts.path, parts.query, headers, body))
            try:
                self.send_response(status)
                for name, value in given.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(sent)
            except OSError:
                self.close_connection = True  # nobody listens any more

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler
