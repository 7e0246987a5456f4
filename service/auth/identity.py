"""Who somebody is, as their identity provider says it: from the claims of a verified token or event."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from db.accounts import PLACEHOLDER_DOMAIN
from service.auth.errors import TokenRefused

USERNAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{1,38}$"
"""What a username looks like, here as in an address of a page."""

_MAX_SUBJECT_LENGTH = 255
_MAX_TEXT_LENGTH = 255
_MAX_EMAIL_LENGTH = 254
_MAX_URL_LENGTH = 2048
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
# People without an identity provider have ids of this form in the same column; see db/users.py.
_RESERVED_PREFIX = "local-"


@dataclass(frozen=True, slots=True)
class Identity:
    """What the issuer says of the person a token is for."""

    subject: str
    email: str | None
    email_verified: bool
    """True only when the issuer says so; what is not verified may be anybody's address."""
    first_name: str | None
    last_name: str | None
    username: str | None
    image_url: str | None
    session_id: str | None
    issued_at: datetime
    expires_at: datetime


def read_identity(claims: dict[str, Any]) -> Identity:
    """Return the person that verified claims are about. Raises TokenRefused."""
    subject = claims["sub"]
    if not is_usable_subject(subject):
        raise TokenRefused("The token's subject cannot be used as an id here.")
    email = read_email(claims.get("email"))
    return Identity(
        subject=subject,
        email=email,
        email_verified=email is not None and claims.get("email_verified") is True,
        first_name=_first_text(claims, "given_name", "first_name"),
        last_name=_first_text(claims, "family_name", "last_name"),
        username=read_username(claims.get("preferred_username")) or read_username(claims.get("username")),
        image_url=read_https_url(claims.get("picture")) or read_https_url(claims.get("image_url")),
        session_id=_first_text(claims, "sid"),
        issued_at=_read_moment(claims["iat"]),
        expires_at=_read_moment(claims["exp"]),
    )


def is_usable_subject(subject: str) -> bool:
    """Say whether an issuer's id for somebody can be theirs here: it is nobody's who has no identity provider."""
    fits = 0 < len(subject) <= _MAX_SUBJECT_LENGTH and subject.isprintable()
    return fits and not subject.startswith(_RESERVED_PREFIX)


def _read_moment(value: Any) -> datetime:
    try:
        return datetime.fromtimestamp(int(value), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        raise TokenRefused("The token's times are not dates.") from exc


def _first_text(claims: dict[str, Any], *names: str) -> str | None:
    return next((text for name in names if (text := read_text(claims.get(name)))), None)


def read_text(value: Any) -> str | None:
    """Return a name as it can be stored and shown, None for what is none."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if text and text.isprintable() and len(text) <= _MAX_TEXT_LENGTH else None


def read_username(value: Any) -> str | None:
    """Return a username, None for what is none: some providers put an e-mail address there."""
    return value if isinstance(value, str) and re.fullmatch(USERNAME, value) else None


def read_email(value: Any) -> str | None:
    """Return an e-mail address in lower case, None for what is none."""
    text = read_text(value)
    if text is None or len(text) > _MAX_EMAIL_LENGTH or _EMAIL.fullmatch(text) is None:
        return None
    address = text.lower()
    return None if address.endswith(f"@{PLACEHOLDER_DOMAIN}") else address


def read_https_url(value: Any) -> str | None:
    """Return a URL that a page may show an image from, None for what is none."""
    if not isinstance(value, str) or not value.startswith("https://") or len(value) > _MAX_URL_LENGTH:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None
