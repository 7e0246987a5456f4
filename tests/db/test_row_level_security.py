"""The second wall, tried in SQL itself: what a person's transaction sees and changes, as the application's role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from db.dsn import with_user
from db.errors import LastOwner
from db.pool import Conn, Pool, open_pool
from db.roles import LOGIN_ROLE, ensure_login
from db.tenancy import as_caller, as_service
from service.auth.access import PERMISSIONS, Role
from tests.db.conftest import Raw

ROLES = ("stranger", "viewer", "member", "admin", "owner")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections as the service has them: neither owner of the tables nor a superuser."""
    async with open_pool(await ensure_login(database_url), size=4) as opened:
        yield opened


@pytest.fixture
async def world(database_url: str, raw: Raw) -> "asyncpg.Connection[asyncpg.Record]":
    """A team with somebody in each role, a person outside, and rows of every kind; a connection of the owner's."""
    conn = await raw(database_url)
    await conn.execute("""
        INSERT INTO "User" ("id", "clerkId", "email", "emailVerified")
        SELECT name, 'clerk-' || name, name || '@example.com', true
        FROM unnest(ARRAY['stranger', 'viewer', 'member', 'admin', 'owner']) AS name;
        INSERT INTO "Team" ("id", "name", "slug") VALUES ('team', 'Team', 'team'), ('theirs', 'Theirs', 'theirs');
        INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES
            ('team', 'viewer', 'VIEWER'), ('team', 'member', 'MEMBER'), ('team', 'admin', 'ADMIN'),
            ('team', 'owner', 'OWNER'), ('theirs', 'stranger', 'OWNER');
        INSERT INTO "ApiKey" ("userId", "name", "key") VALUES ('owner', 'k', 'hash');
        INSERT INTO budget (subject_kind, subject_id)
        SELECT 'key', "id" FROM "ApiKey" UNION VALUES ('user', 'owner'), ('team', 'team'), ('plan', 'team');
        INSERT INTO budget_reservation (id, subject_kind, subject_id, amount)
        SELECT gen_random_uuid(), subject_kind, subject_id, 1 FROM budget;
        INSERT INTO "Notification" ("userId", "type", "title", "message") VALUES ('owner', 'SYSTEM', 't', 'm');
        INSERT INTO "UsageLog" ("userId", "teamId", "resourceType", "action") VALUES ('owner', 'team', 'search', 'q');
        INSERT INTO "Document" ("id", "userId", "teamId", "title", "content") VALUES ('d', 'owner', 'team', 't', 'c');
        INSERT INTO original VALUES ('team', 'd', 'd/d', 'f', 'text/plain', 1, sha256('x'));
        INSERT INTO ingestion (space_id, document_id) VALUES ('team', 'd');
        INSERT INTO chunk (space_id, id, document_id, ordinal, text, char_start, char_end, token_count, content_hash,
                           terms, term_weights)
        VALUES ('team', gen_random_uuid(), 'd', 0, 'x', 0, 1, 1, 'h', '{7}', '{7:1}/1000000000');
        INSERT INTO chunk_embedding (space_id, chunk_id, document_id, model, embedding)
        SELECT space_id, id, document_id, 'm', array_fill(0.1::real, ARRAY[1536])::vector FROM chunk;
        INSERT INTO document_file VALUES ('team', 'd', 'assistants', NULL);
        INSERT INTO collection (id, user_id, team_id) VALUES ('vs_' || repeat('0', 32), 'owner', 'team');
        INSERT INTO collection_document (collection_id, space_id, document_id) SELECT id, 'team', 'd' FROM collection;
        INSERT INTO collection_batch (id, collection_id, space_id)
        SELECT 'vsfb_' || repeat('0', 32), id, 'team' FROM collection;
        INSERT INTO collection_batch_document (batch_id, collection_id, space_id, document_id)
        SELECT id, collection_id, 'team', 'd' FROM collection_batch;
        INSERT INTO idempotency_key (user_id, key, request_hash, document_id) VALUES ('owner', 'k', 'h', 'd');
        INSERT INTO "Workflow" ("id", "name", "nodes", "connections", "userId", "teamId")
        VALUES ('w', 'w', '[]', '[]', 'owner', 'team');
        INSERT INTO "WorkflowVersion" ("workflowId", "version", "nodes", "connections") VALUES ('w', 1, '[]', '[]');
        INSERT INTO "WorkflowExecution" ("workflowId", "userId") VALUES ('w', 'owner');
        INSERT INTO workflow_run (execution_id, workflow_id, space_id, version, root_id, time_left_s)
        SELECT "id", 'w', 'team', 1, "id", 60 FROM "WorkflowExecution";
        INSERT INTO workflow_step (execution_id, node_id, status, started_at)
        SELECT execution_id, 'n', 'waiting', now() FROM workflow_run;
        INSERT INTO workflow_step_item SELECT execution_id, 'n', '', 0, '[]' FROM workflow_run;
        INSERT INTO workflow_log SELECT execution_id, 0, '{}' FROM workflow_run;
        INSERT INTO workflow_document SELECT 'd', execution_id FROM workflow_run;
        INSERT INTO credential (id, user_id, team_id, name, kind, sealed)
        VALUES ('cred', 'owner', 'team', 'erp', 'bearer', 's'), ('own', 'owner', NULL, 'erp', 'bearer', 's');
        INSERT INTO "WorkflowTrigger" ("workflowId", "type", "config") VALUES ('w', 'MANUAL', '{}');
        INSERT INTO "WorkflowSchedule" ("workflowId", "cronExpression") VALUES ('w', '* * * * *');
        INSERT INTO "AIModel" ("id", "name", "provider", "modelId", "config") VALUES ('ai', 'n', 'OPENAI', 'x', '{}');
        INSERT INTO "AIConversation" ("id", "userId", "teamId", "modelId") VALUES ('c', 'owner', 'team', 'ai');
        INSERT INTO conversation_turn (id, conversation_id, question_id, user_id, team_id, model_id)
        VALUES (gen_random_uuid(), 'c', gen_random_uuid(), 'owner', 'team', 'ai');
        INSERT INTO "Webhook" ("id", "userId", "teamId", "url", "secret") VALUES ('h', 'owner', 'team', 'u', 's');
        INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body) VALUES ('h', 'e', 't', '{}');
        INSERT INTO team_invitation (team_id, email, role, invited_by) VALUES ('team', 'x@y.z', 'MEMBER', 'owner');
        INSERT INTO audit_log (actor, actor_id, action, resource_type, resource_id, team_id)
        VALUES ('user', 'owner', 'a', 'team', 'team', 'team');
        INSERT INTO "Template" ("id", "name", "description", "category", "nodes", "connections", "authorId",
                                "authorName", "isPublished", "price")
        VALUES ('draft', 'draft', 'd', 'c', '{}', '{}', 'owner', 'Owner', false, 0),
               ('public', 'public', 'd', 'c', '{}', '{}', 'owner', 'Owner', true, 0),
               ('paid', 'paid', 'd', 'c', '{}', '{}', 'owner', 'Owner', true, 10),
               ('odd', 'odd', 'd', 'c', '{}', '{}', 'owner', 'Owner', true, 'NaN');
        INSERT INTO template_rating (template_id, user_id, stars) VALUES ('public', 'admin', 4);
    """)
    return conn


