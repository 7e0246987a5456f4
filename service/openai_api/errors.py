"""Errors in the shape that OpenAI's clients read; what they say comes from service/errors.py."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import ExceptionHandlersMap

from service.errors import error_families, to_problem

_TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
_CODES = {
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.FORBIDDEN: "insufficient_permissions",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_exceeded",
}
# There, what cannot be used is malformed: their clients know no 415, and nobody would look for 422.
_STATUSES = {
    HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.BAD_REQUEST,
}
# Clients try 409 twice more by themselves, and some 402: another attempt would be answered alike.
_FINAL = (HTTPStatus.CONFLICT, HTTPStatus.PAYMENT_REQUIRED)


class ErrorDetail(msgspec.Struct, kw_only=True, frozen=True, rename={"type_": "type"}):
    """A sentence for people, and what programs go by."""

    message: str
    type_: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, kw_only=True, frozen=True):
    error: ErrorDetail


def to_reply(problem: ProblemDetailsException) -> Response[dict[str, Any]]:
    """Return a problem as OpenAI would put it; what else it tells a program stands beside."""
    status = HTTPStatus(problem.status_code)
    status = _STATUSES.get(status, status)
    extra: Mapping[str, Any] = problem.extra if isinstance(problem.extra, Mapping) else {}
    detail = ErrorDetail(
        message=problem.detail,
        type_=_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        param=_param(extra),
        code=extra.get("code") or _CODES.get(status),
    )
    more = {name: value for name, value in extra.items() if name not in {"errors", "code", "param"}}
    headers = dict(problem.headers or {})
    if status in _FINAL:
        headers["x-should-retry"] = "false"
    return Response(
        {"error": more | msgspec.to_builtins(detail)},
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def _param(extra: Mapping[str, Any]) -> str | None:
    errors = extra.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else {}
    found: str | None = extra.get("param") or (first.get("key") if isinstance(first, dict) else None)
    return found


def _handle(_: Request[Any, Any, Any], exc: Exception) -> Response[dict[str, Any]]:
    return to_reply(to_problem(exc))


def openai_errors() -> ExceptionHandlersMap:
    """Return the exception handlers of a router whose errors have this shape."""
    return dict.fromkeys(error_families(), _handle)


def failures(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the error replies of a route; those of every closed route come along."""
    return {
        status: ResponseSpec(
            data_container=ErrorBody,
            generate_examples=False,
            description=HTTPStatus(status).phrase,
            media_type="application/json",
        )
        for status in sorted({400, 401, 403, 429, 503, *statuses})
    }
