"""What expressions come to."""

from datetime import UTC, datetime
from typing import Any

import pytest

from service.engine.expressions import (
    FILTERS,
    FUNCTIONS,
    TESTS,
    Entry,
    ExpressionError,
    check,
    evaluate,
    holds_expression,
    is_one_expression,
    node_references,
    render,
)
from service.engine.expressions.functions import EXAMPLE

SCOPE: dict[str, Any] = {
    "input": EXAMPLE,
    "items": [{"n": 1}, {"n": 2}],
    "nodes": {"node-1": {"answer": 42}},
    "now": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    "functions": {"items_of": lambda wanted: [{"from": wanted}]},
}
ENTRIES = [
    entry for table in (FUNCTIONS, FILTERS, TESTS) for entry in table.values() if entry.name != "items_of"
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.example)
def test_examples_give_what_the_tables_say(entry: Entry) -> None:
    got = evaluate(f"{{{{ {entry.example} }}}}", {"input": EXAMPLE})
    assert (got, type(got)) == (entry.gives, type(entry.gives))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ input.price }}", 3.14159),
        (" {{ input.tags }}\n", ["b", "a", "b"]),
        ("{{ input.people[0] }}", {"name": "Ada", "age": 36}),
        ("{{ none }}", None),
        ("{{ true }}", True),
        ("{{ '7' }}", "7"),
        ("{{ 1, 'a' }}", [1, "a"]),
        ("{{ now }}", "2026-03-01T09:30:00Z"),
        ("{{ [now] }}", ["2026-03-01T09:30:00Z"]),
        ("{{ 'a' if false }}", None),
        ("{{ items_of('x') }}", [{"from": "x"}]),
        ("{{ nodes['node-1'].answer + 1 }}", 43),
        ("{{ items | sum('n') }}", 3),
        ("{{ input['name'][0] }}", "A"),
        ("{{ input.tags[-1] }}", "b"),
        ("{{ input.tags[1:] }}", ["a", "b"]),
        ("{{ input.name[::-1] }}", "adA"),
        ("{{ 1 < 2 < 3 }}", True),
        ("{{ 1 < 2 > 3 }}", False),
        ("{{ true == 1 }}", False),
        ("{{ 'a' in input.tags and 'x' not in input.tags }}", True),
        ("{{ 'name' in input }}", True),
        ("{{ 'ne' in input.text }}", True),
        ("{{ (1, 2) == [1, 2] }}", True),
        ("{{ 7 // 2 + 7 % 2 - 1 / 2 }}", 3.5),
        ("{{ 'ab' * 2 + 'c' }}", "ababc"),
        ("{{ [1] + [2] }}", [1, 2]),
        ("{{ 'n: ' ~ 1 ~ none ~ true ~ [1] }}", "n: 1true[1]"),
        ("{{ {'a': input.name}.a }}", "Ada"),
        ("{{ input.name | replace(new='b', old='A') }}", "bda"),
    ],
)
def test_one_expression_keeps_its_type(text: str, value: Any) -> None:
    got = evaluate(text, SCOPE)
    assert (got, type(got)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Hello {{ input.name }}!", "Hello Ada!"),
        ("{{ 1 }}{{ 2 }}", "12"),
        ("[{{ none }}]", "[]"),
        ("is {{ true }}", "is true"),
        ("tags {{ input.tags }}", 'tags ["b","a","b"]'),
        ("at {{ now }}", "at 2026-03-01T09:30:00Z"),
        ("{{ '{{' }} x }}", "{{ x }}"),
        ("{{ '}}' }}.", "}}."),
        ("a {{- 1 -}} b", "a1b"),
        ("a\r\n{{ 1 }}", "a\n1"),
        ("{% if {{ 1 }} %}{# {{ 2 }} #}", "{% if 1 %}{# 2 #}"),
        ('{"a": {"b": {{ input.tags | length }}}}', '{"a": {"b": 3}}'),
    ],
)
def test_text_around_expressions_makes_a_text(text: str, value: str) -> None:
    assert evaluate(text, SCOPE) == value


@pytest.mark.parametrize(
    ("expression", "detail"),
    [
        ("input.nmae", "There is no 'nmae'; is 'name' meant?"),
        (
            "input.x",
            "There is no 'x'; there are 'name', 'text', 'price', 'tags', 'people', 'at', 'blank'",
        ),
        ("input.zzz.deeper.still | upper", "There is no 'zzz'; there are 'name', 'text', 'price'"),
        ("input.tags[7]", "There is no entry 7; there are 3"),
        ("input.name.first", "A text has no 'first'"),
        ("input.tags.size", "A list has no 'size'"),
        ("input.tags[true]", "A list has no true"),
        ("loop.index", "None has no 'index'"),
        ("now.year", "A time has no 'year'"),
        ("input[input.zzz]", "There is no 'zzz'"),
        ("[input.zzz] | json", "There is no 'zzz'"),
        ("{'a': [input.zzz]}", "There is no 'zzz'"),
        ("input.zzz == none", "There is no 'zzz'"),
        ("input.zzz in [1]", "There is no 'zzz'"),
        ("input.zzz[1:]", "There is no 'zzz'"),
        ("-input.zzz", "There is no 'zzz'"),
        ("1 + input.zzz", "There is no 'zzz'"),
        ("'a' ~ input.zzz", "There is no 'zzz'"),
        ("range(input.zzz)", "There is no 'zzz'"),
    ],
)
def test_what_is_not_there_is_named(expression: str, detail: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(f"{{{{ {expression} }}}}", SCOPE)
    assert caught.value.detail.startswith(detail)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("input.zzz.deeper | default('x')", "x"),
        ("none | default('x')", "x"),
        ("input.blank | default('x')", ""),
        ("input.blank | default('x', true)", "x"),
        ("input.zzz is defined", False),
        ("input.zzz is empty", True),
        ("input.zzz is none", False),
        ("coalesce(input.zzz, loop, 1)", 1),
        ("input.zzz or 'x'", "x"),
        ("'a' if input.zzz else 'b'", "b"),
        ("not input.zzz", True),
    ],
)
def test_what_is_not_there_can_be_replaced_and_tested(expression: str, value: Any) -> None:
    assert evaluate(f"{{{{ {expression} }}}}", SCOPE) == value


