"""A workflow without what is secret in it, for others to see: public ones, copies of them, exports."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from service.engine.secret_text import is_secret_name, replace_keys

# Of literal headers only these are known to say nothing about who sends them.
_PLAIN_HEADERS = frozenset(
    {"accept", "accept-charset", "accept-language", "cache-control", "content-language", "content-type", "if-match",
     "if-none-match", "idempotency-key", "origin", "prefer", "range", "referer", "user-agent", "x-request-id"}
)  # fmt: skip
# Addresses whose path is all that is asked for: whoever knows it may call them.
_CAPABILITY = re.compile(r"(^|\.)hooks\.slack\.com$|(^|\.)webhook\.office\.com$", re.IGNORECASE)
_CAPABILITY_PATH = re.compile(r"/(api/webhooks|v1/hooks|webhook|webhook-test)/", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>{}]+", re.IGNORECASE)
# What an expression puts there is none of ours.
_QUERY_SECRET = re.compile(
    r"((?:^|[?&])(?:[\w.-]{0,60}[_.-])?(?:token|key|apikey|secret|password|passwd|pwd|signature|sig|auth|accesstoken)=)[^&#\s{]+",
    re.IGNORECASE,
)
# In a text that is JSON, or nearly: with expressions in it, it need not be.
_PAIR = re.compile(
    r"""(?P<key>(?P<q>["'])(?P<name>[\w.-]{1,60})(?P=q)\s*:\s*)"(?!\{\{)(?:[^"\\\n]|\\.){1,10000}\""""
)


def strip_credentials(nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes without credentials: nothing that is given is changed, and what is left stays as it was.

    Keys that are called as secrets are go with their values, also where {"name": "X-Api-Key", "value": …} says so.
    """
    return [_stripped(node) for node in nodes]


def _stripped(value: Any) -> Any:
    match value:
        case str():
            return _without_secrets(value)
        case dict():
            return {
                key: _plain_headers(inner) if key.lower() == "headers" else _stripped(inner)
                for key, inner in value.items()
                if not is_secret_name(key) and not (key == "value" and _names_a_secret(value))
            }
        case list():
            return [_stripped(inner) for inner in value]
        case _:
            return value


def _plain_headers(headers: Any) -> Any:
    """Return headers without those that a literal of may say who sends them; what is an expression stays."""
    if not isinstance(headers, dict):
        return _stripped(headers)
    return {
        name: _stripped(value)
        for name, value in headers.items()
        if name.lower() in _PLAIN_HEADERS
        or (isinstance(value, str) and value.strip().startswith("{{") and not is_secret_name(name))
    }


def _names_a_secret(pair: Mapping[str, Any]) -> bool:
    name = pair.get("name", pair.get("key"))
    return isinstance(name, str) and is_secret_name(name)


def _without_secrets(text: str) -> str:
    """Return a text without what is secret in addresses, forms and JSON, and without keys of a known form."""
    if "://" in text:
        text = _URL.sub(lambda match: _clean_address(match.group()), text)
    if "=" in text:
        text = _QUERY_SECRET.sub(r"\1", text)
    if ":" in text:
        text = _PAIR.sub(_without_value, text)
    return replace_keys(text, "")


def _without_value(pair: re.Match[str]) -> str:
    return f'{pair["key"]}""' if is_secret_name(pair["name"]) else pair.group()


def _clean_address(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    if _CAPABILITY.search(parts.hostname or "") or _CAPABILITY_PATH.search(parts.path):
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "/", "", ""))
    if "@" not in parts.netloc:
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
