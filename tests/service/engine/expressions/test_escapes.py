"""Ways out of the language lead nowhere; docs/expressions.md says what was tried."""

import pytest
from jinja2 import Undefined

from service.engine.expressions import ExpressionError, evaluate
from service.engine.expressions.functions import FILTERS, TESTS
from service.engine.expressions.sandbox import COMPARE, CONCAT, CUT, Sandbox
from tests.service.engine.expressions.attempts import ATTEMPTS, SCOPE, Attempt


def _got(attempt: Attempt) -> tuple[object, bool]:
    try:
        return evaluate(attempt.text, SCOPE), False
    except ExpressionError as exc:
        return exc.detail, True


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: ascii(attempt.text))
def test_attempts_get_what_is_written_down(attempt: Attempt) -> None:
    assert _got(attempt) == (attempt.got, attempt.refused)


@pytest.mark.parametrize("name", [CONCAT, CUT, COMPARE])
def test_filters_of_operators_cannot_be_named(name: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(f"{{{{ [1, 2] | {name} }}}}", SCOPE)


def test_the_sandbox_knows_nothing_but_the_tables() -> None:
    sandbox = Sandbox()
    assert not sandbox.globals
    assert set(sandbox.filters) == {*FILTERS, CONCAT, CUT, COMPARE}
    assert set(sandbox.tests) == set(TESTS)
    assert not sandbox.extensions


@pytest.mark.parametrize("value", ["", 1, 1.5, True, None, [], {}, evaluate, Sandbox, object()])
@pytest.mark.parametrize(
    "name", ["__class__", "__globals__", "__init__", "format", "real", "append", "update"]
)
def test_no_attribute_of_python_is_looked_up(value: object, name: str) -> None:
    sandbox = Sandbox()
    for found in (sandbox.getattr(value, name), sandbox.getitem(value, name)):
        assert isinstance(found, Undefined)


def test_functions_of_the_scope_are_those_of_the_run_alone() -> None:
    scope = {"input": {"functions": {"upper": str}}, "functions": {"items_of": lambda _: []}, "upper": str}
    for text in ("{{ functions }}", "{{ input.functions.upper(1) }}", "{{ upper }}"):
        with pytest.raises(ExpressionError):
            evaluate(text, scope)
    assert evaluate("{{ items_of('a') }}", scope) == []
