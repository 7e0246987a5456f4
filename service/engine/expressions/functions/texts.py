"""Filters of texts."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from service.engine.expressions.functions.reading import as_count, as_list, as_text, contained
from service.engine.expressions.functions.registry import expression_filter
from service.engine.expressions.language import Refusal, budget


@expression_filter("upper", "in capitals", "input.name | upper", "ADA")
def _upper(value: Any) -> str:
    return as_text(value).upper()


@expression_filter("lower", "in small letters", "input.name | lower", "ada")
def _lower(value: Any) -> str:
    return as_text(value).lower()


@expression_filter("title", "each word with a capital", "input.text | title", "One Two")
def _title(value: Any) -> str:
    return as_text(value).title()


@expression_filter(
    "capitalize", "the first letter a capital, the others small", "input.text | capitalize", "One two"
)
def _capitalize(value: Any) -> str:
    return as_text(value).capitalize()


@expression_filter("trim", "without white space around it", "'  a ' | trim", "a")
def _trim(value: Any) -> str:
    return as_text(value).strip()


@expression_filter(
    "replace", "every occurrence of a text replaced", "input.text | replace('one', '1')", "1 two"
)
def _replace(value: Any, old: Any, new: Any) -> str:
    text, wanted, other = as_text(value), as_text(old), as_text(new)
    if not wanted:
        raise Refusal("Nothing cannot be replaced.")
    budget().allow(len(text) + text.count(wanted) * (len(other) - len(wanted)))
    return text.replace(wanted, other)


@expression_filter(
    "split", "cut at a separator, at white space without one", "input.text | split(' ')", ["one", "two"]
)
def _split(value: Any, separator: Any = None) -> list[str]:
    text = as_text(value)
    if separator is None:
        return text.split()
    wanted = as_text(separator)
    if not wanted:
        raise Refusal("A separator has a character at least.")
    return text.split(wanted)


@expression_filter("lines", "cut at line ends", "'a\\nb' | lines", ["a", "b"])
def _lines(value: Any) -> list[str]:
    return as_text(value).splitlines()


@expression_filter("join", "a list as one text", "input.tags | join(', ')", "b, a, b")
def _join(value: Any, separator: Any = "") -> str:
    parts, glue = [as_text(part) for part in budget().each(as_list(value))], as_text(separator)
    budget().allow(sum(map(len, parts)) + len(glue) * len(parts))
    return glue.join(parts)


@expression_filter(
    "truncate", "cut after so many characters, with … at the end", "input.text | truncate(4)", "one…"
)
def _truncate(value: Any, length: Any, end: Any = "…") -> str:
    text, most = as_text(value), max(as_count(length), 0)
    return text if len(text) <= most else text[: max(most - len(as_text(end)), 0)] + as_text(end)


@expression_filter(
    "slice_text", "the characters from a place up to another", "input.text | slice_text(0, 3)", "one"
)
def _slice_text(value: Any, start: Any, stop: Any = None) -> str:
    return as_text(value)[as_count(start) : None if stop is None else as_count(stop)]


@expression_filter(
    "starts_with", "whether a text begins with another", "input.text | starts_with('one')", True
)
def _starts_with(value: Any, prefix: Any) -> bool:
    return as_text(value).startswith(as_text(prefix))


@expression_filter("ends_with", "whether a text ends with another", "input.text | ends_with('two')", True)
def _ends_with(value: Any, suffix: Any) -> bool:
    return as_text(value).endswith(as_text(suffix))


@expression_filter(
    "contains", "whether a text, list or object has something in it", "input.tags | contains('a')", True
)
def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, list | tuple | Mapping):
        return contained(value, wanted)
    return as_text(wanted) in as_text(value)


@expression_filter("urlencode", "as part of a URL", "'a b&c' | urlencode", "a%20b%26c")
def _urlencode(value: Any) -> str:
    text = as_text(value)
    budget().allow(len(text.encode()) * 3)
    return quote(text, safe="")


@expression_filter("base64", "in base 64", "input.name | base64", "QWRh")
def _base64(value: Any) -> str:
    text = as_text(value).encode()
    budget().allow(len(text) * 4 // 3 + 4)
    return base64.b64encode(text).decode()


@expression_filter(
    "sha256", "its SHA-256, in hexadecimal", "input.blank | sha256", hashlib.sha256(b"").hexdigest()
)
def _sha256(value: Any) -> str:
    return hashlib.sha256(as_text(value).encode()).hexdigest()
