"""A credential of the run's space as the headers of a request; only to the hosts that it may be sent to."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from db.credentials import find_credential
from service.engine.errors import NodeError
from service.engine.services import Services
from service.secrets import SecretUnreadable
from service.text import storable


async def open_credential(services: Services, space_id: str, name: str, url: str) -> dict[str, str]:
    """Return the headers that a credential adds to a request to url. Raises NodeError, which holds nothing of it."""
    async with services.pool.acquire() as conn:
        row = await find_credential(conn, space_id, storable(name))
    if row is None:
        raise NodeError(
            f"There is no credential {name!r} here.", code="credential_not_found", field="data.credential"
        )
    host = (urlsplit(url).hostname or "").rstrip(".")
    if not may_go_to(host, row.hosts):
        raise NodeError(
            f"The credential {name!r} may not be sent to {host}.",
            code="credential_host",
            field="data.credential",
        )
    try:
        value = msgspec.json.decode(services.secret_box.open(row.sealed), type=dict[str, Any])
        return _headers(row.kind, value)
    except SecretUnreadable as exc:
        raise NodeError(f"The credential {name!r}: {exc}", code="credential_unreadable") from exc
    except (msgspec.DecodeError, KeyError, ValueError):
        # Not from the error, which may quote the secret.
        raise NodeError(
            f"The credential {name!r} cannot be sent with a request.", code="credential_unusable"
        ) from None


def may_go_to(host: str, hosts: Sequence[str]) -> bool:
    """Return whether a host is one of these, or below one that is given as *.example.com; none: anywhere."""
    wanted = host.lower()
    return not hosts or any(_fits(wanted, allowed.lower().rstrip(".")) for allowed in hosts)


def _fits(host: str, allowed: str) -> bool:
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed


def _headers(kind: str, value: Mapping[str, Any]) -> dict[str, str]:
    match kind:
        case "bearer":
            return {"Authorization": f"Bearer {value['token']}"}
        case "basic":
            pair = f"{value['username']}:{value['password']}".encode()
            return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        case "header":
            return {str(value["name"]): str(value["value"])}
        case _:
            raise ValueError("this kind signs what comes in")
