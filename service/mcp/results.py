"""What each tool returns, for programs; and the same as text, for models and people.

What stands in documents is quoted line by line: a text that looks like a passage of its own, or like an instruction,
remains part of the quotation.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from service.mcp.api import Accepted, AnswerReply, Citation, Document, DocumentPage, Passage


class NumberedPassage(Passage, kw_only=True, frozen=True):
    """number is what the text calls it by, [1] for the best."""

    number: int


class SearchResult(msgspec.Struct, kw_only=True, frozen=True):
    passages: list[NumberedPassage]


class AskResult(msgspec.Struct, kw_only=True, frozen=True):
    """declined: the documents do not answer the question."""

    answer: str
    declined: bool
    model: str | None
    citations: list[Citation]
    usage: dict[str, Any]


class GetResult(msgspec.Struct, kw_only=True, frozen=True):
    """text is [char_start, char_end) of text_chars characters, where it was asked for."""

    document: Document
    text: str | None = None
    char_start: int | None = None
    char_end: int | None = None
    text_chars: int | None = None


class ListResult(msgspec.Struct, kw_only=True, frozen=True):
    """next_cursor goes into `after` for the next page; null: there is none."""

    documents: list[Document]
    next_cursor: str | None


class AddResult(msgspec.Struct, kw_only=True, frozen=True):
    """status is queued or processing where it was not awaited to the end, else ready or failed, with the reason."""

    document_id: str
    status: str
    error: str | None


def numbered(hits: Sequence[Passage]) -> list[NumberedPassage]:
    return [NumberedPassage(number=i, **msgspec.structs.asdict(hit)) for i, hit in enumerate(hits, start=1)]


def search_text(result: SearchResult) -> str:
    if not result.passages:
        return "Nothing was found."
    return "\n\n".join(_passage(passage, passage.text) for passage in result.passages)


def ask_text(result: AskResult) -> str:
    if not result.citations:
        return result.answer
    sources = "\n\n".join(_passage(citation, _cited(citation)) for citation in result.citations)
    return f"{result.answer}\n\nSources:\n\n{sources}"


def get_text(result: GetResult) -> str:
    lines = [_document(result.document)]
    if result.text is not None:
        lines.append(f"Characters {result.char_start}–{result.char_end} of {result.text_chars}:")
        lines.append(_quoted(result.text) if result.text else "(no text)")
        if result.char_end is not None and result.char_end < (result.text_chars or 0):
            lines.append(f"It goes on with char_start={result.char_end}.")
    return "\n\n".join(lines)


def list_text(result: ListResult) -> str:
    if not result.documents:
        return "There are no documents."
    more = [f'There are more: after="{result.next_cursor}".'] if result.next_cursor else []
    return "\n".join([*(f"- {_document(document)}" for document in result.documents), *more])


def add_text(result: AddResult) -> str:
    said = {
        "ready": "It is ready: it can be searched now.",
        "failed": f"It could not be read: {result.error}",
    }
    status = said.get(
        result.status, f"It is {result.status}: it can be searched soon; get_document tells when."
    )
    return f"Document {result.document_id}. {status}"


def found(reply: AnswerReply) -> AskResult:
    return AskResult(
        answer=reply.answer,
        declined=reply.declined,
        model=reply.model,
        citations=reply.citations,
        usage=reply.usage,
    )


def listed(page: DocumentPage) -> ListResult:
    return ListResult(documents=page.data, next_cursor=page.next_cursor)


def added(accepted: Accepted) -> AddResult:
    error = None if accepted.error is None else accepted.error.detail
    return AddResult(document_id=accepted.id, status=accepted.status, error=error)


def _passage(passage: NumberedPassage | Citation, text: str) -> str:
    where = [f"characters {passage.char_start}–{passage.char_end}", f"document {passage.document_id}"]
    if passage.page_start is not None:
        where.insert(0, _pages(passage.page_start, passage.page_end))
    head = f"[{passage.number}] {_one_line(passage.title) or 'Untitled'} ({', '.join(where)})"
    if passage.headings:
        head += f"\n{' › '.join(_one_line(heading) for heading in passage.headings)}"
    return f"{head}\n{_quoted(text)}"


def _cited(citation: Citation) -> str:
    """Return the sentence that was taken word for word, or the whole passage."""
    if citation.quote is None:
        return citation.text
    start = citation.char_start
    return citation.text[citation.quote.char_start - start : citation.quote.char_end - start] or citation.text


def _pages(start: int, end: int | None) -> str:
    return f"page {start}" if end is None or end == start else f"pages {start}–{end}"


def _document(document: Document) -> str:
    parts = [f"document {document.id}", document.status]
    if document.error is not None:
        parts.append(document.error.detail)
    if document.page_count is not None:
        parts.append(f"{document.page_count} pages")
    if document.source_url is not None:
        parts.append(_one_line(document.source_url))
    if document.metadata:
        parts.append(f"metadata {msgspec.json.encode(document.metadata).decode()}")
    return f"{_one_line(document.title) or 'Untitled'} ({', '.join(parts)})"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.splitlines())


def _one_line(text: str) -> str:
    return " ".join(text.split())
