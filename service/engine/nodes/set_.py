"""set: each item with fields set, or made anew of them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit

MAX_PARTS = 20


class SetConfig(Config, frozen=True, kw_only=True):
    fields: Annotated[
        dict[str, Any],
        msgspec.Meta(description="Values by key; a.b is the key b in the object under a."),
    ] = msgspec.field(default_factory=dict)
    mode: Annotated[
        Literal["merge", "replace"],
        msgspec.Meta(
            description="Whether the fields are added to the item (merge), or are all of it (replace)."
        ),
    ] = "merge"
    remove: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Keys to leave out, a.b too; removed before fields are set."),
    ] = ()


class SetFields(NodeType[SetConfig]):
    name = "set"
    label = "Set fields"
    description = "Sets fields of each item, leaves some out, or makes a new item of the fields."
    config = SetConfig

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        fields, remove = data.get("fields"), data.get("remove")
        keys = [("fields", key) for key in fields] if isinstance(fields, Mapping) else []
        keys += (
            [("remove", key) for key in remove if isinstance(key, str)] if isinstance(remove, list) else []
        )
        if not keys and data.get("mode") != "replace":
            return [("fields", "is missing: nothing would be set")]
        return [(where, f"{key!r} has an empty part") for where, key in keys if not all(key.split("."))]

    async def run(self, call: Call[SetConfig]) -> Emit:
        config = call.config
        keeps = config.mode == "merge" and isinstance(call.item, dict)
        item: dict[str, Any] = dict(call.item) if keeps else {}
        for key in config.remove:
            item = _without(item, _parts(key))
        for key, value in config.fields.items():
            item = _with(item, _parts(key), value)
        return emit(item)


def _parts(key: str) -> Sequence[str]:
    parts = key.split(".")
    if not all(parts) or len(parts) > MAX_PARTS:
        raise NodeError(
            f"{key!r} is no key: it has an empty part, or more than {MAX_PARTS}.",
            code="bad_config",
            field="data.fields",
        )
    return parts


def _with(item: dict[str, Any], parts: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a copy; what is no object where one has to be is replaced by one."""
    first, *rest = parts
    if not rest:
        return {**item, first: value}
    inner = item.get(first)
    return {**item, first: _with(inner if isinstance(inner, dict) else {}, rest, value)}


def _without(item: dict[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    first, *rest = parts
    if not rest:
        return {key: value for key, value in item.items() if key != first}
    inner = item.get(first)
    return {**item, first: _without(inner, rest)} if isinstance(inner, dict) else item
