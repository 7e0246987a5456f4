"""Chat completions on the wire."""

from typing import Annotated, Any, Literal

import msgspec

from service.answering.schemas import AnswerSettings, Citation
from service.openai_api.asked import Content, FileSearchTool
from service.openai_api.ids import to_file_id

Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class ChatMessageIn(msgspec.Struct, frozen=True, kw_only=True):
    role: Literal["system", "developer", "user", "assistant"]
    content: Content = None


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    include_usage: bool = False


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    type: str


class ChatBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is given beyond this is not looked at, but for what would change the answer: that is refused."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    messages: Annotated[list[ChatMessageIn], msgspec.Meta(min_length=1, max_length=2_000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    tools: list[FileSearchTool] | None = None
    retrieval: AnswerSettings | None = None
    """Ours: answer from documents, and from which."""


class UrlCitation(msgspec.Struct, frozen=True, kw_only=True):
    """[start_index, end_index) is the citation's place in the message; the address selects the cited characters."""

    start_index: int
    end_index: int
    title: str
    url: str


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI's form for the web, with ours beside it: where in which file the cited passage stands."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation
    file_citation: dict[str, Any]


def annotate(text: str, citations: list[Citation], base_url: str) -> list[Annotation]:
    """Return an annotation for each citation of a text, at its first place."""
    found = []
    for citation in citations:
        mark = f"[{citation.number}]"
        place = text.find(mark)
        if place < 0:
            continue
        url = f"{base_url}/v1/documents/{citation.document_id}/text#char={citation.char_start},{citation.char_end}"
        found.append(
            Annotation(
                url_citation=UrlCitation(
                    start_index=place, end_index=place + len(mark), title=citation.title, url=url
                ),
                file_citation={"file_id": to_file_id(citation.document_id)} | msgspec.to_builtins(citation),
            )
        )
    return found