@asynccontextmanager
async def acting(pool: Pool, name: str) -> AsyncIterator[Conn]:
    """A transaction of a person's that leaves nothing behind."""
    async with pool.acquire() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(
            """
            SELECT set_config('role', 'docsearch_app', true),
                   set_config('request.jwt.claims', json_build_object('sub', 'clerk-' || $1::text)::text, true)
            """,
            name,
        )
        try:
            yield conn
        finally:
            await transaction.rollback()


async def test_every_table_is_forced_and_has_a_policy(conn: Conn) -> None:
    """A table without a policy fails here: who adds one decides who may see it."""
    rows = await conn.fetch("""
        SELECT c.relname AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced,
               ARRAY(SELECT policyname::text FROM pg_policies p
                     WHERE p.schemaname = 'public' AND p.tablename = c.relname) AS policies
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    """)
    assert len(rows) > 30
    assert [row["name"] for row in rows if not row["forced"]] == []
    assert [row["name"] for row in rows if "docsearch_service" not in row["policies"]] == []


async def test_the_roles_own_nothing_and_bypass_nothing(pool: Pool, conn: Conn) -> None:
    rows = await conn.fetch("""
        SELECT r.rolname AS name, r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb AS powerful,
               EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid) AS owns
        FROM pg_roles r WHERE r.rolname LIKE 'docsearch%'
    """)
    assert {row["name"] for row in rows} == {"docsearch_app", "docsearch_service", LOGIN_ROLE}
    assert [row["name"] for row in rows if row["powerful"] or row["owns"]] == []
    async with pool.acquire() as mine:
        assert await mine.fetchval("SELECT session_user") == LOGIN_ROLE


