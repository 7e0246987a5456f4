"""if: each item goes on by `true` or by `false`."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from service.engine.nodes.absent import allow_absent
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.conditions import Combinator, Conditions, check_conditions, hold, is_true


class IfConfig(Config, frozen=True, kw_only=True):
    conditions: Annotated[Conditions, msgspec.Meta(description="Comparisons: left, operator, right.")] = ()
    combinator: Annotated[
        Combinator, msgspec.Meta(description="Whether all conditions must hold (and), or one of them (or).")
    ] = "and"
    condition: Annotated[
        Any, msgspec.Meta(description="Instead of conditions: one expression that is true or false.")
    ] = None
    loose_types: Annotated[
        bool, msgspec.Meta(description='Whether "3" equals 3, and what is empty counts as false.')
    ] = True


class If(NodeType[IfConfig]):
    name = "if"
    label = "If"
    description = "Sends each item on by true or by false, as conditions say."
    config = IfConfig

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return ("true", "false")

    def fallback_handle(self, data: Mapping[str, Any]) -> str:
        return "false"

    def prepared(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        return allow_absent(data)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return check_conditions(data)

    async def run(self, call: Call[IfConfig]) -> Emit:
        config = call.config
        if config.conditions:
            holds = hold(config.conditions, config.combinator, loose=config.loose_types)
        else:
            holds = is_true(config.condition, loose=config.loose_types)
        return emit(call.item, "true" if holds else "false")
