"""docs/configuration.md has every setting, with the default and the meaning that the code has."""

from enum import Enum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from service.settings import Settings
from tests.docs.markdown import ROOT, table_rows


def _variable(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias
    return alias if isinstance(alias, str) else name.upper()


def _default(value: Any) -> str:
    if value in (None, ""):
        return "–"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _row(name: str, field: FieldInfo) -> str:
    assert field.description, f"{name} has no description"
    assert isinstance(field.default, str | int | float | Path | Enum | None)
    return f"| `{_variable(name, field)}` | {_default(field.default)} | {field.description} |"


def test_configuration_table_is_what_the_settings_say() -> None:
    expected = [_row(name, field) for name, field in Settings.model_fields.items()]
    assert table_rows(ROOT / "docs" / "configuration.md", "variable") == expected
