"""Errors as Dify's contract has them; what they say comes from service/errors.py."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from service.dify.schemas import DifyError
from service.errors import error_families, to_problem

WRONG_HEADER = 1001
NOT_AUTHORISED = 1002
NO_KNOWLEDGE = 2001
_CODES = {
    HTTPStatus.UNAUTHORIZED: NOT_AUTHORISED,
    HTTPStatus.FORBIDDEN: NOT_AUTHORISED,
    HTTPStatus.NOT_FOUND: NO_KNOWLEDGE,
}


def _handle(request: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
    problem = to_problem(exc)
    status = HTTPStatus(problem.status_code)
    # For what Dify has no code for, the status is one.
    code = _CODES.get(status, status.value)
    if status is HTTPStatus.UNAUTHORIZED and not _is_bearer(request.headers.get("authorization", "")):
        code = WRONG_HEADER
    extra: Mapping[str, Any] = problem.extra if isinstance(problem.extra, Mapping) else {}
    return Response(
        {**extra, "error_code": code, "error_msg": problem.detail},
        status_code=status,
        headers=problem.headers,
        media_type="application/json",
    )


def _is_bearer(header: str) -> bool:
    scheme, _, token = header.partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def dify_errors() -> ExceptionHandlersMap:
    """Return the exception handlers of a route whose errors have this shape."""
    return dict.fromkeys(error_families(), _handle)


def failures(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the error replies of a route; those of every closed route come along."""
    return {
        status: ResponseSpec(
            data_container=DifyError,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type="application/json",
        )
        for status in sorted({400, 401, 403, 429, 503, *statuses})
    }
