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
# And of the names in queries only these, and what is like them: APIs call their keys by any name.
_PLAIN_QUERY = frozenset(
    {"q", "query", "search", "text", "term", "page", "per_page", "page_size", "pagesize", "limit", "offset",
     "count", "start", "end", "from", "to", "since", "until", "before", "after", "sort", "sort_by", "order",
     "order_by", "direction", "fields", "filter", "include", "expand", "format", "lang", "language", "locale",
     "units", "timezone", "tz", "date", "time", "year", "month", "day", "type", "kind", "status", "state",
     "category", "tag", "tags", "name", "title", "lat", "lon", "lng", "latitude", "longitude", "country",
     "city", "address", "currency", "symbol", "version", "v", "api-version", "action", "method", "mode",
     "view", "alt", "size", "width", "height", "top", "skip", "x", "y"}
)  # fmt: skip
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
# Quoted texts that are names, or too short to be a secret: nodes['a'], items_of('a'), join(', ').
_NAMED = re.compile(r"""[\w\])]\s*\[\s*(?:"[^"\\]*"|'[^'\\]*')\s*\]|\bitems_of\(\s*(?:"[^"\\]*"|'[^'\\]*')\s*\)"""
                    r"""|"[^"\\]{0,3}"|'[^'\\]{0,3}'""")  # fmt: skip
# Addresses whose path is all that is asked for: whoever knows it may call them.
_CAPABILITY = re.compile(r"(^|\.)hooks\.slack\.com$|(^|\.)webhook\.office\.com$", re.IGNORECASE)
_CAPABILITY_PATH = re.compile(
    r"/(api/webhooks|v1/hooks|webhook|webhook-test)/|^/(?:file/)?bot\d+:", re.IGNORECASE
)
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s\"'<>{}]+", re.IGNORECASE)
# What an expression puts there is none of ours.
_QUERY_SECRET = re.compile(
    r"((?:^|[?&])(?:(?:[\w.-]{0,60}[_.-])?(?:token|key|apikey|secret|password|passwd|pwd|signature|sig|auth|accesstoken)"
    r"|code|sid)=)[^&#\s{]+",
    re.IGNORECASE,
)
# In a text that is JSON, or nearly: with expressions in it, it need not be.
_PAIR = re.compile(
    r"""(?P<key>(?P<q>["'])(?P<name>[\w.-]{1,60})(?P=q)\s*:\s*)"(?!\{\{)(?:[^"\\\n]|\\.){1,10000}\""""
)


_CREDENTIALS = frozenset({"credential", "hmac"})


def strip_credentials(nodes: Sequence[Any]) -> list[Any]:
    """Return the nodes without credentials: nothing that is given is changed, and what is left stays as it was.

    Keys that are called as secrets are go with their values, also where {"name": "X-Api-Key", "value": …} says so.
    """
    return [_stripped(node) for node in nodes]


def without_credential_names(node: Any) -> tuple[Any, list[str]]:
    """Return a node without the names of credentials that it would use, and the keys of data that went.

    In another space they may be the names of other people's.
    """
    data = node.get("data") if isinstance(node, dict) else None
    if not isinstance(data, dict) or not (gone := [key for key in data if key in _CREDENTIALS]):
        return node, []
    return {**node, "data": {key: value for key, value in data.items() if key not in gone}}, gone


def _stripped(value: Any) -> Any:
    match value:
        case str():
            return _without_secrets(value)
        case dict():
            return {
                key: _stripped_under(key, inner, value)
                for key, inner in value.items()
                if not is_secret_name(key) and not (key == "value" and _names_a_secret(value))
            }
        case list():
            return [_stripped(inner) for inner in value]
        case _:
            return value


def _stripped_under(key: str, value: Any, beside: Mapping[str, Any]) -> Any:
    match key.lower():
        case "headers":
            return _plain(value, _PLAIN_HEADERS)
        case "query" if "url" in beside:  # of a request, and not what is searched for
            return _plain(value, _PLAIN_QUERY)
        case _:
            return _stripped(value)


def _plain(pairs: Any, plain_names: frozenset[str]) -> Any:
    """Return headers or a query without the literals that may say who sends them; what is an expression stays."""
    if not isinstance(pairs, dict):
        return _stripped(pairs)
    return {
        name: _stripped(value)
        for name, value in pairs.items()
        if not is_secret_name(name)
        and (name.lower() in plain_names or _is_harmless(value) or _is_made_when_run(value))
    }


def _is_harmless(value: Any) -> bool:
    """Return whether a value is too little to be a secret."""
    return value is None or (isinstance(value, bool | int | float) and abs(value) < 1_000)


def _is_made_when_run(value: Any) -> bool:
    """Return whether a text is all expressions, and none of them has its value written in it."""
    if not isinstance(value, str) or not value.strip().startswith("{{"):
        return False
    between = _EXPRESSION.sub("", value).strip()
    return len(between) <= 3 and not any(
        set("'\"") & set(_NAMED.sub("", inside)) for inside in _EXPRESSION.findall(value)
    )


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