# What each sees of the rows in `world`: one row of each table, but for those that say otherwise.
SEEN = {
    '"User"': "1 1 1 1 1",  # oneself
    '"Team"': "1 1 1 1 1",  # one's own
    '"TeamMember"': "1 4 4 4 4",
    '"ApiKey"': "0 0 0 0 1",
    '"Notification"': "0 0 0 0 1",
    '"UsageLog"': "0 0 0 1 1",
    '"Document"': "0 1 1 1 1",
    "original": "0 1 1 1 1",
    "ingestion": "0 1 1 1 1",
    "chunk": "0 1 1 1 1",
    "chunk_embedding": "0 1 1 1 1",
    "term_count": "0 2 2 2 2",
    "document_file": "0 1 1 1 1",
    "collection": "0 1 1 1 1",
    "collection_document": "0 1 1 1 1",
    "collection_batch": "0 1 1 1 1",
    "collection_batch_document": "0 1 1 1 1",
    "idempotency_key": "0 0 0 0 1",
    '"Workflow"': "0 1 1 1 1",
    '"WorkflowVersion"': "0 1 1 1 1",
    '"WorkflowExecution"': "0 1 1 1 1",
    '"WorkflowTrigger"': "0 1 1 1 1",
    '"WorkflowSchedule"': "0 1 1 1 1",
    '"AIModel"': "1 1 1 1 1",
    '"AIConversation"': "0 1 1 1 1",
    "conversation_turn": "0 1 1 1 1",
    '"Webhook"': "0 0 0 1 1",
    "webhook_delivery": "0 0 0 1 1",
    "team_invitation": "0 0 0 1 1",
    "audit_log": "0 0 0 0 1",
    '"Template"': "1 1 1 1 4",  # the one that is published and costs nothing
    "template_rating": "0 0 0 1 0",  # one's own: how many stars somebody gave is nobody else's to know
    "credential": "0 0 1 1 2",
    "plan": "3 3 3 3 3",
    "budget": "0 2 2 2 4",  # the team's, and its plan's
    "budget_reservation": "0 2 2 2 4",
}


async def test_each_person_sees_what_is_theirs(pool: Pool, world: Conn) -> None:
    for number, name in enumerate(ROLES):
        async with acting(pool, name) as conn:
            seen = {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in SEEN}
        assert seen == {table: int(counts.split()[number]) for table, counts in SEEN.items()}, name


async def test_without_claims_nothing_is_seen(pool: Pool, world: Conn) -> None:
    for claims in ("", "{}", '{"sub": null}', '{"sub": "nobody"}'):
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute(
                "SELECT set_config('role', 'docsearch_app', true), set_config('request.jwt.claims', $1, true)",
                claims,
            )
            seen = {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in SEEN}
        assert {table for table, count in seen.items() if count} == {"plan", '"Template"'}, claims


async def test_what_the_service_keeps_for_itself_is_closed_to_people(pool: Pool, world: Conn) -> None:
    tables = await world.fetch("""
        SELECT c.relname AS name FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
    """)
    own = {row["name"] for row in tables} - {table.strip('"') for table in SEEN}
    assert own >= {"rate_limit", "received_event", "deleted_identity", "pgqueuer", "vector_index"}
    assert own >= {"workflow_run", "workflow_start", "workflow_step", "workflow_step_item", "workflow_log"}
    assert own >= {"workflow_document"}
    for table in own:
        async with acting(pool, "owner") as conn:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f'SELECT FROM "{table}"')


