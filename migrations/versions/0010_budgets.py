"""Budgets: what AI models may cost a person, a team, a key and a plan in a month, in US dollars.

Each that something was charged to has a row that counts. What was spent is counted where usage is written down, by a
trigger, so that the two cannot differ. What is being spent is set aside first: with the row of the budget locked, the
reservations that stand are added to it, and what would pass the limit is refused (db/budgets.py).

Revision ID: 0010
Revises: 0009
"""

from migrations.sql import run

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = """
-- null: no limit, as with the others. An operator may change it.
ALTER TABLE plan ADD COLUMN ai_cost_per_month numeric CONSTRAINT plan_ai_cost_per_month_not_negative
    CHECK (ai_cost_per_month >= 0);

CREATE TABLE budget (
    -- plan: what counts for the plan of a team, or else of a person; its limit is the plan's.
    subject_kind   text NOT NULL CONSTRAINT budget_subject_kind_known CHECK (subject_kind IN ('user', 'team', 'key', 'plan')),
    subject_id     text NOT NULL,
    monthly_limit  numeric CONSTRAINT budget_limit_not_negative CHECK (monthly_limit >= 0),   -- null: none
    -- The counter says which month it is of, as that of executions does: of an earlier one, it stands for nothing.
    month          date NOT NULL DEFAULT date_trunc('month', now() AT TIME ZONE 'UTC'),
    spent          numeric NOT NULL DEFAULT 0,
    warned_in      date,                                     -- the month in which people were told that it runs low
    stopped_in     date,                                     -- and that it is used up
    PRIMARY KEY (subject_kind, subject_id),
    CONSTRAINT budget_plan_has_no_limit_of_its_own CHECK (subject_kind <> 'plan' OR monthly_limit IS NULL)
);

-- What was set aside for one act, in each of its budgets. It stands for an hour: whoever has not said by then what the
-- act did cost is not there any more. What it did cost counts even so, whenever it is written down.
CREATE TABLE budget_reservation (
    id            uuid NOT NULL,
    subject_kind  text NOT NULL,
    subject_id    text NOT NULL,
    amount        numeric NOT NULL CONSTRAINT budget_reservation_amount_positive CHECK (amount > 0),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, subject_kind),
    CONSTRAINT budget_reservation_budget_fkey FOREIGN KEY (subject_kind, subject_id)
        REFERENCES budget (subject_kind, subject_id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX budget_reservation_budget_idx ON budget_reservation (subject_kind, subject_id);
CREATE INDEX budget_reservation_created_idx ON budget_reservation (created_at);
"""

COUNTING = """
CREATE FUNCTION count_ai_cost() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO budget AS b (subject_kind, subject_id, month, spent)
    SELECT s.kind, s.id, date_trunc('month', now() AT TIME ZONE 'UTC'), sum(round(u."cost"::numeric, 12))
    FROM added u CROSS JOIN LATERAL (VALUES
        ('key', u."keyId"), ('plan', COALESCE(u."teamId", u."userId")), ('team', u."teamId"), ('user', u."userId")
    ) AS s (kind, id)
    WHERE u."cost" > 0 AND u."cost" < 'Infinity' AND u."resourceType" IN ('ai_request', 'search', 'document')
      AND s.id IS NOT NULL
    GROUP BY s.kind, s.id
    -- In one order, here and where amounts are set aside, so that two cannot wait for each other.
    ORDER BY s.kind, s.id
    ON CONFLICT (subject_kind, subject_id) DO UPDATE SET
        -- Never back: a transaction that began before the month turned may come after one that began later.
        spent = CASE WHEN b.month >= excluded.month THEN b.spent ELSE 0 END + excluded.spent,
        month = GREATEST(b.month, excluded.month);
    RETURN NULL;
END $$;
CREATE TRIGGER count_ai_cost AFTER INSERT ON "UsageLog" REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_ai_cost();

-- What was spent this month already.
INSERT INTO budget (subject_kind, subject_id, spent)
SELECT s.kind, s.id, sum(round(u."cost"::numeric, 12))
FROM "UsageLog" u CROSS JOIN LATERAL (VALUES
    ('key', u."keyId"), ('plan', COALESCE(u."teamId", u."userId")), ('team', u."teamId"), ('user', u."userId")
) AS s (kind, id)
WHERE u."cost" > 0 AND u."cost" < 'Infinity' AND u."resourceType" IN ('ai_request', 'search', 'document')
  AND s.id IS NOT NULL AND u."createdAt" >= date_trunc('month', now() AT TIME ZONE 'UTC')
GROUP BY s.kind, s.id;

-- Its arguments are the kinds of budget that go with the row.
CREATE FUNCTION forget_budgets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM budget WHERE subject_id = OLD."id" AND subject_kind = ANY (TG_ARGV);
    RETURN NULL;
END $$;
CREATE TRIGGER forget_budgets AFTER DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION forget_budgets('user', 'plan');
CREATE TRIGGER forget_budgets AFTER DELETE ON "Team" FOR EACH ROW EXECUTE FUNCTION forget_budgets('team', 'plan');
CREATE TRIGGER forget_budgets AFTER DELETE ON "ApiKey" FOR EACH ROW EXECUTE FUNCTION forget_budgets('key');
"""

