"""Errors as RFC 9457 problem details: one place that turns what went wrong into a status and a sentence."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request
from litestar.exceptions import HTTPException, ValidationException
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)
from litestar.serialization import decode_json

from db.errors import (
    BudgetFacts,
    BudgetReached,
    DatabaseError,
    ExecutionsLimited,
    LastOwner,
    PlanFacts,
    PlanLimitReached,
    Refused,
    Taken,
)
from db.outage import is_outage
from ingest.errors import EmbeddingFailed, FileTooLarge, IngestError, UnsupportedFormat
from search.errors import InvalidQuery, SearchError

log = structlog.get_logger()


class Problem(ProblemDetailsException):
    """Raised by routes: a status, a sentence that says what to do, and fields that help a program."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(
            detail=detail,
            status_code=status.value,
            title=status.phrase,
            type_="about:blank",
            headers=headers,
            extra=extra,
        )


def unauthorized(detail: str) -> Problem:
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": 'Bearer realm="docsearch"'})


def not_found(what: str) -> Problem:
    """Return 404 for what is absent and for what is somebody else's alike."""
    return Problem(HTTPStatus.NOT_FOUND, f"There is no such {what}, or it is not yours.")


def _from_http(exc: HTTPException) -> ProblemDetailsException:
    status = HTTPStatus(exc.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _from_unexpected(exc)
    detail = exc.detail or status.phrase
    return Problem(status, detail, headers=dict(exc.headers or {}))


def _from_validation(exc: ValidationException) -> ProblemDetailsException:
    errors = exc.extra if isinstance(exc.extra, list) else []
    parts = [_field_error(error) for error in errors if isinstance(error, dict)]
    if isinstance(
        exc.__cause__, KeyError
    ):  # of a parameter that is required, by the name that it has in requests
        parts.append(f"{exc.__cause__.args[0]}: is missing")
    detail = "; ".join(parts) or "The request does not have the documented form."
    return Problem(HTTPStatus.BAD_REQUEST, detail, errors=errors)


def _field_error(error: dict[str, Any]) -> str:
    """Say what is wrong where, in the sender's words: for the framework the body is `data`, and `from` is `from_`."""
    name, message = error.get("key"), error.get("message", "is not valid")
    if name == "data":
        return "A JSON body is wanted." if message == "'data'" else f"The body: {message}"
    return f"{str(name).rstrip('_')}: {message}" if name else str(message)


def _from_ingest(exc: IngestError) -> ProblemDetailsException:
    if isinstance(exc, FileTooLarge):
        return Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, exc.detail, code=exc.code, max_bytes=exc.max_bytes
        )
    if isinstance(exc, UnsupportedFormat):
        return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, exc.detail, code=exc.code)
    if isinstance(exc, EmbeddingFailed):
        return Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, exc.detail, headers={"Retry-After": "5"}, code=exc.code
        )
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, exc.detail, code=exc.code)


def _from_search(exc: SearchError) -> ProblemDetailsException:
    if isinstance(exc, InvalidQuery):
        return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc))
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(exc), headers={"Retry-After": "5"})


def _from_refused(exc: Refused) -> ProblemDetailsException:
    if isinstance(exc, PlanLimitReached):
        return plan_limit_reached(exc.facts)
    if isinstance(exc, BudgetReached):
        return budget_reached(exc.facts)
    if isinstance(exc, ExecutionsLimited):
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            str(exc),
            headers={"Retry-After": str(math.ceil(exc.retry_after_s))},
            code=f"executions_{exc.kind}",
            limit=exc.limit,
        )
    if isinstance(exc, LastOwner):
        return Problem(HTTPStatus.CONFLICT, str(exc))
    if isinstance(exc, Taken):
        what = _UNIQUE.get(exc.constraint)
        if what is None:
            return _from_unexpected(exc)
        return Problem(HTTPStatus.CONFLICT, f"This {what} is taken: choose another.")
    return _from_unexpected(exc)


