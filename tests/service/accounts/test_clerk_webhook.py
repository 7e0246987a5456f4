"""Clerk's webhook over HTTP: repeats, late events, and events in another order than things happened."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from service.settings import SettingsError
from tests.fakes.clerk_events import (
    OTHER_SECRET,
    deletion_event,
    email_address,
    signed_headers,
    user_event,
)
from tests.fakes.identity_server import FakeIssuer
from tests.running import Service, run_service
from tests.service.accounts.conftest import Post, fetch, get_me
from tests.service.accounts.test_sign_in import INVITE

AT = 1_700_000_000_000


def people(server: Service) -> list[dict[str, object]]:
    return fetch(
        server,
        """
        SELECT "clerkId" AS id, "email", "emailVerified" AS verified, "firstName" AS name FROM "User"
        WHERE "clerkId" LIKE 'user\\_%' ORDER BY 1
        """,
    )


def test_a_person_comes_changes_and_goes(server: Service, send_event: Post) -> None:
    assert send_event(user_event("user.created", at_ms=AT)).status_code == 204
    assert people(server) == [{"id": "user_ann", "email": "ann@example.com", "verified": True, "name": "Ann"}]
    changed = user_event(
        "user.updated",
        at_ms=AT + 1,
        first_name="Anna",
        email_addresses=[email_address("anna@example.com", "idn_1")],
    )
    assert send_event(changed).status_code == 204
    assert people(server) == [
        {"id": "user_ann", "email": "anna@example.com", "verified": True, "name": "Anna"}
    ]
    assert send_event(deletion_event(at_ms=AT + 2)).status_code == 204
    assert people(server) == []


def test_a_repeat_changes_nothing(server: Service, send_event: Post) -> None:
    body = user_event("user.created", at_ms=AT)
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: send_event(body, "msg_same"), range(16)))
    assert {reply.status_code for reply in replies} == {204}
    assert len(people(server)) == 1
    assert fetch(server, "SELECT count(*) AS n FROM audit_log WHERE action = 'user.created'") == [{"n": 1}]
    send_event(user_event("user.updated", at_ms=AT, first_name="Anna"), "msg_same")
    assert people(server)[0]["name"] == "Ann"


def test_an_older_event_never_overwrites_a_newer(server: Service, send_event: Post) -> None:
    send_event(user_event("user.updated", at_ms=AT + 2, first_name="Newest"))
    send_event(user_event("user.updated", at_ms=AT + 1, first_name="Older"))
    send_event(user_event("user.created", at_ms=AT, first_name="Oldest"))
    assert people(server)[0]["name"] == "Newest"


def test_nobody_comes_back_from_a_deletion(server: Service, send_event: Post, issuer: FakeIssuer) -> None:
    send_event(deletion_event(at_ms=AT + 2))
    send_event(user_event("user.created", at_ms=AT))
    send_event(user_event("user.updated", at_ms=AT + 3))
    assert people(server) == []
    assert get_me(server, issuer.mint("user_ann")).status_code == 401


def test_the_webhook_and_signing_in_make_one_account(
    server: Service, send_event: Post, issuer: FakeIssuer
) -> None:
    token = issuer.mint("user_ann")
    with ThreadPoolExecutor(8) as threads:
        signing_in = [threads.submit(get_me, server, token) for _ in range(6)]
        events = [threads.submit(send_event, user_event("user.created", at_ms=AT)) for _ in range(6)]
        assert {call.result().status_code for call in signing_in} == {200}
        assert {call.result().status_code for call in events} == {204}
    assert [person["email"] for person in people(server)] == ["ann@example.com"]


def test_the_webhook_replaces_a_placeholder_and_accepts_invitations(
    server: Service, send_event: Post, issuer: FakeIssuer
) -> None:
    fetch(server, INVITE, "ann@example.com", "heating", timedelta(days=1))
    me = get_me(server, issuer.mint("user_ann")).json()
    assert me["email"] is None
    send_event(user_event("user.updated", at_ms=AT))
    assert get_me(server, issuer.mint("user_ann")).json()["email"] == "ann@example.com"
    assert len(fetch(server, 'SELECT FROM "TeamMember" WHERE "userId" = $1', me["id"])) == 1


def test_an_address_of_somebody_else_stays_theirs(server: Service, send_event: Post) -> None:
    send_event(user_event("user.created", "user_ann", at_ms=AT))
    send_event(user_event("user.created", "user_eve", at_ms=AT))
    assert [person["email"] for person in people(server)] == ["ann@example.com", "user_eve@users.invalid"]
    # Ann lets go of it, and Eve proves it.
    moved = [email_address("ann@example.org", "idn_1")]
    send_event(user_event("user.updated", "user_ann", at_ms=AT + 1, email_addresses=moved))
    send_event(user_event("user.updated", "user_eve", at_ms=AT + 1))
    assert [person["email"] for person in people(server)] == ["ann@example.org", "ann@example.com"]


def test_an_address_that_is_no_longer_verified_is_let_go(server: Service, send_event: Post) -> None:
    send_event(user_event("user.created", at_ms=AT))
    unverified = [email_address("ann@example.com", status="unverified")]
    send_event(user_event("user.updated", at_ms=AT + 1, email_addresses=unverified))
    [person] = people(server)
    assert (person["email"], person["verified"]) == ("user_ann@users.invalid", False)


def test_what_is_not_genuine_changes_nothing(server: Service) -> None:
    body = user_event("user.created")
    forged = [
        {},
        signed_headers(body, secret=OTHER_SECRET),
        signed_headers(user_event("user.updated")),
        signed_headers(body) | {"svix-id": "msg_2"},
    ]
    with server.client(None) as client:
        for headers in forged:
            reply = client.post("/v1/clerk/webhook", content=body, headers=headers)
            assert reply.status_code == 400
            assert reply.headers["content-type"] == "application/problem+json"
    assert people(server) == []
    assert fetch(server, "SELECT FROM received_event") == []


def test_other_and_malformed_events(server: Service, send_event: Post) -> None:
    assert send_event(b'{"type": "session.created", "data": {}}').status_code == 204
    assert send_event(b'{"type": "user.created", "data": {}}').status_code == 400
    assert send_event(b"{}").status_code == 400
    assert send_event(b" " * (1024 * 1024 + 1)).status_code == 413


def test_without_a_secret_there_is_no_webhook(database_url: str, tmp_path: Path) -> None:
    body = user_event("user.created")
    with (
        run_service(database_url, tmp_path / "home", worker=False) as service,
        service.client(None) as client,
    ):
        reply = client.post("/v1/clerk/webhook", content=body, headers=signed_headers(body))
    assert reply.status_code == 404


def test_a_secret_that_is_none_is_told_at_the_start(database_url: str, tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="CLERK_WEBHOOK_SECRET"),
        run_service(database_url, tmp_path / "home", worker=False, clerk_webhook_secret="whsec_a"),
    ):
        pass


def test_an_issuer_that_cannot_be_trusted_is_told_at_the_start(database_url: str, tmp_path: Path) -> None:
    for settings in ({"oidc_issuer": "http://issuer.example.com"}, {"oidc_algorithms": "HS256"}):
        given = {"oidc_issuer": "https://issuer.example.com"} | settings
        with (
            pytest.raises(SettingsError, match="OIDC_ISSUER"),
            run_service(database_url, tmp_path / "home", worker=False, **given),
        ):
            pass
