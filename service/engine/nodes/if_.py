"""Two ways on, by a condition on each item."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.conditions import Combinator, Condition, hold


class IfConfig(Config, frozen=True, kw_only=True):
    conditions: Annotated[
        list[Condition] | None, Meta(description="Comparisons: {left, operator, right}.")
    ] = None
    combinator: Annotated[Combinator, Meta(description="Whether all have to hold, or one.")] = "and"
    condition: Annotated[
        Any, Meta(description="Instead of them: an expression, as {{ input.score > 0.5 }}.")
    ] = None
    strict: Annotated[bool, Meta(description="Compare texts that look like numbers as texts.")] = False


class If(NodeType[IfConfig]):
    name = "if"
    label = "If"
    description = "Sends each item on by true or by false."
    config = IfConfig

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return ("true", "false")

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        if data.get("conditions") or "condition" in data:
            return []
        return [("conditions", "is missing: say what is to be asked")]

    async def run(self, call: Call[IfConfig]) -> Emit:
        config = call.config
        is_so = hold(config.conditions, config.combinator, config.condition, strict=config.strict)
        return emit(call.item, "true" if is_so else "false")
