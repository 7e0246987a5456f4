"""Workflows: what running them needs beside the platform's tables.

A run is a "WorkflowExecution", which the web application reads, with a row of workflow_run, which only the service
writes: who drives it, until when, and where it stands. Every node that has finished is a row of workflow_step, so that
another worker goes on from there. What the web application does to an execution, such as setting it to CANCELED, holds:
a trigger ends the run with it, and counts.

Revision ID: 0011
Revises: 0010
"""

from migrations.sql import run

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WORKFLOWS = """
-- Of every edit, by whomever: who edits says which one they saw.
ALTER TABLE "Workflow" ADD COLUMN "revision" integer NOT NULL DEFAULT 1;

CREATE FUNCTION number_workflow_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW."revision" := OLD."revision" + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER number_workflow_revision BEFORE UPDATE ON "Workflow" FOR EACH ROW
    WHEN ((OLD."name", OLD."description", OLD."nodes", OLD."connections", OLD."settings", OLD."status", OLD."isActive",
           OLD."isPublic", OLD."category", OLD."tags", OLD."teamId")
          IS DISTINCT FROM
          (NEW."name", NEW."description", NEW."nodes", NEW."connections", NEW."settings", NEW."status", NEW."isActive",
           NEW."isPublic", NEW."category", NEW."tags", NEW."teamId"))
    EXECUTE FUNCTION number_workflow_revision();

-- "updatedAt" is when somebody changed it, not when it last ran.
DROP TRIGGER keep_updated_at ON "Workflow";
CREATE TRIGGER keep_updated_at BEFORE UPDATE ON "Workflow" FOR EACH ROW
    WHEN ((OLD."totalExecutions", OLD."successfulExecutions", OLD."failedExecutions", OLD."lastExecutedAt")
          IS NOT DISTINCT FROM
          (NEW."totalExecutions", NEW."successfulExecutions", NEW."failedExecutions", NEW."lastExecutedAt"))
    EXECUTE FUNCTION keep_updated_at();
"""

