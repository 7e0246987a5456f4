"""What a person or program can send to POST /v1/documents, and what comes back."""

import hashlib
import json
import threading

import httpx
import pytest

from tests.running import Service

NOTES = "Heating in hall B is serviced every October.\n\nThe key hangs behind the counter."


def test_a_file_becomes_ready_and_keeps_its_bytes(server: Service) -> None:
    with server.client() as client:
        reply = client.post("/v1/documents?wait=30", files={"file": ("notes.txt", NOTES.encode())})
        assert reply.status_code == 202
        accepted = reply.json()
        assert accepted["status"] == "ready"
        assert accepted["error"] is None
        assert reply.headers["location"] == f"/v1/documents/{accepted['id']}"

        document = client.get(reply.headers["location"]).json()
        assert document["filename"] == "notes.txt"
        assert document["media_type"] == "text/plain"
        assert document["size_bytes"] == len(NOTES.encode())
        assert document["sha256"] == hashlib.sha256(NOTES.encode()).hexdigest()
        assert document["chunk_count"] >= 1
        assert document["embedding_model"]

        content = client.get(f"/v1/documents/{accepted['id']}/content")
        assert content.content == NOTES.encode()
        assert content.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in content.headers["content-security-policy"]

        text = client.get(f"/v1/documents/{accepted['id']}/text").text
        chunks = client.get(f"/v1/documents/{accepted['id']}/chunks").json()["data"]
        assert chunks
        for chunk in chunks:
            assert text[chunk["char_start"] : chunk["char_end"]] == chunk["text"]


def test_a_text_becomes_ready(server: Service) -> None:
    with server.client() as client:
        reply = client.post(
            "/v1/documents?wait=30",
            json={"title": "Heating", "content": NOTES, "metadata": {"year": 2024}},
        )
        document = client.get(reply.headers["location"]).json()
    assert document["status"] == "ready"
    assert document["title"] == "Heating"
    assert document["source_type"] == "text"
    assert document["metadata"] == {"year": 2024}


def test_without_wait_the_reply_comes_before_the_work(server: Service) -> None:
    with server.client() as client:
        reply = client.post("/v1/documents", json={"title": "t", "content": NOTES})
        assert reply.status_code == 202
        with client.stream("GET", reply.headers["location"] + "/events") as stream:
            events = [
                line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event: ")
            ]
    assert events[-1] == "ready"
    assert set(events[:-1]) <= {"progress"}


def test_a_title_and_metadata_travel_with_a_file(server: Service) -> None:
    with server.client() as client:
        reply = client.post(
            "/v1/documents?wait=30",
            files={"file": ("a.md", b"# Roof\n\nThe roof was sealed in May.")},
            data={
                "title": "Roof report",
                "metadata": json.dumps({"tags": ["roof"]}),
                "source_url": "file:///a.md",
            },
        )
        document = client.get(reply.headers["location"]).json()
        assert document["title"] == "Roof report"
        assert document["metadata"] == {"tags": ["roof"]}
        assert document["source_url"] == "file:///a.md"
        found = client.get("/v1/documents", params={"source_url": "file:///a.md"}).json()["data"]
        assert [d["id"] for d in found] == [document["id"]]


@pytest.mark.parametrize(
    ("request_options", "status", "says"),
    [
        ({"files": {"other": ("a.txt", b"x")}}, 400, "no part named file"),
        ({"files": {"file": ("a.txt", b"")}}, 422, "empty"),
        ({"files": {"file": ("a.exe", b"MZ\x90\x00\x03\x00\x00\x00" + b"\x00" * 64)}}, 415, "pdf"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"metadata": "[1]"}}, 400, "metadata"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"metadata": "{"}}, 400, "metadata"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"titel": "x"}}, 400, "titel"),
        ({"files": {"file": ("a.txt", b"x")}, "data": {"team_id": "nobody"}}, 404, "team"),
        ({"json": {"title": "x"}}, 400, "content"),
        ({"json": {"title": "x", "content": "y", "colour": 1}}, 400, "colour"),
        ({"json": {"title": "\u0000", "content": "y"}}, 422, "title"),
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400, "JSON"),
        ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "multipart"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
        (
            {"content": b"--b\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
            400,
            "damaged",
        ),
    ],
)
def test_bad_uploads_are_refused_with_a_reason(
    server: Service, request_options: dict, status: int, says: str
) -> None:
    with server.client() as client:
        reply = client.post("/v1/documents", **request_options)
        assert reply.status_code == status, reply.text
        assert reply.headers["content-type"] == "application/problem+json"
        problem = reply.json()
        assert says.lower() in problem["detail"].lower()
        assert problem["status"] == status
        assert client.get("/v1/documents").json()["data"] == []
    assert not [path for path in (server.settings.home / "originals").rglob("*") if path.is_file()]


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(database_url: str, tmp_path) -> None:
    from tests.running import run_service

    with run_service(database_url, tmp_path, worker=False, max_upload_bytes=1000) as service:
        with service.client() as client:
            reply = client.post("/v1/documents", files={"file": ("a.txt", b"word " * 400)})
            assert reply.status_code == 413
            assert reply.json()["max_bytes"] == 1000
        assert not [path for path in (tmp_path / "originals").rglob("*") if path.is_file()]


