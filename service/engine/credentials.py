"""Secrets that nodes use by name, opened where they are used and nowhere else."""

import base64
import contextlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from db.credentials import CredentialRow, find_credential, list_sealed
from service.engine.definition import NodeDef
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


async def open_credential(services: Services, space_id: str, name: str, url: str) -> dict[str, str]:
    """Return the headers that a credential of the space adds to a request. Raises NodeError."""
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
    value = open_value(services.secret_box, row)
    _note(value)
    match value:
        case Bearer(token=token):
            return {"Authorization": f"Bearer {token}"}
        case Basic():
            return {"Authorization": f"Basic {_encoded(value)}"}
        case Header(name=header, value=secret):
            return {header: secret}
        case Hmac():
            raise NodeError(
                "A credential of kind hmac signs webhooks; it is sent nowhere.", code="credential_unusable"
            )


async def note_credentials(services: Services, space_id: str, nodes: Sequence[NodeDef]) -> None:
    """Keep what earlier turns of a run sent out of the log of this one: it may be in the items that came of it."""
    named = {node.data.get("credential") for node in nodes}
    names = [storable(name) for name in named if isinstance(name, str)]
    if not names:
        return
    async with services.pool.acquire() as conn:
        rows = await list_sealed(conn, space_id, names)
    for row in rows:
        # One that cannot be read was sent nowhere, and whoever needs it is told.
        with contextlib.suppress(NodeError):
            _note(open_value(services.secret_box, row))


def _note(value: Value) -> None:
    match value:
        case Bearer(token=secret) | Header(value=secret) | Hmac(secret=secret):
            note_secret(secret)
        case Basic(password=password):
            note_secret(password)
            note_secret(_encoded(value))


def _encoded(value: Basic) -> str:
    return base64.b64encode(f"{value.username}:{value.password}".encode()).decode()


def _covers(wanted: str, host: str) -> bool:
    wanted = wanted.lower()
    return host == wanted or (wanted.startswith("*.") and host.endswith(wanted[1:]))
