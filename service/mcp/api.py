"""What the tools read of our own HTTP interface, and the client that reads it.

The tools go through it wherever they run: so they may do what their key may do over HTTP, no more and no less.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

T = TypeVar("T")


class ToolFailed(Exception):
    """The tool cannot do what it was asked for; the message is the sentence that the model reads."""


class Refused(ToolFailed):
    """The API answered, but not with what was asked for."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


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


class Span(msgspec.Struct, kw_only=True, frozen=True):
    """Characters of a document's text, in code points."""

    char_start: int
    char_end: int


class Citation(msgspec.Struct, kw_only=True, frozen=True):
    """What [number] in an answer refers to; quote is the sentence in it that was taken word for word, if one was."""

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
    quote: Span | None = None


class Failure(msgspec.Struct, kw_only=True, frozen=True):
    """Why an answer was not written to its end."""

    detail: str


class AnswerReply(msgspec.Struct, kw_only=True, frozen=True):
    answer: str
    declined: bool = False
    model: str | None = None
    citations: list[Citation]
    usage: dict[str, Any] = {}
    error: Failure | None = None


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
        try:
            reply = await self._send("POST", "/v1/answers", json=body)
        except Refused as exc:
            # What a path that is not served is told, and nothing else: a team's says that there is no such team.
            if exc.status == HTTPStatus.NOT_FOUND and str(exc) == HTTPStatus.NOT_FOUND.phrase:
                raise ToolFailed("This server does not write answers: use search_documents.") from exc
            raise
        answer = _decode(reply, AnswerReply)
        if answer.error is not None:
            raise ToolFailed(answer.error.detail)
        return answer

    async def document(self, document_id: str) -> Document:
        return _decode(await self._send("GET", _path(document_id)), Document)

    async def text(self, document_id: str) -> str:
        """Return the whole text that character spans count in; empty until the document is ready."""
        return (await self._send("GET", _path(document_id) + "/text")).text

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
            raise Refused(_sentence(response), status=response.status_code)
        return response


def _path(document_id: str) -> str:
    return f"/v1/documents/{quote(document_id, safe='')}"


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
