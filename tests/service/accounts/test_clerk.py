"""Clerk's events: which messages are genuine, and what they are read as."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.accounts.clerk import (
    ClerkDeletion,
    ClerkUser,
    EventRefused,
    check_secret,
    read_event,
    verify_message,
)
from tests.fakes.clerk_events import (
    OTHER_SECRET,
    SECRET,
    deletion_event,
    email_address,
    signed_headers,
    user_event,
)

BODY = user_event("user.created")


def test_a_genuine_message_gives_its_id() -> None:
    assert verify_message(BODY, signed_headers(BODY, message_id="msg_7"), [SECRET]) == "msg_7"


def test_the_names_of_standard_webhooks_do_as_well() -> None:
    headers = {name.replace("svix", "webhook"): value for name, value in signed_headers(BODY).items()}
    assert verify_message(BODY, headers, [SECRET]) == "msg_1"


def test_while_secrets_change_either_of_them_signs() -> None:
    for secret in (SECRET, OTHER_SECRET):
        assert verify_message(BODY, signed_headers(BODY, secret=secret), [SECRET, OTHER_SECRET])
    both = signed_headers(BODY)
    both["svix-signature"] += " " + signed_headers(BODY, secret=OTHER_SECRET)["svix-signature"]
    assert verify_message(BODY, both, [OTHER_SECRET])


def changed(**headers: str | None) -> dict[str, str]:
    good = signed_headers(BODY) | {f"svix-{name}": value for name, value in headers.items()}
    return {name: value for name, value in good.items() if value is not None}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param(changed(id=None), id="no id"),
        pytest.param(changed(timestamp=None), id="no time"),
        pytest.param(changed(signature=None), id="no signature"),
        pytest.param(changed(id="msg_2"), id="another id"),
        pytest.param(changed(timestamp=str(int(datetime.now(UTC).timestamp()) + 1)), id="another time"),
        pytest.param(changed(timestamp="now"), id="no number"),
        pytest.param(changed(timestamp="nan"), id="not a number"),
        pytest.param(changed(signature="v1"), id="half a signature"),
        pytest.param(changed(signature="v1,###"), id="not base64"),
        pytest.param(changed(signature="v1,"), id="empty signature"),
        pytest.param(changed(signature="v1," + "A" * 43 + "="), id="made-up signature"),
        pytest.param(
            changed(signature=signed_headers(BODY)["svix-signature"].replace("v1,", "v2,")),
            id="another version",
        ),
        pytest.param(signed_headers(BODY, secret=OTHER_SECRET), id="signed with another secret"),
        pytest.param(
            signed_headers(BODY, sent_at=datetime.now(UTC) - timedelta(minutes=6)), id="sent long ago"
        ),
        pytest.param(signed_headers(BODY, sent_at=datetime.now(UTC) + timedelta(hours=2)), id="from ahead"),
        pytest.param(signed_headers(BODY, message_id="m" * 256), id="long id"),
        pytest.param(signed_headers(user_event("user.updated")), id="another message's signature"),
    ],
)
def test_what_is_not_genuine_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(EventRefused):
        verify_message(BODY, headers, [SECRET])


def test_a_changed_body_is_refused() -> None:
    headers = signed_headers(BODY)
    for body in (BODY + b" ", BODY.replace(b"ann@", b"eve@"), b"", b"\xff"):
        with pytest.raises(EventRefused):
            verify_message(body, headers, [SECRET])


def test_without_secrets_nothing_is_genuine() -> None:
    with pytest.raises(EventRefused):
        verify_message(BODY, signed_headers(BODY), [])


@pytest.mark.parametrize("kind", ["user.created", "user.updated"])
def test_a_person_is_read_with_when_it_was_so(kind: str) -> None:
    assert read_event(user_event(kind, username="ann", at_ms=1_700_000_000_123)) == ClerkUser(
        clerk_id="user_ann",
        email="ann@example.com",
        first_name="Ann",
        last_name="Lee",
        username="ann",
        image_url="https://img.clerk.com/ann",
        at_ms=1_700_000_000_123,
    )


def test_without_updated_at_the_events_own_time_counts() -> None:
    event = read_event(user_event("user.updated", at_ms=1_700_000_000_123, updated_at=None))
    assert isinstance(event, ClerkUser)
    assert event.at_ms == 1_700_000_000_123


@pytest.mark.parametrize(
    ("addresses", "primary", "expected"),
    [
        ([email_address("a@example.com", "1"), email_address("B@example.com", "2")], "2", "b@example.com"),
        ([email_address("a@example.com", "1", status="unverified")], "1", None),
        ([email_address("a@example.com", "1") | {"verification": None}], "1", None),
        ([email_address("a@example.com", "1")], None, None),
        ([email_address("a@example.com", "1")], "9", None),
        ([email_address("no address", "1")], "1", None),
        ([], None, None),
    ],
)
def test_only_the_verified_primary_address_is_theirs(
    addresses: list[dict[str, Any]], primary: str | None, expected: str | None
) -> None:
    event = read_event(
        user_event("user.created", email_addresses=addresses, primary_email_address_id=primary)
    )
    assert isinstance(event, ClerkUser)
    assert event.email == expected


def test_a_deletion_is_read_with_when_it_was() -> None:
    assert read_event(deletion_event("user_bob", at_ms=1_700_000_000_999)) == ClerkDeletion(
        clerk_id="user_bob", at_ms=1_700_000_000_999
    )


def test_other_events_are_nothing_to_us() -> None:
    assert read_event(b'{"type": "session.created", "data": {"id": 7}}') is None
    assert read_event(b'{"type": "organization.deleted", "data": null, "timestamp": 1}') is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type": 7, "data": {}}',
        b'{"type": "user.created", "data": null}',
        user_event("user.created", id=7),
        user_event("user.created", clerk_id=""),
        user_event("user.created", clerk_id="local-owner"),
        user_event("user.created", clerk_id="a\x00b"),
        user_event("user.created", email_addresses=[7]),
        user_event("user.created", updated_at="yesterday"),
        user_event("user.created", updated_at=10**18),
        deletion_event(at_ms=0),
        deletion_event("local-owner"),
        json.dumps({"type": "user.deleted", "data": {"id": "user_ann"}}).encode(),
    ],
)
def test_what_has_another_form_is_refused(body: bytes) -> None:
    with pytest.raises(EventRefused):
        read_event(body)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a", "é"])
def test_what_cannot_be_a_secret_is_told_at_the_start(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        check_secret(secret)
    check_secret(SECRET)