# Who may: as many rows as the statement changes; 0 for none, ! for refused.
CHANGES = {
    """UPDATE "Document" SET "title" = 'x' """: "0 0 1 1 1",
    'DELETE FROM "Document"': "0 0 1 1 1",
    """INSERT INTO "Document" ("userId", "teamId", "title", "content") VALUES ('{me}', 'team', '', '')""": "! ! 1 1 1",
    """INSERT INTO "Document" ("userId", "teamId", "title", "content") VALUES ('owner', 'team', '', '')""": "! ! ! ! 1",
    """INSERT INTO "Document" ("userId", "title", "content") VALUES ('viewer', 't', 'c')""": "! 1 ! ! !",
    """UPDATE "Document" SET "teamId" = 'theirs' """: "0 0 ! ! !",
    """UPDATE "Document" SET "teamId" = NULL""": "0 0 ! ! 1",
    """UPDATE "Document" SET "userId" = '{me}' """: "! ! ! ! !",
    """UPDATE ingestion SET status = 'failed' """: "0 0 1 1 1",
    # Bytes of another document's, under one of one's own.
    "UPDATE original SET storage_key = 'k2' ": "0 0 ! ! !",
    "DELETE FROM chunk": "! ! ! ! !",
    "UPDATE chunk SET text = 'x' ": "! ! ! ! !",
    "INSERT INTO term_count VALUES ('team', 0, 9)": "! ! ! ! !",
    "UPDATE collection SET name = 'x' ": "0 0 1 1 1",
    "DELETE FROM collection": "0 0 1 1 1",
    "INSERT INTO collection (id, user_id, team_id) VALUES ('vs_' || repeat('1', 32), '{me}', 'team')": "! ! 1 1 1",
    "INSERT INTO collection (id, user_id, team_id) VALUES ('vs_' || repeat('1', 32), 'owner', 'team')": "! ! ! ! 1",
    "UPDATE collection SET team_id = 'theirs' ": "! ! ! ! !",
    "UPDATE collection SET user_id = '{me}' ": "! ! ! ! !",
    "UPDATE collection_document SET attributes = '{}' ": "0 0 1 1 1",
    "UPDATE collection_document SET document_id = 'e' ": "! ! ! ! !",
    "DELETE FROM collection_document": "0 0 1 1 1",
    "UPDATE document_file SET expires_at = NULL": "! ! ! ! !",
    """UPDATE "Team" SET "name" = 'x' WHERE "id" = 'team' """: "0 0 0 1 1",
    """DELETE FROM "Team" WHERE "id" = 'team' """: "0 0 0 0 1",
    """UPDATE "Team" SET "subscriptionTier" = 'ENTERPRISE' """: "! ! ! ! !",
    """UPDATE "Team" SET "storageUsed" = 0""": "! ! ! ! !",
    """UPDATE "TeamMember" SET "role" = 'ADMIN' WHERE "userId" = 'viewer' """: "0 0 0 1 1",
    """UPDATE "TeamMember" SET "role" = 'OWNER' WHERE "userId" = '{me}' AND "teamId" = 'team' """: "0 0 0 ! 1",
    """UPDATE "TeamMember" SET "role" = 'VIEWER' WHERE "userId" = 'owner' """: "0 0 0 0 1",
    """UPDATE "TeamMember" SET "userId" = '{me}' """: "! ! ! ! !",
    """INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ('team', '{me}', 'OWNER')""": "! ! ! ! !",
    """DELETE FROM "TeamMember" WHERE "userId" = 'member' """: "0 0 1 1 1",
    """DELETE FROM "TeamMember" WHERE "userId" = 'owner' """: "0 0 0 0 1",
    """INSERT INTO "Team" ("name", "slug") VALUES ('x', 'x')""": "! ! ! ! !",
    """UPDATE "User" SET "firstName" = 'x' """: "1 1 1 1 1",
    """UPDATE "User" SET "subscriptionTier" = 'ENTERPRISE' """: "! ! ! ! !",
    """UPDATE "User" SET "storageUsed" = 0""": "! ! ! ! !",
    """UPDATE "User" SET "email" = 'viewer@example.com' """: "! ! ! ! !",
    """UPDATE "User" SET "clerkId" = 'clerk-owner' """: "! ! ! ! !",
    'DELETE FROM "User"': "! ! ! ! !",
    """UPDATE "ApiKey" SET "isActive" = false""": "0 0 0 0 1",
    """UPDATE "ApiKey" SET "key" = 'known' """: "! ! ! ! !",
    """UPDATE "ApiKey" SET "scopes" = '{admin}' """: "! ! ! ! !",
    """UPDATE "ApiKey" SET "expiresAt" = NULL""": "! ! ! ! !",
    """INSERT INTO "ApiKey" ("userId", "name", "key") VALUES ('owner', 'n', 'mine')""": "! ! ! ! 1",
    'SELECT "key" FROM "ApiKey"': "! ! ! ! !",
    'SELECT "config" FROM "AIModel"': "! ! ! ! !",
    'SELECT "stripeCustomerId" FROM "Team"': "! ! ! ! !",
    """UPDATE "Notification" SET "isRead" = true""": "0 0 0 0 1",
    """UPDATE "Notification" SET "userId" = '{me}' """: "! ! ! ! !",
    """INSERT INTO "Notification" ("userId", "type", "title", "message") VALUES ('{me}', 'SYSTEM', 't', 'm')""": (
        "! ! ! ! !"
    ),
    """INSERT INTO "UsageLog" ("userId", "resourceType", "action") VALUES ('{me}', 'search', 'q')""": "! ! ! ! !",
    'DELETE FROM "UsageLog"': "! ! ! ! !",
    """UPDATE "Workflow" SET "name" = 'x' """: "0 0 1 1 1",
    'DELETE FROM "Workflow"': "0 0 1 1 1",
    """UPDATE "Workflow" SET "totalExecutions" = 9""": "! ! ! ! !",
    """UPDATE "WorkflowTrigger" SET "isActive" = false""": "0 0 1 1 1",
    """UPDATE "WorkflowExecution" SET "status" = 'CANCELED' """: "0 0 1 1 1",
    """UPDATE "AIConversation" SET "title" = 'x' """: "0 0 1 1 1",
    """UPDATE "WorkflowExecution" SET "userId" = 'stranger' """: "! ! ! ! !",
    """UPDATE "Webhook" SET "url" = 'http://x' """: "0 0 0 1 1",
    """UPDATE "Webhook" SET "userId" = 'stranger' """: "! ! ! ! !",
    'UPDATE "Webhook" SET "totalCalls" = 2147483647': "! ! ! ! !",
    """INSERT INTO "Webhook" ("userId", "url", "secret", "totalCalls") VALUES ('{me}', 'u', 's', 2147483647)""": (
        "! ! ! ! !"
    ),
    """UPDATE "Template" SET "name" = 'x' """: "0 0 0 0 4",
    """UPDATE "Template" SET "settings" = '{}' """: "0 0 0 0 4",
    'UPDATE "Template" SET "rating" = 5': "! ! ! ! !",
    "INSERT INTO template_rating (template_id, user_id, stars) VALUES ('public', '{me}', 5) ON CONFLICT DO NOTHING": (
        "1 1 1 0 1"
    ),
    "INSERT INTO template_rating (template_id, user_id, stars) VALUES ('draft', '{me}', 5)": "! ! ! ! !",
    "INSERT INTO template_rating (template_id, user_id, stars) VALUES ('public', 'owner', 1)": "! ! ! ! 1",
    "UPDATE template_rating SET stars = 1": "0 0 0 1 0",
    "UPDATE template_rating SET template_id = 'draft' ": "! ! ! ! !",
    "UPDATE template_rating SET user_id = '{me}' ": "! ! ! ! !",
    "DELETE FROM template_rating": "0 0 0 1 0",
    "SELECT sealed FROM credential": "! ! ! ! !",
    "UPDATE credential SET name = sealed": "! ! ! ! !",
    "UPDATE credential SET name = name WHERE id = 'cred' RETURNING sealed": "! ! ! ! !",
    "INSERT INTO credential (user_id, team_id, name, kind, sealed) VALUES ('{me}', 'team', 'n', 'bearer', 's')": (
        "! ! ! 1 1"
    ),
    "INSERT INTO credential (user_id, name, kind, sealed) VALUES ('{me}', 'n', 'bearer', 's')": "1 1 1 1 1",
    "INSERT INTO credential (user_id, name, kind, sealed) VALUES ('owner', 'n', 'bearer', 's')": "! ! ! ! 1",
    "INSERT INTO credential (user_id, team_id, name, kind, sealed) VALUES ('owner', 'team', 'n', 'bearer', 's')": (
        "! ! ! ! 1"
    ),
    "INSERT INTO credential (user_id, name, kind, sealed, last_used_at) VALUES ('{me}', 'n', 'bearer', 's', now())": (
        "! ! ! ! !"
    ),
    "UPDATE credential SET sealed = 'x' ": "0 0 0 1 2",
    "UPDATE credential SET hosts = '{}' ": "0 0 0 1 2",
    "UPDATE credential SET team_id = 'theirs' ": "! ! ! ! !",
    "UPDATE credential SET user_id = '{me}' ": "! ! ! ! !",
    "UPDATE credential SET kind = 'header' ": "! ! ! ! !",
    "DELETE FROM credential": "0 0 0 1 2",
    'UPDATE "Workflow" SET "revision" = 1': "! ! ! ! !",
    """UPDATE "WorkflowExecution" SET "version" = 1""": "! ! ! ! !",
    """UPDATE "WorkflowExecution" SET "retryOf" = "id" """: "! ! ! ! !",
    """UPDATE "WorkflowExecution" SET "parentExecutionId" = "id" """: "! ! ! ! !",
    # Triggers and schedules are written by whoever writes the workflow, as the web application does.
    """UPDATE "WorkflowTrigger" SET "token" = 'known' """: "! ! ! ! !",
    """UPDATE "WorkflowSchedule" SET "nextRunAt" = now()""": "0 0 1 1 1",
    """UPDATE "WorkflowSchedule" SET "missed" = 'all' """: "0 0 1 1 1",
    "UPDATE plan SET executions_per_minute = NULL": "! ! ! ! !",
    "UPDATE plan SET concurrent_executions = NULL": "! ! ! ! !",
    """UPDATE "Template" SET "isFeatured" = true""": "! ! ! ! !",
    """INSERT INTO team_invitation (team_id, email, role, invited_by) VALUES ('team', 'a@b.c', 'ADMIN', '{me}')""": (
        "! ! ! 1 1"
    ),
    """INSERT INTO team_invitation (team_id, email, role, invited_by) VALUES ('team', 'a@b.c', 'ADMIN', 'owner')""": (
        "! ! ! ! 1"
    ),
    "INSERT INTO team_invitation (team_id, email, role, invited_by, expires_at) "
    "VALUES ('team', 'a@b.c', 'ADMIN', '{me}', 'infinity')": "! ! ! ! !",
    "UPDATE team_invitation SET invited_by = '{me}' ": "! ! ! ! !",
    "UPDATE team_invitation SET expires_at = 'infinity' ": "! ! ! ! !",
    "UPDATE team_invitation SET email = '{me}@example.com' ": "! ! ! ! !",
    "UPDATE team_invitation SET role = 'ADMIN' ": "! ! ! ! !",
    "DELETE FROM team_invitation": "0 0 0 1 1",
    "DELETE FROM audit_log": "! ! ! ! !",
    "UPDATE plan SET storage_limit_bytes = NULL": "! ! ! ! !",
    "UPDATE budget SET monthly_limit = 9": "0 0 0 0 3",  # not the plan's
    "UPDATE budget SET spent = 0": "! ! ! ! !",
    "UPDATE budget SET month = '2000-01-01' ": "! ! ! ! !",
    "DELETE FROM budget": "! ! ! ! !",
    "DELETE FROM budget_reservation": "! ! ! ! !",
    "INSERT INTO budget (subject_kind, subject_id, monthly_limit) VALUES ('user', 'viewer', 9)": "! 1 ! ! !",
    "INSERT INTO budget (subject_kind, subject_id, monthly_limit) VALUES ('team', 'theirs', 9)": "1 ! ! ! !",
    "INSERT INTO budget (subject_kind, subject_id) VALUES ('plan', '{me}')": "! ! ! ! !",
    "SELECT charge_storage('owner', -1000000)": "! ! ! ! !",
    "SELECT recount_workflows(NULL, 'owner', false)": "! ! ! ! !",
    'TRUNCATE "Document" CASCADE': "! ! ! ! !",
}


