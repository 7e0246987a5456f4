"""docs/http.md has every route, every field, every error code, and none that is not there."""

import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from litestar import Litestar

from ingest import errors
from service.app import create_app
from service.runtime import Runtime
from service.settings import Settings
from tests.docs.markdown import ROOT, documents, fences, name_of, table_rows

HTTP = ROOT / "docs" / "http.md"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # The schema is made of types and annotations: nothing is opened for it.
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    nothing = cast(Any, None)
    app: Litestar = create_app(
        Runtime(settings=settings, owner_url="", pool=nothing, originals=nothing, embedder=nothing)
    )
    return app.openapi_schema.to_schema()


def _cells(header: str, nth: int = 0) -> list[str]:
    """Return what stands in code in the first column of the nth such table of http.md."""
    rows = table_rows(HTTP, header, nth)
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row.split("|")[1])]


def _properties(schema: dict[str, Any], name: str) -> set[str]:
    return set(schema["components"]["schemas"][name]["properties"])


def test_routes_are_those_of_the_application(schema: dict[str, Any]) -> None:
    methods = {"get", "post", "put", "patch", "delete"}
    routes = {
        f"{method.upper()} {path}"
        for path, operations in schema["paths"].items()
        for method in operations
        if method in methods
    }
    assert set(_cells("route")) == routes


@pytest.mark.parametrize(
    ("nth", "name"),
    [
        (0, "Document"),
        (1, "SearchBody"),
        (2, "Hit"),
        (3, "Webhook"),
        (4, "Delivery"),
        (5, "ExecutionWithData"),
        (6, "Credential"),
    ],
)
def test_fields_are_those_of_the_application(schema: dict[str, Any], nth: int, name: str) -> None:
    assert set(_cells("field", nth)) == _properties(schema, name)


def test_error_codes_are_those_of_ingestion() -> None:
    codes = {
        value.code for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "code")
    }
    assert set(_cells("`error.code`")) == codes


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_json_blocks_are_json(path: Path) -> None:
    for fence in fences(path):
        if fence.language == "json":
            json.loads(fence.text)
