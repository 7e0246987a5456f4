"""People and teams: invitations, verified addresses, webhooks' deliveries, the audit log, rates, and what usage counts.

Revision ID: 0005
Revises: 0004
"""

from migrations.sql import run

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Columns of ours on the platform's tables: each is nullable or has a default, so that Prisma need not know it.
COLUMNS = """
ALTER TABLE "User"
    ADD COLUMN IF NOT EXISTS "emailVerified" boolean NOT NULL DEFAULT false,  -- invitations go by the address
    ADD COLUMN IF NOT EXISTS "executionsMonth" date,      -- that executionsThisMonth counts; null: the current one
    ADD COLUMN IF NOT EXISTS "clerkUpdatedAt" timestamptz;   -- of the newest event applied: an older one is late
-- A team has a plan of its own, and uses it up with what belongs to it.
ALTER TABLE "Team"
    ADD COLUMN IF NOT EXISTS "storageUsed" bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "workflowsUsed" integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "executionsThisMonth" integer NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "executionsMonth" date,
    ADD COLUMN IF NOT EXISTS "subscriptionStatus" "SubscriptionStatus" NOT NULL DEFAULT 'ACTIVE',
    ADD COLUMN IF NOT EXISTS "subscriptionEndsAt" timestamp(3),
    ADD COLUMN IF NOT EXISTS "stripeCustomerId" text,
    ADD COLUMN IF NOT EXISTS "stripeSubscriptionId" text;
CREATE UNIQUE INDEX "Team_stripeCustomerId_key" ON "Team"("stripeCustomerId");
CREATE UNIQUE INDEX "Team_stripeSubscriptionId_key" ON "Team"("stripeSubscriptionId");
ALTER TABLE "ApiKey"
    ADD COLUMN IF NOT EXISTS "prefix" text;                  -- how the key begins, to tell it from others
ALTER TABLE "AIConversation"
    ADD COLUMN IF NOT EXISTS "teamId" text
        CONSTRAINT "AIConversation_teamId_fkey" REFERENCES "Team"("id") ON DELETE SET NULL ON UPDATE CASCADE;
CREATE INDEX "AIConversation_teamId_updatedAt_idx" ON "AIConversation"("teamId", "updatedAt" DESC, "id" DESC);
ALTER TABLE "Webhook"
    ADD COLUMN IF NOT EXISTS "teamId" text
        CONSTRAINT "Webhook_teamId_fkey" REFERENCES "Team"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    ADD COLUMN IF NOT EXISTS "description" text,
    ADD COLUMN IF NOT EXISTS "previousSecret" text,          -- still signs until previousSecretUntil
    ADD COLUMN IF NOT EXISTS "previousSecretUntil" timestamptz,
    ADD COLUMN IF NOT EXISTS "failingSince" timestamptz,     -- no delivery has succeeded since
    ADD COLUMN IF NOT EXISTS "pausedAt" timestamptz,
    ADD COLUMN IF NOT EXISTS "pauseReason" text;
CREATE INDEX "Webhook_teamId_createdAt_idx" ON "Webhook"("teamId", "createdAt" DESC, "id" DESC);
ALTER TABLE "UsageLog"
    ADD COLUMN IF NOT EXISTS "teamId" text,
    ADD COLUMN IF NOT EXISTS "keyId" text,
    ADD COLUMN IF NOT EXISTS "tokens" bigint,
    ADD COLUMN IF NOT EXISTS "bytes" bigint,
    ADD COLUMN IF NOT EXISTS "cost" double precision;        -- in US dollars
CREATE INDEX "UsageLog_teamId_createdAt_idx" ON "UsageLog"("teamId", "createdAt" DESC);
"""

