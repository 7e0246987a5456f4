"""docs/expressions.md says of the language what its tables say, and of attempts what they got."""

import json
import re
from itertools import groupby

import pytest

from service.engine.expressions import (
    FILTERS,
    FUNCTIONS,
    ROOTS,
    TESTS,
    Entry,
    ExpressionError,
    Limits,
    evaluate,
)
from service.engine.expressions.functions import EXAMPLE, MAX_PATH, MAX_RANGE
from service.engine.expressions.language import MAX_DEPTH
from tests.docs.markdown import ROOT, fences, table_rows
from tests.service.engine.expressions.attempts import ATTEMPTS, Attempt

PAGE = ROOT / "docs" / "expressions.md"


def _code(text: str) -> str:
    mark = "``" if "`" in text else "`"
    return f"{mark}{text}{mark}".replace("|", "\\|")


def _entry_row(entry: Entry) -> str:
    gives = "its items" if entry.name == "items_of" else _code(json.dumps(entry.gives, ensure_ascii=False))
    return f"| {_code(entry.name)} | {entry.means} | {_code(entry.example)} | {gives} |"


def _group_row(name: str, attempts: list[Attempt]) -> str:
    shown = next(attempt for attempt in attempts if attempt.refused)
    return f"| {name} | {len(attempts)} | {_code(shown.text)} | {shown.got} |"


@pytest.mark.parametrize(
    ("header", "table"),
    [("function", FUNCTIONS), ("filter", FILTERS), ("test", TESTS)],
    ids=lambda value: str(value)[:8],
)
def test_entries_are_those_of_the_tables(header: str, table: dict[str, Entry]) -> None:
    assert table_rows(PAGE, header) == [_entry_row(entry) for entry in table.values()]


def test_every_name_is_explained() -> None:
    rows = table_rows(PAGE, "name")
    assert [row.split("|")[1].strip().strip("`") for row in rows] == list(ROOTS)


def test_the_example_is_that_of_the_tables() -> None:
    assert [json.loads(fence.text) for fence in fences(PAGE) if fence.language == "json"] == [EXAMPLE]


def test_written_examples_come_to_what_is_written() -> None:
    rows = [row.replace("\\|", "¦").split("|")[1:3] for row in table_rows(PAGE, "written")]
    assert rows
    for text, result in rows:
        written = text.strip().strip("`").replace("¦", "|")
        try:
            got = f"`{json.dumps(evaluate(written, {'input': EXAMPLE}), ensure_ascii=False)}`"
        except ExpressionError as exc:
            got = f"an error: {exc.detail}"
        assert got == result.strip()


def test_limits_are_those_of_the_code() -> None:
    limits = Limits()
    numbers = [limits.source_chars, limits.syntax_nodes, limits.syntax_depth, MAX_DEPTH, MAX_RANGE, MAX_PATH]
    numbers += [limits.result_bytes // 1024**2, limits.made_bytes // 1024**2]
    found = re.findall(r"\d[\d,.]*", " ".join(row.split("|")[2] for row in table_rows(PAGE, "limit")))
    assert found == [*(f"{number:,}" for number in numbers), f"{limits.seconds:g}"]


def test_attempts_are_those_that_are_tested() -> None:
    groups = groupby(ATTEMPTS, key=lambda attempt: attempt.group)
    assert table_rows(PAGE, "attempts") == [_group_row(name, list(attempts)) for name, attempts in groups]
