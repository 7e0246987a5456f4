"""Clerk's webhook: what an event is, whether it is genuine, and what it says of whom.

https://clerk.com/docs/webhooks/overview; Clerk sends through Svix, so a message may come twice, late, or in another
order than things happened: what it says carries the time at which it was so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from service.auth.identity import is_usable_subject, read_email, read_https_url, read_text, read_username

MAX_BODY_BYTES = 1024 * 1024
_MAX_MESSAGE_ID_LENGTH = 255


class EventRefused(Exception):
    """The message is not genuine, or not one that Clerk sends; the sentence says which."""


@dataclass(frozen=True, slots=True)
class ClerkUser:
    """A person as Clerk had them at a moment."""

    clerk_id: str
    email: str | None
    """The primary address in lower case, None unless it is verified."""
    first_name: str | None
    last_name: str | None
    username: str | None
    image_url: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class ClerkDeletion:
    clerk_id: str
    at_ms: int


class _Verification(msgspec.Struct):
    status: str | None = None


class _Address(msgspec.Struct):
    id: str
    email_address: str
    verification: _Verification | None = None


class _User(msgspec.Struct):
    id: str
    email_addresses: list[_Address] = []
    primary_email_address_id: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    username: str | None = None
    image_url: str | None = None
    updated_at: int | None = None


class _Envelope(msgspec.Struct):
    type: str
    data: msgspec.Raw
    timestamp: int | None = None


class _Deleted(msgspec.Struct):
    id: str


def verify_message(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> str:
    """Return the id of a genuine message, the same each time that it is sent. Raises EventRefused.

    A message is genuine when one of the secrets signed it and it was sent within five minutes of now; with two
    secrets, one can be replaced while messages keep coming.
    """
    # Here, because svix brings all of its client along, which takes most of a second.
    from svix.webhooks import Webhook, WebhookVerificationError

    for secret in secrets:
        endpoint = Webhook(secret)
        try:
            endpoint.verify(body, dict(headers))
        except (
            WebhookVerificationError,
            ValueError,
        ):  # ValueError: what is no signature, number or UTF-8 at all
            continue
        message_id = headers.get("svix-id") or headers["webhook-id"]
        if len(message_id) > _MAX_MESSAGE_ID_LENGTH or not message_id.isprintable():
            break
        return message_id
    raise EventRefused("The message is not signed with a secret of this endpoint, or was sent too long ago.")


def check_secret(secret: str) -> None:
    """Raise ValueError for what cannot be a signing secret."""
    from svix.webhooks import Webhook

    try:
        Webhook(secret)
    except Exception as exc:
        raise ValueError("must be a signing secret as Clerk shows it, whsec_…") from exc


def read_event(body: bytes) -> ClerkUser | ClerkDeletion | None:
    """Return what a genuine message says, None when it is about something else. Raises EventRefused."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        match envelope.type:
            case "user.created" | "user.updated":
                return _read_user(msgspec.json.decode(envelope.data, type=_User), envelope)
            case "user.deleted":
                return _read_deletion(msgspec.json.decode(envelope.data, type=_Deleted), envelope)
            case _:
                return None
    except msgspec.DecodeError as exc:
        raise EventRefused("The message does not have the form of Clerk's events.") from exc


def _read_user(user: _User, envelope: _Envelope) -> ClerkUser:
    at_ms = envelope.timestamp if user.updated_at is None else user.updated_at
    return ClerkUser(
        clerk_id=_check_id(user.id),
        email=_primary_email(user),
        first_name=read_text(user.first_name),
        last_name=read_text(user.last_name),
        username=read_username(user.username),
        image_url=read_https_url(user.image_url),
        at_ms=_check_moment(at_ms),
    )


def _read_deletion(deleted: _Deleted, envelope: _Envelope) -> ClerkDeletion:
    return ClerkDeletion(clerk_id=_check_id(deleted.id), at_ms=_check_moment(envelope.timestamp))


def _primary_email(user: _User) -> str | None:
    for address in user.email_addresses:
        if address.id == user.primary_email_address_id:
            verified = address.verification is not None and address.verification.status == "verified"
            return read_email(address.email_address) if verified else None
    return None


def _check_id(clerk_id: str) -> str:
    if not is_usable_subject(clerk_id):
        raise EventRefused("The event is about somebody whose id cannot be one of Clerk's.")
    return clerk_id


# The year 9999: what comes after it is no date for anybody here.
_LAST_MOMENT_MS = 253_370_764_800_000


def _check_moment(moment_ms: int | None) -> int:
    if moment_ms is None or not 0 < moment_ms < _LAST_MOMENT_MS:
        raise EventRefused("The event does not say when it happened.")
    return moment_ms
