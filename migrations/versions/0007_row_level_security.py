"""Row-level security: the second wall around every tenant's rows, in Supabase's terms.

A transaction says for whom it works by the claims of a JWT in request.jwt.claims, as Supabase's own API does; the
policies go by their `sub`, which is the Clerk id. Two roles, which are groups and log in nowhere:

docsearch_app      works for one person: sees and changes what that person may. The routes of tenants use it.
docsearch_service  works for the service itself: authenticates, searches with the scope in its own SQL, ingests. It
                   has a policy of its own on every table, not BYPASSRLS, which only superusers may give away.

Why search is not bound by the policies: `@@` and `&&` are not leakproof, so under a policy the planner may not use
their GIN indexes. docs/adr/0014-two-walls.md has the whole of it.

Revision ID: 0007
Revises: 0006
"""

from migrations.sql import run

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROLES = """
DO $$
DECLARE wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['docsearch_app', 'docsearch_service'] LOOP
        BEGIN
            -- Roles belong to the server: another database of it may have made them.
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
            -- So that whoever migrates can also serve: forced policies bind the owner of the tables as well.
            IF NOT pg_has_role(current_user, wanted, 'USAGE') THEN
                EXECUTE format('GRANT %I TO CURRENT_USER', wanted);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- made at the same moment by a migration of another database
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'role % is missing or not granted: have an administrator run CREATE ROLE %; '
                    'GRANT % TO % WITH ADMIN OPTION', wanted, wanted, wanted, current_user
                    USING ERRCODE = 'insufficient_privilege';
        END;
    END LOOP;
END $$;

-- Supabase has this schema; elsewhere it is made, with the functions as Supabase defines them.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'auth') THEN
        CREATE SCHEMA auth;
        COMMENT ON SCHEMA auth IS 'Made by docsearch, after Supabase: the claims of the transaction''s JWT.';
        CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS
            'SELECT nullif(current_setting(''request.jwt.claims'', true), '''')::jsonb';
        CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
            'SELECT (nullif(current_setting(''request.jwt.claims'', true), '''')::jsonb ->> ''sub'')::uuid';
        GRANT USAGE ON SCHEMA auth TO PUBLIC;
    END IF;
END $$;
"""

# The one definition of what a person may see and change, for the policies. They run as their owner, for whom every
# row is there, and are wrapped in a subselect where they are used, so that each runs once a statement.
FUNCTIONS = """
CREATE FUNCTION docsearch_user_id() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
RETURN (SELECT "id" FROM "User" WHERE "clerkId" = (auth.jwt() ->> 'sub'));

-- The address that invitations go by: only a verified one.
CREATE FUNCTION docsearch_email() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
RETURN (SELECT lower("email") FROM "User" WHERE "clerkId" = (auth.jwt() ->> 'sub') AND "emailVerified");

-- Teams in which the person has at least this role; roles are declared in falling order.
CREATE FUNCTION docsearch_teams(at_least "TeamRole") RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER
RETURN ARRAY(SELECT m."teamId" FROM "TeamMember" m JOIN "User" u ON u."id" = m."userId"
             WHERE u."clerkId" = (auth.jwt() ->> 'sub') AND m."role" <= at_least);

-- Those, and the person's own space.
CREATE FUNCTION docsearch_spaces(at_least "TeamRole") RETURNS text[] LANGUAGE sql STABLE SECURITY DEFINER
RETURN (SELECT array_remove(docsearch_user_id() || docsearch_teams(at_least), NULL));

-- A team and its first owner, who could not be let in by a policy: nobody is a member yet. Returns the team's id, which
-- is made here: a space is named by its team's or its person's id, so one who may choose a team's could choose a person's.
CREATE FUNCTION docsearch_found_team(team_name text, team_slug text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    team_id text := gen_random_uuid()::text;
BEGIN
    IF docsearch_user_id() IS NULL THEN
        RAISE EXCEPTION 'nobody is signed in' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO "Team" ("id", "name", "slug") VALUES (team_id, team_name, team_slug);
    INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES (team_id, docsearch_user_id(), 'OWNER');
    RETURN team_id;
END $$;

-- What members see of each other: nothing of anybody's account but this.
CREATE FUNCTION docsearch_team_members(team text)
RETURNS TABLE (user_id text, email text, first_name text, last_name text, image_url text, role "TeamRole",
               joined_at timestamp)
LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT u."id", u."email", u."firstName", u."lastName", u."imageUrl", m."role", m."joinedAt"
    FROM "TeamMember" m JOIN "User" u ON u."id" = m."userId"
    WHERE m."teamId" = team AND team = ANY (docsearch_teams('VIEWER'));
END;
"""

