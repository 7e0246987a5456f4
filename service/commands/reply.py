"""What `docsearch search` reads of the API's reply."""

import msgspec

from service.commands.output import CommandFailed


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """highlights are [start, end) code points of text."""

    document_id: str
    title: str
    text: str
    page_start: int | None = None
    page_end: int | None = None
    char_start: int
    char_end: int
    headings: list[str] = []
    score: float
    highlights: list[tuple[int, int]] = []


class Took(msgspec.Struct, frozen=True, kw_only=True):
    total: float


class SearchReply(msgspec.Struct, frozen=True, kw_only=True):
    mode: str
    hits: list[Hit]
    took_ms: Took | None = None


def read_reply(content: bytes) -> SearchReply:
    """Raises CommandFailed where content is not a search reply."""
    try:
        return msgspec.json.decode(content, type=SearchReply)
    except msgspec.MsgspecError as exc:
        raise CommandFailed(
            f"The server's reply is not one of a docsearch server of this version: {exc}."
        ) from exc
