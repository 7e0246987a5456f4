"""Plans and their limits, kept by the database: whoever writes, a limit is not passed.

Each owner (a team, or else a user) has a row with counters. What adds to them updates that row, so that two who
add at once take turns; the one that goes beyond the limit is refused, and its transaction takes everything back.

Revision ID: 0006
Revises: 0005
"""

from migrations.sql import run

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

PLANS = """
-- null: no limit. An operator may change the numbers; the service reads them here.
CREATE TABLE plan (
    tier                  "SubscriptionTier" PRIMARY KEY,
    workflow_limit        integer,
    executions_per_month  integer,
    storage_limit_bytes   bigint
);
INSERT INTO plan VALUES
    ('FREE',       5,     1000,   100 * 1024 ^ 2),
    ('PRO',        50,    50000,  10 * 1024 ^ 3),
    ('ENTERPRISE', NULL,  NULL,   NULL);

-- What a subscription is worth today. A canceled one runs until its end; one that is past due has a week for the
-- payment to be made good. Then it is FREE: nothing is lost, but nothing is added beyond that.
CREATE FUNCTION effective_tier(tier "SubscriptionTier", status "SubscriptionStatus", ends_at timestamp)
RETURNS "SubscriptionTier" LANGUAGE sql STABLE
RETURN CASE
    WHEN status IN ('ACTIVE', 'TRIALING') THEN tier
    WHEN status = 'CANCELED' AND ends_at > (now() AT TIME ZONE 'UTC') THEN tier
    WHEN status = 'PAST_DUE' AND COALESCE(ends_at + interval '7 days' > (now() AT TIME ZONE 'UTC'), true) THEN tier
    ELSE 'FREE'::"SubscriptionTier"
END;

CREATE FUNCTION refuse_beyond_plan(resource text, tier "SubscriptionTier", used bigint, allowed bigint, resets_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the plan allows no more %', resource USING ERRCODE = 'DS402', DETAIL = json_build_object(
        'resource', resource, 'tier', tier, 'used', used, 'limit', allowed, 'resets_at', resets_at)::text;
END $$;
"""

STORAGE = """
-- Add to the bytes that an owner stores. Returns false where there is no such owner (any more).
CREATE FUNCTION charge_storage(space text, delta bigint) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    owned record;
    allowed bigint;
BEGIN
    UPDATE "Team" SET "storageUsed" = "storageUsed" + delta WHERE "id" = space
    RETURNING "storageUsed" AS used,
              effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") AS tier INTO owned;
    IF NOT FOUND THEN
        UPDATE "User" SET "storageUsed" = "storageUsed" + delta WHERE "id" = space
        RETURNING "storageUsed" AS used,
                  effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") AS tier INTO owned;
        IF NOT FOUND THEN
            RETURN false;
        END IF;
    END IF;
    SELECT storage_limit_bytes INTO allowed FROM plan WHERE plan.tier = owned.tier;
    IF delta > 0 AND owned.used > allowed THEN
        PERFORM refuse_beyond_plan('storage', owned.tier, owned.used - delta, allowed, NULL);
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION count_storage() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM charge_storage(NEW.space_id, NEW.size_bytes);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM charge_storage(OLD.space_id, -OLD.size_bytes);
    ELSIF OLD.space_id = NEW.space_id THEN
        PERFORM charge_storage(NEW.space_id, NEW.size_bytes - OLD.size_bytes);
    ELSIF charge_storage(OLD.space_id, -OLD.size_bytes) THEN
        PERFORM charge_storage(NEW.space_id, NEW.size_bytes);
    ELSIF NOT EXISTS (SELECT FROM "Team" WHERE "id" = NEW.space_id) THEN
        -- The old owner is a team that is being deleted: its documents return to their users, limit or not.
        UPDATE "User" SET "storageUsed" = "storageUsed" + NEW.size_bytes WHERE "id" = NEW.space_id;
    END IF; -- else a team whose id has changed: its counter went along with it
    RETURN NULL;
END $$;
CREATE TRIGGER count_storage AFTER INSERT OR DELETE OR UPDATE OF space_id, size_bytes ON original
    FOR EACH ROW EXECUTE FUNCTION count_storage();

-- What is stored already.
UPDATE "Team" SET "storageUsed" = stored.bytes
FROM (SELECT space_id, sum(size_bytes) AS bytes FROM original GROUP BY space_id) AS stored WHERE "id" = stored.space_id;
UPDATE "User" SET "storageUsed" = stored.bytes
FROM (SELECT space_id, sum(size_bytes) AS bytes FROM original GROUP BY space_id) AS stored WHERE "id" = stored.space_id;
"""