async def test_each_person_changes_what_they_may(pool: Pool, world: Conn) -> None:
    found = {statement: [await _try(pool, name, statement) for name in ROLES] for statement in CHANGES}
    assert {statement: " ".join(tried) for statement, tried in found.items()} == CHANGES


async def _try(pool: Pool, name: str, statement: str) -> str:
    async with acting(pool, name) as conn:
        try:
            tag: str = await conn.execute(statement.replace("{me}", name))
        except asyncpg.InsufficientPrivilegeError:
            return "!"
        return tag.rpartition(" ")[2]


async def test_a_person_founds_a_team_for_themselves_only(pool: Pool, world: Conn) -> None:
    async with acting(pool, "viewer") as conn:
        made = await conn.fetchval("SELECT docsearch_found_team('New', 'new')")
        assert await conn.fetchval('SELECT "role" FROM "TeamMember" WHERE "teamId" = $1', made) == "OWNER"
        # A space has the id of its team or its person: nobody may name their team after somebody.
        with pytest.raises(asyncpg.UndefinedFunctionError):
            await conn.execute("SELECT docsearch_found_team('owner', 'New', 'newer')")
    async with acting(pool, "nobody") as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("SELECT docsearch_found_team('New', 'new')")


async def test_a_revoked_key_stays_revoked(pool: Pool, world: Conn) -> None:
    back = 'UPDATE "ApiKey" SET "isActive" = true'
    async with acting(pool, "owner") as conn:
        await conn.execute(back)  # what is active may be said to be
        await conn.execute("""UPDATE "ApiKey" SET "isActive" = false""")
        await conn.execute("""UPDATE "ApiKey" SET "name" = 'old', "isActive" = false""")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stays revoked"):
            await conn.execute(back)


