"""The HTTP client of the commands: finds server and key, waits where it is told to, explains refusals."""

import ipaddress
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
import stamina

from service.commands.output import CommandFailed

DEFAULT_URL = "http://127.0.0.1:8000"
_PAGE_SIZE = 100
# Longest a command holds still because the server told it to; beyond it, a person should know.
_LONGEST_WAIT_S = 90.0
_ATTEMPTS = 6
_TRY_LATER = frozenset({429, 502, 503, 504})

T = TypeVar("T")


class ServerUnreachable(CommandFailed):
    """Nothing answers at the address, or it stopped answering."""


class RequestRefused(CommandFailed):
    """The server answered, but not with what was asked for."""

    def __init__(self, message: str, *, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class DocumentError(msgspec.Struct, frozen=True, kw_only=True):
    stage: str | None = None
    code: str | None = None
    detail: str


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """What the commands read of a workflow."""

    id: str
    name: str
    issues: list[dict[str, Any]]


class ImportedWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    workflow: Workflow
    notes: list[str]


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """What the commands read of a run of a workflow."""

    id: str
    status: str
    output: Any = None
    error: Any = None
    duration_ms: int | None = None
    waiting: list[dict[str, Any]] = []


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    position: int
    entry: dict[str, Any]


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    data: list[LogEntry]
    has_more: bool
    next_cursor: str | None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What the commands read of a document; the API tells more."""

    id: str
    status: str
    error: DocumentError | None = None
    source_url: str | None = None
    sha256: str | None = None
    team_id: str | None = None
    metadata: dict[str, Any] | None = None
    page_count: int | None = None
    chunk_count: int | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    error: DocumentError | None = None


class _DocumentPage(msgspec.Struct, frozen=True, kw_only=True):
    data: list[Document]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """One file to upload and the fields that go with it."""

    path: Path
    source_url: str
    idempotency_key: str
    team_id: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    api_key: str


def find_home() -> Path:
    return Path(os.environ.get("DOCSEARCH_HOME") or ".docsearch")


def find_server() -> Server:
    """Return the server of DOCSEARCH_URL, else the one running in DOCSEARCH_HOME, else the default address.

    Raises CommandFailed where there is no key to sign in with.
    """
    home = find_home()
    local_url = _local_url(home)
    chosen_url = os.environ.get("DOCSEARCH_URL") or local_url
    url = (chosen_url or DEFAULT_URL).rstrip("/")
    _check_url(url)
    key = os.environ.get("DOCSEARCH_API_KEY")
    # The owner's key belongs to this machine: it is not offered to a server elsewhere.
    if not key and (url == local_url or is_loopback(url)):
        key = _read_text(home / "owner.key")
    if not key and not chosen_url:
        raise CommandFailed(
            f"No docsearch server runs with its files in {home}. Start one with `make serve`, "
            "or set DOCSEARCH_URL and DOCSEARCH_API_KEY."
        )
    if not key:
        raise CommandFailed(
            f"There is no API key for {url}. Set DOCSEARCH_API_KEY "
            "(`docsearch keys create --name NAME` makes a key), "
            f"or run this where `make serve` keeps its files (DOCSEARCH_HOME, now {home})."
        )
    if not key.isascii() or not key.isprintable():
        raise CommandFailed("The API key contains characters that no key has; look at DOCSEARCH_API_KEY.")
    return Server(url, key)


def _check_url(url: str) -> None:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise CommandFailed(f"DOCSEARCH_URL is not an address: {exc}.") from exc
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise CommandFailed(f"DOCSEARCH_URL must look like https://docsearch.example.com, and is {url!r}.")


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _local_url(home: Path) -> str | None:
    text = _read_text(home / "server.json")
    if text is None:
        return None
    try:
        url = msgspec.json.decode(text, type=dict[str, Any]).get("url")
    except msgspec.MsgspecError:
        return None
    return url.rstrip("/") if isinstance(url, str) and url else None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandFailed(f"{path} cannot be read: {exc}.") from exc


@asynccontextmanager
async def open_client(server: Server) -> AsyncIterator["Client"]:
    """Yield a client; the connection is made with its first request."""
    # Its default hooks log each retry to stdout, where results go.
    stamina.instrumentation.set_on_retry_hooks([])
    async with httpx.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.api_key}"},
        timeout=httpx.Timeout(60.0, connect=10.0, pool=None),
        # A proxy for the outside world cannot reach this machine's own server.
        trust_env=not is_loopback(server.url),
    ) as http:
        yield Client(http, server.url)


class Client:
    """Each method is one operation of the API, tried again where that is safe and may help."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self._answered = False

    async def list_documents(self) -> AsyncIterator[Document]:
        """Yield every document the key may read, newest first."""
        params: dict[str, str | int] = {"limit": _PAGE_SIZE}
        while True:
            page = self._decode(await self._get("/v1/documents", params), _DocumentPage)
            for document in page.data:
                yield document
            if not page.has_more or page.next_cursor is None:
                return
            params = {"limit": _PAGE_SIZE, "after": page.next_cursor}

    async def get_document(self, document_id: str) -> Document:
        return self._decode(await self._get(_document_path(document_id)), Document)

    async def delete_document(self, document_id: str) -> None:
        """Delete the document; one that is gone already is fine."""
        try:
            await self._send(lambda: self._http.build_request("DELETE", _document_path(document_id)))
        except RequestRefused as exc:
            if exc.status != 404:
                raise

    async def set_metadata(self, document_id: str, metadata: Mapping[str, Any]) -> None:
        body = {"metadata": dict(metadata)}
        await self._send(lambda: self._http.build_request("PATCH", _document_path(document_id), json=body))

    async def upload(self, upload: Upload) -> Accepted:
        """Stream the file to the server; safe to repeat, because the Idempotency-Key stays the same.

        Raises OSError where the file cannot be read.
        """
        with upload.path.open("rb") as file:
            response = await self._send(lambda: self._upload_request(upload, file))
        return self._decode(response, Accepted)

    async def search(self, body: Mapping[str, Any]) -> bytes:
        """Return the reply's JSON as the server wrote it."""
        response = await self._send(lambda: self._http.build_request("POST", "/v1/search", json=body))
        return response.content

    async def export_workflow(self, workflow_id: str) -> bytes:
        """Return the file's JSON as the server wrote it."""
        return (await self._get(f"/v1/workflows/{quote(workflow_id, safe='')}/export")).content

    async def run_workflow(self, workflow_id: str, given: Any, start_node: str | None) -> Execution:
        """Start a workflow and return its execution."""
        body = {"input": given} | ({} if start_node is None else {"start_node": start_node})
        path = f"/v1/workflows/{quote(workflow_id, safe='')}/run"
        response = await self._send(lambda: self._http.build_request("POST", path, json=body))
        return self._decode(response, Execution)

    async def find_execution(self, execution_id: str) -> Execution:
        response = await self._get(f"/v1/executions/{quote(execution_id, safe='')}")
        return self._decode(response, Execution)

    async def read_log(self, execution_id: str, after: str | None) -> LogPage:
        """Return what was logged beyond a cursor, at most a page of it."""
        params: dict[str, str | int] = {"limit": _PAGE_SIZE} | ({} if after is None else {"after": after})
        response = await self._get(f"/v1/executions/{quote(execution_id, safe='')}/logs", params)
        return self._decode(response, LogPage)

    async def import_workflow(
        self, file: Mapping[str, Any], *, team_id: str | None, name: str | None
    ) -> ImportedWorkflow:
        given = {"team_id": team_id, "name": name}
        params = {key: value for key, value in given.items() if value is not None}
        response = await self._send(
            lambda: self._http.build_request("POST", "/v1/workflows/import", params=params, json=dict(file))
        )
        return self._decode(response, ImportedWorkflow)

    async def _get(self, path: str, params: Mapping[str, str | int] | None = None) -> httpx.Response:
        return await self._send(lambda: self._http.build_request("GET", path, params=params))

    def _upload_request(self, upload: Upload, file: BinaryIO) -> httpx.Request:
        fields = {"source_url": upload.source_url}
        if upload.team_id is not None:
            fields["team_id"] = upload.team_id
        if upload.metadata:
            fields["metadata"] = msgspec.json.encode(upload.metadata).decode()
        # A name that is not UTF-8 on disk cannot be sent as it is.
        filename = upload.path.name.encode("utf-8", "replace").decode("utf-8")
        return self._http.build_request(
            "POST",
            "/v1/documents",
            data=fields,
            files={"file": (filename, file)},
            headers={"Idempotency-Key": upload.idempotency_key},
        )

    async def _send(self, build: Callable[[], httpx.Request]) -> httpx.Response:
        """Send what build makes anew for each attempt. Raises ServerUnreachable, RequestRefused."""
        try:
            async for attempt in stamina.retry_context(
                on=self._should_retry,
                attempts=_ATTEMPTS,
                timeout=2 * _LONGEST_WAIT_S,
                wait_initial=0.2,
                wait_jitter=0.3,
            ):
                with attempt:
                    response = await self._http.send(build())
                    self._answered = True
                    if not response.is_success:
                        raise _refusal(response, self._url)
                    return response
        except httpx.LocalProtocolError as exc:
            raise CommandFailed(
                "The file changed while it was being uploaded; run the same command again."
            ) from exc
        except httpx.ConnectError as exc:
            raise self._unreachable() from exc
        except httpx.TimeoutException as exc:
            raise ServerUnreachable(f"The server at {self._url} did not answer in time.") from exc
        except httpx.TransportError as exc:
            raise ServerUnreachable(
                f"The connection to {self._url} broke: {exc or type(exc).__name__}."
            ) from exc
        raise AssertionError("a retry loop ends by returning or raising")

    def _should_retry(self, exc: Exception) -> bool | float:
        """Return how long to wait in seconds, or whether to try again at all."""
        if isinstance(exc, httpx.LocalProtocolError):
            return False
        if isinstance(exc, httpx.TransportError):
            # Where nothing has ever answered, the address is wrong or the server is not up: say so at once.
            return self._answered
        if isinstance(exc, RequestRefused) and exc.status in _TRY_LATER:
            if exc.retry_after_s is None:
                return True
            return exc.retry_after_s if exc.retry_after_s <= _LONGEST_WAIT_S else False
        return False

    def _unreachable(self) -> ServerUnreachable:
        return ServerUnreachable(
            f"No docsearch server answers at {self._url}. Start one with `make serve`, or set DOCSEARCH_URL."
        )

    def _decode(self, response: httpx.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as exc:
            raise CommandFailed(
                f"What answers at {self._url} is no docsearch server of this version; look at DOCSEARCH_URL."
            ) from exc


def _document_path(document_id: str) -> str:
    return f"/v1/documents/{quote(document_id, safe='')}"


def _refusal(response: httpx.Response, url: str) -> RequestRefused:
    detail = _problem_detail(response)
    if response.status_code == 401:
        message = f"The server at {url} does not accept this API key; look at DOCSEARCH_API_KEY."
    elif detail is None:
        message = f"The server at {url} answered {response.status_code} {response.reason_phrase}."
    else:
        message = detail
    return RequestRefused(message, status=response.status_code, retry_after_s=_retry_after_s(response))


def _problem_detail(response: httpx.Response) -> str | None:
    """Return the words of an RFC 9457 problem, with what it says about single fields."""
    try:
        problem = msgspec.json.decode(response.content)
    except msgspec.MsgspecError:
        return None
    if not isinstance(problem, dict):
        return None
    detail = problem.get("detail") or problem.get("title")
    return detail if isinstance(detail, str) and detail else None


def _retry_after_s(response: httpx.Response) -> float | None:
    """Return the seconds of Retry-After (RFC 9110: a number or a date), None where there are none."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