# The last to leave would leave a team that nobody could delete, and what is in it: they delete it instead. That binds
# people; an account that is deleted may take its memberships along.
LEAVING = """
CREATE FUNCTION keep_a_member() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- As keep_an_owner: two who leave at once must see each other.
    PERFORM FROM "Team" WHERE "id" = OLD."teamId" FOR NO KEY UPDATE;
    IF FOUND AND docsearch_user_id() IS NOT NULL
        AND NOT EXISTS (SELECT FROM "TeamMember" WHERE "teamId" = OLD."teamId")
    THEN
        RAISE EXCEPTION 'team % would have no member', OLD."teamId"
            USING ERRCODE = 'check_violation', CONSTRAINT = 'team_has_owner', TABLE = 'TeamMember';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER team_has_member AFTER DELETE ON "TeamMember"
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION keep_a_member();
"""

# One row a table and command: USING, and for what is written CHECK. A command without a row is refused.
# $spaces(ROLE)$ and its kin are shorthand for the subselects; see EXPAND.
POLICIES = """
CREATE TEMPORARY TABLE policy (tbl text, command text, condition text) ON COMMIT DROP;
INSERT INTO policy VALUES
    ('User',              'SELECT', '"id" = $me$'),
    ('User',              'UPDATE', '"id" = $me$'),
    ('Team',              'SELECT', '"id" = $teams(VIEWER)$'),
    ('Team',              'UPDATE', '"id" = $teams(ADMIN)$'),
    ('Team',              'DELETE', '"id" = $teams(OWNER)$'),
    ('TeamMember',        'SELECT', '"teamId" = $teams(VIEWER)$'),
    ('TeamMember',        'UPDATE', '"teamId" = $teams(ADMIN)$ AND ("role" <> ''OWNER'' OR "teamId" = $teams(OWNER)$)'),
    ('TeamMember',        'DELETE', '"userId" = $me$ OR '
                                    '"teamId" = $teams(ADMIN)$ AND ("role" <> ''OWNER'' OR "teamId" = $teams(OWNER)$)'),
    ('ApiKey',            'ALL',    '"userId" = $me$'),
    ('Notification',      'SELECT', '"userId" = $me$'),
    ('Notification',      'UPDATE', '"userId" = $me$'),
    ('Notification',      'DELETE', '"userId" = $me$'),
    ('UsageLog',          'SELECT', '"userId" = $me$ OR "teamId" = $teams(ADMIN)$'),
    ('Document',          'SELECT', '"spaceId" = $spaces(VIEWER)$'),
    ('Document',          'INSERT', '"spaceId" = $spaces(MEMBER)$ AND "userId" = $me$'),
    ('Document',          'UPDATE', '"spaceId" = $spaces(MEMBER)$'),
    ('Document',          'DELETE', '"spaceId" = $spaces(MEMBER)$'),
    ('original',          'SELECT', 'space_id = $spaces(VIEWER)$'),
    -- The place of its bytes follows from the document: or one could claim those of somebody else's.
    ('original',          'INSERT', 'space_id = $spaces(MEMBER)$ AND storage_key = left(document_id, 2) || ''/'' || document_id'),
    ('original',          'UPDATE', 'space_id = $spaces(MEMBER)$ AND storage_key = left(document_id, 2) || ''/'' || document_id'),
    ('ingestion',         'SELECT', 'space_id = $spaces(VIEWER)$'),
    ('ingestion',         'INSERT', 'space_id = $spaces(MEMBER)$'),
    ('ingestion',         'UPDATE', 'space_id = $spaces(MEMBER)$'),
    ('chunk',             'SELECT', 'space_id = $spaces(VIEWER)$'),
    ('chunk_embedding',   'SELECT', 'space_id = $spaces(VIEWER)$'),
    ('term_count',        'SELECT', 'space_id = $spaces(VIEWER)$'),
    ('idempotency_key',   'ALL',    'user_id = $me$'),
    ('Workflow',          'SELECT', '"teamId" = $teams(VIEWER)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('Workflow',          'INSERT', '"userId" = $me$ AND ("teamId" IS NULL OR "teamId" = $teams(MEMBER)$)'),
    ('Workflow',          'UPDATE', '"teamId" = $teams(MEMBER)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('Workflow',          'DELETE', '"teamId" = $teams(MEMBER)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('WorkflowVersion',   'SELECT', '"workflowId" IN (SELECT w."id" FROM "Workflow" w)'),
    ('WorkflowVersion',   'INSERT', '$workflow$'),
    ('WorkflowExecution', 'SELECT', '"workflowId" IN (SELECT w."id" FROM "Workflow" w)'),
    ('WorkflowExecution', 'INSERT', '"userId" = $me$ AND $workflow$'),
    ('WorkflowExecution', 'UPDATE', '$workflow$'),
    ('WorkflowExecution', 'DELETE', '$workflow$'),
    ('WorkflowTrigger',   'SELECT', '"workflowId" IN (SELECT w."id" FROM "Workflow" w)'),
    ('WorkflowTrigger',   'INSERT', '$workflow$'),
    ('WorkflowTrigger',   'UPDATE', '$workflow$'),
    ('WorkflowTrigger',   'DELETE', '$workflow$'),
    ('WorkflowSchedule',  'SELECT', '"workflowId" IN (SELECT w."id" FROM "Workflow" w)'),
    ('WorkflowSchedule',  'INSERT', '$workflow$'),
    ('WorkflowSchedule',  'UPDATE', '$workflow$'),
    ('WorkflowSchedule',  'DELETE', '$workflow$'),
    ('AIModel',           'SELECT', '$me$ IS NOT NULL'),
    ('AIConversation',    'SELECT', '"teamId" = $teams(VIEWER)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('AIConversation',    'INSERT', '"userId" = $me$ AND ("teamId" IS NULL OR "teamId" = $teams(MEMBER)$)'),
    ('AIConversation',    'UPDATE', '"teamId" = $teams(MEMBER)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('AIConversation',    'DELETE', '"teamId" = $teams(MEMBER)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('Template',          'SELECT', '"isPublished" OR "authorId" = $me$'),
    ('Template',          'INSERT', '"authorId" = $me$'),
    ('Template',          'UPDATE', '"authorId" = $me$'),
    ('Template',          'DELETE', '"authorId" = $me$'),
    ('Webhook',           'SELECT', '"teamId" = $teams(ADMIN)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('Webhook',           'INSERT', '"userId" = $me$ AND ("teamId" IS NULL OR "teamId" = $teams(ADMIN)$)'),
    ('Webhook',           'UPDATE', '"teamId" = $teams(ADMIN)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('Webhook',           'DELETE', '"teamId" = $teams(ADMIN)$ OR "teamId" IS NULL AND "userId" = $me$'),
    ('webhook_delivery',  'SELECT', 'webhook_id IN (SELECT w."id" FROM "Webhook" w)'),
    ('team_invitation',   'SELECT', 'team_id = $teams(ADMIN)$ OR lower(email) = (SELECT docsearch_email())'),
    ('team_invitation',   'INSERT', 'team_id = $teams(ADMIN)$ AND invited_by = $me$'),
    ('team_invitation',   'DELETE', 'team_id = $teams(ADMIN)$'),
    ('audit_log',         'SELECT', 'actor_id = $me$ OR team_id = $teams(OWNER)$'),
    ('plan',              'SELECT', 'true'),
    -- The service's own: no policy but the service's.
    ('received_event', NULL, NULL), ('stripe_subscription', NULL, NULL),
    ('deleted_identity', NULL, NULL), ('rate_limit', NULL, NULL),
    ('vector_index', NULL, NULL), ('pgqueuer', NULL, NULL), ('pgqueuer_log', NULL, NULL),
    ('pgqueuer_schedules', NULL, NULL), ('pgqueuer_statistics', NULL, NULL),
    ('alembic_version', NULL, NULL), ('schema_origin', NULL, NULL);
"""