TABLES = """
-- Waits for a person with this address to sign in; then it becomes a membership and goes. The audit log remembers.
CREATE TABLE team_invitation (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    team_id     text NOT NULL
        CONSTRAINT team_invitation_team_fkey REFERENCES "Team"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    email       text NOT NULL,
    role        "TeamRole" NOT NULL CONSTRAINT team_invitation_role_below_owner CHECK (role <> 'OWNER'),
    invited_by  text
        CONSTRAINT team_invitation_inviter_fkey REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL DEFAULT now() + interval '14 days'
);
CREATE UNIQUE INDEX team_invitation_team_email_key ON team_invitation (team_id, lower(email));
CREATE INDEX team_invitation_email_idx ON team_invitation (lower(email));
CREATE INDEX team_invitation_inviter_idx ON team_invitation (invited_by);
CREATE INDEX "User_email_lower_idx" ON "User" (lower("email"));

-- One event on its way to one webhook: written by the transaction that caused it, sent by a job. body is signed and
-- sent as it stands, at every attempt.
CREATE TABLE webhook_delivery (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id       text NOT NULL
        CONSTRAINT webhook_delivery_webhook_fkey REFERENCES "Webhook"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    event_id         text NOT NULL,                       -- the webhook-id header: a replay keeps it
    event_type       text NOT NULL,
    body             text NOT NULL,
    status           text NOT NULL DEFAULT 'pending'
        CONSTRAINT webhook_delivery_status_known CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts         integer NOT NULL DEFAULT 0,
    response_status  integer,
    response_body    text,
    error            text,
    duration_ms      integer,
    created_at       timestamptz NOT NULL DEFAULT now(),
    next_attempt_at  timestamptz,
    last_attempt_at  timestamptz,
    finished_at      timestamptz
);
CREATE INDEX webhook_delivery_webhook_created_idx ON webhook_delivery (webhook_id, created_at DESC, id DESC);
CREATE INDEX webhook_delivery_created_idx ON webhook_delivery (created_at);
CREATE INDEX webhook_delivery_pending_idx ON webhook_delivery (next_attempt_at) WHERE status = 'pending';

-- Who did what to which resource. Rows are only ever added.
CREATE TABLE audit_log (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at             timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor          text NOT NULL
        CONSTRAINT audit_log_actor_known CHECK (actor IN ('user', 'key', 'clerk', 'stripe', 'operator', 'system')),
    actor_id       text,                                  -- the person; null: nobody in particular
    key_id         text,                                  -- the key they used
    action         text NOT NULL,                         -- team.member_added
    resource_type  text NOT NULL,
    resource_id    text NOT NULL,
    team_id        text,                                  -- whose owners may read it
    request_id     text,
    details        jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_team_idx ON audit_log (team_id, id DESC);
CREATE INDEX audit_log_actor_idx ON audit_log (actor_id, id DESC);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Signed events from outside, by the id their sender gave them: the second of two equal ones changes nothing.
CREATE TABLE received_event (
    provider     text NOT NULL,
    event_id     text NOT NULL,
    event_type   text NOT NULL,
    subject      text,                                    -- whom it is about, in the sender's terms
    occurred_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX received_event_received_idx ON received_event (received_at);

-- What Stripe says of each subscription, by its newest event, and whose it is. One that nobody is known for waits here
-- for the checkout that names them. An owner's plan is that of the best of theirs.
CREATE TABLE stripe_subscription (
    id           text PRIMARY KEY,
    customer_id  text NOT NULL,
    user_id      text
        CONSTRAINT stripe_subscription_user_fkey REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    team_id      text
        CONSTRAINT stripe_subscription_team_fkey REFERENCES "Team"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    is_named     boolean NOT NULL DEFAULT false,          -- by a checkout or metadata; else guessed by the customer
    tier         "SubscriptionTier",                      -- null: no price of it is known
    status       "SubscriptionStatus",                    -- null: only its checkout has come
    ends_at      timestamp(3),
    has_ended    boolean NOT NULL DEFAULT false,
    updated_at   timestamptz,                             -- when the newest event happened, in Stripe's time
    untold_failures  text[] NOT NULL DEFAULT '{}',        -- invoices that could not be paid: nobody has been told yet
    paid_invoice     text,                                -- the last one: a failure of it that comes now is late
    CONSTRAINT stripe_subscription_one_owner CHECK (user_id IS NULL OR team_id IS NULL)
);
CREATE INDEX stripe_subscription_user_idx ON stripe_subscription (user_id);
CREATE INDEX stripe_subscription_team_idx ON stripe_subscription (team_id);

-- Somebody who is gone: what was signed for them before does not bring them back.
CREATE TABLE deleted_identity (
    subject     text PRIMARY KEY,                         -- the Clerk id
    deleted_at  timestamptz NOT NULL DEFAULT now()
);

-- Requests of a key or a person in the window that began at started_at. Not logged: after a crash everybody starts
-- afresh, which is better than a disk write for every request.
CREATE UNLOGGED TABLE rate_limit (
    subject     text NOT NULL,
    window_s    integer NOT NULL,
    started_at  timestamptz NOT NULL,
    requests    integer NOT NULL,
    PRIMARY KEY (subject, window_s)
) WITH (fillfactor = 50);
"""