# As in 0007. Members see what their team may spend, since it is what stops them; its owners set it. Nobody but the
# service counts, and only the service's own routes set limits: they write it down in the audit log.
POLICIES = """
DO $$
DECLARE
    grantee text;
    tbl text;
    readers constant text := 'CASE subject_kind WHEN ''user'' THEN subject_id = (SELECT docsearch_user_id()) '
        'WHEN ''key'' THEN subject_id IN (SELECT k."id" FROM "ApiKey" k) '
        'WHEN ''team'' THEN subject_id = ANY ((SELECT docsearch_teams(''VIEWER''))::text[]) '
        'ELSE subject_id = ANY ((SELECT docsearch_spaces(''VIEWER''))::text[]) END';
    writers constant text := 'CASE subject_kind WHEN ''user'' THEN subject_id = (SELECT docsearch_user_id()) '
        'WHEN ''key'' THEN subject_id IN (SELECT k."id" FROM "ApiKey" k) '
        'WHEN ''team'' THEN subject_id = ANY ((SELECT docsearch_teams(''OWNER''))::text[]) ELSE false END';
BEGIN
    FOREACH tbl IN ARRAY ARRAY['budget', 'budget_reservation'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tbl);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tbl);
        EXECUTE format('CREATE POLICY docsearch_service ON %I TO docsearch_service USING (true) WITH CHECK (true)', tbl);
        EXECUTE format('CREATE POLICY docsearch_select ON %I FOR SELECT USING (%s)', tbl, readers);
        FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %I', tbl, grantee);
        END LOOP;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO docsearch_service', tbl);
        FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('docsearch_app', 'authenticated') LOOP
            EXECUTE format('GRANT SELECT ON %I TO %I', tbl, grantee);
        END LOOP;
    END LOOP;
    EXECUTE format('CREATE POLICY docsearch_insert ON budget FOR INSERT WITH CHECK (%s)', writers);
    EXECUTE format('CREATE POLICY docsearch_update ON budget FOR UPDATE USING (%s) WITH CHECK (%s)', writers, writers);
    GRANT INSERT (subject_kind, subject_id, monthly_limit), UPDATE (monthly_limit) ON budget TO docsearch_app;
    EXECUTE format('ALTER FUNCTION count_ai_cost() SET search_path = %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION forget_budgets() SET search_path = %I, pg_temp', current_schema());
END $$;
"""

DOWNGRADE = """
DROP TRIGGER count_ai_cost ON "UsageLog";
DROP TRIGGER forget_budgets ON "User";
DROP TRIGGER forget_budgets ON "Team";
DROP TRIGGER forget_budgets ON "ApiKey";
DROP FUNCTION count_ai_cost, forget_budgets;
DROP TABLE budget_reservation, budget;
ALTER TABLE plan DROP COLUMN ai_cost_per_month;
"""


def upgrade() -> None:
    run(TABLES + COUNTING + POLICIES)


def downgrade() -> None:
    run(DOWNGRADE)
