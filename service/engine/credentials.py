"""Secrets that nodes use by name, opened where they are used and nowhere else."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from db.credentials import CredentialRow, find_credential
from service.engine.errors import NodeError
from service.engine.run.log import note_secret
from service.engine.services import Services
from service.secrets import SecretBox, SecretUnreadable
from service.text import storable


class Bearer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    token: str


class Basic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    username: str
    password: str


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    value: str


class Hmac(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    secret: str


Value = Bearer | Basic | Header | Hmac
KINDS: dict[str, type[Bearer | Basic | Header | Hmac]] = {
    "bearer": Bearer,
    "basic": Basic,
    "header": Header,
    "hmac": Hmac,
}


def read_value(kind: str, value: Any) -> Value:
    """Return what a credential of a kind holds. Raises msgspec.ValidationError, which does not repeat it."""
    return msgspec.convert(value, KINDS[kind])


def open_value(secret_box: SecretBox, row: CredentialRow) -> Value:
    """Raises NodeError where it cannot be read."""
    try:
        return read_value(row.kind, msgspec.json.decode(secret_box.open(row.sealed)))
    except (SecretUnreadable, msgspec.MsgspecError, KeyError):
        raise NodeError("The credential cannot be read: set it anew.", code="credential_unreadable") from None


@dataclass(frozen=True, slots=True)
class Opened:
    """What a credential adds to a request, and what of that nobody else is to see."""

    headers: dict[str, str]
    secrets: tuple[str, ...]


async def open_credential(services: Services, space_id: str, name: str, url: str) -> Opened:
    """Return what a credential of the space sends along. Raises NodeError."""
    async with services.pool.acquire() as conn:
        row = await find_credential(conn, space_id, storable(name))
    if row is None:
        raise NodeError(
            f"There is no credential {name[:80]!r} here.",
            code="credential_not_found",
            field="data.credential",
        )
    host = (urlsplit(url).hostname or "").lower()
    if row.hosts and not any(_covers(wanted, host) for wanted in row.hosts):
        raise NodeError(
            f"The credential {name[:80]!r} is not for {host}.",
            code="credential_host",
            field="data.credential",
        )
    opened = _opened(open_value(services.secret_box, row))
    for secret in opened.secrets:
        note_secret(secret)
    return opened


def _opened(value: Value) -> Opened:
    match value:
        case Bearer(token=token):
            return Opened({"Authorization": f"Bearer {token}"}, (token,))
        case Basic(username=username, password=password):
            encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
            return Opened({"Authorization": f"Basic {encoded}"}, (password, encoded))
        case Header(name=header, value=secret):
            return Opened({header: secret}, (secret,))
        case Hmac():
            raise NodeError(
                "A credential of kind hmac signs webhooks; it is sent nowhere.", code="credential_unusable"
            )


def _covers(wanted: str, host: str) -> bool:
    wanted = wanted.lower()
    return host == wanted or (wanted.startswith("*.") and host.endswith(wanted[1:]))