# A notification reaches whoever listens for its owner; no team with members is ever without an owner; a revoked key stays
# revoked; and what a team is called fits into a line and an address.
TRIGGERS = r"""
-- Which transaction wrote it: a reader that takes up where it was asks for what it could not see then, and what
-- commits late is not passed over as it would be by its time.
ALTER TABLE "Notification" ADD COLUMN IF NOT EXISTS "txid" xid8 NOT NULL DEFAULT pg_current_xact_id();

CREATE FUNCTION announce_notification() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('docsearch_notification', NEW."userId");
    RETURN NULL;
END $$;
CREATE TRIGGER announce_notification AFTER INSERT ON "Notification"
    FOR EACH ROW EXECUTE FUNCTION announce_notification();

CREATE FUNCTION keep_an_owner() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- Two owners who leave at once must see each other: the second waits here for the first.
    PERFORM FROM "Team" WHERE "id" = OLD."teamId" FOR NO KEY UPDATE;
    IF FOUND
        AND EXISTS (SELECT FROM "TeamMember" WHERE "teamId" = OLD."teamId")
        AND NOT EXISTS (SELECT FROM "TeamMember" WHERE "teamId" = OLD."teamId" AND "role" = 'OWNER')
    THEN
        RAISE EXCEPTION 'team % would have no owner', OLD."teamId"
            USING ERRCODE = 'check_violation', CONSTRAINT = 'team_has_owner', TABLE = 'TeamMember';
    END IF;
    RETURN NULL;
END $$;
-- Deferred, so that a transfer may take its two steps in any order.
CREATE CONSTRAINT TRIGGER team_has_owner AFTER UPDATE OR DELETE ON "TeamMember"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD."role" = 'OWNER') EXECUTE FUNCTION keep_an_owner();

CREATE FUNCTION keep_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a revoked key stays revoked' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER keep_revoked BEFORE UPDATE OF "isActive" ON "ApiKey"
    FOR EACH ROW WHEN (NOT OLD."isActive" AND NEW."isActive") EXECUTE FUNCTION keep_revoked();

-- A trigger rather than constraints: a team that was called otherwise before us keeps its name and slug, and goes on
-- being counted. The web application may have a form of its own for slugs: HTTP is stricter.
CREATE FUNCTION check_team() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW."name" IS DISTINCT FROM OLD."name" AND (length(NEW."name") > 200 OR NEW."name" !~ '\S') THEN
        RAISE EXCEPTION 'a team''s name has 1 to 200 characters'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'team_name', TABLE = 'Team';
    END IF;
    IF NEW."slug" IS DISTINCT FROM OLD."slug" AND NEW."slug" !~ '^[^[:space:][:cntrl:]]{1,100}$' THEN
        RAISE EXCEPTION 'a team''s slug has 1 to 100 characters and no space'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'team_slug', TABLE = 'Team';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER check_team BEFORE INSERT OR UPDATE OF "name", "slug" ON "Team"
    FOR EACH ROW EXECUTE FUNCTION check_team();
"""

DOWNGRADE = """
DROP INDEX "User_email_lower_idx";
DROP TRIGGER team_has_owner ON "TeamMember";
DROP TRIGGER keep_revoked ON "ApiKey";
DROP TRIGGER check_team ON "Team";
DROP TRIGGER announce_notification ON "Notification";
ALTER TABLE "Notification" DROP COLUMN "txid";
DROP TABLE stripe_subscription, rate_limit, deleted_identity, received_event, audit_log, webhook_delivery, team_invitation;
DROP FUNCTION check_team, keep_revoked, keep_an_owner, announce_notification, refuse_change;
ALTER TABLE "UsageLog" DROP COLUMN "teamId", DROP COLUMN "keyId", DROP COLUMN "tokens", DROP COLUMN "bytes",
    DROP COLUMN "cost";
ALTER TABLE "Webhook" DROP COLUMN "teamId", DROP COLUMN "description", DROP COLUMN "previousSecret",
    DROP COLUMN "previousSecretUntil", DROP COLUMN "failingSince", DROP COLUMN "pausedAt", DROP COLUMN "pauseReason";
ALTER TABLE "AIConversation" DROP COLUMN "teamId";
ALTER TABLE "ApiKey" DROP COLUMN "prefix";
ALTER TABLE "Team" DROP COLUMN "storageUsed", DROP COLUMN "workflowsUsed", DROP COLUMN "executionsThisMonth",
    DROP COLUMN "executionsMonth", DROP COLUMN "subscriptionStatus", DROP COLUMN "subscriptionEndsAt",
    DROP COLUMN "stripeCustomerId", DROP COLUMN "stripeSubscriptionId";
ALTER TABLE "User" DROP COLUMN "emailVerified", DROP COLUMN "executionsMonth", DROP COLUMN "clerkUpdatedAt";
"""


def upgrade() -> None:
    run(COLUMNS + TABLES + TRIGGERS)


def downgrade() -> None:
    run(DOWNGRADE)