EXPAND = """
UPDATE policy SET condition = regexp_replace(condition, '\\$workflow\\$',
    'EXISTS (SELECT FROM "Workflow" w WHERE w."id" = "workflowId"'
    ' AND (w."teamId" = $teams(MEMBER)$ OR w."teamId" IS NULL AND w."userId" = $me$))', 'g');
UPDATE policy SET condition = regexp_replace(regexp_replace(condition,
    '\\$me\\$', '(SELECT docsearch_user_id())', 'g'),
    '\\$(teams|spaces)\\((\\w+)\\)\\$', 'ANY ((SELECT docsearch_\\1(''\\2''))::text[])', 'g');

DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT DISTINCT p.tbl, c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced
        FROM policy p JOIN pg_class c ON c.oid = format('%I', p.tbl)::regclass
    LOOP
        -- What somebody had switched on before us stays on when we leave.
        INSERT INTO schema_origin (kind, relation, name, previous)
        SELECT 'row security', wanted.tbl, what, 'on'
        FROM (VALUES ('enabled', wanted.enabled), ('forced', wanted.forced)) AS was (what, so) WHERE so;
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', wanted.tbl);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', wanted.tbl);
        EXECUTE format('CREATE POLICY docsearch_service ON %I TO docsearch_service USING (true) WITH CHECK (true)',
                       wanted.tbl);
    END LOOP;
    FOR wanted IN SELECT * FROM policy WHERE command IS NOT NULL LOOP
        EXECUTE format('CREATE POLICY %I ON %I FOR %s %s', 'docsearch_' || lower(wanted.command), wanted.tbl,
            wanted.command, CASE
                WHEN wanted.command IN ('SELECT', 'DELETE') THEN format('USING (%s)', wanted.condition)
                WHEN wanted.command = 'INSERT' THEN format('WITH CHECK (%s)', wanted.condition)
                ELSE format('USING (%s) WITH CHECK (%s)', wanted.condition, wanted.condition) END);
    END LOOP;
END $$;
"""