RUNS = """
ALTER TABLE "WorkflowExecution"
    ADD COLUMN "version" integer,          -- the "WorkflowVersion" that runs
    ADD COLUMN "retryOf" text,             -- the execution that this one takes up where it failed
    ADD COLUMN "parentExecutionId" text;   -- the one that called it, as a sub-workflow

CREATE INDEX "WorkflowExecution_parentExecutionId_idx" ON "WorkflowExecution"("parentExecutionId")
    WHERE "parentExecutionId" IS NOT NULL;

CREATE TABLE workflow_run (
    execution_id   text PRIMARY KEY,
    workflow_id    text NOT NULL,
    space_id       text NOT NULL,          -- whose limits it counts in: the workflow's team, else its owner
    version        integer NOT NULL,
    -- Where it begins, what it does without: {"start": node, "only": node, "pinned": {node: [items]}, "mode": "test"}
    plan           jsonb NOT NULL DEFAULT '{}',
    -- What idempotency keys are made of: the first execution of those that take each other up.
    root_id        text NOT NULL,
    depth          integer NOT NULL DEFAULT 0,      -- calls of sub-workflows and events above it
    parent_step    text,                            -- the step of the parent that called it
    waited_for     boolean NOT NULL DEFAULT false,  -- whether that step waits for its end
    -- What caused it, where that may happen once: a tick, an event, a call. Two cannot have the same.
    cause          text,
    state          text NOT NULL DEFAULT 'active' CONSTRAINT workflow_run_state_known CHECK (state IN ('active', 'waiting', 'ended')),
    -- The worker that drives it holds it until then, and numbers its turns: one that has lost it writes nothing more.
    epoch          integer NOT NULL DEFAULT 0,
    leased_until   timestamptz,
    sought_at      timestamptz,                     -- when it was last found without a worker, and given a job
    poked          boolean NOT NULL DEFAULT false,  -- something it waits for has come while it was driven
    fruitless      integer NOT NULL DEFAULT 0,      -- turns in a row that wrote nothing down
    time_left_s    double precision NOT NULL,       -- of its time limit; waiting does not count
    wake_at        timestamptz,
    response       jsonb,                           -- what its respond node answers the webhook with
    reply_node     text,                            -- the first step that waits for a reply: its address answers this one
    reply_iteration text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    ended_at       timestamptz,
    CONSTRAINT workflow_run_execution_fkey FOREIGN KEY (execution_id) REFERENCES "WorkflowExecution" ("id")
        ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE UNIQUE INDEX workflow_run_cause_key ON workflow_run (cause) WHERE cause IS NOT NULL;
CREATE INDEX workflow_run_live_idx ON workflow_run (space_id, workflow_id) WHERE state <> 'ended';
CREATE INDEX workflow_run_leased_idx ON workflow_run (leased_until) WHERE state = 'active';

-- What began within a minute, as the limit counts it: by itself, so that deleting executions, or workflows, makes no room.
CREATE TABLE workflow_start (
    execution_id  text PRIMARY KEY,
    space_id      text NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workflow_start_space_idx ON workflow_start (space_id, started_at);

-- A node's turn. iteration says which passes of which loops it is in: '', 'loop-1:0', 'loop-1:0/loop-2:3'.
CREATE TABLE workflow_step (
    execution_id  text NOT NULL REFERENCES workflow_run (execution_id) ON DELETE CASCADE ON UPDATE CASCADE,
    node_id       text NOT NULL,
    iteration     text NOT NULL DEFAULT '',
    status        text NOT NULL CONSTRAINT workflow_step_status_known CHECK (status IN ('done', 'failed', 'waiting', 'skipped')),
    outputs       jsonb NOT NULL DEFAULT '[]',      -- [[handle, index of the input item it stems from, item], …]
    error         jsonb,
    attempts      integer NOT NULL DEFAULT 1,
    started_at    timestamptz NOT NULL,
    finished_at   timestamptz,
    waiting       jsonb,                            -- what it waits for
    wake_at       timestamptz,
    resumed       jsonb,                            -- and what has come
    PRIMARY KEY (execution_id, node_id, iteration)
);

-- The items of a node that are finished while others of its are not.
CREATE TABLE workflow_step_item (
    execution_id  text NOT NULL,
    node_id       text NOT NULL,
    iteration     text NOT NULL,
    item_index    integer NOT NULL,
    outputs       jsonb NOT NULL,
    PRIMARY KEY (execution_id, node_id, iteration, item_index),
    CONSTRAINT workflow_step_item_run_fkey FOREIGN KEY (execution_id) REFERENCES workflow_run (execution_id)
        ON DELETE CASCADE ON UPDATE CASCADE
);

-- The log of a run that has not ended; then it is "logs" of the execution.
CREATE TABLE workflow_log (
    execution_id  text NOT NULL REFERENCES workflow_run (execution_id) ON DELETE CASCADE ON UPDATE CASCADE,
    place         integer NOT NULL,
    entry         jsonb NOT NULL,
    PRIMARY KEY (execution_id, place)
);

-- Which run a document came from: what it does when it is ready must not set off the same workflow for ever.
CREATE TABLE workflow_document (
    document_id   text PRIMARY KEY REFERENCES "Document" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    execution_id  text NOT NULL REFERENCES "WorkflowExecution" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX workflow_document_execution_idx ON workflow_document (execution_id);
"""

