"""switch: each item goes on by the handle of the rule, or of the case, that fits."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from service.engine.definition import ERROR
from service.engine.nodes.absent import allow_absent
from service.engine.nodes.base import Call, Config, Emit, NodeType
from service.engine.nodes.conditions import Combinator, Conditions, check_conditions, hold, is_true
from service.engine.nodes.text import as_text

DEFAULT = "default"
MAX_OUTPUTS = 50


class Rule(Config, frozen=True, kw_only=True):
    """Where an item goes if its conditions hold."""

    output: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    conditions: Conditions = ()
    combinator: Combinator = "and"
    condition: Any = None


class SwitchConfig(Config, frozen=True, kw_only=True):
    rules: Annotated[
        tuple[Rule, ...],
        msgspec.Meta(
            max_length=MAX_OUTPUTS, description="Each an output, and conditions or a condition as of if."
        ),
    ] = ()
    mode: Annotated[
        Literal["first", "all"],
        msgspec.Meta(
            description="Whether an item goes by the first rule that fits (first), or by all of them (all)."
        ),
    ] = "first"
    value: Annotated[Any, msgspec.Meta(description="Instead of rules: what the cases are compared with.")] = (
        None
    )
    cases: Annotated[
        dict[str, str],
        msgspec.Meta(max_length=MAX_OUTPUTS, description="The output for each value, as text."),
    ] = msgspec.field(default_factory=dict)
    loose_types: Annotated[bool, msgspec.Meta(description="As of if.")] = True


class Switch(NodeType[SwitchConfig]):
    name = "switch"
    label = "Switch"
    description = "Sends each item on by the output whose rule fits, else by default."
    config = SwitchConfig

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*_named(data), DEFAULT]))

    def fallback_handle(self, data: Mapping[str, Any]) -> str:
        return DEFAULT

    def prepared(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        return allow_absent(data)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        rules = data.get("rules")
        if not rules and not data.get("cases"):
            return [("rules", "is missing: give rules, or a value and cases")]
        if rules and data.get("cases"):
            return [("cases", "stands beside rules: give one of the two")]
        found = (
            [("value", "is missing: cases are compared with it")] if not rules and "value" not in data else []
        )
        if ERROR in _named(data):
            found.append(("rules" if rules else "cases", f"no output may be called {ERROR!r}"))
        for place, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, Mapping):
                found += [(f"rules[{place}].{key}", what) for key, what in check_conditions(rule)]
        return found

    async def run(self, call: Call[SwitchConfig]) -> Emit:
        config = call.config
        handles = (
            self._by_rules(config) if config.rules else [config.cases.get(as_text(config.value), DEFAULT)]
        )
        return Emit([(handle, call.item) for handle in handles or [DEFAULT]])

    @staticmethod
    def _by_rules(config: SwitchConfig) -> list[str]:
        fitting = (rule.output for rule in config.rules if _fits(rule, loose=config.loose_types))
        if config.mode == "all":
            return list(dict.fromkeys(fitting))
        first = next(fitting, None)
        return [] if first is None else [first]


def _fits(rule: Rule, *, loose: bool) -> bool:
    if rule.conditions:
        return hold(rule.conditions, rule.combinator, loose=loose)
    return is_true(rule.condition, loose=loose)


def _named(data: Mapping[str, Any]) -> Iterable[str]:
    """Return the outputs that rules and cases name; data may be incomplete."""
    rules, cases = data.get("rules"), data.get("cases")
    named = (
        [rule.get("output") for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, list) else []
    )
    if isinstance(cases, Mapping):
        named += cases.values()
    return [name for name in named if isinstance(name, str) and name]