# Policies choose rows; privileges choose columns. What decides about money, roles and keys is in no list below.
PRIVILEGES = """
DO $$
DECLARE
    wanted record;
    grantee text;
    people text[] := ARRAY['docsearch_app'];
BEGIN
    -- On Supabase everybody's API speaks as these two, and new tables are wide open to them.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        people := array_append(people, 'authenticated');
    END IF;
    FOR wanted IN SELECT DISTINCT tbl FROM policy LOOP
        FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %I', wanted.tbl, grantee);
        END LOOP;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO docsearch_service', wanted.tbl);
    END LOOP;
    REVOKE UPDATE, DELETE ON audit_log FROM docsearch_service;
    REVOKE INSERT, UPDATE, DELETE ON alembic_version, schema_origin, plan FROM docsearch_service;
    GRANT USAGE ON SEQUENCE pgqueuer_id_seq, pgqueuer_schedules_id_seq, pgqueuer_statistics_id_seq TO docsearch_service;

    FOREACH grantee IN ARRAY people || ARRAY['docsearch_service'] LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), grantee);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, grantee)
            FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector';
    END LOOP;

    FOREACH grantee IN ARRAY people LOOP
        FOR wanted IN SELECT * FROM (VALUES
            ('User',              'SELECT, UPDATE ("firstName", "lastName", "imageUrl", "username", "onboardingCompleted", '
                                  '"updatedAt")'),
            ('Team',              'SELECT ("id", "name", "slug", "subscriptionTier", "subscriptionStatus", '
                                  '"subscriptionEndsAt", "storageUsed", "workflowsUsed", "executionsThisMonth", '
                                  '"executionsMonth", "createdAt", "updatedAt"), UPDATE ("name", "slug", "updatedAt"), DELETE'),
            ('TeamMember',        'SELECT, UPDATE ("role"), DELETE'),
            ('ApiKey',            'SELECT ("id", "userId", "name", "prefix", "scopes", "isActive", "expiresAt", "lastUsedAt", '
                                  '"createdAt"), INSERT, UPDATE ("name", "isActive"), DELETE'),
            ('Notification',      'SELECT, UPDATE ("isRead", "readAt"), DELETE'),
            ('UsageLog',          'SELECT'),
            ('Document',          'SELECT, INSERT ("id", "userId", "teamId", "title", "content", "metadata", "sourceType", '
                                  '"sourceUrl", "createdAt", "updatedAt"), '
                                  'UPDATE ("title", "metadata", "teamId", "updatedAt"), DELETE'),
            ('original',          'SELECT'),
            ('ingestion',         'SELECT'),
            ('chunk',             'SELECT'),
            ('chunk_embedding',   'SELECT'),
            ('term_count',        'SELECT'),
            ('Workflow',          'SELECT, INSERT, UPDATE ("name", "description", "nodes", "connections", "settings", '
                                  '"status", "isActive", "isPublic", "category", "tags", "teamId", "updatedAt", '
                                  '"publishedAt"), DELETE'),
            ('WorkflowVersion',   'SELECT, INSERT'),
            -- Whose it is, and of which workflow, stays: whose plan it counted in.
            ('WorkflowExecution', 'SELECT, INSERT, UPDATE ("status", "finishedAt", "duration", "inputData", "outputData", '
                                  '"errorData", "logs", "triggeredBy", "retryCount"), DELETE'),
            ('WorkflowTrigger',   'SELECT, INSERT, UPDATE, DELETE'),
            ('WorkflowSchedule',  'SELECT, INSERT, UPDATE, DELETE'),
            ('AIModel',           'SELECT ("id", "name", "provider", "modelId", "isActive", "createdAt", "updatedAt")'),
            ('AIConversation',    'SELECT, INSERT, UPDATE ("modelId", "title", "messages", "tokensUsed", "cost", "teamId", '
                                  '"updatedAt"), DELETE'),
            ('Template',          'SELECT, INSERT ("id", "name", "description", "category", "tags", "nodes", "connections", '
                                  '"price", "authorId", "authorName", "isPublished", "updatedAt"), '
                                  'UPDATE ("name", "description", "category", "tags", "nodes", "connections", "price", '
                                  '"isPublished", "updatedAt"), DELETE'),
            -- Not the counter: at its end, every delivery would fail, and be tried again for ever.
            ('Webhook',           'SELECT, INSERT ("id", "userId", "teamId", "url", "events", "secret", "isActive", '
                                  '"description", "createdAt", "updatedAt"), '
                                  'UPDATE ("url", "events", "secret", "previousSecret", "previousSecretUntil", '
                                  '"isActive", "description", "failingSince", "pausedAt", "pauseReason", "updatedAt"), '
                                  'DELETE'),
            ('webhook_delivery',  'SELECT'),
            -- It waits as long as every other, and is renewed by the service.
            ('team_invitation',   'SELECT, INSERT (team_id, email, role, invited_by), DELETE'),
            ('audit_log',         'SELECT'),
            ('plan',              'SELECT')
        ) AS granted (tbl, privileges) LOOP
            EXECUTE format('GRANT %s ON %I TO %I', wanted.privileges, wanted.tbl, grantee);
        END LOOP;
    END LOOP;

    -- Only the service's own routes, not a browser: an upload is a row of each of these, or none.
    GRANT INSERT, UPDATE ON original, ingestion TO docsearch_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_key TO docsearch_app;

    -- Functions are open to everybody unless closed; these act with their owner's rights.
    REVOKE EXECUTE ON FUNCTION charge_storage, recount_workflows, docsearch_found_team FROM PUBLIC;
    FOREACH grantee IN ARRAY people LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION docsearch_found_team TO %I', grantee);
    END LOOP;

    -- What acts with its owner's rights must not take its names from the caller's search path. Those of SQL too: the
    -- body of auth.jwt, which they call, is text, and a type of the caller's called jsonb would run as their owner.
    FOR wanted IN
        SELECT p.oid::regprocedure AS name FROM pg_proc p
        WHERE p.pronamespace = current_schema()::regnamespace AND p.prosecdef
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
          AND p.proname IN ('keep_an_owner', 'keep_a_member', 'charge_storage', 'count_storage', 'recount_workflows',
                            'count_workflows', 'count_executions', 'docsearch_found_team', 'count_inserted_terms', 'count_deleted_terms',
                            'count_updated_terms', 'docsearch_user_id', 'docsearch_email', 'docsearch_teams',
                            'docsearch_spaces', 'docsearch_team_members')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', wanted.name, current_schema());
    END LOOP;
END $$;
DROP TABLE policy;
"""