TRIGGERS = """
ALTER TABLE "WorkflowTrigger"
    ADD COLUMN "nodeId" text,                       -- the trigger node that it stands for
    ADD COLUMN "token" text,                        -- of its address: /v1/hooks/{token}
    ADD COLUMN "testToken" text,                    -- of the address that runs the draft
    ADD COLUMN "eventType" text,
    ADD COLUMN "lastFiredAt" timestamp(3);
CREATE UNIQUE INDEX "WorkflowTrigger_token_key" ON "WorkflowTrigger"("token");
CREATE UNIQUE INDEX "WorkflowTrigger_testToken_key" ON "WorkflowTrigger"("testToken");
CREATE UNIQUE INDEX "WorkflowTrigger_workflowId_nodeId_key" ON "WorkflowTrigger"("workflowId", "nodeId");
CREATE INDEX "WorkflowTrigger_eventType_idx" ON "WorkflowTrigger"("eventType") WHERE "isActive" AND "type" = 'EVENT';

ALTER TABLE "WorkflowSchedule"
    ADD COLUMN "nodeId" text,
    ADD COLUMN "missed" text NOT NULL DEFAULT 'once' CONSTRAINT workflow_schedule_missed_known CHECK ("missed" IN ('skip', 'once', 'all')),
    ADD COLUMN "overlap" text NOT NULL DEFAULT 'skip' CONSTRAINT workflow_schedule_overlap_known CHECK ("overlap" IN ('skip', 'allow')),
    ADD COLUMN "lastProblem" text;                  -- why its last tick started nothing
CREATE UNIQUE INDEX "WorkflowSchedule_workflowId_nodeId_key" ON "WorkflowSchedule"("workflowId", "nodeId");

-- Every worker reads them, whosever they are: nobody writes one that stops it, such as 'infinity'.
UPDATE "WorkflowSchedule" SET "nextRunAt" = NULL WHERE "nextRunAt" NOT BETWEEN '1970-01-01' AND '9998-12-31';
UPDATE "WorkflowSchedule" SET "lastRunAt" = NULL WHERE "lastRunAt" NOT BETWEEN '1970-01-01' AND '9998-12-31';
ALTER TABLE "WorkflowSchedule"
    ADD CONSTRAINT workflow_schedule_next_sane CHECK ("nextRunAt" BETWEEN '1970-01-01' AND '9998-12-31'),
    ADD CONSTRAINT workflow_schedule_last_sane CHECK ("lastRunAt" BETWEEN '1970-01-01' AND '9998-12-31');

-- A schedule that was changed is computed anew, by whomever it was changed.
CREATE FUNCTION forget_next_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW."nextRunAt" IS NOT DISTINCT FROM OLD."nextRunAt" THEN
        NEW."nextRunAt" := NULL;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER forget_next_run BEFORE UPDATE ON "WorkflowSchedule" FOR EACH ROW
    WHEN ((OLD."cronExpression", OLD."timezone", OLD."isActive") IS DISTINCT FROM
          (NEW."cronExpression", NEW."timezone", NEW."isActive"))
    EXECUTE FUNCTION forget_next_run();

-- What a workflow would have been started for while it was paused is not made up for.
CREATE FUNCTION let_schedules_off() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE "WorkflowSchedule" SET "nextRunAt" = NULL WHERE "workflowId" = NEW."id" AND "nextRunAt" IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER let_schedules_off AFTER UPDATE OF "status", "isActive" ON "Workflow" FOR EACH ROW
    WHEN (NEW."isActive" AND NEW."status" = 'ACTIVE' AND NOT (OLD."isActive" AND OLD."status" = 'ACTIVE'))
    EXECUTE FUNCTION let_schedules_off();

-- Secrets that nodes use by name, so that they are in no definition, version, log or export.
CREATE TABLE credential (
    id           text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    user_id      text NOT NULL,
    team_id      text,
    space_id     text NOT NULL GENERATED ALWAYS AS (COALESCE(team_id, user_id)) STORED,
    name         text NOT NULL,
    kind         text NOT NULL CONSTRAINT credential_kind_known CHECK (kind IN ('bearer', 'basic', 'header', 'hmac')),
    hosts        text[] NOT NULL DEFAULT '{}',      -- where it may be sent; empty: anywhere
    sealed       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    CONSTRAINT credential_name_key UNIQUE (space_id, name),
    CONSTRAINT credential_user_fkey FOREIGN KEY (user_id) REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT credential_team_fkey FOREIGN KEY (team_id) REFERENCES "Team" ("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX credential_user_idx ON credential (user_id);
CREATE INDEX credential_team_idx ON credential (team_id);

-- One rating a person; "Template"."rating" and "reviews" are their mean and their number.
CREATE TABLE template_rating (
    template_id  text NOT NULL REFERENCES "Template" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    user_id      text NOT NULL REFERENCES "User" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
    stars        integer NOT NULL CONSTRAINT template_rating_stars_known CHECK (stars BETWEEN 1 AND 5),
    rated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (template_id, user_id)
);
CREATE INDEX template_rating_user_idx ON template_rating (user_id);
ALTER TABLE "Template" ADD COLUMN "settings" jsonb;

-- "updatedAt" is when its author changed it, not when it was last cloned or rated.
DROP TRIGGER keep_updated_at ON "Template";
CREATE TRIGGER keep_updated_at BEFORE UPDATE ON "Template" FOR EACH ROW
    WHEN ((OLD."downloads", OLD."rating", OLD."reviews") IS NOT DISTINCT FROM (NEW."downloads", NEW."rating", NEW."reviews"))
    EXECUTE FUNCTION keep_updated_at();

-- null: no limit. An operator may change them; WORKFLOW_MAX_EXECUTIONS_PER_MINUTE holds beside them.
ALTER TABLE plan
    ADD COLUMN concurrent_executions integer CONSTRAINT plan_concurrent_executions_positive CHECK (concurrent_executions > 0),
    ADD COLUMN executions_per_minute integer CONSTRAINT plan_executions_per_minute_positive CHECK (executions_per_minute > 0);
UPDATE plan SET concurrent_executions = 5, executions_per_minute = 30 WHERE tier = 'FREE';
UPDATE plan SET concurrent_executions = 50, executions_per_minute = 300 WHERE tier = 'PRO';
"""

