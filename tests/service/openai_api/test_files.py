"""Files with the official client: they are documents, whatever way they came."""

import time

import openai
import pytest
from openai import OpenAI

from tests.running import Service
from tests.service.openai_api.conftest import Connect

NOTES = b"Heating in hall B is serviced every October."


def test_a_file_is_uploaded_read_listed_and_deleted(server: Service, client: OpenAI) -> None:
    made = client.files.create(file=("notes.txt", NOTES), purpose="assistants")
    assert made.object == "file"
    assert made.id.startswith("file-")
    assert (made.filename, made.bytes, made.purpose) == ("notes.txt", len(NOTES), "assistants")
    assert abs(made.created_at - time.time()) < 60
    assert made.expires_at is None
    ready = client.files.wait_for_processing(made.id, poll_interval=0.1)
    assert ready.status == "processed"
    assert client.files.retrieve(made.id).id == made.id
    assert client.files.content(made.id).read() == NOTES
    assert [file.id for file in client.files.list()] == [made.id]
    gone = client.files.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "file")
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    assert list(client.files.list()) == []


def test_documents_are_files_and_files_are_documents(server: Service, client: OpenAI) -> None:
    with server.client(client.api_key) as http:
        document = http.post(
            "/v1/documents?wait=30", json={"title": "Roof", "content": "Sealed in May."}
        ).json()
        file = client.files.retrieve(f"file-{document['id']}")
        assert (file.filename, file.status, file.purpose) == ("Roof.txt", "processed", "assistants")
        made = client.files.create(file=("a.md", b"# A\n\nb"), purpose="user_data")
        shown = http.get(f"/v1/documents/{made.id.removeprefix('file-')}").json()
        assert shown["filename"] == "a.md"
        assert [file.id for file in client.files.list(purpose="user_data")] == [made.id]
        assert http.delete(f"/v1/documents/{document['id']}").status_code == 204
    assert [file.id for file in client.files.list()] == [made.id]


def test_pages_follow_each_other_both_ways(client: OpenAI) -> None:
    ids = [client.files.create(file=(f"{n}.txt", NOTES), purpose="assistants").id for n in range(5)]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == ids
    assert [file.id for file in client.files.list(limit=2)] == ids[::-1]
    page = client.files.list(limit=2, order="asc", after=ids[0])
    assert [file.id for file in page.data] == ids[1:3]
    assert page.has_more is True
    client.files.delete(ids[2])
    with pytest.raises(openai.BadRequestError) as refused:
        page.get_next_page()
    assert refused.value.param == "after"


def test_a_file_that_cannot_be_read_says_why(client: OpenAI) -> None:
    made = client.files.create(file=("broken.pdf", b"%PDF-1.7 nothing else"), purpose="assistants")
    failed = client.files.wait_for_processing(made.id, poll_interval=0.1)
    assert failed.status == "error"
    assert failed.status_details


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": "batch"}, "purpose"),
        ({"purpose": "assistants", "extra_body": {"colour": "red"}}, "colour"),
        (
            {"purpose": "assistants", "expires_after": {"anchor": "created_at", "seconds": 60}},
            "expires_after[seconds]",
        ),
        (
            {"purpose": "assistants", "expires_after": {"anchor": "last_active_at", "seconds": 3600}},
            "expires_after[anchor]",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_and_leaves_nothing(
    server: Service, client: OpenAI, fields: dict[str, object], param: str
) -> None:
    before = sorted(path for path in (server.settings.home / "originals").rglob("*") if path.is_file())
    with pytest.raises(openai.BadRequestError) as refused:
        client.files.create(file=("notes.txt", NOTES), **fields)  # type: ignore[arg-type]
    assert refused.value.param == param
    assert len(client.sent) == 1  # type: ignore[attr-defined]
    assert list(client.files.list()) == []
    after = sorted(path for path in (server.settings.home / "originals").rglob("*") if path.is_file())
    assert after == before


def test_an_unknown_format_and_an_empty_file_are_bad_requests(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="pdf") as refused:
        client.files.create(file=("a.exe", b"MZ\x90\x00\x03" + b"\x00" * 64), purpose="assistants")
    assert refused.value.code == "unsupported_format"
    with pytest.raises(openai.BadRequestError, match="empty"):
        client.files.create(file=("a.txt", b""), purpose="assistants")


def test_a_file_says_when_it_expires(client: OpenAI) -> None:
    made = client.files.create(
        file=("notes.txt", NOTES),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert made.expires_at is not None
    assert abs(made.expires_at - made.created_at - 3600) <= 1


def test_a_repeat_under_the_same_key_is_the_same_file(client: OpenAI) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.files.create(file=("a.txt", NOTES), purpose="assistants", extra_headers=headers)
    again = client.files.create(file=("a.txt", NOTES), purpose="assistants", extra_headers=headers)
    assert again.id == first.id
    with pytest.raises(openai.ConflictError):
        client.files.create(file=("a.txt", NOTES), purpose="user_data", extra_headers=headers)
    # One attempt each: the client has been told not to try 409 again.
    assert len(client.sent) == 3  # type: ignore[attr-defined]


def test_a_teams_files_are_its_members_by_role(server: Service, connect: Connect) -> None:
    names = ("boss", "reader", "outsider")
    boss, reader, outsider = (connect(server, server.new_user(f"{name}@files.test")) for name in names)
    with server.client(boss.api_key) as http, server.client(reader.api_key) as theirs:
        team = http.post("/v1/teams", json={"name": "Files"}).json()["id"]
        http.post(f"/v1/teams/{team}/invitations", json={"email": "reader@files.test", "role": "VIEWER"})
        (invitation,) = theirs.get("/v1/invitations").json()["data"] or [None]
        assert theirs.post(f"/v1/invitations/{invitation['id']}/accept").status_code < 300
    header = {"X-Docsearch-Team": team}
    made = boss.files.create(file=("team.txt", NOTES), purpose="assistants", extra_headers=header)
    assert reader.files.content(made.id).read() == NOTES
    assert [file.id for file in reader.files.list()] == [made.id]
    with pytest.raises(openai.PermissionDeniedError):
        reader.files.delete(made.id)
    with pytest.raises(openai.PermissionDeniedError):
        reader.files.create(file=("team.txt", NOTES), purpose="assistants", extra_headers=header)
    with pytest.raises(openai.NotFoundError):
        outsider.files.create(file=("team.txt", NOTES), purpose="assistants", extra_headers=header)
    for call in (outsider.files.retrieve, outsider.files.content, outsider.files.delete):
        with pytest.raises(openai.NotFoundError):
            call(made.id)
    assert boss.files.delete(made.id).deleted
