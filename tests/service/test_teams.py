"""A team as its people live it: made, joined, led, handed over, left."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.running import Service


@pytest.fixture
def people(server: Service) -> Iterator[dict[str, httpx.Client]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(server.client(server.new_user(f"{name}@example.com")))
            for name in ("ann", "bob", "eve")
        }


def make_team(client: httpx.Client, **fields: Any) -> str:
    reply = client.post("/v1/teams", json={"name": "Legal"} | fields)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def join(team: str, owner: httpx.Client, person: httpx.Client, email: str, role: str = "MEMBER") -> str:
    """Invite somebody, who accepts; return their user id."""
    assert owner.post(f"/v1/teams/{team}/invitations", json={"email": email, "role": role}).status_code == 201
    [waiting] = person.get("/v1/invitations").json()["data"]
    assert person.post(f"/v1/invitations/{waiting['id']}/accept").status_code == 200
    members = owner.get(f"/v1/teams/{team}/members").json()["data"]
    return next(str(row["user_id"]) for row in members if row["email"] == email)


def test_teams_made_at_once_stay_within_the_limit(people: dict[str, httpx.Client]) -> None:
    ann = people["ann"]
    for number in range(18):
        make_team(ann, name=f"Team {number}")
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ann.post("/v1/teams", json={"name": "More"}).status_code, range(8)))
    assert sorted(made) == [201] * 2 + [409] * 6


def test_slugs_are_made_of_names_and_are_unique(people: dict[str, httpx.Client]) -> None:
    ann, bob = people["ann"], people["bob"]
    slugs = [
        ann.post("/v1/teams", json={"name": name}).json()["slug"] for name in ("Légal & Co", "Legal Co", "法")
    ]
    assert slugs == ["legal-co", "legal-co-2", "team"]
    taken = bob.post("/v1/teams", json={"name": "x", "slug": "legal-co"})
    assert taken.status_code == 409
    assert "slug" in taken.json()["detail"]
    assert bob.post("/v1/teams", json={"name": "x", "slug": "Not a slug"}).status_code == 400


def test_an_invitation_waits_and_makes_a_member(people: dict[str, httpx.Client]) -> None:
    ann, bob, eve = people["ann"], people["bob"], people["eve"]
    team = make_team(ann)
    invited = ann.post(f"/v1/teams/{team}/invitations", json={"email": "BOB@example.com", "role": "VIEWER"})
    assert invited.status_code == 201
    assert eve.get("/v1/invitations").json()["data"] == []
    [waiting] = bob.get("/v1/invitations").json()["data"]
    assert waiting["team_name"] == "Legal"
    assert bob.get("/v1/notifications").json()["data"][0]["type"] == "TEAM_INVITE"
    assert eve.post(f"/v1/invitations/{waiting['id']}/accept").status_code == 404
    assert bob.get(f"/v1/teams/{team}").status_code == 404
    assert bob.post(f"/v1/invitations/{waiting['id']}/accept").status_code == 200
    assert bob.get(f"/v1/teams/{team}").json()["role"] == "VIEWER"
    assert bob.post(f"/v1/invitations/{waiting['id']}/accept").status_code == 404
    again = ann.post(f"/v1/teams/{team}/invitations", json={"email": "bob@example.com"})
    assert again.status_code == 409


def told(client: httpx.Client) -> int:
    """Return of how many invitations somebody has been told."""
    return sum(row["type"] == "TEAM_INVITE" for row in client.get("/v1/notifications").json()["data"])


def test_a_repeated_invitation_is_renewed_and_told_once(people: dict[str, httpx.Client]) -> None:
    ann, bob = people["ann"], people["bob"]
    team = make_team(ann)
    path = f"/v1/teams/{team}/invitations"
    first = ann.post(path, json={"email": "bob@example.com", "role": "VIEWER"}).json()
    again = ann.post(path, json={"email": "Bob@example.com", "role": "ADMIN"}).json()
    assert (again["id"], again["role"]) == (first["id"], "ADMIN")
    assert again["expires_at"] > first["expires_at"]
    assert len(ann.get(path).json()["data"]) == 1
    assert told(bob) == 1
    # Nor is it told by going around it.
    assert ann.delete(f"{path}/{first['id']}").status_code == 204
    assert ann.post(path, json={"email": "bob@example.com"}).status_code == 201
    assert told(bob) == 1
    [waiting] = bob.get("/v1/invitations").json()["data"]
    assert waiting["role"] == "MEMBER"
    assert ann.post(f"/v1/teams/{make_team(ann)}/invitations", json={"email": "bob@example.com"})
    assert told(bob) == 2


def test_an_expired_invitation_is_replaced_and_told_after_a_day(
    server: Service, people: dict[str, httpx.Client]
) -> None:
    ann, bob = people["ann"], people["bob"]
    path = f"/v1/teams/{make_team(ann)}/invitations"
    first = ann.post(path, json={"email": "bob@example.com"}).json()
    server.call(_pass_two_weeks(server))
    second = ann.post(path, json={"email": "bob@example.com"}).json()
    assert first["id"] != second["id"]
    assert told(bob) == 2


async def _pass_two_weeks(server: Service) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute("UPDATE team_invitation SET expires_at = now()")
        await conn.execute("""UPDATE "Notification" SET "createdAt" = "createdAt" - interval '14 days'""")


def test_invitations_made_at_once_stay_within_the_limit(people: dict[str, httpx.Client]) -> None:
    ann = people["ann"]
    path = f"/v1/teams/{make_team(ann)}/invitations"

    def invite(number: int) -> int:
        return ann.post(path, json={"email": f"{number}@example.org"}).status_code

    assert {invite(number) for number in range(98)} == {201}
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(invite, range(98, 106)))
    assert sorted(made) == [201] * 2 + [409] * 6
    assert invite(0) == 201  # which waits already


def test_an_invitation_can_be_declined_and_withdrawn(people: dict[str, httpx.Client]) -> None:
    ann, bob = people["ann"], people["bob"]
    team = make_team(ann)
    made = ann.post(f"/v1/teams/{team}/invitations", json={"email": "bob@example.com"}).json()
    assert bob.post(f"/v1/invitations/{made['id']}/decline").status_code == 204
    assert ann.get(f"/v1/teams/{team}/invitations").json()["data"] == []
    made = ann.post(f"/v1/teams/{team}/invitations", json={"email": "bob@example.com"}).json()
    assert ann.delete(f"/v1/teams/{team}/invitations/{made['id']}").status_code == 204
    assert bob.post(f"/v1/invitations/{made['id']}/accept").status_code == 404


def test_roles_are_given_by_those_who_may(people: dict[str, httpx.Client]) -> None:
    ann, bob, eve = people["ann"], people["bob"], people["eve"]
    team = make_team(ann)
    bob_id = join(team, ann, bob, "bob@example.com", "ADMIN")
    eve_id = join(team, ann, eve, "eve@example.com")
    members = f"/v1/teams/{team}/members"
    assert bob.patch(f"{members}/{eve_id}", json={"role": "VIEWER"}).json()["role"] == "VIEWER"
    assert bob.patch(f"{members}/{eve_id}", json={"role": "OWNER"}).status_code == 403
    assert bob.patch(f"{members}/{bob_id}", json={"role": "OWNER"}).status_code == 403
    ann_id = ann.get("/v1/users/me").json()["id"]
    assert bob.delete(f"{members}/{ann_id}").status_code == 403
    assert bob.patch(f"{members}/{ann_id}", json={"role": "MEMBER"}).status_code == 403
    alone = ann.patch(f"{members}/{ann_id}", json={"role": "MEMBER"})
    assert alone.status_code == 409
    assert "owner" in alone.json()["detail"]


def test_a_team_is_handed_over_and_left(people: dict[str, httpx.Client]) -> None:
    ann, bob = people["ann"], people["bob"]
    team = make_team(ann)
    ann_id = ann.get("/v1/users/me").json()["id"]
    only = ann.delete(f"/v1/teams/{team}/members/{ann_id}")
    assert only.status_code == 409
    assert "delete the team" in only.json()["detail"]
    bob_id = join(team, ann, bob, "bob@example.com")
    assert ann.delete(f"/v1/teams/{team}/members/{ann_id}").status_code == 409
    handed = ann.post(f"/v1/teams/{team}/transfer", json={"user_id": bob_id}).json()["data"]
    assert {row["user_id"]: row["role"] for row in handed} == {bob_id: "OWNER", ann_id: "ADMIN"}
    document = ann.post("/v1/documents", json={"title": "t", "content": "c", "team_id": team}).json()["id"]
    assert ann.delete(f"/v1/teams/{team}/members/{ann_id}").status_code == 204
    assert ann.get(f"/v1/documents/{document}").status_code == 404
    assert bob.get(f"/v1/documents/{document}").status_code == 200
    actions = [row["action"] for row in bob.get(f"/v1/teams/{team}/audit").json()["data"]]
    assert actions == [
        "team.member_left",
        "team.transferred",
        "team.member_added",
        "team.invited",
        "team.created",
    ]


def test_of_two_owners_who_leave_at_once_one_stays(people: dict[str, httpx.Client]) -> None:
    ann, bob, eve = people["ann"], people["bob"], people["eve"]
    team = make_team(ann)
    bob_id = join(team, ann, bob, "bob@example.com")
    join(team, ann, eve, "eve@example.com")
    ann_id = ann.get("/v1/users/me").json()["id"]
    members = f"/v1/teams/{team}/members"
    assert ann.patch(f"{members}/{bob_id}", json={"role": "OWNER"}).status_code == 200
    with ThreadPoolExecutor(2) as threads:
        leave = [threads.submit(who.delete, f"{members}/{me}") for who, me in ((ann, ann_id), (bob, bob_id))]
        assert sorted(reply.result().status_code for reply in leave) == [204, 409]
    assert [row["role"] for row in eve.get(members).json()["data"]].count("OWNER") == 1


def test_a_document_is_shared_and_taken_back_by_its_uploader_only(people: dict[str, httpx.Client]) -> None:
    ann, bob, eve = people["ann"], people["bob"], people["eve"]
    team = make_team(ann)
    join(team, ann, bob, "bob@example.com")
    text = {"title": "t", "content": "The lease ends in May."}
    path = ann.post("/v1/documents?wait=30", json=text).headers["location"]
    assert bob.post("/v1/search", json={"query": "lease"}).json()["hits"] == []
    assert ann.patch(path, json={"team_id": team}).json()["team_id"] == team
    assert bob.post("/v1/search", json={"query": "lease"}).json()["hits"]
    assert eve.post("/v1/search", json={"query": "lease"}).json()["hits"] == []
    assert bob.patch(path, json={"team_id": None}).status_code == 403
    assert ann.patch(path, json={"team_id": None}).json()["team_id"] is None
    assert bob.post("/v1/search", json={"query": "lease"}).json()["hits"] == []
    assert ann.patch(path, json={"team_id": "no-team"}).status_code == 404


def test_nobody_owns_teams_without_end(people: dict[str, httpx.Client]) -> None:
    ann = people["ann"]
    for _ in range(20):
        make_team(ann)
    refused = ann.post("/v1/teams", json={"name": "one more"})
    assert refused.status_code == 409
    assert "20" in refused.json()["detail"]
