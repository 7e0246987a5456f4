"""Deleting an account: everything that is somebody's goes, what is a team's is handed over, and it is counted after."""

from collections.abc import Sequence
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

import msgspec

from db import accounts, deletion, jobs
from db.deletion import Person, TeamShare
from db.notifications import notify
from db.pool import Conn
from service.audit import audit_system

# Longer than a request may take: an upload that was under way is found by then.
_SWEEP_AFTER = timedelta(minutes=15)


class Audit(Protocol):
    """Writes down what was done in the name of whoever does it: service.audit's functions, bound to them."""

    async def __call__(
        self, action: str, resource_type: str, resource_id: str, *, team_id: str | None = None, **details: Any
    ) -> None: ...


class LastOwnership(Enum):
    """What becomes of a team whose only owner is to be deleted."""

    REFUSE = auto()
    """They have to decide themselves: raises LastOwnerOf."""
    PASS_ON = auto()
    """Whoever is there longest becomes its owner, admins first: nobody is there to be asked."""


class LastOwnerOf(Exception):
    """Teams with other members would be left without an owner."""

    def __init__(self, teams: Sequence[TeamShare]) -> None:
        super().__init__(", ".join(team.name for team in teams))
        self.teams = tuple(teams)


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of each kind went where."""

    deleted: dict[str, int]
    handed_over: dict[str, int]
    anonymised: dict[str, int]


async def erase(conn: Conn, user_id: str, last_ownership: LastOwnership, audit: Audit) -> Erased | None:
    """Delete somebody, in the caller's transaction, which acts for the service; None where there is nobody.

    Raises LastOwnerOf. The bytes of originals are deleted by jobs of the same transaction: not before it commits,
    and for certain once it has.
    """
    account = await accounts.find_account(conn, user_id)
    if account is None:
        return None
    await accounts.lock_subject(conn, account.clerk_id)
    person = await deletion.lock_person(conn, user_id)
    if person is None:  # by somebody else, while we waited
        return None
    erased = await _erase(conn, person, last_ownership, audit)
    await accounts.bury_subject(conn, person.subject)
    await jobs.enqueue_sweep(conn, user_id, after=_SWEEP_AFTER)
    await audit("user.deleted", "user", user_id, deleted=erased.deleted, handed_over=erased.handed_over)
    return erased


async def sweep(conn: Conn, user_id: str) -> None:
    """Delete again what was written for somebody while they were being deleted."""
    if await deletion.lock_person(conn, user_id) is not None:
        return
    nobody = Person(user_id=user_id, subject=user_id, email=accounts.placeholder_email(user_id))
    await _erase(conn, nobody, LastOwnership.PASS_ON, partial(audit_system, conn, "system"))


async def _erase(conn: Conn, person: Person, last_ownership: LastOwnership, audit: Audit) -> Erased:
    teams = await deletion.lock_teams(conn, person.user_id)
    await _settle_ownership(conn, person.user_id, teams, last_ownership, audit)
    heirs = {team.team_id: team.heir_id for team in teams if team.heir_id is not None}
    # A team is theirs alone when they are in it and nobody else is.
    alone = [team.team_id for team in teams if team.heir_id is None and team.role is not None]
    handed_over = await deletion.hand_over(conn, person.user_id, heirs)
    templates = await deletion.anonymise_templates(conn, person.user_id)
    deleted = await deletion.delete_belongings(conn, person, alone)
    deleted["workflows"] = await deletion.delete_workflows(conn, person.user_id, alone)
    deleted["memberships"] = await deletion.delete_person(conn, person.user_id)
    removed = await deletion.delete_documents_of(conn, person.user_id, alone)
    deleted |= {"documents": removed.documents, "originals": len(removed.storage_keys), "teams": len(alone)}
    await deletion.delete_teams(conn, alone)
    await deletion.delete_term_counts(conn, [person.user_id, *alone])
    await deletion.unname(conn, person)
    await jobs.enqueue_original_deletions(conn, removed.storage_keys)
    return Erased(deleted=deleted, handed_over=handed_over, anonymised={"templates": templates})


async def _settle_ownership(
    conn: Conn, user_id: str, teams: Sequence[TeamShare], last_ownership: LastOwnership, audit: Audit
) -> None:
    ownerless = [team for team in teams if team.role == "OWNER" and team.heir_role not in {"OWNER", None}]
    if ownerless and last_ownership is LastOwnership.REFUSE:
        raise LastOwnerOf(ownerless)
    for team in ownerless:
        if team.heir_id is not None:
            await _make_owner(conn, team, team.heir_id, audit)
    for team in teams:
        if team.role is not None and team.heir_id is not None:
            await audit("team.member_left", "user", user_id, team_id=team.team_id, role=team.role)


async def _make_owner(conn: Conn, team: TeamShare, heir_id: str, audit: Audit) -> None:
    await deletion.promote_to_owner(conn, team.team_id, heir_id)
    await audit(
        "team.ownership_inherited", "user", heir_id, team_id=team.team_id, previous_role=team.heir_role
    )
    await notify(
        conn,
        [heir_id],
        "SYSTEM",
        f"You own {team.name} now",
        "Its last owner has left, and you are who has been there longest with the highest role.",
        {"team_id": team.team_id},
    )
