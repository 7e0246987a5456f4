"""Expressions: {{ … }} in the configuration of nodes.

    text ─► parse ─► nothing but what the tables have ─► compile, in jinja2's sandbox ─► evaluate, in limits ─► JSON

Two walls: what could reach Python is no part of the language (syntax.py), and the sandbox it is compiled in knows no
attributes but the keys of JSON objects (sandbox.py).
"""

from service.engine.expressions.evaluation import (
    ROOTS,
    Limits,
    check,
    evaluate,
    holds_expression,
    is_one_expression,
    node_references,
    parts_of,
    read_ahead,
    render,
    speaks_of_item,
)
from service.engine.expressions.functions import FILTERS, FUNCTIONS, TESTS, Entry
from service.engine.expressions.language import ExpressionError, shortened

__all__ = [
    "FILTERS",
    "FUNCTIONS",
    "ROOTS",
    "TESTS",
    "Entry",
    "ExpressionError",
    "Limits",
    "check",
    "evaluate",
    "holds_expression",
    "is_one_expression",
    "node_references",
    "parts_of",
    "read_ahead",
    "render",
    "shortened",
    "speaks_of_item",
]
