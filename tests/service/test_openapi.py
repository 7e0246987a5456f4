"""The OpenAPI document is complete and truthful: generated requests get documented replies, and never a 500."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_app
from tests.running import Service

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


# schemathesis draws multipart boundaries from the random module, which hypothesis would rather it did not.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_every_reply_is_documented(server: Service) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/schema/openapi.json")
    schema.config.update(base_url=server.url)
    with server.client() as client:
        client.post("/v1/documents?wait=30", json={"title": "t", "content": "Something to find."})
    operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == len(list(schema.get_all_operations()))
    assert len(operations) >= 14
    # Models last: a chat would ask one that was made up, at whatever address it was given.
    for operation in sorted(operations, key=lambda operation: operation.path.startswith("/v1/ai/models")):
        # A stream without an end, which would be waited for; its own tests read it.
        if operation.path != "/v1/notifications/events":
            _check(operation, server.key)


def _check(operation: APIOperation, key: str) -> None:
    """Send generated requests, valid and not, and hold every reply against the document."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Case) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

    send()


def test_the_document_and_its_page_are_served(server: Service) -> None:
    with server.client(None) as client:
        document = client.get("/schema/openapi.json").json()
        page = client.get("/schema")
    assert document["openapi"].startswith("3.1")
    assert page.headers["content-type"].startswith("text/html")
    for path in document["paths"]:
        assert path in page.text
    assert "<script" not in page.text
    assert "src=" not in page.text


def test_no_field_of_a_body_has_the_name_of_a_dependency(server: Service) -> None:
    # What is wrong with such a field Litestar would answer with 500.
    app = create_app(server.runtime)
    document = app.openapi_schema.to_schema()
    bodies = [
        name
        for item in document["paths"].values()
        for operation in item.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for name in [content["schema"].get("$ref", "").rpartition("/")[2]]
        if name
    ]
    schemas = document["components"]["schemas"]
    fields = {field for name in bodies for field in schemas[name].get("properties", {})}
    assert "title" in fields
    assert fields & set(app.dependencies) == set()
