"""Accounts on the wire."""

from datetime import datetime
from typing import Annotated

import msgspec

from db.accounts import Account
from service.accounts.deletion import Erased
from service.auth.identity import USERNAME

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
ImageUrl = Annotated[str, msgspec.Meta(pattern=r"^https://[!-~]+$", max_length=2048)]
Username = Annotated[str, msgspec.Meta(pattern=USERNAME)]


class Me(msgspec.Struct, kw_only=True, frozen=True):
    """The account of whoever asks."""

    id: str
    email: str | None
    """Null until the identity provider has told a verified one."""
    email_verified: bool
    first_name: str | None
    last_name: str | None
    username: str | None
    image_url: str | None
    onboarding_completed: bool
    created_at: datetime
    last_login_at: datetime | None


class MePatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed; null clears a field. The address is the identity provider's to change."""

    first_name: Name | msgspec.UnsetType | None = msgspec.UNSET
    last_name: Name | msgspec.UnsetType | None = msgspec.UNSET
    username: Username | msgspec.UnsetType | None = msgspec.UNSET
    image_url: ImageUrl | msgspec.UnsetType | None = msgspec.UNSET
    onboarding_completed: bool | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        for name in ("first_name", "last_name", "username", "image_url"):
            value = getattr(self, name)
            # A pattern's $ lets a line end pass, and PostgreSQL has no NUL in its texts.
            if isinstance(value, str) and not value.isprintable():
                raise ValueError(f"{name} holds a character that cannot be shown")


class Confirmation(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One's own e-mail address, or the account's id where there is none: so that nobody is deleted by accident."""

    confirm: Annotated[str, msgspec.Meta(max_length=400)]


class DeletionReceipt(msgspec.Struct, kw_only=True, frozen=True):
    """What became of everything that was somebody's, in rows by kind."""

    deleted: dict[str, int]
    handed_over: dict[str, int]
    """To an owner of the team that it belongs to."""
    anonymised: dict[str, int]
    remaining: int
    """Rows that are still theirs, counted after it was done: 0."""


def to_me(account: Account) -> Me:
    return Me(
        id=account.id,
        email=account.address,
        email_verified=account.email_verified,
        first_name=account.first_name,
        last_name=account.last_name,
        username=account.username,
        image_url=account.image_url,
        onboarding_completed=account.onboarding_completed,
        created_at=account.created_at,
        last_login_at=account.last_login_at,
    )


def to_receipt(erased: Erased, remaining: int) -> DeletionReceipt:
    return DeletionReceipt(
        deleted=erased.deleted,
        handed_over=erased.handed_over,
        anonymised=erased.anonymised,
        remaining=remaining,
    )
