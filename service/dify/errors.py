"""Errors in the shape that Dify reads; what they say comes from service/errors.py."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import ExceptionHandlersMap

from service.auth.keys import is_key_shaped
from service.auth.oidc import is_token_shaped
from service.errors import error_families, to_problem

BAD_HEADER = 1001
NOT_ALLOWED = 1002
NO_SUCH_KNOWLEDGE = 2001


class DifyError(msgspec.Struct, kw_only=True, frozen=True):
    """1001: no usable Authorization header, 1002: not let in, 2001: no such knowledge; else the status."""

    error_code: int
    error_msg: str


def _handle(request: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
    problem = to_problem(exc)
    status = HTTPStatus(problem.status_code)
    error = DifyError(
        error_code=_code(status, request.headers.get("authorization")), error_msg=problem.detail
    )
    extra: Mapping[str, Any] = problem.extra if isinstance(problem.extra, Mapping) else {}
    return Response(
        dict(extra) | msgspec.to_builtins(error),
        status_code=status,
        headers=dict(problem.headers or {}),
        media_type="application/json",
    )


def _code(status: HTTPStatus, header: str | None) -> int:
    match status:
        case HTTPStatus.UNAUTHORIZED:
            return NOT_ALLOWED if _is_credential(header) else BAD_HEADER
        case HTTPStatus.FORBIDDEN:
            return NOT_ALLOWED
        case HTTPStatus.NOT_FOUND:
            return NO_SUCH_KNOWLEDGE
        case _:
            return int(status)


def _is_credential(header: str | None) -> bool:
    scheme, _, token = (header or "").partition(" ")
    token = token.strip()
    return scheme.lower() == "bearer" and (is_key_shaped(token) or is_token_shaped(token))


def dify_errors() -> ExceptionHandlersMap:
    """Return the exception handlers of a router whose errors have this shape."""
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
