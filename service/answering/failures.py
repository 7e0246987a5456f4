"""What went wrong with an answer, for whoever reads it: a stream has no status line to say it with."""

import structlog

from ingest.errors import EmbeddingFailed
from search.answer.model import ModelFailed
from search.errors import InvalidQuery
from service.answering.schemas import Failure
from service.errors import Problem

log = structlog.get_logger()


def describe_failure(error: BaseException) -> Failure:
    match error:
        case ModelFailed():
            return Failure(code=error.code, detail=error.detail, retryable=error.retryable)
        case EmbeddingFailed():
            return Failure(code=error.code, detail=error.detail, retryable=error.retryable)
        case InvalidQuery():
            return Failure(code="invalid_query", detail=str(error), retryable=False)
        case Problem():
            return Failure(code="refused", detail=error.detail, retryable=False)
        case _:
            log.error("answer_failed", exc_info=error)
            return Failure(
                code="internal",
                detail="Something went wrong on our side. The request id is in the log.",
                retryable=True,
            )
