"""A server that speaks docsearch's API on loopback, keeps what it is sent, and misbehaves where it is told to."""

import hashlib
import io
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from multipart import MultipartParser, parse_options_header

KEY = "dsk_" + "k" * 43


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Answer with a problem; status None: close the connection without an answer, having done what was asked."""

    status: int | None
    detail: str = "Not now."
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeDocsearch:
    """documents are the API's, newest first. Everything here may be changed while it runs."""

    url: str = ""
    page_size: int = 2
    documents: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    refusals: dict[str, deque[Refusal]] = field(default_factory=dict)
    """By "METHOD path" (ids left out: "GET /v1/documents/"), first come first served."""
    failing: dict[str, str] = field(default_factory=dict)
    """By filename: why its ingestion fails."""
    received_sha256: str | None = None
    """What uploads hash to from now on, instead of their SHA-256."""
    reply: bytes = b"{}"
    """What a search is answered with."""
    released: threading.Event = field(default_factory=threading.Event)
    """Documents are processing until it is set."""
    waiting_status: str = "processing"
    """What they are until then."""
    asked: threading.Event = field(default_factory=threading.Event)
    """Set when a document was asked for that is still processing."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    _by_key: dict[str, str] = field(default_factory=dict)

    def refuse(self, what: str, *refusals: Refusal) -> None:
        self.refusals.setdefault(what, deque()).extend(refusals)

    def next_refusal(self, what: str) -> Refusal | None:
        waiting = self.refusals.get(what)
        return waiting.popleft() if waiting else None

    def sent(self, method: str, prefix: str) -> list[Request]:
        return [r for r in self.requests if r.method == method and r.path.startswith(prefix)]

    @property
    def uploads(self) -> list[Request]:
        return self.sent("POST", "/v1/documents")

    def filenames(self) -> list[str]:
        return sorted(document["filename"] for document in self.documents)

    def add(self, fields: dict[str, str], filename: str, content: bytes, key: str | None) -> dict[str, Any]:
        """Make the document of an upload, or return that of an earlier one with the same key."""
        if key is not None and key in self._by_key:
            return self.find(self._by_key[key]) or {"id": self._by_key[key], "status": "ready", "error": None}
        document = {
            "id": f"doc-{len(self._by_key) + 1}",
            "status": "processing",
            "stage": "parse",
            "error": None,
            "filename": filename,
            "source_url": fields.get("source_url"),
            "team_id": fields.get("team_id"),
            "metadata": json.loads(fields.get("metadata", "{}")),
            "sha256": self.received_sha256 or hashlib.sha256(content).hexdigest(),
            "page_count": None,
            "chunk_count": None,
        }
        self.documents.insert(0, document)
        self._by_key[key or document["id"]] = document["id"]
        return document

    def find(self, document_id: str) -> dict[str, Any] | None:
        return next((d for d in self.documents if d["id"] == document_id), None)

    def look(self, document_id: str) -> dict[str, Any] | None:
        """Return the document, finished now if it may be."""
        document = self.find(document_id)
        if document is None or document["status"] != "processing":
            return document
        if not self.released.is_set():
            self.asked.set()
            return document | {"status": self.waiting_status}
        why = self.failing.get(document["filename"])
        if why is None:
            document |= {"status": "ready", "stage": None, "page_count": 2, "chunk_count": 7}
        else:
            document |= {"status": "failed", "error": {"stage": "parse", "code": "no_text", "detail": why}}
        return document


@contextmanager
def fake_docsearch() -> Iterator[FakeDocsearch]:
    fake = FakeDocsearch()
    fake.released.set()

    class Handler(_Handler):
        state = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: FakeDocsearch
    protocol_version = "HTTP/1.1"
    # A client that was killed leaves its connection behind: do not wait for its next request for long.
    timeout = 2.0

    def log_message(self, *_args: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, parts.path, query, dict(self.headers.items()), body)
        with self.state.lock:
            self.state.requests.append(request)
            if self.headers.get("Authorization") != f"Bearer {KEY}":
                self._problem(Refusal(401, "The key is not known."))
                return
            single = parts.path.removeprefix("/v1/documents/") if parts.path.count("/") == 3 else None
            refusal = self.state.next_refusal(
                f"{self.command} {parts.path if single is None else '/v1/documents/'}"
            )
            if refusal is not None and refusal.status is not None:
                self._problem(refusal)
                return
            status, answer = self._do(request, single)
        if refusal is not None:
            self.close_connection = True
            return
        self._send(status, answer, "application/json")

    def _do(self, request: Request, single: str | None) -> tuple[int, bytes]:
        if single is not None:
            return self._one(request, single)
        if request.path == "/v1/documents" and request.method == "GET":
            return 200, json.dumps(self._page(request.query)).encode()
        if request.path == "/v1/documents" and request.method == "POST":
            fields, filename, content = _read_multipart(request)
            document = self.state.add(fields, filename, content, request.headers.get("Idempotency-Key"))
            return 202, json.dumps({name: document[name] for name in ("id", "status", "error")}).encode()
        if request.path == "/v1/search":
            return 200, self.state.reply
        return 404, b'{"detail": "There is no such page."}'

    def _one(self, request: Request, document_id: str) -> tuple[int, bytes]:
        document = self.state.look(document_id)
        if document is None:
            return 404, b'{"detail": "There is no such document."}'
        if request.method == "DELETE":
            self.state.documents.remove(document)
            return 204, b""
        if request.method == "PATCH":
            document |= request.json()
        return 200, json.dumps(document).encode()

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("after", "0"))
        end = start + self.state.page_size
        more = end < len(self.state.documents)
        return {
            "data": self.state.documents[start:end],
            "has_more": more,
            "next_cursor": str(end) if more else None,
        }

    def _problem(self, refusal: Refusal) -> None:
        body = json.dumps({"title": "Refused", "status": refusal.status, "detail": refusal.detail})
        self._send(refusal.status or 500, body.encode(), "application/problem+json", refusal.headers)

    def _send(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body)


def _read_multipart(request: Request) -> tuple[dict[str, str], str, bytes]:
    _, options = parse_options_header(request.headers["Content-Type"])
    fields: dict[str, str] = {}
    filename, content = "", b""
    for part in MultipartParser(io.BytesIO(request.body), options["boundary"]):
        if part.name == "file":
            filename, content = part.filename or "", part.raw
        else:
            fields[part.name] = part.value
        part.close()
    return fields, filename, content
