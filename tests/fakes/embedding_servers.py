"""Embedding providers on loopback: they answer as OpenAI or Gemini would, or misbehave as they are told to."""

import base64
import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Answer = dict[str, Any]


@dataclass(frozen=True)
class Refuse:
    """Answer with a status, the provider's explanation and headers."""

    status: int
    message: str = "no"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    details: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Garble:
    """Answer 200 with these bytes."""

    body: bytes


@dataclass(frozen=True)
class Change:
    """Answer with a good answer that was changed."""

    change: Callable[[Answer], object]


class Drop:
    """Close the connection instead of answering."""


class Hang:
    """Answer only when the server is released."""


Behaviour = Refuse | Garble | Change | Drop | Hang | None


@dataclass(frozen=True)
class Request:
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def texts(self) -> list[str]:
        if "input" in self.body:
            return list(self.body["input"])
        return [entry["content"]["parts"][0]["text"] for entry in self.body["requests"]]


class FakeProvider:
    """What tests see of a running server."""

    def __init__(self, base_url: str, width: int) -> None:
        self.base_url = base_url
        self.width = width
        self.requests: list[Request] = []
        self.script: deque[Behaviour] = deque()
        """What to do with the next requests; when it is used up, or None, answer well."""
        self.refuse_when: Callable[[Request], Behaviour] | None = None
        self.released = threading.Event()
        self.arrived = threading.Semaphore(0)
        self._lock = threading.Lock()

    def next_behaviour(self, request: Request) -> Behaviour:
        with self._lock:
            self.requests.append(request)
            behaviour = self.script.popleft() if self.script else None
        self.arrived.release()
        if behaviour is None and self.refuse_when is not None:
            return self.refuse_when(request)
        return behaviour

    def answer(self, request: Request) -> Answer:
        vectors = [vector_for(text, self.width) for text in request.texts]
        if "batchEmbedContents" in request.path:
            # Gemini's vectors of less than full width do not have length one.
            return {"embeddings": [{"values": (vector * 3).tolist()} for vector in vectors]}
        as_base64 = request.body.get("encoding_format") == "base64"
        return {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": base64.b64encode(vector.tobytes()).decode()
                    if as_base64
                    else vector.tolist(),
                }
                for index, vector in enumerate(vectors)
            ],
            "model": request.body.get("model"),
            "usage": {"prompt_tokens": 7 * len(vectors), "total_tokens": 7 * len(vectors)},
        }


def vector_for(text: str, width: int) -> np.ndarray:
    """Return the float32 vector of length one that the fake providers have for a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(width)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@contextmanager
def fake_provider(width: int = 1536) -> Iterator[FakeProvider]:
    """Run a provider for the length of a test; base_url has no path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    provider = FakeProvider(f"http://127.0.0.1:{server.server_port}", width)
    server.provider = provider  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        provider.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        provider: FakeProvider = self.server.provider  # type: ignore[attr-defined]
        content = self.rfile.read(int(self.headers["content-length"]))
        request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(content))
        behaviour = provider.next_behaviour(request)
        match behaviour:
            case Refuse():
                self._reply(behaviour.status, _error(behaviour), behaviour.headers)
            case Garble():
                self._reply(200, behaviour.body)
            case Drop():
                self.close_connection = True
            case Hang():
                provider.released.wait()
                self.close_connection = True
            case Change():
                answer = provider.answer(request)
                behaviour.change(answer)
                self._reply(200, json.dumps(answer).encode())
            case None:
                self._reply(200, json.dumps(provider.answer(request)).encode())

    def _reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Stay quiet."""


def _error(refusal: Refuse) -> bytes:
    # One shape for both: OpenAI reads message and code, Gemini message, status and details.
    error = {
        "message": refusal.message,
        "code": refusal.code,
        "status": "REFUSED",
        "details": list(refusal.details),
    }
    return json.dumps({"error": error}).encode()
