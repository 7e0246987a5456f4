"""The functions, filters and tests that there are.

Each bounds its result before it makes it, and takes JSON values only.
"""

# isort: off
# Each registers what it has, in the order in which the documents tell of it.
from service.engine.expressions.functions import (  # noqa: F401
    texts,
    conversion,
    arithmetic,
    lists,
    times,
    general,
    checks,
)

# isort: on
from service.engine.expressions.functions.general import MAX_RANGE
from service.engine.expressions.functions.reading import MAX_PATH, contained, kind_of, same
from service.engine.expressions.functions.registry import EXAMPLE, FILTERS, FUNCTIONS, TESTS, Entry

__all__ = [
    "EXAMPLE",
    "FILTERS",
    "FUNCTIONS",
    "MAX_PATH",
    "MAX_RANGE",
    "TESTS",
    "Entry",
    "contained",
    "kind_of",
    "same",
]
