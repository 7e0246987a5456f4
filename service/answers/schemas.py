"""Answers to single questions on the wire."""

from typing import Annotated

import msgspec

from service.answering.schemas import AnswerSettings, Citation, Failure, Question, Usage


class AnswerBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A question; model: an id or a provider's name for one, unset: extractive. stream: as server-sent events."""

    question: Question
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    settings: AnswerSettings = AnswerSettings()
    stream: bool = False


class AnswerReply(msgspec.Struct, kw_only=True, frozen=True):
    """[n] in answer is the citation of that number. declined: nothing relevant was found, and the answer says so."""

    answer: str
    declined: bool
    model: str
    query: str | None
    citations: list[Citation]
    usage: Usage
    error: Failure | None