_UNIQUE = {
    "Team_slug_key": "slug",
    "User_username_key": "username",
    "User_email_key": "e-mail address",
    "credential_name_key": "name",
}
"""What is unique, by the name of its constraint; anything else is a mistake of ours."""


def plan_limit_reached(facts: PlanFacts) -> Problem:
    """Return 402: what is used up, how far, and when it comes back."""
    when = "" if facts.resets_at is None else f" It starts anew at {facts.resets_at:%Y-%m-%d %H:%M} UTC."
    return Problem(
        HTTPStatus.PAYMENT_REQUIRED,
        f"The {facts.tier} plan allows no more {facts.resource}: {facts.used:,} of {facts.limit:,} are used.{when}",
        **msgspec.to_builtins(facts),
    )


_BUDGETS = {
    "user": "Your monthly budget",
    "team": "The team's monthly budget",
    "key": "The monthly budget of this API key",
    "plan": "The plan",
}


def budget_reached(facts: BudgetFacts) -> Problem:
    """Return 402: which budget, how far it is used, and when it starts anew. The next attempt would fail alike."""
    return Problem(
        HTTPStatus.PAYMENT_REQUIRED,
        f"{_BUDGETS[facts.kind]} for AI models does not suffice: ${facts.spent:,.4f} of ${facts.limit:,.2f} are "
        f"spent, ${facts.reserved:,.4f} set aside for what is under way. It starts anew at "
        f"{facts.resets_at:%Y-%m-%d %H:%M} UTC.",
        headers={"x-should-retry": "false"},
        code="budget_reached",
        **msgspec.to_builtins(facts),
    )


def _from_depth(exc: RecursionError) -> ProblemDetailsException:
    if str(exc).endswith("while deserializing an object"):  # msgspec's, of a body; any other is ours
        return Problem(HTTPStatus.BAD_REQUEST, "The JSON body is nested too deeply.")
    return _from_unexpected(exc)


def _from_encoding(exc: UnicodeDecodeError) -> ProblemDetailsException:
    raised = exc.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    if raised is not None and raised.tb_frame.f_code is decode_json.__code__:  # of a body; any other is ours
        return Problem(HTTPStatus.BAD_REQUEST, "The JSON body is not encoded in UTF-8.")
    return _from_unexpected(exc)


def _from_outage(exc: Exception) -> ProblemDetailsException:
    log.error("database_unavailable", reason=str(exc))
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database does not answer. Try again in a moment.",
        headers={"Retry-After": "5"},
    )


def _from_unexpected(exc: Exception) -> ProblemDetailsException:
    if is_outage(exc):
        return _from_outage(exc)
    # The log has the whole of it; the reply has nothing of our insides.
    log.error("unexpected_error", exc_info=exc)
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side. The request id is in the log."
    )


_FAMILIES: dict[type[Exception], Callable[[Any], ProblemDetailsException]] = {
    HTTPException: _from_http,
    ValidationException: _from_validation,
    IngestError: _from_ingest,
    SearchError: _from_search,
    Refused: _from_refused,
    DatabaseError: _from_outage,
    RecursionError: _from_depth,
    UnicodeDecodeError: _from_encoding,
    Exception: _from_unexpected,
}
"""Every family of errors, mapped once; subclasses follow."""


def problem_details_plugin() -> ProblemDetailsPlugin:
    return ProblemDetailsPlugin(ProblemDetailsConfig(exception_to_problem_detail_map=dict(_FAMILIES)))


def error_families() -> list[type[Exception]]:
    """Return the classes that a router has to handle to answer every error in a form of its own."""
    return [ProblemDetailsException, *_FAMILIES]


def to_problem(exc: Exception) -> ProblemDetailsException:
    """Return the status and the sentence of whatever went wrong; what nobody expected is logged."""
    if isinstance(exc, ProblemDetailsException):
        return exc
    family = next(kind for kind in type(exc).__mro__ if kind in _FAMILIES)
    return _FAMILIES[family](exc)


def request_label(request: Request[Any, Any, Any]) -> str:
    """Return method and route template, never the path: ids in paths would make every label unique."""
    return f"{request.method} {request.scope.get('path_template', '')}"
