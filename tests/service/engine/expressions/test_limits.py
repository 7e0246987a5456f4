"""Nothing that is written, and nothing that it is written about, takes much time or leaves as another error."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.expressions import ExpressionError, Limits, evaluate, render
from service.engine.expressions.evaluation import ROOTS
from service.engine.expressions.functions import FILTERS, FUNCTIONS, TESTS

# Of the time that an expression has, and of the machine: what is stopped late stops within one operation.
PATIENCE_S = 2.0

BIG: dict[str, Any] = {
    "text": "a" * 1_000_000,
    "other": "a" * 999_999 + "b",
    "zeros": [0] * 500_000,
    "numbers": list(range(140_000, 0, -1)),
    "words": [f"word {n}" for n in range(90_000)],
    "objects": [{"a": {"b": n}, "s": "x" * 20} for n in range(25_000)],
}
SCOPE: dict[str, Any] = {
    "input": BIG,
    "trigger": json.loads(json.dumps(BIG)),
    "item": {"a" * 40 + str(n): 1 for n in range(1_000)},
}
TIME = "It takes longer than 0.25 s"
SIZE = "A value would be larger than 1,048,576 bytes"
MADE = "It makes more than 33,554,432 bytes on the way"
DEEP = "It is nested too deeply"
NUMBER = "A number is too large"


def _many(part: str, times: int = 90) -> str:
    return f"[{','.join([part] * times)}]"


SLOW = [
    ("upper, 40 times", "input.text" + " | upper | lower" * 40),
    ("title, 90 times", "input.text" + " | title" * 90),
    ("replace", "input.text | replace('a', 'bb')"),
    ("sort of equal numbers", "input.zeros | sort"),
    ("sort, 4 times", "input.numbers" + " | sort(descending=true) | sort" * 4),
    ("sort of texts", "input.words | sort | unique"),
    ("sort by a field", "input.objects | sort('a.b') | sort('s')"),
    ("sort of objects", "input.objects | sort"),
    ("unique of objects", "input.objects | unique"),
    ("json", "input | json"),
    ("a long list as it is", "input.zeros"),
    ("text in a text", "input.other in input.text"),
    ("number in a list", "500000 in input.zeros"),
    ("list in a list", f"{_many('input.objects')} | contains(trigger.objects)"),
    ("lists that are equal", f"{_many('input.objects')} == {_many('trigger.objects')}"),
    ("a list many times over", _many("input.objects")),
    ("a text many times over", _many("input.text")),
    ("the same, as JSON", f"{_many('input.text')} | json"),
    ("the same, joined", f"{_many('input.text')} | join"),
    ("the same, sorted", f"{_many('input.objects')} | sort"),
    ("where", "input.zeros | where('x', 1)"),
    ("sum, min, max", "[input.zeros | sum, input.zeros | min, input.zeros | max] | sum"),
    ("split and join", "input.text | split('a') | join('a') | length"),
    ("similar keys", f"coalesce({','.join(['item.' + 'a' * 40] * 90)}, 1)"),
    ("similar key", "item." + "a" * 41),
]


@pytest.mark.parametrize(("name", "expression"), SLOW, ids=[name for name, _ in SLOW])
def test_much_work_ends_soon(name: str, expression: str) -> None:
    started = time.monotonic()
    try:
        evaluate(f"{{{{ {expression} }}}}", SCOPE)
    except ExpressionError as exc:
        assert exc.detail in {TIME, SIZE, MADE} or name == "similar key"  # noqa: PT017 - both ends are good ones
    assert time.monotonic() - started < PATIENCE_S


@pytest.mark.parametrize(
    ("expression", "detail"),
    [
        ("'x' * 10000000", SIZE),
        ("'x' * 1000000 * 1000000", SIZE),
        ("('x' * 1000000) ~ ('x' * 1000000)", SIZE),
        ("'😀' * 600000", SIZE),
        ("('ΐ' * 400000) | upper", SIZE),
        ("('é' * 400000) | urlencode", SIZE),
        ("input.text | base64", SIZE),
        ("range(1000) | join('long' * 500)", SIZE),
        (f"{_many(repr('x') + ' * 1000000')} | length", MADE),
        ("[0] * 1000", "A list * a number has no meaning; ~ joins texts"),
        ("range(1000000000)", "A range has 1,000 numbers at most"),
        ("range(-1000000000, 1)", "A range has 1,000 numbers at most"),
        ("9" * 5000, NUMBER),
        ("0x" + "f" * 9000, NUMBER),
        ("1e999", NUMBER),
        ("9223372036854775807 + 1", NUMBER),
        ("1e300 | int", NUMBER),
        ("1e308 * 10", "The result is no number"),
        ("'a' ~ 1e308 * 10", "The result is no number"),
        ("('1' * 50) | int", "This is no number"),
        ("input.objects | pluck('" + "a." * 4000 + "')", "A path has 20 parts at most"),
        ("('[' * 90000) | parse_json", "The value is nested too deeply"),
        ("(('[' * 102) ~ (']' * 102)) | parse_json", "The value is nested too deeply"),
        ("now | format_date('%Y' * 60)", "The form is too long"),
        ("(" * 300 + "1" + ")" * 300, DEEP),
        ("[" * 300 + "]" * 300, DEEP),
        ("not " * 2000 + "1", DEEP),
        ("-" * 3000 + "1", DEEP),
        ("input" + ".a" * 390, DEEP),
        ("1" + " + 1" * 150, DEEP),
        ("1" + " | abs" * 150, DEEP),
        ("1 if 1 else (" * 80 + "1" + ")" * 80, DEEP),
        (",".join(["1"] * 400), "It has more than 400 parts"),
        ("'" + "a" * 10_000 + "'", "It is longer than 10,000 characters"),
    ],
    ids=lambda value: value[:40],
)
def test_bombs_do_not_go_off(expression: str, detail: str) -> None:
    started = time.monotonic()
    with pytest.raises(ExpressionError) as caught:
        evaluate(f"{{{{ {expression} }}}}", SCOPE)
    assert caught.value.detail == detail
    assert time.monotonic() - started < PATIENCE_S


def test_as_much_as_is_allowed_works() -> None:
    assert evaluate("{{ 1" + " + 1" * 99 + " }}", {}) == 100
    assert evaluate("{{ input.text }}", SCOPE) == BIG["text"]
    assert evaluate("{{ 1 }}" * 400, {}) == "1" * 400
    assert evaluate("{{ " + "[" * 60 + "]" * 60 + " | json }}", {}) == "[" * 60 + "]" * 60


def test_pieces_are_counted_together() -> None:
    with pytest.raises(ExpressionError, match="more than 400 parts"):
        evaluate("{{ 1 }}" * 401, {})
    with pytest.raises(ExpressionError, match="larger than"):
        evaluate("{{ input.text }} {{ input.text }}", SCOPE)


def test_limits_can_be_narrower() -> None:
    with pytest.raises(ExpressionError, match="larger than 10 bytes"):
        evaluate("{{ input }}", {"input": "a" * 11}, Limits(result_bytes=10))
    with pytest.raises(ExpressionError, match="longer than 0 s"):
        evaluate("{{ input.a.b }}", {"input": {"a": {"b": 1}}}, Limits(seconds=0))


def _nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "expression",
    ["input", "input | json", "input == input", "[input, input] | sort", "input | unique", "input ~ ''"],
)
def test_deep_values_are_refused(expression: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(f"{{{{ {expression} }}}}", {"input": _nested(50_000)})
    assert caught.value.detail == "The value is nested too deeply"


def test_deep_configuration_is_refused() -> None:
    with pytest.raises(ExpressionError, match="nested too deeply"):
        render(_nested(50_000), {})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcde") | st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)  # fmt: skip
_LEAVES = st.sampled_from(
    [*ROOTS, "1", "-2", "0.5", "1e308", "none", "true", "'a'", "''", "'2026-03-01T09:30:00Z'", "[]", "{}"]
)


def _longer(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(
        ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"]
    )
    arguments = st.lists(inner, max_size=2).map(", ".join)
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("({} | {}({}))".format, inner, st.sampled_from(sorted(FILTERS)), arguments),
        st.builds("({} is {})".format, inner, st.sampled_from(sorted(TESTS))),
        st.builds("{}({})".format, st.sampled_from(sorted(FUNCTIONS)), arguments),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from("abcde")),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds("[{}]".format, arguments),
        st.builds("{{{}: {}}}".format, inner, inner),
        st.builds("(-{})".format, inner),
        st.builds("(not {})".format, inner),
    )


@settings(max_examples=300, deadline=None)
@given(
    values=st.fixed_dictionaries({}, optional=dict.fromkeys(ROOTS, _JSON)),
    expressions=st.lists(st.recursive(_LEAVES, _longer, max_leaves=8), min_size=1, max_size=2),
    around=st.sampled_from(["", " x"]),
)
def test_whatever_is_written_about_whatever_gives_json_or_an_error(
    values: dict[str, Any], expressions: list[str], around: str
) -> None:
    text = "".join(f"{{{{ {expression} }}}}" for expression in expressions) + around
    try:
        result = evaluate(text, values)
    except ExpressionError as exc:
        assert exc.detail  # noqa: PT017 - an error is as good as a value
    else:
        assert json.loads(json.dumps(result, allow_nan=False).encode()) == result


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(
        st.sampled_from("{}[]()'\"%#|.,:~-+*/<=>!_ \n\\0123456789abceinotx\ue000\ue001\0é"), max_size=60
    )
)
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        result = evaluate("{{" + text, {"input": {}})
    except ExpressionError as exc:
        assert exc.detail  # noqa: PT017 - an error is as good as a value
    else:
        json.dumps(result, allow_nan=False).encode()


def test_many_texts_that_are_only_read_have_an_end_too() -> None:
    texts = [f"{{{{{number}}}}}" for number in range(20_000)]
    started = time.monotonic()
    with pytest.raises(ExpressionError, match=TIME):
        render(texts, SCOPE, deadline=started + 0.25)
    assert time.monotonic() - started < PATIENCE_S


class Searched(Mapping[str, Any]):
    """An object whose values each take a while to be found."""

    def __init__(self) -> None:
        self.found = 0

    def __getitem__(self, key: str) -> Any:
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            self.found += 0
        self.found += 1
        return self.found

    def __iter__(self) -> Iterator[str]:
        return (f"n{number}" for number in range(100))

    def __len__(self) -> int:
        return 100


@pytest.mark.parametrize(
    "expression",
    [
        "nodes",
        "[nodes, nodes]",
        "nodes | json",
        "nodes | values",
        "nodes | entries",
        "nodes == nodes",
        "{'a': nodes}",
    ],
)
def test_an_object_whose_values_are_searched_for_is_left_in_time(expression: str) -> None:
    nodes = Searched()
    with pytest.raises(ExpressionError, match=TIME):
        evaluate(f"{{{{ {expression} }}}}", {"nodes": nodes})
    assert nodes.found < 20
