"""A workflow without what is secret in it, for others to see: public ones, copies of them, exports."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_SECRET_HEADERS = frozenset({"authorization", "proxyauthorization", "cookie", "setcookie"})
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|secret|token|api-?key|access-?key|private-?key|credential|authori[sz]ation|bearer"
    r"|signature|\bsig\b",
    re.IGNORECASE,
)
# Counts of tokens, and what is about paging, are none.
_HARMLESS_NAME = re.compile(
    r"(max|min|num|total|prompt|completion|count|next|page).*tokens?$|^tokens$", re.IGNORECASE
)
_DROPPED = frozenset({"credential", "credentials", "hmac", "webhookurl"})
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>{}]+", re.IGNORECASE)
# What an expression puts there is none of ours.
_QUERY_SECRET = re.compile(
    r"([?&](?:[\w.-]{0,60}[_.-])?(?:token|key|apikey|secret|password|passwd|pwd|signature|sig|auth|accesstoken)=)[^&#\s{]+",
    re.IGNORECASE,
)


def strip_credentials(nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes without credentials: nothing that is given is changed, and what is left stays as it was.

    Keys that are called as secrets are go with their values, also where {"name": "X-Api-Key", "value": …} says so.
    """
    return [_stripped(node) for node in nodes]


def _stripped(value: Any) -> Any:
    match value:
        case str():
            return _without_userinfo(value)
        case dict():
            return {
                key: _stripped(inner)
                for key, inner in value.items()
                if not is_secret_name(key) and not (key == "value" and _names_a_secret(value))
            }
        case list():
            return [_stripped(inner) for inner in value]
        case _:
            return value


def is_secret_name(name: str) -> bool:
    """Return whether what is called so is, by its name, a secret or leads to one."""
    plain = re.sub(r"[_\-\s]", "", name[:200]).lower()
    if plain in _DROPPED or plain in _SECRET_HEADERS:
        return True
    return bool(_SECRET_NAME.search(plain)) and not _HARMLESS_NAME.search(plain)


def _names_a_secret(pair: Mapping[str, Any]) -> bool:
    name = pair.get("name", pair.get("key"))
    return isinstance(name, str) and is_secret_name(name)


def _without_userinfo(text: str) -> str:
    """Return a text whose addresses have no user, no password, and no secret in their queries."""
    if "://" in text:
        text = _URL.sub(lambda match: _clean_address(match.group()), text)
    return _QUERY_SECRET.sub(r"\1", text) if "=" in text else text


def _clean_address(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
