"""Branches brought together."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, Item, NodeType


class MergeConfig(Config, frozen=True, kw_only=True):
    mode: Annotated[
        Literal["append", "combineByPosition", "combineByField", "first"],
        Meta(
            description="All in turn; the first with the first; those with the same field; or one branch's."
        ),
    ] = "append"
    field: Annotated[str | None, Meta(description="For combineByField: the field that they share.")] = None
    inputs: Annotated[
        int, Meta(ge=2, le=10, description="Branches that can come in: input-1, input-2, …")
    ] = 2


class Merge(NodeType[MergeConfig]):
    name = "merge"
    label = "Merge"
    description = "Waits for all branches that lead to it, and goes on with their items."
    config = MergeConfig
    whole = True

    def inputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        count = data.get("inputs")
        most = count if isinstance(count, int) and 2 <= count <= 10 else 2
        # Connections without a handle of their own come in one after another.
        return ("input", *(f"input-{number}" for number in range(1, most + 1)))

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        if data.get("mode") == "combineByField" and not data.get("field"):
            return [("field", "is missing: items are combined by it")]
        return []

    async def run(self, call: Call[MergeConfig]) -> Emit:
        # By handle; and what came in by none of its own, as a branch each could not be told apart.
        branches = [call.items_by_handle[handle] for handle in sorted(call.items_by_handle)]
        match call.config.mode:
            case "append":
                items: Sequence[Item] = [item for branch in branches for item in branch]
            case "first":
                items = branches[0] if branches else []
            case "combineByPosition":
                items = _by_position(branches)
            case "combineByField":
                items = _by_field(branches, call.config.field or "")
        return Emit([("output", item) for item in items])


def _by_position(branches: Sequence[Sequence[Item]]) -> list[Item]:
    longest = max(map(len, branches), default=0)
    return [
        _united([branch[place] for branch in branches if place < len(branch)]) for place in range(longest)
    ]


def _by_field(branches: Sequence[Sequence[Item]], field: str) -> list[Item]:
    """Unite what has the same value there; what has none, or stands alone, goes on as it is."""
    found: dict[Any, list[Item]] = {}
    alone: list[Item] = []
    for branch in branches:
        for item in branch:
            key = item.get(field) if isinstance(item, dict) else None
            if isinstance(key, str | int | float | bool):
                found.setdefault(key, []).append(item)
            else:
                alone.append(item)
    return [_united(items) for items in found.values()] + alone


def _united(items: Sequence[Item]) -> Item:
    united: dict[str, Any] = {}
    for item in items:
        if not isinstance(item, dict):
            raise NodeError("Only objects can be combined.", code="bad_value")
        united |= item
    return united
