"""Several ways on: the first rule that holds, or each of them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from service.engine.nodes.base import Call, Config, Emit, NodeType
from service.engine.nodes.conditions import Combinator, Condition, hold

DEFAULT = "default"


class Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    output: Annotated[
        str, Meta(min_length=1, max_length=60, description="The handle that its items leave by.")
    ]
    conditions: Annotated[
        list[Condition] | None, Meta(description="Comparisons: {left, operator, right}.")
    ] = None
    combinator: Annotated[Combinator, Meta(description="Whether all have to hold, or one.")] = "and"
    condition: Annotated[Any, Meta(description="Instead of them: an expression.")] = None


class SwitchConfig(Config, frozen=True, kw_only=True):
    rules: Annotated[
        list[Rule], Meta(max_length=50, description="In the order in which they are asked.")
    ] = []
    mode: Annotated[
        Literal["first", "all"], Meta(description="Leave by the first rule that holds, or by each.")
    ] = "first"
    strict: Annotated[bool, Meta(description="Compare texts that look like numbers as texts.")] = False


class Switch(NodeType[SwitchConfig]):
    name = "switch"
    label = "Switch"
    description = "Sends each item on by the rule that it meets, by default where it meets none."
    config = SwitchConfig

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        rules = data.get("rules")
        names = [
            rule["output"]
            for rule in (rules if isinstance(rules, list) else [])
            if isinstance(rule, dict) and isinstance(rule.get("output"), str)
        ]
        return (*dict.fromkeys(names), DEFAULT)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if data.get("rules") else [("rules", "is missing: a rule is {output, conditions}")]

    async def run(self, call: Call[SwitchConfig]) -> Emit:
        config = call.config
        met = [
            rule.output
            for rule in config.rules
            if hold(rule.conditions, rule.combinator, rule.condition, strict=config.strict)
        ]
        leaves_by = met[:1] if config.mode == "first" else list(dict.fromkeys(met))
        return Emit([(handle, call.item) for handle in leaves_by or [DEFAULT]])