LEAVE = """DELETE FROM "TeamMember" WHERE "teamId" = $1 AND "userId" = $2"""


@pytest.mark.parametrize("name", ["viewer", "member", "admin"])
async def test_whoever_is_not_the_last_owner_may_leave(pool: Pool, world: Conn, name: str) -> None:
    async with as_caller(pool, f"clerk-{name}") as conn:
        assert await conn.execute(LEAVE, "team", name) == "DELETE 1"


@pytest.mark.parametrize(
    "statement",
    [
        LEAVE,
        """UPDATE "TeamMember" SET "role" = 'ADMIN' WHERE "teamId" = $1 AND "userId" = $2""",
        # All go at once: nobody would be left who could delete the team.
        """DELETE FROM "TeamMember" WHERE "teamId" = $1 AND $2 = 'owner'""",
    ],
)
async def test_the_last_owner_stays(pool: Pool, world: Conn, statement: str) -> None:
    with pytest.raises(LastOwner):
        async with as_caller(pool, "clerk-owner") as conn:
            await conn.execute(statement, "team", "owner")
    await world.execute("""UPDATE "TeamMember" SET "role" = 'OWNER' WHERE "userId" = 'admin'""")
    async with as_caller(pool, "clerk-owner") as conn:
        assert await conn.execute(LEAVE, "team", "owner") == "DELETE 1"


