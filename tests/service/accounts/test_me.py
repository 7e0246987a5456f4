"""One's own account: what is shown, what may be changed, and what may not."""

from typing import Any

import pytest

from tests.fakes.identity_server import FakeIssuer
from tests.running import Service
from tests.service.accounts.conftest import fetch, get_me


def change(server: Service, key: str, **fields: Any):
    with server.client(key) as client:
        return client.patch("/v1/users/me", json=fields)


def test_an_account_is_changed_field_by_field(server: Service, issuer: FakeIssuer) -> None:
    token = issuer.mint("user_ann", email="ann@example.com", email_verified=True, given_name="Ann")
    before = get_me(server, token).json()
    changed = change(server, token, last_name="Lee", username="ann.lee", onboarding_completed=True)
    assert changed.status_code == 200
    assert changed.json() == before | {
        "last_name": "Lee",
        "username": "ann.lee",
        "onboarding_completed": True,
    }
    cleared = change(server, token, last_name=None, username=None, image_url="https://img.example.com/a.png")
    assert cleared.json() == before | {
        "image_url": "https://img.example.com/a.png",
        "onboarding_completed": True,
    }
    assert change(server, token).json() == cleared.json()


def test_a_username_that_is_taken_is_a_conflict(server: Service) -> None:
    ann, bob = server.new_user("ann@example.com"), server.new_user("bob@example.com")
    assert change(server, ann, username="boiler").status_code == 200
    reply = change(server, bob, username="boiler")
    assert reply.status_code == 409
    assert "username" in reply.json()["detail"]
    assert change(server, ann, username="boiler").status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"username": "a"},
        {"username": "a b"},
        {"username": "ann@example.com"},
        {"username": "-ann"},
        {"username": "x" * 40},
        {"username": "ann\n"},
        {"first_name": ""},
        {"first_name": "x" * 101},
        {"first_name": "A\x00nn"},
        {"image_url": "http://img.example.com/a.png"},
        {"image_url": "javascript:alert(1)"},
        {"image_url": "https://img.example.com/a b"},
        {"onboarding_completed": None},
        {"email": "eve@example.com"},
        {"subscription_tier": "ENTERPRISE"},
        {"id": "x"},
    ],
)
def test_what_may_not_be_changed_is_refused(server: Service, fields: dict[str, Any]) -> None:
    key = server.new_user("ann@example.com")
    before = fetch(server, 'SELECT * FROM "User" ORDER BY "id"')
    assert change(server, key, **fields).status_code == 400
    after = fetch(server, 'SELECT * FROM "User" ORDER BY "id"')
    assert [row["updatedAt"] for row in after] == [row["updatedAt"] for row in before]


def test_scopes_are_asked_for(server: Service) -> None:
    reader = server.new_user("ann@example.com", ("account:read",))
    assert get_me(server, reader).status_code == 200
    assert change(server, reader, first_name="Ann").status_code == 403
    assert get_me(server, server.new_user("bob@example.com", ("search",))).status_code == 403
