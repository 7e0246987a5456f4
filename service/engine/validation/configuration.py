"""A node's data against the typed configuration of its type."""

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import FieldInfo

from service.engine.definition import NodeDef
from service.engine.expressions import ExpressionError, check, holds_expression, parts_of, shortened
from service.engine.nodes.base import NodeType
from service.engine.validation.issues import Issue, error, warning

MAX_TEXTS = 2_000
"""With expressions in them, in one workflow."""
MAX_PARTS = 20_000
"""Of all their expressions; one may have 400."""
_MAX_PATH_CHARS = 300
_MAX_KEYS = 200
"""Of a node, that are looked at for misspellings."""

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|(\[\.\.\.\])")


def check_amount(nodes: Iterable[tuple[NodeDef, NodeType[Any]]]) -> Issue | None:
    """Return what is wrong where there are more expressions than can be looked at in a second or two.

    Nothing is read before it is known that there are not too many texts, and each only once.
    """
    texts: list[tuple[str, str]] = []
    for node, node_type in nodes:
        for field in msgspec.structs.fields(node_type.config):
            found = texts_in(node.data.get(field.encode_name), "")
            texts += ((node.id, text) for _, text in islice(found, MAX_TEXTS + 1 - len(texts)))
            if len(texts) > MAX_TEXTS:
                return error(
                    "too_many_expressions",
                    f"More than {MAX_TEXTS:,} texts of the workflow hold expressions; so many are the most.",
                    node=node.id,
                    field=f"data.{field.encode_name}",
                )
    parts = 0
    for node_id, text in texts:
        parts += parts_of(text)
        if parts > MAX_PARTS:
            return error(
                "too_many_expressions",
                f"The expressions of the workflow have more than {MAX_PARTS:,} parts; so many are the most.",
                node=node_id,
            )
    return None


def check_data(node: NodeDef, node_type: NodeType[Any]) -> Iterator[Issue]:
    """Say what is wrong with each key by itself, so that one mistake does not hide another."""
    fields = msgspec.structs.fields(node_type.config)
    wrong: set[str] = set()
    for field in fields:
        for issue in _check_field(node, field):
            wrong.add(field.encode_name)
            yield issue
    for key, message in node_type.problems(node.data):
        # What has the wrong type, or is missing, has been said.
        if re.split(r"[.\[]", key)[0] not in wrong:
            yield error(
                "bad_config",
                f"{shortened(key, _MAX_PATH_CHARS)} {message}.",
                node=node.id,
                field=shortened(f"data.{key}", _MAX_PATH_CHARS),
            )
    yield from _check_unknown(node, node_type, [field.encode_name for field in fields])


def _check_field(node: NodeDef, field: FieldInfo) -> Iterator[Issue]:
    name = field.encode_name
    if name not in node.data:
        if field.required:
            yield error("missing_field", f"{name} is missing.", node=node.id, field=f"data.{name}")
        return
    value = node.data[name]
    found = list(_check_expressions(node, value, f"data.{name}"))
    yield from found
    if not found:
        yield from _check_type(node, field, value)


def texts_in(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield every text in a JSON value that holds an expression, with its path; keys are never evaluated.

    Long keys and paths are cut: many texts may be under one key.
    """
    match value:
        case str():
            if holds_expression(value):
                yield shortened(path, _MAX_PATH_CHARS), value
        case dict():
            for key, inner in value.items():
                yield from texts_in(inner, f"{path}.{shortened(key)}")
        case list():
            for place, inner in enumerate(value):
                yield from texts_in(inner, f"{path}[{place}]")


def _check_expressions(node: NodeDef, value: Any, path: str) -> Iterator[Issue]:
    for place, text in texts_in(value, path):
        try:
            check(text)
        except ExpressionError as exc:
            yield error("bad_expression", f"{exc.detail}.", node=node.id, field=place)


def _check_type(node: NodeDef, field: FieldInfo, value: Any) -> Iterator[Issue]:
    if isinstance(value, str) and holds_expression(value):
        return  # what it comes to is known when it runs
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as exc:
        detail, _, inside = str(exc).partition(" - at `$")
        inside = inside.rstrip("`")
        if not _is_open(value, inside):
            path = f"data.{field.encode_name}{inside}"
            yield error("bad_config", f"{detail}.", node=node.id, field=path)


def _is_open(value: Any, path: str) -> bool:
    """Return whether what a path leads to is, or holds, an expression; [...] stands for any value of an object."""
    reached = [value]
    for name, place, anywhere in _STEP.findall(path):
        reached = [inner for one in reached for inner in _step(one, name, place, bool(anywhere))]
    return any(True for one in reached for _ in texts_in(one, ""))


def _step(value: Any, name: str, place: str, anywhere: bool) -> list[Any]:
    match value:
        case dict() if anywhere:
            return list(value.values())
        case dict() if name in value:
            return [value[name]]
        case list() if anywhere:
            return value
        case list() if place and int(place) < len(value):
            return [value[int(place)]]
        case _:
            return []


def _check_unknown(node: NodeDef, node_type: NodeType[Any], known: list[str]) -> Iterator[Issue]:
    """Warn of keys that look like a known one misspelled; builders may keep others of their own there."""
    unused: Mapping[str, str] = {name.lower(): name for name in known if name not in node.data}
    for key in islice(node.data, _MAX_KEYS):
        if len(key) > _MAX_PATH_CHARS or key in known or key in node_type.builder_keys:
            continue
        near = get_close_matches(key.lower().replace("_", ""), list(unused), n=1, cutoff=0.75)
        if near:
            yield warning(
                "unknown_field",
                f"{key} is not known, and means nothing. Is {unused[near[0]]!r} meant?",
                node=node.id,
                field=f"data.{key}",
            )