async def test_the_only_member_deletes_the_team_instead(pool: Pool, world: Conn) -> None:
    with pytest.raises(LastOwner):
        async with as_caller(pool, "clerk-stranger") as conn:
            await conn.execute(LEAVE, "theirs", "stranger")
    async with as_caller(pool, "clerk-stranger") as conn:
        assert await conn.execute("""DELETE FROM "Team" WHERE "id" = 'theirs'""") == "DELETE 1"


async def test_an_account_that_is_deleted_takes_its_memberships_along(world: Conn) -> None:
    await world.execute("""DELETE FROM "User" WHERE "id" = 'stranger'""")
    assert await world.fetchval("""SELECT count(*) FROM "TeamMember" WHERE "teamId" = 'theirs'""") == 0


NAMES = ["", " \t\n", "x" * 201]
SLUGS = ["", "a b", "a\n", "a" * 101]


@pytest.mark.parametrize("column", ["name", "slug"])
async def test_a_team_is_called_something_sane(pool: Pool, world: Conn, column: str) -> None:
    good = {"name": ["法", "x" * 200, "Law & Co"], "slug": ["a", "a-1", "My_Team", "a" * 100]}
    for value in NAMES if column == "name" else SLUGS:
        for statement in (
            f"""UPDATE "Team" SET "{column}" = $1 WHERE "id" = 'team' """,
            "SELECT docsearch_found_team($1, 'new')"
            if column == "name"
            else "SELECT docsearch_found_team('n', $1)",
        ):
            async with acting(pool, "owner") as conn:
                with pytest.raises(asyncpg.CheckViolationError) as caught:
                    await conn.execute(statement, value)
            assert caught.value.constraint_name == f"team_{column}"
    async with acting(pool, "owner") as conn:
        for value in good[column]:
            await conn.execute(f"""UPDATE "Team" SET "{column}" = $1 WHERE "id" = 'team' """, value)


async def test_a_team_that_was_called_otherwise_before_is_counted_and_renamed(world: Conn) -> None:
    await world.execute("""
        SET session_replication_role = replica;
        UPDATE "Team" SET "slug" = 'Old_Slug', "name" = '' WHERE "id" = 'team';
        SET session_replication_role = DEFAULT;
        UPDATE original SET size_bytes = 2;
        UPDATE "Team" SET "name" = 'New', "slug" = "slug" WHERE "id" = 'team';
    """)
    assert await world.fetchval("""SELECT "storageUsed" FROM "Team" WHERE "id" = 'team'""") == 2


async def test_a_type_of_the_callers_does_not_run_as_the_owner(pool: Pool, world: Conn) -> None:
    """The session's temporary schema comes first for types, in everything that does not say where to look."""
    async with acting(pool, "stranger") as conn:
        await conn.execute("CREATE TEMPORARY TABLE ran_as (who text, keys bigint)")
        await conn.execute("""
            CREATE FUNCTION pg_temp.spy(pg_catalog.jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO pg_temp.ran_as SELECT current_user, (SELECT count("name") FROM public."ApiKey");
                RETURN true;
            END $$;
            CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.spy(value));
        """)
        for call in ("user_id()", "email()", "teams('VIEWER')", "spaces('VIEWER')", "team_members('team')"):
            await conn.execute(f"SELECT docsearch_{call}")
        assert await conn.fetch("SELECT * FROM ran_as") == []


async def test_what_acts_as_its_owner_says_where_its_names_are(conn: Conn) -> None:
    rows = await conn.fetch("""
        SELECT proname AS name FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND prosecdef
          AND COALESCE(proconfig::text NOT LIKE '%search_path%', true)
    """)
    assert [row["name"] for row in rows] == []