# Who runs the service on a machine of their own has no plan but the machine.
LOCAL_OWNER = """
UPDATE "User" SET "subscriptionTier" = 'ENTERPRISE' WHERE "clerkId" = 'local-owner';
"""

WORKFLOWS = """
-- Workflows are few and the web application writes them too: they are counted anew, under their owner's lock.
CREATE FUNCTION recount_workflows(team text, owner text, enforce boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    current_tier "SubscriptionTier";
    counted integer;
    allowed integer;
BEGIN
    IF team IS NOT NULL THEN
        SELECT effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") INTO current_tier
        FROM "Team" WHERE "id" = team FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT count(*) INTO counted FROM "Workflow" WHERE "teamId" = team;
        UPDATE "Team" SET "workflowsUsed" = counted WHERE "id" = team;
    ELSE
        SELECT effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") INTO current_tier
        FROM "User" WHERE "id" = owner FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN;
        END IF;
        SELECT count(*) INTO counted FROM "Workflow" WHERE "userId" = owner AND "teamId" IS NULL;
        UPDATE "User" SET "workflowsUsed" = counted WHERE "id" = owner;
    END IF;
    SELECT workflow_limit INTO allowed FROM plan WHERE plan.tier = current_tier;
    IF enforce AND counted > allowed THEN
        PERFORM refuse_beyond_plan('workflows', current_tier, counted - 1, allowed, NULL);
    END IF;
END $$;

CREATE FUNCTION count_workflows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM recount_workflows(OLD."teamId", OLD."userId", false);
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM recount_workflows(NEW."teamId", NEW."userId", true);
    ELSIF COALESCE(OLD."teamId", OLD."userId") <> COALESCE(NEW."teamId", NEW."userId") THEN
        PERFORM recount_workflows(OLD."teamId", OLD."userId", false);
        -- Those of a team that is being deleted return to their users, limit or not.
        PERFORM recount_workflows(NEW."teamId", NEW."userId",
            OLD."teamId" IS NULL OR EXISTS (SELECT FROM "Team" WHERE "id" = OLD."teamId"));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_workflows AFTER INSERT OR DELETE OR UPDATE OF "teamId", "userId" ON "Workflow"
    FOR EACH ROW EXECUTE FUNCTION count_workflows();
"""

EXECUTIONS = """
-- An execution counts for the owner of its workflow. The counter says which month it is of, so that it is zero
-- when the next one begins, without anybody having to set it.
CREATE FUNCTION count_executions() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    month date := date_trunc('month', now() AT TIME ZONE 'UTC');
    workflow record;
    owned record;
    allowed integer;
BEGIN
    SELECT "teamId" AS team, "userId" AS owner INTO workflow FROM "Workflow" WHERE "id" = NEW."workflowId";
    IF workflow.team IS NOT NULL THEN
        UPDATE "Team" SET "executionsMonth" = month, "executionsThisMonth" =
            CASE WHEN COALESCE("executionsMonth", month) = month THEN "executionsThisMonth" ELSE 0 END + 1
        WHERE "id" = workflow.team
        RETURNING "executionsThisMonth" AS used,
                  effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") AS tier INTO owned;
    ELSE
        UPDATE "User" SET "executionsMonth" = month, "executionsThisMonth" =
            CASE WHEN COALESCE("executionsMonth", month) = month THEN "executionsThisMonth" ELSE 0 END + 1
        WHERE "id" = workflow.owner
        RETURNING "executionsThisMonth" AS used,
                  effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") AS tier INTO owned;
    END IF;
    SELECT executions_per_month INTO allowed FROM plan WHERE plan.tier = owned.tier;
    IF owned.used > allowed THEN
        PERFORM refuse_beyond_plan('executions', owned.tier, owned.used - 1, allowed,
                                   (month + interval '1 month') AT TIME ZONE 'UTC');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_executions AFTER INSERT ON "WorkflowExecution"
    FOR EACH ROW EXECUTE FUNCTION count_executions();
"""

DOWNGRADE = """
DROP TRIGGER count_executions ON "WorkflowExecution";
DROP TRIGGER count_workflows ON "Workflow";
DROP TRIGGER count_storage ON original;
DROP FUNCTION count_executions, count_workflows, recount_workflows, count_storage, charge_storage, refuse_beyond_plan,
    effective_tier;
DROP TABLE plan;
"""


def upgrade() -> None:
    run(PLANS + STORAGE + LOCAL_OWNER + WORKFLOWS + EXECUTIONS)


def downgrade() -> None:
    run(DOWNGRADE)
