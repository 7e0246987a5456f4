"""Signing in by token: accounts made at first sight, whose address is whose, and who stays out."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fakes.identity_server import FakeIssuer, rsa_key
from tests.running import Service, run_service
from tests.service.accounts.conftest import fetch, get_me

INVITE = """
    WITH team AS (INSERT INTO "Team" ("name", "slug") VALUES ('Heating', $2) RETURNING "id" AS team_id),
         owner AS (
             INSERT INTO "User" ("clerkId", "email") VALUES ('local-' || $2, $2 || '@example.com')
             RETURNING "id" AS user_id
         ),
         member AS (
             INSERT INTO "TeamMember" ("teamId", "userId", "role") SELECT team_id, user_id, 'OWNER' FROM team, owner
         )
    INSERT INTO team_invitation (team_id, email, role, expires_at)
    SELECT team_id, $1, 'ADMIN', now() + $3::interval FROM team RETURNING team_id
"""


def test_the_first_token_makes_an_account(server: Service, issuer: FakeIssuer) -> None:
    token = issuer.mint(
        "user_ann", email="ann@example.com", email_verified=True, given_name="Ann", family_name="Lee"
    )
    reply = get_me(server, token)
    assert reply.status_code == 200
    me = reply.json()
    assert (me["email"], me["email_verified"], me["first_name"]) == ("ann@example.com", True, "Ann")
    assert get_me(server, issuer.mint("user_ann")).json()["id"] == me["id"]
    audit = fetch(server, "SELECT action FROM audit_log WHERE resource_id = $1", me["id"])
    assert audit == [{"action": "user.created"}]


def test_of_requests_that_come_at_once_one_makes_the_account(server: Service, issuer: FakeIssuer) -> None:
    token = issuer.mint("user_ann", email="ann@example.com", email_verified=True, preferred_username="ann")
    other = issuer.mint("user_bob", email="ann@example.com", email_verified=True, preferred_username="ann")
    with ThreadPoolExecutor(16) as threads:
        replies = list(threads.map(lambda t: get_me(server, t), [token, other] * 20))
    assert {reply.status_code for reply in replies} == {200}
    rows = fetch(server, """SELECT "email", "username" FROM "User" WHERE "clerkId" LIKE 'user\\_%'""")
    assert len(rows) == 2
    assert [row["email"] for row in rows].count("ann@example.com") == 1
    assert [row["username"] for row in rows].count("ann") == 1


def test_a_person_who_is_signed_in_may_all_that_a_key_may(server: Service, issuer: FakeIssuer) -> None:
    with server.client(issuer.mint("user_ann")) as client:
        made = client.post("/v1/documents", json={"title": "Mine", "content": "The boiler is in hall B."})
        assert made.status_code == 202
        assert client.get(f"/v1/documents/{made.json()['id']}").status_code == 200
    with server.client(issuer.mint("user_bob")) as client:
        assert client.get(f"/v1/documents/{made.json()['id']}").status_code == 404


def test_a_refused_token_gets_a_sentence(server: Service, issuer: FakeIssuer) -> None:
    tokens = {
        "expired": issuer.mint(exp=int(time.time()) - 60),
        "issuer": issuer.mint(iss="https://evil.example.com"),
        "does not publish": issuer.mint(key=rsa_key("forger")),
        "neither": "nonsense",
    }
    for why, token in tokens.items():
        reply = get_me(server, token)
        assert reply.status_code == 401, why
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert why in reply.json()["detail"]
        assert token not in reply.text


def test_while_the_issuer_is_away_the_answer_is_503(server: Service, issuer: FakeIssuer) -> None:
    issuer.go_down()
    reply = get_me(server, issuer.mint())
    assert reply.status_code == 503
    assert reply.headers["retry-after"]


def test_without_an_issuer_tokens_sign_nobody_in(
    issuer: FakeIssuer, database_url: str, tmp_path: Path
) -> None:
    with run_service(database_url, tmp_path / "home", worker=False) as service:
        reply = get_me(service, issuer.mint())
    assert reply.status_code == 401
    assert "No identity provider" in reply.json()["detail"]
    assert not issuer.fetches


@pytest.mark.parametrize("verified", [None, False, "true"])
def test_an_address_that_is_not_verified_is_not_theirs(
    server: Service, issuer: FakeIssuer, verified: object
) -> None:
    me = get_me(server, issuer.mint("user_eve", email="ann@example.com", email_verified=verified)).json()
    assert (me["email"], me["email_verified"]) == (None, False)
    rows = fetch(server, """SELECT "email" FROM "User" WHERE "clerkId" = 'user_eve'""")
    assert rows == [{"email": "user_eve@users.invalid"}]


def test_nobody_takes_over_an_account_by_its_address(server: Service, issuer: FakeIssuer) -> None:
    key = server.new_user("ann@example.com")
    ann = get_me(server, key).json()
    eve = get_me(server, issuer.mint("user_eve", email="ann@example.com", email_verified=True)).json()
    assert eve["id"] != ann["id"]
    assert eve["email"] is None
    assert get_me(server, key).json()["email"] == "ann@example.com"


def test_an_address_is_taken_over_once_it_is_verified(server: Service, issuer: FakeIssuer) -> None:
    get_me(server, issuer.mint("user_ann", email="ann@example.com"))
    # Looked at once a minute.
    fetch(server, """UPDATE "User" SET "lastLoginAt" = now() - interval '2 minutes'""")
    token = issuer.mint("user_ann", email="ann@example.com", email_verified=True)
    assert get_me(server, token).json()["email"] == "ann@example.com"


def test_the_last_login_moves_once_a_minute(server: Service, issuer: FakeIssuer) -> None:
    def login() -> object:
        get_me(server, issuer.mint())
        [row] = fetch(server, """SELECT "lastLoginAt" AS at FROM "User" WHERE "clerkId" = 'user_ann'""")
        return row["at"]

    first = login()
    assert first is not None
    assert login() == first
    fetch(server, """UPDATE "User" SET "lastLoginAt" = "lastLoginAt" - interval '61 seconds'""")
    assert login() != first


def test_invitations_become_memberships(server: Service, issuer: FakeIssuer) -> None:
    [early] = fetch(server, INVITE, "Ann@Example.com", "early", timedelta(days=1))
    [expired] = fetch(server, INVITE, "ann@example.com", "expired", timedelta(days=-1))
    token = issuer.mint("user_ann", email="ann@example.com", email_verified=True)
    me = get_me(server, token).json()
    [late] = fetch(server, INVITE, "ann@example.com", "late", timedelta(days=1))
    get_me(server, token)
    members = fetch(server, 'SELECT "teamId", "role"::text FROM "TeamMember" WHERE "userId" = $1', me["id"])
    assert {(row["teamId"], row["role"]) for row in members} == {
        (early["team_id"], "ADMIN"),
        (late["team_id"], "ADMIN"),
    }
    told = fetch(server, 'SELECT "type"::text, "title" FROM "Notification" WHERE "userId" = $1', me["id"])
    assert [row["type"] for row in told] == ["TEAM_INVITE", "TEAM_INVITE"]
    audit = fetch(server, "SELECT team_id FROM audit_log WHERE action = 'team.member_added' ORDER BY id")
    assert [row["team_id"] for row in audit] == [early["team_id"], late["team_id"]]
    waiting = fetch(server, "SELECT team_id FROM team_invitation")
    assert waiting == [{"team_id": expired["team_id"]}]


def test_an_unverified_address_joins_no_team(server: Service, issuer: FakeIssuer) -> None:
    fetch(server, INVITE, "ann@example.com", "heating", timedelta(days=1))
    eve = get_me(server, issuer.mint("user_eve", email="ann@example.com")).json()
    assert not fetch(server, 'SELECT FROM "TeamMember" WHERE "userId" = $1', eve["id"])


def test_a_token_from_before_the_deletion_makes_nobody(server: Service, issuer: FakeIssuer) -> None:
    token = issuer.mint("user_ann", email="ann@example.com", email_verified=True)
    first = get_me(server, token).json()
    with server.client(token) as client:
        reply = client.request("DELETE", "/v1/users/me", json={"confirm": "ann@example.com"})
        assert reply.status_code == 200
    refused = get_me(server, token)
    assert refused.status_code == 401
    assert "deleted" in refused.json()["detail"]
    fetch(server, "UPDATE deleted_identity SET deleted_at = now() - interval '1 minute'")
    again = get_me(server, issuer.mint("user_ann")).json()
    assert again["id"] != first["id"]
