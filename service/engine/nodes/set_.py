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
        made = _Made(call.item if keeps else {})
        for key in config.remove:
            made.remove(_parts(key))
        for key, value in config.fields.items():
            made.set(_parts(key), value)
        return emit(made.item)


def _parts(key: str) -> Sequence[str]:
    parts = key.split(".")
    if not all(parts) or len(parts) > MAX_PARTS:
        raise NodeError(
            f"{key!r} is no key: it has an empty part, or more than {MAX_PARTS}.",
            code="bad_config",
            field="data.fields",
        )
    return parts


class _Made:
    """An item on its way to another: each object of it is copied once, when something in it is changed first."""

    def __init__(self, item: Mapping[str, Any]) -> None:
        self.item = dict(item)
        # The copies by id; they are held here, so that no id is given to another object meanwhile.
        self._copies: dict[int, dict[str, Any]] = {id(self.item): self.item}

    def set(self, parts: Sequence[str], value: Any) -> None:
        """What is no object where one has to be is replaced by one."""
        *way, last = parts
        at = self.item
        for part in way:
            at = self._into(at, part, at.get(part))
        at[last] = value

    def remove(self, parts: Sequence[str]) -> None:
        *way, last = parts
        at = self.item
        for part in way:
            inner = at.get(part)
            if not isinstance(inner, dict):
                return
            at = self._into(at, part, inner)
        at.pop(last, None)

    def _into(self, at: dict[str, Any], part: str, inner: Any) -> dict[str, Any]:
        if id(inner) in self._copies:
            return self._copies[id(inner)]
        copy = dict(inner) if isinstance(inner, dict) else {}
        self._copies[id(copy)] = copy
        at[part] = copy
        return copy