@pytest.mark.parametrize(
    ("expression", "detail"),
    [
        ("", "An expression is empty, is not closed, or ends too early"),
        ("1 +", "An expression is empty, is not closed, or ends too early"),
        ("inptu.name", "There is no name 'inptu'; is 'input' meant?"),
        ("1 | uper", "There is no filter 'uper'; is 'upper' meant?"),
        ("upper('a')", "There is no function 'upper', but a filter: value | upper"),
        ("merg({})", "There is no function 'merg'; is 'merge' meant?"),
        ("1 is nubmer", "There is no test 'nubmer'; is 'number' meant?"),
        ("input.name.upper()", "Only functions can be called; there are no methods"),
        ("'a' | upper(1)", "'upper': too many positional arguments"),
        ("'a' | replace('a')", "'replace': missing a required argument: 'new'"),
        ("'a' | truncate(size=1)", "'truncate': missing a required argument: 'length'"),
        ("2 ** 3", "Pow has no meaning here"),
        ("{1: 2}", "A key of an object is a text"),
        ("{(1, 2): 2}", "A key of an object is a text"),
        ("{[1]: 2}", "A key of an object is a text"),
        ("1 / 0", "Nothing can be divided by zero"),
        ("'a' + 1", "A text + a number has no meaning; ~ joins texts"),
        ("1 + true", "A number + a boolean has no meaning; ~ joins texts"),
        ("-'a'", "- a text has no meaning"),
        ("1 < 'a'", "A number and a text have no order"),
        ("now < '2026'", "A time and a text have no order"),
        ("1 in 'abc'", "A text has texts in it, not a number"),
        ("1 in 2", "A number has nothing in it"),
        ("input[1:2]", "An object has no parts from one place to another"),
        ("'abc'[::0]", "A part is from one whole number to another"),
        ("'abc' | first | sum", "A list is wanted here, not a text"),
        ("'x' | int", "'x' is no number"),
        ("'x' | timestamp", "'x' is no time; write it as 2026-03-01T09:30:00Z"),
        ("now | add_days(1e300)", "The time is out of range"),
        ("3 | length", "A number has no length"),
        ("'\\ud800'", "A text has half a character in it"),
    ],
)
def test_mistakes_are_named(expression: str, detail: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(f"{{{{ {expression} }}}}", SCOPE)
    assert caught.value.detail == detail


def test_errors_name_the_expression() -> None:
    with pytest.raises(ExpressionError, match=r"There is no 'x'; there are 'a' \(in to {{ input\.x }}\)"):
        evaluate("to {{ input.x }}", {"input": {"a": 1}})


def test_values_are_rendered_and_keys_are_not() -> None:
    data = {"{{ a }}": ["{{ input.name }}", 1, {"to": "x {{ items | length }}"}], "none": None}
    assert render(data, SCOPE) == {"{{ a }}": ["Ada", 1, {"to": "x 2"}], "none": None}


def test_results_share_nothing_with_the_scope() -> None:
    scope = {"input": {"list": [1]}}
    evaluate("{{ input.list }}", scope).append(2)
    assert scope == {"input": {"list": [1]}}


def test_roots_and_nodes_of_a_text_are_known_before_it_runs() -> None:
    text = "{{ nodes.a.x == nodes['b'] }} {{ items_of('c') | pluck(input.f) }} {{ nodes[input.f] }}"
    assert check(text) == ["input", "nodes"]
    assert node_references(text) == {"a", "b", "c"}


def test_texts_tell_what_they_are() -> None:
    assert (holds_expression("a }}"), holds_expression("a {{ 1 }}")) == (False, True)
    assert [is_one_expression(text) for text in ("a", " {{ 1 }} ", "a {{ 1 }}", "{{ 1 }}{{ 2 }}")] == [
        False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["{{ x }}", "{{ 1 | x }}", "{{ 1 if }}", "{{ " + "(" * 300 + "1" + ")" * 300 + " }}"]
)
def test_what_cannot_be_evaluated_is_found_by_check(text: str) -> None:
    with pytest.raises(ExpressionError):
        check(text)