def test_an_unreadable_file_fails_with_stage_and_reason(server: Service) -> None:
    with server.client() as client:
        reply = client.post("/v1/documents?wait=30", files={"file": ("a.pdf", b"%PDF-1.7\nthis is no pdf")})
        assert reply.json()["status"] == "failed"
        error = reply.json()["error"]
        assert error["stage"] == "parse"
        assert error["code"] in {"corrupt_file", "no_text"}
        assert error["detail"].endswith(".")
        retried = client.post(reply.headers["location"] + "/retry")
        assert retried.status_code == 202
        assert retried.json()["status"] in {"queued", "processing", "failed"}


def test_an_idempotency_key_makes_one_document(server: Service) -> None:
    body = {"title": "once", "content": NOTES}
    with server.client() as client:
        first = client.post("/v1/documents", json=body, headers={"Idempotency-Key": "k1"})
        again = client.post("/v1/documents", json=body, headers={"Idempotency-Key": "k1"})
        other = client.post(
            "/v1/documents", json=body | {"title": "other"}, headers={"Idempotency-Key": "k1"}
        )
        assert first.json()["id"] == again.json()["id"]
        assert other.status_code == 409
        assert len(client.get("/v1/documents").json()["data"]) == 1


def test_concurrent_repeats_of_one_key_make_one_document(server: Service) -> None:
    ids: list[str] = []

    def send() -> None:
        with server.client() as client:
            reply = client.post(
                "/v1/documents", json={"title": "t", "content": NOTES}, headers={"Idempotency-Key": "race"}
            )
            ids.append(reply.json()["id"])

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 1
    assert len(ids) == 8
    with server.client() as client:
        assert len(client.get("/v1/documents").json()["data"]) == 1
    assert len([path for path in (server.settings.home / "originals").rglob("*") if path.is_file()]) == 1


def test_a_deleted_document_leaves_no_trace(server: Service) -> None:
    with server.client() as client:
        location = client.post("/v1/documents?wait=30", json={"title": "t", "content": NOTES}).headers[
            "location"
        ]
        query = {"query": "heating in hall B"}
        assert client.post("/v1/search", json=query).json()["hits"]
        assert client.delete(location).status_code == 204
        assert client.post("/v1/search", json=query).json()["hits"] == []
        for path in ("", "/content", "/text", "/chunks", "/events"):
            assert client.get(location + path).status_code == 404
        assert client.delete(location).status_code == 404
    assert not [path for path in (server.settings.home / "originals").rglob("*") if path.is_file()]


def test_lists_are_paged_without_loss(server: Service) -> None:
    with server.client() as client:
        made = {
            client.post("/v1/documents", json={"title": f"t{i}", "content": NOTES}).json()["id"]
            for i in range(7)
        }
        seen: list[str] = []
        after: str | None = None
        while True:
            page = client.get(
                "/v1/documents", params={"limit": 3} | ({"after": after} if after else {})
            ).json()
            seen += [document["id"] for document in page["data"]]
            if not page["has_more"]:
                break
            after = page["next_cursor"]
    assert len(seen) == 7
    assert set(seen) == made
    with server.client() as client:
        assert client.get("/v1/documents", params={"after": "bogus"}).status_code == 400


def test_metadata_and_title_can_be_changed(server: Service) -> None:
    with server.client() as client:
        location = client.post("/v1/documents", json={"title": "t", "content": NOTES}).headers["location"]
        changed = client.patch(location, json={"title": "new", "metadata": {"a": 1}}).json()
        assert (changed["title"], changed["metadata"]) == ("new", {"a": 1})
        assert client.patch(location, json={"title": "newer"}).json()["metadata"] == {"a": 1}
        assert client.patch(location, json={"metadata": None}).json()["metadata"] == {}
        assert client.patch(location, json={"colour": 1}).status_code == 400


def test_an_interrupted_upload_leaves_nothing(server: Service) -> None:
    def parts():
        yield (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"word " * 5000
        )
        raise ConnectionError("the client went away")

    with server.client() as client, pytest.raises((ConnectionError, httpx.HTTPError)):
        client.post(
            "/v1/documents", content=parts(), headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
    with server.client() as client:
        assert client.get("/v1/documents").json()["data"] == []