COUNTING = """
-- Statistics are counted where executions are written, so that no writer can forget to. TIMEOUT is a failure; what was
-- canceled is neither.
CREATE FUNCTION count_execution_start() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE "Workflow" SET
        "totalExecutions" = "totalExecutions" + 1,
        "successfulExecutions" = "successfulExecutions" + (NEW."status" = 'SUCCESS')::int,
        "failedExecutions" = "failedExecutions" + (NEW."status" IN ('FAILED', 'TIMEOUT'))::int,
        "lastExecutedAt" = GREATEST("lastExecutedAt", NEW."startedAt")
    WHERE "id" = NEW."workflowId";
    RETURN NULL;
END $$;
CREATE TRIGGER count_execution_start AFTER INSERT ON "WorkflowExecution"
    FOR EACH ROW EXECUTE FUNCTION count_execution_start();

-- Whoever waits for an execution looks again, however it ended: a worker finds that it is time.
CREATE FUNCTION wake_parent(parent text) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE workflow_run SET wake_at = CASE WHEN state = 'waiting' THEN now() END, poked = poked OR state = 'active'
    WHERE execution_id = parent AND state <> 'ended'
$$;
CREATE FUNCTION wake_parent_of_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM wake_parent(OLD."parentExecutionId");
    RETURN NULL;
END $$;
CREATE TRIGGER wake_parent AFTER DELETE ON "WorkflowExecution" FOR EACH ROW
    WHEN (OLD."parentExecutionId" IS NOT NULL AND OLD."status" = 'RUNNING') EXECUTE FUNCTION wake_parent_of_deleted();

-- However an execution ends, it says when, and has its log. What it called, and waits for, ends with it: all of them are
-- held first, from the top down, and their runs after that; who ends one of them holds it, and then wakes its parent's
-- run.
CREATE FUNCTION settle_execution() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    at constant timestamp := now() AT TIME ZONE 'UTC';
BEGIN
    IF NEW."status" <> 'SUCCESS' THEN
        PERFORM FROM "WorkflowExecution" e JOIN workflow_run r ON r.execution_id = e."id"
        WHERE e."status" = 'RUNNING' AND e."id" IN (
            WITH RECURSIVE called AS (
                SELECT c."id" FROM "WorkflowExecution" c JOIN workflow_run w ON w.execution_id = c."id"
                WHERE c."parentExecutionId" = NEW."id" AND w.waited_for
                UNION
                SELECT c."id" FROM called p JOIN "WorkflowExecution" c ON c."parentExecutionId" = p."id"
                JOIN workflow_run w ON w.execution_id = c."id" WHERE w.waited_for
            )
            SELECT "id" FROM called)
        ORDER BY r.depth, e."id" FOR NO KEY UPDATE OF e;
    END IF;
    NEW."finishedAt" := COALESCE(NEW."finishedAt", at);
    NEW."duration" := COALESCE(NEW."duration", GREATEST(LEAST(
        EXTRACT(epoch FROM NEW."finishedAt" - NEW."startedAt") * 1000, 2147483647), 0)::integer);
    IF NEW."logs" IS NOT DISTINCT FROM OLD."logs" THEN
        -- Nobody writes one more entry from here on.
        PERFORM FROM workflow_run WHERE execution_id = NEW."id" FOR UPDATE;
        NEW."logs" := COALESCE((SELECT array_agg(l.entry ORDER BY l.place) FROM workflow_log l
                                WHERE l.execution_id = NEW."id"), '{}');
        IF NEW."status" = 'CANCELED' THEN
            NEW."logs" := array_append(NEW."logs", jsonb_build_object(
                'at', to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'event', 'run.canceled'));
        END IF;
        DELETE FROM workflow_log WHERE execution_id = NEW."id";
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER settle_execution BEFORE UPDATE OF "status" ON "WorkflowExecution" FOR EACH ROW
    WHEN (OLD."status" = 'RUNNING' AND NEW."status" <> 'RUNNING') EXECUTE FUNCTION settle_execution();

CREATE FUNCTION count_execution_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE "Workflow" SET
        "successfulExecutions" = "successfulExecutions" + (NEW."status" = 'SUCCESS')::int - (OLD."status" = 'SUCCESS')::int,
        "failedExecutions" = "failedExecutions" + (NEW."status" IN ('FAILED', 'TIMEOUT'))::int
                             - (OLD."status" IN ('FAILED', 'TIMEOUT'))::int
    WHERE "id" = NEW."workflowId" AND (NEW."status" <> 'CANCELED' OR OLD."status" <> 'RUNNING');
    IF OLD."status" = 'RUNNING' THEN
        UPDATE workflow_run SET state = 'ended', ended_at = now(), leased_until = NULL, wake_at = NULL
        WHERE execution_id = NEW."id" AND state <> 'ended';
        IF NEW."status" <> 'SUCCESS' THEN
            -- What it called, and would have waited for, ends with it.
            UPDATE "WorkflowExecution" e SET "status" = 'CANCELED'
            FROM workflow_run r
            WHERE e."parentExecutionId" = NEW."id" AND e."status" = 'RUNNING' AND r.execution_id = e."id" AND r.waited_for;
        END IF;
        PERFORM wake_parent(NEW."parentExecutionId");
    END IF;
    PERFORM pg_notify('docsearch_execution', NEW."id");
    RETURN NULL;
END $$;
CREATE TRIGGER count_execution_end AFTER UPDATE OF "status" ON "WorkflowExecution" FOR EACH ROW
    WHEN (OLD."status" IS DISTINCT FROM NEW."status") EXECUTE FUNCTION count_execution_end();

CREATE FUNCTION rate_template() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    rated text := COALESCE(NEW.template_id, OLD.template_id);
BEGIN
    PERFORM FROM "Template" WHERE "id" = rated FOR NO KEY UPDATE;
    UPDATE "Template" SET ("rating", "reviews") =
        (SELECT avg(stars)::double precision, count(*) FROM template_rating WHERE template_id = rated)
    WHERE "id" = rated;
    RETURN NULL;
END $$;
CREATE TRIGGER rate_template AFTER INSERT OR UPDATE OR DELETE ON template_rating
    FOR EACH ROW EXECUTE FUNCTION rate_template();
"""

