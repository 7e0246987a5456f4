"""Wire types that every slice shares."""

from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], kw_only=True, frozen=True):
    """One page of a list; next_cursor goes into `after` to get the next."""

    data: list[T]
    has_more: bool
    next_cursor: str | None


class ProblemBody(msgspec.Struct, kw_only=True, frozen=True, rename={"type_": "type"}):
    """RFC 9457 problem details, as every error has them."""

    type_: str
    title: str
    status: int
    detail: str
