"""What the tools read of our own HTTP interface, and the client that reads it.

The tools go through it wherever they run: so they may do what their key may do over HTTP, no more and no less.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
import msgspec

T = TypeVar("T")


class ToolFailed(Exception):
    """The tool cannot do what it was asked for; the message is the sentence that the model reads."""


class Passage(msgspec.Struct, kw_only=True, frozen=True):
    """A hit of a search; text is [char_start, char_end) of its document's text, in code points."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    page_start: int | None = None
    page_end: int | None = None
    char_start: int
    char_end: int
    headings: list[str] = []
    score: float
    metadata: dict[str, Any] = {}


class SearchReply(msgspec.Struct, kw_only=True, frozen=True):
    hits: list[Passage]


class Quote(msgspec.Struct, kw_only=True, frozen=True):
    """A sentence that was taken word for word: [char_start, char_end) of the document's text."""

    char_start: int
    char_end: int


class Citation(msgspec.Struct, kw_only=True, frozen=True):
    """What [number] in an answer refers to."""

    number: int
    chunk_id: str
    document_id: str
    title: str
    text: str
    page_start: int | None = None
    page_end: int | None = None
    char_start: int
    char_end: int
    headings: list[str] = []
    score: float | None = None
    quote: Quote | None = None


class AnswerFailure(msgspec.Struct, kw_only=True, frozen=True):
    detail: str


class AnswerReply(msgspec.Struct, kw_only=True, frozen=True):
    """error: why the answer ends before it is complete."""

    answer: str
    declined: bool = False
    model: str | None = None
    citations: list[Citation]
    error: AnswerFailure | None = None


class IngestionError(msgspec.Struct, kw_only=True, frozen=True):
    detail: str
    stage: str | None = None
    code: str | None = None


class Document(msgspec.Struct, kw_only=True, frozen=True):
    """What tools tell of a document; the API tells more."""

    id: str
    title: str
    status: str
    error: IngestionError | None = None
    source_url: str | None = None
    filename: str | None = None
    media_type: str | None = None
    page_count: int | None = None
    chunk_count: int | None = None
    metadata: dict[str, Any] = {}
    team_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class DocumentPage(msgspec.Struct, kw_only=True, frozen=True):
    data: list[Document]
    next_cursor: str | None


class Accepted(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    status: str
    error: IngestionError | None = None


class Api:
    """Each method is one request; it raises ToolFailed, with the API's own sentence where there is one.

    http leads to the service and signs in.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def search(self, body: Mapping[str, Any]) -> SearchReply:
        return _decode(await self._send("POST", "/v1/search", json=body), SearchReply)

    async def answer(self, body: Mapping[str, Any]) -> AnswerReply:
        return _decode(await self._send("POST", "/v1/answers", json=body), AnswerReply)

    async def document(self, document_id: str) -> Document:
        return _decode(await self._send("GET", f"/v1/documents/{document_id}"), Document)

    async def text(self, document_id: str) -> str:
        """Return the whole text that character spans count in; empty until the document is ready."""
        return (await self._send("GET", f"/v1/documents/{document_id}/text")).text

    async def documents(self, params: Mapping[str, Any]) -> DocumentPage:
        return _decode(await self._send("GET", "/v1/documents", params=params), DocumentPage)

    async def add(self, body: Mapping[str, Any], wait_s: float) -> Accepted:
        """Add a text or an address, and wait until it is ready or failed, but no longer than so many seconds."""
        return _decode(
            await self._send("POST", "/v1/documents", json=body, params={"wait": wait_s}), Accepted
        )

    async def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **given)
        except httpx.TimeoutException as exc:
            raise ToolFailed("The docsearch server did not answer in time.") from exc
        except httpx.TransportError as exc:
            raise ToolFailed(f"No docsearch server answers at {self._http.base_url}.") from exc
        if not response.is_success:
            raise ToolFailed(_sentence(response))
        return response


def _decode(response: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except msgspec.MsgspecError as exc:
        raise ToolFailed("What answers there is no docsearch server of this version.") from exc


def _sentence(response: httpx.Response) -> str:
    """Return the detail of an RFC 9457 problem, or the status where it is none."""
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.MsgspecError:
        problem = {}
    detail = problem.get("detail")
    if isinstance(detail, str) and detail:
        return detail
    return f"The docsearch server answered {response.status_code} {response.reason_phrase}."
