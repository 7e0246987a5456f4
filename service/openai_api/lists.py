"""Lists as OpenAI's clients page through them: the last id of a page leads to the next."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from litestar.params import QueryParameter

from service.errors import Problem

T = TypeVar("T")
R = TypeVar("R")

Order = Annotated[Literal["asc", "desc"], QueryParameter(description="By the time of creation.")]
Limit = Annotated[int, QueryParameter(ge=1, le=100, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=200, description="The last id of the page before.")]
Before = Annotated[str | None, QueryParameter(max_length=200, description="The first id of the page after.")]


class CursorPage(msgspec.Struct, Generic[T], kw_only=True, frozen=True):
    """One page; its last id goes into `after` to get the next. An empty page has no ids."""

    object: Literal["list"]
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


def to_page(
    rows: Sequence[R],
    limit: int,
    show: Callable[[R], T],
    id_of: Callable[[T], str],
    *,
    backwards: bool = False,
) -> CursorPage[T]:
    """Return a page of rows, of which one more than limit was asked for; backwards, the first is the one too many."""
    more = len(rows) > limit
    shown = rows[1:] if more and backwards else rows[:limit]
    data = [show(row) for row in shown]
    return CursorPage(
        object="list",
        data=data,
        first_id=id_of(data[0]) if data else None,
        last_id=id_of(data[-1]) if data else None,
        has_more=more,
    )


def no_place(name: str) -> Problem:
    """Return 400 for a cursor that is not in the list, or not any more."""
    return Problem(
        HTTPStatus.BAD_REQUEST,
        f"{name}: not in this list, or not any more. Begin the list again.",
        param=name,
        code="invalid_cursor",
    )