LEAVING = """
-- A run works in the space that it was started in. Where its workflow is in another, it must not go on in either.
CREATE FUNCTION stop_moved_runs() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE "WorkflowExecution" SET "status" = 'CANCELED', "finishedAt" = now() AT TIME ZONE 'UTC',
        "errorData" = '{"code": "moved", "message": "The workflow was moved to another space while it ran."}'
    WHERE "id" IN (
        SELECT "id" FROM "WorkflowExecution" WHERE "workflowId" = NEW."id" AND "status" = 'RUNNING'
        -- Whoever holds one is ending it, and waits for the workflow's row, which is ours; claim_run ends what is left.
        FOR NO KEY UPDATE SKIP LOCKED
    );
    RETURN NULL;
END $$;
CREATE TRIGGER stop_moved_runs AFTER UPDATE OF "teamId", "userId" ON "Workflow" FOR EACH ROW
    WHEN (COALESCE(OLD."teamId", OLD."userId") IS DISTINCT FROM COALESCE(NEW."teamId", NEW."userId"))
    EXECUTE FUNCTION stop_moved_runs();

-- What a person has made in a team becomes another's in it. Nothing changes its space: no plan counts otherwise.
CREATE FUNCTION hand_over(person text, team text, heir text)
RETURNS TABLE (documents bigint, workflows bigint, executions bigint, conversations bigint, webhooks bigint,
               collections bigint, credentials bigint)
LANGUAGE sql AS $$
    WITH documents AS (
        UPDATE "Document" SET "userId" = heir WHERE "userId" = person AND "teamId" = team RETURNING 1
    ),
    workflows AS (
        UPDATE "Workflow" SET "userId" = heir WHERE "userId" = person AND "teamId" = team RETURNING 1
    ),
    executions AS (
        UPDATE "WorkflowExecution" e SET "userId" = heir FROM "Workflow" w
        WHERE e."userId" = person AND e."workflowId" = w."id" AND w."teamId" = team RETURNING 1
    ),
    conversations AS (
        UPDATE "AIConversation" SET "userId" = heir WHERE "userId" = person AND "teamId" = team RETURNING 1
    ),
    webhooks AS (
        UPDATE "Webhook" SET "userId" = heir WHERE "userId" = person AND "teamId" = team RETURNING 1
    ),
    collections AS (UPDATE collection SET user_id = heir WHERE user_id = person AND team_id = team RETURNING 1),
    credentials AS (UPDATE credential SET user_id = heir WHERE user_id = person AND team_id = team RETURNING 1)
    SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM workflows), (SELECT count(*) FROM executions),
           (SELECT count(*) FROM conversations), (SELECT count(*) FROM webhooks), (SELECT count(*) FROM collections),
           (SELECT count(*) FROM credentials)
$$;

-- Whoever leaves, or is removed by whomever, is told of the team's workflows, and pays for them, no longer: they are of
-- who owns the team longest. Not where the team goes, which gives all back, nor the person: db/deletion.py does that.
CREATE FUNCTION hand_over_on_leaving() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    heir text;
BEGIN
    -- As keep_an_owner: who leaves at the same time is no heir.
    PERFORM FROM "Team" WHERE "id" = OLD."teamId" FOR NO KEY UPDATE;
    IF NOT FOUND OR NOT EXISTS (SELECT FROM "User" WHERE "id" = OLD."userId") THEN
        RETURN NULL;
    END IF;
    SELECT "userId" INTO heir FROM "TeamMember" WHERE "teamId" = OLD."teamId" AND "userId" <> OLD."userId"
    ORDER BY "role", "joinedAt", "id" LIMIT 1;
    IF FOUND THEN
        PERFORM hand_over(OLD."userId", OLD."teamId", heir);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER hand_over_on_leaving AFTER DELETE ON "TeamMember"
    FOR EACH ROW EXECUTE FUNCTION hand_over_on_leaving();
"""