async def test_members_see_of_each_other_no_more_than_a_profile(pool: Pool, world: Conn) -> None:
    async with acting(pool, "viewer") as conn:
        rows = await conn.fetch("SELECT * FROM docsearch_team_members('team')")
        assert [row["user_id"] for row in rows if row["role"] == "OWNER"] == ["owner"]
        assert await conn.fetch("SELECT * FROM docsearch_team_members('theirs')") == []
    async with acting(pool, "stranger") as conn:
        assert await conn.fetch("SELECT * FROM docsearch_team_members('team')") == []


async def test_a_document_deleted_by_a_person_is_counted_out(pool: Pool, world: Conn) -> None:
    async with as_caller(pool, "clerk-member") as conn:
        await conn.execute('DELETE FROM "Document"')
    assert await world.fetchval("SELECT COALESCE(sum(chunks), 0) FROM term_count") == 0
    assert await world.fetchval("""SELECT "storageUsed" FROM "Team" WHERE "id" = 'team'""") == 0


async def test_acting_for_the_service_ends_with_its_block_and_the_claims_with_the_transaction(
    pool: Pool, world: Conn
) -> None:
    async with as_caller(pool, "clerk-viewer") as conn:
        async with as_service(conn):
            assert await conn.fetchval('SELECT count(*) FROM "User"') == 5
        assert await conn.fetchval('SELECT count(*) FROM "User"') == 1
    async with pool.acquire() as after:
        assert await after.fetchval("SELECT current_user") == LOGIN_ROLE
        assert await after.fetchval("SELECT current_setting('request.jwt.claims', true)") in {None, ""}


async def test_policies_and_permissions_say_the_same(pool: Pool, world: Conn) -> None:
    """The access table's least roles, against what SQL lets through for rows of a team."""
    asked = {
        "documents:read": 'SELECT count(*) FROM "Document"',
        "documents:write": """WITH d AS (UPDATE "Document" SET "title" = 'x' RETURNING 1) SELECT count(*) FROM d""",
        "workflows:read": 'SELECT count(*) FROM "Workflow"',
        "workflows:write": """WITH d AS (UPDATE "Workflow" SET "name" = 'x' RETURNING 1) SELECT count(*) FROM d""",
        "conversations:read": 'SELECT count(*) FROM "AIConversation"',
        "conversations:write": """
            WITH d AS (UPDATE "AIConversation" SET "title" = 'x' RETURNING 1) SELECT count(*) FROM d""",
        "team:read": """SELECT count(*) FROM "Team" WHERE "id" = 'team' """,
        "team:update": """
            WITH d AS (UPDATE "Team" SET "name" = 'x' WHERE "id" = 'team' RETURNING "id") SELECT count(*) FROM d""",
        "team:delete": """WITH d AS (DELETE FROM "Team" WHERE "id" = 'team' RETURNING "id") SELECT count(*) FROM d""",
        "members:manage": """
            WITH d AS (UPDATE "TeamMember" SET "role" = 'VIEWER' WHERE "userId" = 'viewer' RETURNING 1)
            SELECT count(*) FROM d""",
        "owners:manage": """
            WITH d AS (UPDATE "TeamMember" SET "role" = 'OWNER' WHERE "userId" = 'owner' RETURNING 1)
            SELECT count(*) FROM d""",
        "webhooks:manage": 'SELECT count(*) FROM "Webhook"',
        "credentials:manage": """
            WITH d AS (UPDATE credential SET name = 'x' WHERE team_id = 'team' RETURNING 1) SELECT count(*) FROM d""",
        "usage:read": 'SELECT count(*) FROM "UsageLog"',
        "audit:read": "SELECT count(*) FROM audit_log",
    }
    # Search and running come with reading and writing; billing is decided by Stripe's events.
    assert set(PERMISSIONS) - set(asked) == {"search", "workflows:run", "billing:manage"}
    for permission, sql in asked.items():
        allowed = []
        for role in Role:
            async with acting(pool, role.lower()) as conn:
                if await conn.fetchval(sql):
                    allowed.append(role)
        assert allowed == [role for role in Role if role.includes(PERMISSIONS[permission])], permission


async def test_the_audit_log_only_grows_whoever_tries(world: Conn) -> None:
    for statement in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await world.execute(statement)


async def test_a_login_role_of_a_group_only_gets_what_the_group_may(
    database_url: str, pool: Pool, raw
) -> None:
    """The embedded server's login: it may use the tables, and neither alter nor own them."""
    conn = await raw(with_user(database_url, LOGIN_ROLE))
    for statement in (
        'DROP TABLE "Document"',
        'ALTER TABLE "User" DISABLE ROW LEVEL SECURITY',
        "CREATE ROLE x",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)
