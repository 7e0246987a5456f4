"""nodes['a'] is the item which the one at hand stems from, whatever came in between."""

from typing import Any

import pytest

from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")
ORIGIN = node("origin", "set", {"fields": {"origin": "{{ nodes.start.n }}"}})
ITEMS = [{"n": 1}, {"n": 2}, {"n": 3}]


@pytest.mark.parametrize("turned", [False, True])
async def test_merged_items_keep_what_they_stem_from_however_connections_are_drawn(
    engine: Engine, turned: bool
) -> None:
    into = ["big.true>join.input-1", "big.false>join.input-2"]
    drawn = await engine.draw(
        [START, node("big", "if", {"condition": "{{ input.n > 1 }}"}), node("join", "merge"), ORIGIN],
        ["start>big", *(reversed(into) if turned else into), "join>origin"],
    )
    done = await engine.run(drawn, ITEMS)
    assert [(one["n"], one["origin"]) for one in done["output"]] == [(2, 2), (3, 3), (1, 1)]


@pytest.mark.parametrize(
    "data", [{"mode": "combineByPosition"}, {"mode": "combineByField", "field": "k"}], ids=str
)
async def test_combined_items_keep_what_they_stem_from(engine: Engine, data: Any) -> None:
    drawn = await engine.draw(
        [
            START,
            node("a", "set", {"mode": "replace", "fields": {"k": "{{ input.n }}"}}),
            node("b", "set", {"mode": "replace", "fields": {"k": "{{ input.n }}", "x": 1}}),
            node("join", "merge", data),
            ORIGIN,
        ],
        ["start>a", "start>b", "b>join.input-2", "a>join.input-1", "join>origin"],
    )
    done = await engine.run(drawn, ITEMS)
    assert [(one["k"], one["origin"]) for one in done["output"]] == [(1, 1), (2, 2), (3, 3)]


async def test_an_item_that_a_condition_failed_for_does_not_hold(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("ask", "if", {"condition": "{{ input.no.such }}"}, onError="continueRegularOutput"),
            node("yes", "set", {"fields": {"way": "true"}, "mode": "replace"}),
            node("no", "set", {"fields": {"way": "false"}, "mode": "replace"}),
        ],
        ["start>ask", "ask.true>yes", "ask.false>no"],
    )
    assert (await engine.run(drawn, {}))["output"] == {"way": "false"}


async def test_what_ends_quietly_is_no_part_of_the_output(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("odd", "if", {"condition": "{{ input.n == 1 }}"}),
            node("keep", "set"),
            node("drop", "stop", {"error": False}),
        ],
        ["start>odd", "odd.true>keep", "odd.false>drop"],
    )
    assert (await engine.run(drawn, [{"n": 1}, {"n": 2}]))["output"] == {"n": 1}