REPLIES = """
-- Whoever is asked first must not answer for those who are asked later.
CREATE FUNCTION note_first_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE workflow_run SET reply_node = NEW.node_id, reply_iteration = NEW.iteration
    WHERE execution_id = NEW.execution_id AND reply_node IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER note_first_wait AFTER INSERT OR UPDATE OF status ON workflow_step FOR EACH ROW
    WHEN (NEW.status = 'waiting' AND jsonb_path_exists(NEW.waiting, '$.*."for" ? (@ == "reply")'))
    EXECUTE FUNCTION note_first_wait();
"""

# As in 0007. What a run is and does is the service's; people read and change the execution. A team's credentials are its
# administrators' to make, since what is sent with them acts for the team; the sealed value is nobody's to read.
POLICIES = """
DO $$
DECLARE
    grantee text;
    tbl text;
    wanted text;
    me constant text := '(SELECT docsearch_user_id())';
    readers constant text := 'team_id = ANY ((SELECT docsearch_teams(''MEMBER''))::text[]) OR team_id IS NULL AND user_id = ' || me;
    writers constant text := '(team_id IS NULL OR team_id = ANY ((SELECT docsearch_teams(''ADMIN''))::text[]))';
BEGIN
    FOREACH tbl IN ARRAY ARRAY['workflow_run', 'workflow_start', 'workflow_step', 'workflow_step_item', 'workflow_log',
                               'workflow_document', 'credential', 'template_rating'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tbl);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tbl);
        EXECUTE format('CREATE POLICY docsearch_service ON %I TO docsearch_service USING (true) WITH CHECK (true)', tbl);
        FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %I', tbl, grantee);
        END LOOP;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO docsearch_service', tbl);
    END LOOP;
    EXECUTE format('CREATE POLICY docsearch_select ON credential FOR SELECT USING (%s)', readers);
    EXECUTE format('CREATE POLICY docsearch_insert ON credential FOR INSERT WITH CHECK (user_id = %s AND %s)', me, writers);
    EXECUTE format('CREATE POLICY docsearch_update ON credential FOR UPDATE USING (%1$s AND (team_id IS NOT NULL OR user_id = %2$s)) '
                   'WITH CHECK (%1$s AND (team_id IS NOT NULL OR user_id = %2$s))', writers, me);
    EXECUTE format('CREATE POLICY docsearch_delete ON credential FOR DELETE USING (%s AND (team_id IS NOT NULL OR user_id = %s))', writers, me);
    EXECUTE format('CREATE POLICY docsearch_all ON template_rating USING (user_id = %1$s) WITH CHECK (user_id = %1$s AND '
                   'template_id IN (SELECT t."id" FROM "Template" t WHERE t."isPublished"))', me);
    -- The workflow is in the row: of a template with a price only its author's. The service's routes show the rest of it.
    ALTER POLICY docsearch_select ON "Template" USING (
        "isPublished" AND NOT "price" > 0 OR "authorId" = (SELECT docsearch_user_id()));
    FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('docsearch_app', 'authenticated') LOOP
        EXECUTE format('GRANT SELECT (id, user_id, team_id, space_id, name, kind, hosts, created_at, updated_at, last_used_at), DELETE '
                       'ON credential TO %I', grantee);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE (stars, rated_at), DELETE ON template_rating TO %I', grantee);
        EXECUTE format('GRANT INSERT ("settings"), UPDATE ("settings") ON "Template" TO %I', grantee);
        -- Who knows a webhook's token may run the workflow, which viewers may not; nobody chooses one.
        EXECUTE format('REVOKE SELECT, INSERT, UPDATE ON "WorkflowTrigger" FROM %I', grantee);
        EXECUTE format('GRANT SELECT ("id", "workflowId", "type", "config", "isActive", "createdAt", "updatedAt", "nodeId", '
                       '"eventType", "lastFiredAt"), INSERT ("id", "workflowId", "type", "config", "isActive", "createdAt", '
                       '"updatedAt"), UPDATE ("type", "config", "isActive", "updatedAt") ON "WorkflowTrigger" TO %I', grantee);
    END LOOP;
    -- Sealed by the service's routes.
    GRANT INSERT (id, user_id, team_id, name, kind, hosts, sealed), UPDATE (name, hosts, sealed, updated_at) ON credential
        TO docsearch_app;
    FOREACH wanted IN ARRAY ARRAY['count_execution_start', 'settle_execution', 'count_execution_end', 'let_schedules_off',
                                  'wake_parent_of_deleted', 'rate_template', 'stop_moved_runs', 'hand_over_on_leaving'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', wanted, current_schema());
    END LOOP;
    EXECUTE format('ALTER FUNCTION wake_parent(text) SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION wake_parent FROM PUBLIC;
    EXECUTE format('ALTER FUNCTION hand_over SET search_path = %I, pg_temp', current_schema());
    REVOKE EXECUTE ON FUNCTION hand_over FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION hand_over TO docsearch_service;
END $$;
"""

