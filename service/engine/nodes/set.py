"""Fields of an item set, and taken away."""

from copy import deepcopy
from typing import Annotated, Any, Literal

from msgspec import Meta

from service.engine.nodes.base import Call, Config, Emit, NodeType, emit


class SetConfig(Config, frozen=True, kw_only=True):
    fields: Annotated[
        dict[str, Any],
        Meta(description="Values by name; a name with dots leads into objects: customer.name."),
    ] = {}
    mode: Annotated[
        Literal["merge", "replace"], Meta(description="Add the fields to the item, or go on with them alone.")
    ] = "merge"
    remove: Annotated[list[str], Meta(description="Names of fields that are taken away.")] = []


class SetFields(NodeType[SetConfig]):
    name = "set"
    label = "Set fields"
    description = "Sets fields of each item, renames them, or makes a new item of them."
    config = SetConfig

    async def run(self, call: Call[SetConfig]) -> Emit:
        keep = call.config.mode == "merge" and isinstance(call.item, dict)
        item: dict[str, Any] = deepcopy(call.item) if keep else {}
        for name in call.config.remove:
            _remove(item, name.split("."))
        for name, value in call.config.fields.items():
            _put(item, name.split("."), value)
        return emit(item)


def _put(item: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = item.get(part)
        if not isinstance(inner, dict):
            inner = item[part] = {}
        item = inner
    item[path[-1]] = value


def _remove(item: dict[str, Any], path: list[str]) -> None:
    for part in path[:-1]:
        inner = item.get(part)
        if not isinstance(inner, dict):
            return
        item = inner
    item.pop(path[-1], None)