# A document deleted by its owner is counted out by the service: nobody writes the counts of terms themselves.
TERM_COUNTS = """
ALTER FUNCTION count_inserted_terms() SECURITY DEFINER;
ALTER FUNCTION count_deleted_terms() SECURITY DEFINER;
ALTER FUNCTION count_updated_terms() SECURITY DEFINER;
"""

DOWNGRADE = """
DO $$
DECLARE
    found record;
    wanted text;
BEGIN
    FOR found IN
        SELECT tablename AS tbl, policyname AS name FROM pg_policies
        WHERE schemaname = current_schema() AND policyname LIKE 'docsearch\\_%'
    LOOP
        EXECUTE format('DROP POLICY %I ON %I', found.name, found.tbl);
    END LOOP;
    -- Set apart first: schema_origin is one of the tables, and cannot change while it is being read.
    CREATE TEMPORARY TABLE secured ON COMMIT DROP AS
        SELECT c.relname AS tbl,
               EXISTS (SELECT FROM schema_origin o WHERE o.kind = 'row security' AND o.relation = c.relname
                       AND o.name = 'enabled') AS enabled,
               EXISTS (SELECT FROM schema_origin o WHERE o.kind = 'row security' AND o.relation = c.relname
                       AND o.name = 'forced') AS forced
        FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relforcerowsecurity;
    FOR found IN SELECT * FROM secured
    LOOP
        IF NOT found.enabled THEN
            EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', found.tbl);
        END IF;
        IF NOT found.forced THEN
            EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', found.tbl);
        END IF;
    END LOOP;
    DROP TABLE secured;
    DELETE FROM schema_origin WHERE kind = 'row security';
    ALTER FUNCTION count_inserted_terms() SECURITY INVOKER RESET search_path;
    ALTER FUNCTION count_deleted_terms() SECURITY INVOKER RESET search_path;
    ALTER FUNCTION count_updated_terms() SECURITY INVOKER RESET search_path;
    DROP TRIGGER team_has_member ON "TeamMember";
    DROP FUNCTION keep_a_member, docsearch_team_members, docsearch_found_team, docsearch_spaces, docsearch_teams, docsearch_email,
        docsearch_user_id;
    IF obj_description(to_regnamespace('auth'), 'pg_namespace') LIKE 'Made by docsearch%' THEN
        DROP FUNCTION auth.jwt, auth.uid;
        BEGIN
            DROP SCHEMA auth;
        EXCEPTION WHEN dependent_objects_still_exist THEN
            NULL; -- somebody else has come to use it
        END;
    END IF;
    -- Their privileges in this database; the roles themselves where no other database of the server uses them.
    DROP OWNED BY docsearch_app, docsearch_service;
    -- One at a time and in the order in which upgrading comes upon them, so as to wait for a migration of another
    -- database without holding what that waits for.
    FOREACH wanted IN ARRAY ARRAY['docsearch_service', 'docsearch_app'] LOOP
        BEGIN
            EXECUTE format('DROP ROLE %I', wanted);
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
            NULL;
        END;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    run(ROLES + FUNCTIONS + LEAVING + TERM_COUNTS + POLICIES + EXPAND + PRIVILEGES)


def downgrade() -> None:
    run(DOWNGRADE)
