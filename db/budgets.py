"""Budgets: what AI models may cost in a month, in US dollars, and what is set aside of it for what is under way.

What was spent is counted by a trigger wherever usage is written down (migration 0010); an entry that names its
reservation gives back what was set aside, in the same statement (db/usage.py).
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from db.errors import BudgetFacts, BudgetReached
from db.pool import Conn

Kind = Literal["user", "team", "key", "plan"]

_LOW = Decimal("0.8")
"""From here on people are told."""
_SMALLEST = Decimal("1e-12")
"""What counters are rounded to."""


class Subjects(msgspec.Struct, frozen=True, kw_only=True):
    """Whose budgets an act goes by: the person's, their key's, the team's, and that of the plan."""

    user_id: str
    team_id: str | None = None
    key_id: str | None = None

    def names(self) -> tuple[list[str], list[str]]:
        """Return kinds and ids."""
        found = [("user", self.user_id), ("plan", self.team_id or self.user_id)]
        if self.team_id is not None:
            found.append(("team", self.team_id))
        if self.key_id is not None:
            found.append(("key", self.key_id))
        return [kind for kind, _ in found], [subject_id for _, subject_id in found]


class BudgetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One budget as it stands in this month."""

    kind: Kind
    subject_id: str
    monthly_limit: Decimal | None
    spent: Decimal
    reserved: Decimal
    resets_at: datetime

    @property
    def runs_low(self) -> bool:
        return self.monthly_limit is not None and self.spent >= self.monthly_limit * _LOW

    def facts(self) -> BudgetFacts:
        return BudgetFacts(
            kind=self.kind,
            subject_id=self.subject_id,
            limit=float(self.monthly_limit or 0),
            spent=float(self.spent),
            reserved=float(self.reserved),
            resets_at=self.resets_at,
        )


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """What was set aside, and the budgets of it that run low."""

    id: UUID
    low: list[BudgetRow]


_FIELDS = BudgetRow.__struct_fields__

# The one definition of how budgets stand. A month that is over by the counter is over, though this transaction may
# have begun before.
_STANDING = """
    SELECT w.kind, w.id AS subject_id,
           CASE WHEN w.kind = 'plan' THEN p.ai_cost_per_month ELSE b.monthly_limit END AS monthly_limit,
           CASE WHEN b.month >= m.month THEN b.spent ELSE 0 END AS spent,
           COALESCE(r.amount, 0) AS reserved,
           (GREATEST(b.month, m.month) + interval '1 month') AT TIME ZONE 'UTC' AS resets_at
    FROM (<wanted>) AS w (kind, id)
    CROSS JOIN (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date AS month) AS m
    LEFT JOIN budget b ON b.subject_kind = w.kind AND b.subject_id = w.id
    LEFT JOIN LATERAL (
        SELECT sum(r.amount) AS amount FROM budget_reservation r
        WHERE r.subject_kind = w.kind AND r.subject_id = w.id AND r.created_at > now() - interval '1 hour'
    ) AS r ON true
    LEFT JOIN plan p ON w.kind = 'plan' AND p.tier = COALESCE(
        (SELECT effective_tier(t."subscriptionTier", t."subscriptionStatus", t."subscriptionEndsAt")
         FROM "Team" t WHERE t."id" = w.id),
        (SELECT effective_tier(u."subscriptionTier", u."subscriptionStatus", u."subscriptionEndsAt")
         FROM "User" u WHERE u."id" = w.id))
