"""Replies that come before the whole body was read."""

import httpx
import pytest

from tests.running import Service

LARGE = {"name": "x" * 2_000_000}


@pytest.mark.parametrize(("key", "status"), [("", 413), (None, 401)], ids=("too large", "nobody's"))
def test_a_connection_that_will_be_closed_says_so(server: Service, key: str | None, status: int) -> None:
    with server.client(key) as client:
        refused = client.post("/v1/api-keys", json=LARGE)
        assert (refused.status_code, refused.headers["connection"]) == (status, "close")
        # Were it not said, the client would go on with the same connection.
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("body", [b"{}", b'{"name": "' + b"x" * 500_000 + b'"}'], ids=("small", "read whole"))
def test_one_whose_body_was_read_stays_open(server: Service, body: bytes) -> None:
    with server.client() as client:
        refused = client.post("/v1/api-keys", content=body, headers={"Content-Type": "application/json"})
        assert refused.status_code == httpx.codes.BAD_REQUEST
        assert refused.headers.get("connection") != "close"
