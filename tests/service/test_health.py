"""What load balancers and monitoring read."""

from tests.running import Service


def test_a_healthy_service_says_so(server: Service) -> None:
    with server.client(None) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_requests_by_route_and_ingestions(server: Service) -> None:
    with server.client() as client:
        location = client.post(
            "/v1/documents?wait=30", json={"title": "t", "content": "Something to find."}
        ).headers["location"]
        client.get(location)
        client.post("/v1/search", json={"query": "find"})
        text = client.get("/metrics").text
    assert (
        'docsearch_http_requests_total{method="GET",route="/v1/documents/{document_id}",status="200"}' in text
    )
    assert 'docsearch_documents_ingested_total{outcome="ready"}' in text
    assert 'docsearch_documents_unfinished{status="queued"} 0.0' in text
    assert location.rsplit("/", 1)[-1] not in text


def test_every_reply_carries_a_request_id(server: Service) -> None:
    with server.client() as client:
        assert len(client.get("/v1/documents").headers["x-request-id"]) == 32
        given = client.get("/v1/documents", headers={"X-Request-Id": "abc-123"})
        assert given.headers["x-request-id"] == "abc-123"
        assert client.get("/nothing").headers["x-request-id"]


def test_a_path_that_is_not_there_is_a_problem(server: Service) -> None:
    with server.client() as client:
        for reply in (client.get("/v1/nothing"), client.put("/v1/documents")):
            assert reply.status_code in {404, 405}
            assert reply.headers["content-type"] == "application/problem+json"
        assert client.get("/v1/documents/%00").status_code == 400