DOWNGRADE = """
DROP TRIGGER hand_over_on_leaving ON "TeamMember";
DROP TRIGGER stop_moved_runs ON "Workflow";
DROP FUNCTION hand_over_on_leaving, hand_over, stop_moved_runs;
ALTER POLICY docsearch_select ON "Template" USING ("isPublished" OR "authorId" = (SELECT docsearch_user_id()));
DROP TRIGGER count_execution_start ON "WorkflowExecution";
DROP TRIGGER let_schedules_off ON "Workflow";
DROP TRIGGER settle_execution ON "WorkflowExecution";
DROP TRIGGER count_execution_end ON "WorkflowExecution";
DROP TRIGGER wake_parent ON "WorkflowExecution";
DROP TRIGGER number_workflow_revision ON "Workflow";
DROP TRIGGER keep_updated_at ON "Workflow";
CREATE TRIGGER keep_updated_at BEFORE UPDATE ON "Workflow" FOR EACH ROW EXECUTE FUNCTION keep_updated_at();
DROP TRIGGER keep_updated_at ON "Template";
CREATE TRIGGER keep_updated_at BEFORE UPDATE ON "Template" FOR EACH ROW EXECUTE FUNCTION keep_updated_at();
DROP TRIGGER forget_next_run ON "WorkflowSchedule";
DROP TABLE template_rating, credential, workflow_document, workflow_log, workflow_step_item, workflow_step, workflow_start,
    workflow_run;
DROP FUNCTION note_first_wait, let_schedules_off, settle_execution, count_execution_start, count_execution_end, wake_parent_of_deleted, wake_parent, number_workflow_revision, forget_next_run, rate_template;
ALTER TABLE plan DROP COLUMN concurrent_executions, DROP COLUMN executions_per_minute;
ALTER TABLE "Template" DROP COLUMN "settings";
ALTER TABLE "WorkflowSchedule" DROP CONSTRAINT workflow_schedule_next_sane, DROP CONSTRAINT workflow_schedule_last_sane;
ALTER TABLE "WorkflowSchedule" DROP COLUMN "nodeId", DROP COLUMN "missed", DROP COLUMN "overlap", DROP COLUMN "lastProblem";
ALTER TABLE "WorkflowTrigger" DROP COLUMN "nodeId", DROP COLUMN "token", DROP COLUMN "testToken", DROP COLUMN "eventType",
    DROP COLUMN "lastFiredAt";
ALTER TABLE "WorkflowExecution" DROP COLUMN "version", DROP COLUMN "retryOf", DROP COLUMN "parentExecutionId";
ALTER TABLE "Workflow" DROP COLUMN "revision";
DO $$
DECLARE grantee text;
BEGIN
    FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('docsearch_app', 'authenticated') LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON "WorkflowTrigger" TO %I', grantee);
    END LOOP;
END $$;
"""


def upgrade() -> None:
    run(WORKFLOWS + RUNS + TRIGGERS + COUNTING + LEAVING + REPLIES + POLICIES)


def downgrade() -> None:
    run(DOWNGRADE)