"""
_OF_SUBJECTS = _STANDING.replace("<wanted>", "SELECT * FROM unnest($1::text[], $2::text[])")
_OF_PERSON = _STANDING.replace(
    "<wanted>",
    """
        SELECT 'user', $1::text
        UNION ALL SELECT 'plan', unnest($1::text || $2::text[])
        UNION ALL SELECT 'team', unnest($2::text[])
        UNION ALL SELECT 'key', k."id" FROM "ApiKey" k WHERE k."userId" = $1
    """,
)


async def reserve(conn: Conn, subjects: Subjects, amount: Decimal) -> Reservation:
    """Set an amount above 0 aside in all budgets that an act goes by, as the service.

    The budgets stay locked until conn's transaction ends, which should be at once. Raises BudgetReached where it would
    pass a limit.
    """
    kinds, ids = subjects.names()
    await conn.execute(
        """
        INSERT INTO budget AS b (subject_kind, subject_id)
        SELECT w.kind, w.id FROM unnest($1::text[], $2::text[]) AS w (kind, id) ORDER BY w.kind, w.id
        ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
            spent = CASE WHEN b.month >= excluded.month THEN b.spent ELSE 0 END,
            month = GREATEST(b.month, excluded.month)
        """,
        kinds,
        ids,
    )
    # A statement of its own: it sees what those set aside for whom the locks had to wait.
    reservation_id = uuid4()
    rows = await conn.fetch(
        f"""
        WITH standing AS MATERIALIZED (
            SELECT s.*, COALESCE(s.spent + s.reserved + $3::numeric > s.monthly_limit, false) AS reached
            FROM ({_OF_SUBJECTS}) AS s
        ), set_aside AS (
            INSERT INTO budget_reservation (id, subject_kind, subject_id, amount)
            SELECT $4, kind, subject_id, $3 FROM standing WHERE NOT EXISTS (SELECT FROM standing WHERE reached)
        )
        SELECT * FROM standing ORDER BY kind
        """,  # noqa: S608 - the constant above
        kinds,
        ids,
        amount,
        reservation_id,
    )
    standing = [(BudgetRow(**{name: row[name] for name in _FIELDS}), row["reached"]) for row in rows]
    for budget, reached in standing:
        if reached:
            raise BudgetReached(budget.facts())
    return Reservation(id=reservation_id, low=[budget for budget, _ in standing if budget.runs_low])


async def release(conn: Conn, reservation_id: UUID) -> None:
    """Give back what was set aside for something that was not done. What was done is settled by its usage entry."""
    await conn.execute("DELETE FROM budget_reservation WHERE id = $1", reservation_id)


async def require_room(conn: Conn, subjects: Subjects) -> None:
    """Raise BudgetReached where a budget is used up, as the service; for what nobody knows the cost of beforehand."""
    kinds, ids = subjects.names()
    row = await conn.fetchrow(
        f"""
        SELECT * FROM ({_OF_SUBJECTS}) AS s WHERE spent + reserved + $3::numeric > monthly_limit ORDER BY kind LIMIT 1
        """,  # noqa: S608
        kinds,
        ids,
        _SMALLEST,
    )
    if row is not None:
        raise BudgetReached(BudgetRow(**row).facts())


async def find_budget(conn: Conn, kind: Kind, subject_id: str) -> BudgetRow | None:
    """Return one that has a limit."""
    row = await conn.fetchrow(
        f"SELECT * FROM ({_OF_SUBJECTS}) AS s WHERE monthly_limit IS NOT NULL",  # noqa: S608
        [kind],
        [subject_id],
    )
    return None if row is None else BudgetRow(**row)


async def list_budgets(conn: Conn, user_id: str, team_ids: Sequence[str]) -> list[BudgetRow]:
    """Return the limits that a person works under: theirs, of their keys, their teams, and the plans of all."""
    rows = await conn.fetch(
        f"""
        SELECT * FROM ({_OF_PERSON}) AS s WHERE monthly_limit IS NOT NULL
        ORDER BY array_position(ARRAY['user', 'team', 'key', 'plan'], kind), subject_id
        """,  # noqa: S608
        user_id,
        list(team_ids),
    )
    return [BudgetRow(**row) for row in rows]


async def set_limit(conn: Conn, kind: Kind, subject_id: str, monthly_limit: Decimal | None) -> None:
    """Set the limit of a person, a team or a key; None takes it away. What was spent stays counted."""
    await conn.execute(
        """
        INSERT INTO budget (subject_kind, subject_id, monthly_limit) VALUES ($1, $2, $3)
        ON CONFLICT (subject_kind, subject_id) DO UPDATE SET monthly_limit = excluded.monthly_limit
        """,
        kind,
        subject_id,
        monthly_limit,
    )


async def claim_warning(conn: Conn, kind: str, subject_id: str) -> bool:
    """Return whether nobody has been told yet, this month, that a budget runs low; from now on somebody has."""
    return await _claim(conn, _CLAIM_WARNING, kind, subject_id)


async def claim_stop(conn: Conn, kind: str, subject_id: str) -> bool:
    """As above, that it does not suffice."""
    return await _claim(conn, _CLAIM_STOP, kind, subject_id)


_CLAIM_WARNING = """
    UPDATE budget SET warned_in = date_trunc('month', now() AT TIME ZONE 'UTC')
    WHERE subject_kind = $1 AND subject_id = $2
      AND warned_in IS DISTINCT FROM date_trunc('month', now() AT TIME ZONE 'UTC')::date
"""
_CLAIM_STOP = _CLAIM_WARNING.replace("warned_in", "stopped_in")


async def _claim(conn: Conn, sql: str, kind: str, subject_id: str) -> bool:
    tag: str = await conn.execute(sql, kind, subject_id)
    return tag == "UPDATE 1"


async def find_people(conn: Conn, kind: str, subject_id: str) -> list[str]:
    """Return who is to hear of a budget: the person, or the team's owners."""
    rows = await conn.fetch(
        """
        SELECT "id" AS id FROM "User" WHERE $1 IN ('user', 'plan') AND "id" = $2
        UNION SELECT "userId" FROM "ApiKey" WHERE $1 = 'key' AND "id" = $2
        UNION SELECT "userId" FROM "TeamMember" WHERE $1 IN ('team', 'plan') AND "teamId" = $2 AND "role" = 'OWNER'
        """,
        kind,
        subject_id,
    )
    return [row["id"] for row in rows]


async def prune_budgets(conn: Conn) -> int:
    """Delete reservations that stand no more, and counters of past months without a limit; return how many rows."""
    reservations: str = await conn.execute(
        "DELETE FROM budget_reservation WHERE created_at <= now() - interval '1 hour'"
    )
    counters: str = await conn.execute(
        """
        DELETE FROM budget b
        WHERE b.monthly_limit IS NULL AND b.month < date_trunc('month', now() AT TIME ZONE 'UTC')
          AND NOT EXISTS (SELECT FROM budget_reservation r
                          WHERE r.subject_kind = b.subject_kind AND r.subject_id = b.subject_id)
        """
    )
    return sum(int(tag.rpartition(" ")[2]) for tag in (reservations, counters))
