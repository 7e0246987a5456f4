"""Conditions that ask whether something is there, about what is not."""

from typing import Any

import pytest

from tests.service.engine.conftest import Engine, node

CASES = [("exists", "false"), ("notExists", "true"), ("isEmpty", "true"), ("isNotEmpty", "false")]


@pytest.mark.parametrize(("operator", "handle"), CASES)
@pytest.mark.parametrize("left", ["{{ input.vip }}", " {{ input.a.b['c'] }} ", "{{ nodes.start.x }}"])
async def test_what_is_missing_is_null_for_conditions_that_ask(
    engine: Engine, operator: str, handle: str, left: str
) -> None:
    conditions = [{"left": left, "operator": operator}]
    rules = [{"output": "true", "conditions": conditions}, {"output": "false", "condition": True}]
    for kind, data in (("if", {"conditions": conditions}), ("switch", {"rules": rules})):
        drawn = await engine.draw(
            [node("start", "trigger"), node("ask", kind, data), node("yes", "set", {"fields": {"seen": 1}})],
            ["start>ask", f"ask.{handle}>yes"],
        )
        done = await engine.run(drawn, {"n": 1})
        assert (done["status"], done["output"]) == ("SUCCESS", {"n": 1, "seen": 1})


@pytest.mark.parametrize(
    "condition",
    [
        {"left": "{{ input.vip }}", "operator": "equals", "right": 1},
        {"left": "{{ input.vip | upper }}", "operator": "exists"},
        {"left": "is {{ input.vip }}", "operator": "exists"},
    ],
)
async def test_what_is_missing_elsewhere_is_an_error(engine: Engine, condition: dict[str, Any]) -> None:
    drawn = await engine.draw(
        [node("start", "trigger"), node("ask", "if", {"conditions": [condition]})], ["start>ask"]
    )
    done = await engine.run(drawn, {"n": 1})
    assert (done["status"], done["error"]["code"]) == ("FAILED", "expression")
