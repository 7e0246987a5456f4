"""What an endpoint may look like: checked when it is given, and its address again at every connection."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import get_args

from db.outbox import EventType
from ingest.outbound import AddressRefused, Network, check_url, is_allowed, literal_address, wire_url
from service.errors import Problem

EVENT_TYPES: tuple[str, ...] = get_args(EventType)


def checked_url(url: str, allowed_networks: Sequence[Network]) -> str:
    """Return url. Raises Problem for what could never be delivered to."""
    if not url.isprintable():
        raise _unusable("The address holds a control character.")
    try:
        parts = check_url(url)
        wire_url(url)
    except AddressRefused as exc:
        raise _unusable(str(exc)) from exc
    encrypted = parts.scheme == "https"
    if not encrypted and not allowed_networks:
        raise _unusable("The address must be an https URL.")
    address = literal_address(parts.hostname or "")
    if address is not None and not is_allowed(address, allowed_networks, public=encrypted):
        wanted = "The address must be public." if encrypted else "The address must be an https URL."
        raise _unusable(wanted)
    return url


def _unusable(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"url: {detail}")


def checked_events(names: Sequence[str]) -> list[str]:
    """Return the names, each once, in their order. Raises Problem for one that no event has."""
    unknown = [name for name in names if name not in EVENT_TYPES]
    if unknown:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"events: there is no {', '.join(sorted(set(unknown)))}; there are {', '.join(EVENT_TYPES)}.",
            known=list(EVENT_TYPES),
        )
    return list(dict.fromkeys(names))
