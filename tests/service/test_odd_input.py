"""What no client sends by mistake: it is the sender's fault, and says so."""

import base64
import json

import pytest

from tests.running import Service

LISTS = (
    "/v1/documents",
    "/v1/teams",
    "/v1/notifications",
    "/v1/webhooks",
    "/v1/workflows",
    "/v1/workflows/public",
)
PLACES = (
    ["2026-01-01T00:00:00Z", "\x00"],
    ["0001-01-01T00:00:00+23:59", "x"],
    ["9999-12-31T23:59:59-23:59", "x"],
)


@pytest.mark.parametrize("place", PLACES, ids=("nul", "before-time", "after-time"))
def test_a_cursor_that_no_list_gave_is_refused(server: Service, place: list[str]) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")
    with server.client(server.new_user("ann@example.com")) as client:
        answers = [client.get(path, params={"after": cursor}).status_code for path in LISTS]
    assert answers == [400] * len(LISTS)


def test_a_body_that_cannot_be_read_or_stored_is_refused(server: Service) -> None:
    deep = '{"query": "a", "filters": ' + '{"and": [' * 3000 + "]}" * 3000 + "}"
    with server.client(server.new_user("ann@example.com")) as client:
        team = client.post("/v1/teams", json={"name": "Legal"}).json()["id"]
        headers = {"Content-Type": "application/json"}
        reply = client.post("/v1/search", content=deep, headers=headers)
        assert (reply.status_code, reply.json()["detail"]) == (400, "The JSON body is nested too deeply.")
        assert client.post(f"/v1/teams/{team}/transfer", json={"user_id": "\x00"}).status_code == 400
        odd = {"query": "a", "collection_ids": ["vs_\x00"]}
        assert client.post("/v1/search", json=odd).status_code == 404


def test_json_that_is_no_utf8_is_refused(server: Service) -> None:
    headers = {"Content-Type": "application/json"}
    with server.client(server.new_user("ann@example.com")) as client:
        for path in ("/v1/workflows", "/v1/workflows/x/run", "/v1/teams", "/v1/search"):
            reply = client.post(path, content=b'{"name": "\xff"}', headers=headers)
            assert (path, reply.status_code) == (path, 400)
            assert reply.json()["detail"] == "The JSON body is not encoded in UTF-8."


def test_what_is_missing_or_wrong_is_named_as_the_sender_knows_it(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:

        def detail(method: str, path: str, **more: object) -> str:
            reply = client.request(method, path, **more)  # type: ignore[arg-type]
            assert reply.status_code == 400, reply.text
            return str(reply.json()["detail"])

        assert detail("POST", "/v1/teams") == "A JSON body is wanted."
        assert detail("POST", "/v1/teams", json={"naem": "x"}).startswith("The body: Object ")
        assert detail("POST", "/v1/workflows/x/run", json={"start": "x"}).startswith("The body: Object ")
        assert detail("POST", "/v1/teams", json={"name": 1}).startswith("name: ")
        assert detail("GET", "/v1/workflows/x/compare") == "from: is missing"
        assert detail("GET", "/v1/workflows/x/compare?from=0").startswith("from: ")
