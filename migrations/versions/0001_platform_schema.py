"""The platform's schema, shared with the web application.

Tables, enums, keys and indexes have the names that Prisma and the schema document give them. It builds the schema in an empty database and completes one that Prisma has already made: everything is
created only where it is missing, no row of an existing table is changed, and what this revision did create is
written down in schema_origin, so that the downgrade takes away exactly that and leaves what it found.

Revision ID: 0001
Revises:
"""

from migrations.sql import run

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What the schema holds, as rows that can be compared: taken before and after, the difference is what this
# revision created. The function lives in the session's temporary schema and is dropped at the end.
CATALOGUE = """
CREATE FUNCTION pg_temp.catalogue() RETURNS TABLE (kind text, relation text, name text, definition text)
LANGUAGE sql STABLE AS $$
    WITH here AS (
        SELECT c.oid, c.relname::text FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname NOT IN ('alembic_version', 'schema_origin')
    )
    SELECT 'extension', '', e.extname::text, '' FROM pg_extension e
    UNION ALL
    SELECT 'enum', '', t.typname::text, '' FROM pg_type t
    WHERE t.typnamespace = current_schema()::regnamespace AND t.typtype = 'e'
    UNION ALL
    SELECT 'function', '', p.oid::regprocedure::text, '' FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'table', relname, relname, '' FROM here
    UNION ALL
    SELECT 'column', h.relname, a.attname, '' FROM here h JOIN pg_attribute a ON a.attrelid = h.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'type', h.relname, a.attname, format_type(a.atttypid, a.atttypmod)
    FROM here h JOIN pg_attribute a ON a.attrelid = h.oid WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 'default', h.relname, a.attname, COALESCE(pg_get_expr(d.adbin, d.adrelid), '')
    FROM here h JOIN pg_attribute a ON a.attrelid = h.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    UNION ALL
    SELECT 'constraint', h.relname, k.conname, '' FROM here h JOIN pg_constraint k ON k.conrelid = h.oid
    WHERE k.contype IN ('f', 'p', 'u', 'c')
    UNION ALL
    SELECT 'index', h.relname, c.relname, ''
    FROM here h JOIN pg_index i ON i.indrelid = h.oid JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u'))
    UNION ALL
    SELECT 'trigger', h.relname, g.tgname, '' FROM here h JOIN pg_trigger g ON g.tgrelid = h.oid
    WHERE NOT g.tgisinternal
$$;
"""

REMEMBER_BEFORE = """
CREATE TEMPORARY TABLE found ON COMMIT DROP AS SELECT * FROM pg_temp.catalogue();
"""

EXTENSIONS = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE EXTENSION IF NOT EXISTS pg_trgm;
DO $$ BEGIN
    -- The schema document asks for it, not every server has it, and nothing depends on it.
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'uuid-ossp') THEN
        CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
    END IF;
END $$;
"""

ENUMS = """
DO $$
DECLARE wanted record;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('SubscriptionTier',   ARRAY['FREE', 'PRO', 'ENTERPRISE']),
        ('SubscriptionStatus', ARRAY['ACTIVE', 'CANCELED', 'PAST_DUE', 'TRIALING']),
        ('WorkflowStatus',     ARRAY['DRAFT', 'ACTIVE', 'PAUSED', 'ARCHIVED']),
        ('ExecutionStatus',    ARRAY['RUNNING', 'SUCCESS', 'FAILED', 'CANCELED', 'TIMEOUT']),
        ('TriggerType',        ARRAY['WEBHOOK', 'SCHEDULE', 'MANUAL', 'API', 'EVENT']),
        ('AIProvider',         ARRAY['GEMINI', 'GROQ', 'OPENAI', 'ANTHROPIC', 'CUSTOM']),
        ('TeamRole',           ARRAY['OWNER', 'ADMIN', 'MEMBER', 'VIEWER']),
        ('NotificationType',   ARRAY['WORKFLOW_SUCCESS', 'WORKFLOW_FAILED', 'SUBSCRIPTION_UPDATED',
                                     'PAYMENT_FAILED', 'TEAM_INVITE', 'SYSTEM'])
    ) AS enums (name, labels) LOOP
        -- CREATE TYPE knows no IF NOT EXISTS.
        IF NOT EXISTS (SELECT FROM pg_type
                       WHERE typname = wanted.name AND typnamespace = current_schema()::regnamespace) THEN
            EXECUTE format('CREATE TYPE %I AS ENUM (%s)', wanted.name,
                           (SELECT string_agg(quote_literal(label), ', ' ORDER BY place)
                            FROM unnest(wanted.labels) WITH ORDINALITY AS l (label, place)));
        END IF;
    END LOOP;
END $$;
"""

# A table is made with its key alone and then given its columns, so that one list serves an empty database and
# one that Prisma made from an earlier state of the models.
TABLES = """
CREATE TABLE IF NOT EXISTS "User" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "User_pkey" PRIMARY KEY ("id"));
ALTER TABLE "User"
    ADD COLUMN IF NOT EXISTS "clerkId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "email" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "firstName" TEXT,
    ADD COLUMN IF NOT EXISTS "lastName" TEXT,
    ADD COLUMN IF NOT EXISTS "imageUrl" TEXT,
    ADD COLUMN IF NOT EXISTS "username" TEXT,
    ADD COLUMN IF NOT EXISTS "subscriptionTier" "SubscriptionTier" NOT NULL DEFAULT 'FREE',
    ADD COLUMN IF NOT EXISTS "subscriptionStatus" "SubscriptionStatus" NOT NULL DEFAULT 'ACTIVE',
    ADD COLUMN IF NOT EXISTS "stripeCustomerId" TEXT,
    ADD COLUMN IF NOT EXISTS "stripeSubscriptionId" TEXT,
    ADD COLUMN IF NOT EXISTS "subscriptionEndsAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "workflowsUsed" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "executionsThisMonth" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "storageUsed" BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "lastLoginAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "onboardingCompleted" BOOLEAN NOT NULL DEFAULT false;

CREATE TABLE IF NOT EXISTS "Team" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "Team_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Team"
    ADD COLUMN IF NOT EXISTS "name" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "slug" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "subscriptionTier" "SubscriptionTier" NOT NULL DEFAULT 'FREE',
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "TeamMember" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "TeamMember_pkey" PRIMARY KEY ("id"));
ALTER TABLE "TeamMember"
    ADD COLUMN IF NOT EXISTS "teamId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "role" "TeamRole" NOT NULL DEFAULT 'MEMBER',
    ADD COLUMN IF NOT EXISTS "joinedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "ApiKey" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "ApiKey_pkey" PRIMARY KEY ("id"));
ALTER TABLE "ApiKey"
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "name" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "key" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "scopes" TEXT[] DEFAULT ARRAY[]::TEXT[],
    ADD COLUMN IF NOT EXISTS "isActive" BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS "expiresAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "lastUsedAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "Notification" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "Notification_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Notification"
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "type" "NotificationType" NOT NULL,
    ADD COLUMN IF NOT EXISTS "title" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "message" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "data" JSONB,
    ADD COLUMN IF NOT EXISTS "isRead" BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS "readAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "UsageLog" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "UsageLog_pkey" PRIMARY KEY ("id"));
ALTER TABLE "UsageLog"
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "resourceType" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "resourceId" TEXT,
    ADD COLUMN IF NOT EXISTS "action" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "metadata" JSONB,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "Workflow" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "Workflow_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Workflow"
    ADD COLUMN IF NOT EXISTS "name" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "description" TEXT,
    ADD COLUMN IF NOT EXISTS "nodes" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "connections" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "settings" JSONB,
    ADD COLUMN IF NOT EXISTS "status" "WorkflowStatus" NOT NULL DEFAULT 'DRAFT',
    ADD COLUMN IF NOT EXISTS "isActive" BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS "isPublic" BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS "category" TEXT,
    ADD COLUMN IF NOT EXISTS "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "teamId" TEXT,
    ADD COLUMN IF NOT EXISTS "totalExecutions" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "successfulExecutions" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "failedExecutions" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "lastExecutedAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "publishedAt" TIMESTAMP(3);

CREATE TABLE IF NOT EXISTS "WorkflowVersion" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "WorkflowVersion_pkey" PRIMARY KEY ("id"));
ALTER TABLE "WorkflowVersion"
    ADD COLUMN IF NOT EXISTS "workflowId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "version" INTEGER NOT NULL,
    ADD COLUMN IF NOT EXISTS "nodes" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "connections" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "changelog" TEXT,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "WorkflowExecution" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "WorkflowExecution_pkey" PRIMARY KEY ("id"));
ALTER TABLE "WorkflowExecution"
    ADD COLUMN IF NOT EXISTS "workflowId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "status" "ExecutionStatus" NOT NULL DEFAULT 'RUNNING',
    ADD COLUMN IF NOT EXISTS "startedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "finishedAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "duration" INTEGER,
    ADD COLUMN IF NOT EXISTS "inputData" JSONB,
    ADD COLUMN IF NOT EXISTS "outputData" JSONB,
    ADD COLUMN IF NOT EXISTS "errorData" JSONB,
    ADD COLUMN IF NOT EXISTS "logs" JSONB[] DEFAULT ARRAY[]::JSONB[],
    ADD COLUMN IF NOT EXISTS "triggeredBy" TEXT,
    ADD COLUMN IF NOT EXISTS "retryCount" INTEGER NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS "WorkflowTrigger" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "WorkflowTrigger_pkey" PRIMARY KEY ("id"));
ALTER TABLE "WorkflowTrigger"
    ADD COLUMN IF NOT EXISTS "workflowId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "type" "TriggerType" NOT NULL,
    ADD COLUMN IF NOT EXISTS "config" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "isActive" BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "WorkflowSchedule" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "WorkflowSchedule_pkey" PRIMARY KEY ("id"));
ALTER TABLE "WorkflowSchedule"
    ADD COLUMN IF NOT EXISTS "workflowId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "cronExpression" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "timezone" TEXT NOT NULL DEFAULT 'UTC',
    ADD COLUMN IF NOT EXISTS "isActive" BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS "lastRunAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "nextRunAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "AIModel" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "AIModel_pkey" PRIMARY KEY ("id"));
ALTER TABLE "AIModel"
    ADD COLUMN IF NOT EXISTS "name" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "provider" "AIProvider" NOT NULL,
    ADD COLUMN IF NOT EXISTS "modelId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "config" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "isActive" BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS "totalRequests" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "totalTokens" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "totalCost" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "AIConversation" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "AIConversation_pkey" PRIMARY KEY ("id"));
ALTER TABLE "AIConversation"
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "modelId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "title" TEXT,
    ADD COLUMN IF NOT EXISTS "messages" JSONB[] DEFAULT ARRAY[]::JSONB[],
    ADD COLUMN IF NOT EXISTS "tokensUsed" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "cost" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "Document" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "Document_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Document"
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "title" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "content" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "metadata" JSONB,
    ADD COLUMN IF NOT EXISTS "embedding" vector(1536),
    ADD COLUMN IF NOT EXISTS "sourceType" TEXT,
    ADD COLUMN IF NOT EXISTS "sourceUrl" TEXT,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "Template" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "Template_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Template"
    ADD COLUMN IF NOT EXISTS "name" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "description" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "category" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
    ADD COLUMN IF NOT EXISTS "nodes" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "connections" JSONB NOT NULL,
    ADD COLUMN IF NOT EXISTS "price" DOUBLE PRECISION NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "downloads" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "rating" DOUBLE PRECISION,
    ADD COLUMN IF NOT EXISTS "reviews" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "authorId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "authorName" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "isPublished" BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS "isFeatured" BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

CREATE TABLE IF NOT EXISTS "Webhook" (
    "id" TEXT NOT NULL DEFAULT gen_random_uuid()::text, CONSTRAINT "Webhook_pkey" PRIMARY KEY ("id"));
ALTER TABLE "Webhook"
    ADD COLUMN IF NOT EXISTS "userId" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "url" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "secret" TEXT NOT NULL,
    ADD COLUMN IF NOT EXISTS "events" TEXT[] DEFAULT ARRAY[]::TEXT[],
    ADD COLUMN IF NOT EXISTS "isActive" BOOLEAN NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS "totalCalls" INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS "lastCalledAt" TIMESTAMP(3),
    ADD COLUMN IF NOT EXISTS "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ADD COLUMN IF NOT EXISTS "updatedAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;
"""

# What a table of Prisma's has differently, because Prisma works it out on the client or the models said so.
ADOPTION = """
DO $$
DECLARE wanted record;
BEGIN
    -- PRO's 10 GB do not fit in Prisma's Int.
    IF EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = '"User"'::regclass AND attname = 'storageUsed' AND atttypid = 'integer'::regtype) THEN
        ALTER TABLE "User" ALTER COLUMN "storageUsed" TYPE BIGINT;
    END IF;

    -- Only where there is no default yet: one that is there is the owner's.
    FOR wanted IN
        SELECT t.tbl, c.col, c.expression
        FROM unnest(ARRAY['User', 'Team', 'TeamMember', 'ApiKey', 'Notification', 'UsageLog', 'Workflow',
                          'WorkflowVersion', 'WorkflowExecution', 'WorkflowTrigger', 'WorkflowSchedule', 'AIModel',
                          'AIConversation', 'Document', 'Template', 'Webhook']) AS t (tbl),
             (VALUES ('id', 'gen_random_uuid()::text'), ('createdAt', 'CURRENT_TIMESTAMP'),
                     ('updatedAt', 'CURRENT_TIMESTAMP'), ('joinedAt', 'CURRENT_TIMESTAMP'),
                     ('startedAt', 'CURRENT_TIMESTAMP'), ('tags', 'ARRAY[]::TEXT[]'), ('scopes', 'ARRAY[]::TEXT[]'),
                     ('events', 'ARRAY[]::TEXT[]'), ('logs', 'ARRAY[]::JSONB[]'), ('messages', 'ARRAY[]::JSONB[]')
             ) AS c (col, expression)
        UNION ALL
        SELECT * FROM (VALUES
            ('User', 'subscriptionTier', '''FREE'''), ('User', 'subscriptionStatus', '''ACTIVE'''),
            ('Team', 'subscriptionTier', '''FREE'''), ('TeamMember', 'role', '''MEMBER'''),
            ('Workflow', 'status', '''DRAFT'''), ('Workflow', 'isActive', 'false'), ('Workflow', 'isPublic', 'false'),
            ('Workflow', 'totalExecutions', '0'), ('Workflow', 'successfulExecutions', '0'),
            ('Workflow', 'failedExecutions', '0'), ('WorkflowExecution', 'status', '''RUNNING'''),
            ('WorkflowExecution', 'retryCount', '0'), ('AIModel', 'isActive', 'true'), ('AIModel', 'totalRequests', '0'),
            ('AIModel', 'totalTokens', '0'), ('AIModel', 'totalCost', '0'), ('AIConversation', 'tokensUsed', '0'),
            ('AIConversation', 'cost', '0')) AS v
    LOOP
        IF EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = format('%I', wanted.tbl)::regclass AND a.attname = wanted.col
                     AND NOT a.attisdropped AND NOT a.atthasdef) THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %s', wanted.tbl, wanted.col, wanted.expression);
        END IF;
    END LOOP;
END $$;
"""

# Prisma makes unique fields unique indexes, not constraints.
UNIQUE = """
CREATE UNIQUE INDEX IF NOT EXISTS "User_clerkId_key" ON "User"("clerkId");
CREATE UNIQUE INDEX IF NOT EXISTS "User_email_key" ON "User"("email");
CREATE UNIQUE INDEX IF NOT EXISTS "User_username_key" ON "User"("username");
CREATE UNIQUE INDEX IF NOT EXISTS "User_stripeCustomerId_key" ON "User"("stripeCustomerId");
CREATE UNIQUE INDEX IF NOT EXISTS "User_stripeSubscriptionId_key" ON "User"("stripeSubscriptionId");
CREATE UNIQUE INDEX IF NOT EXISTS "WorkflowVersion_workflowId_version_key" ON "WorkflowVersion"("workflowId", "version");
CREATE UNIQUE INDEX IF NOT EXISTS "AIModel_provider_modelId_key" ON "AIModel"("provider", "modelId");
CREATE UNIQUE INDEX IF NOT EXISTS "Team_slug_key" ON "Team"("slug");
CREATE UNIQUE INDEX IF NOT EXISTS "TeamMember_teamId_userId_key" ON "TeamMember"("teamId", "userId");
CREATE UNIQUE INDEX IF NOT EXISTS "ApiKey_key_key" ON "ApiKey"("key");
"""

FOREIGN_KEYS = """
DO $$
DECLARE wanted record;
BEGIN
    FOR wanted IN SELECT * FROM (VALUES
        ('Workflow',          'userId',     'User',     'CASCADE'),
        ('Workflow',          'teamId',     'Team',     'SET NULL'),
        ('WorkflowVersion',   'workflowId', 'Workflow', 'CASCADE'),
        ('WorkflowExecution', 'workflowId', 'Workflow', 'CASCADE'),
        ('WorkflowExecution', 'userId',     'User',     'CASCADE'),
        ('WorkflowTrigger',   'workflowId', 'Workflow', 'CASCADE'),
        ('WorkflowSchedule',  'workflowId', 'Workflow', 'CASCADE'),
        ('AIConversation',    'modelId',    'AIModel',  'RESTRICT'),
        ('TeamMember',        'teamId',     'Team',     'CASCADE'),
        ('TeamMember',        'userId',     'User',     'CASCADE'),
        ('ApiKey',            'userId',     'User',     'CASCADE'),
        ('Notification',      'userId',     'User',     'CASCADE'),
        ('UsageLog',          'userId',     'User',     'CASCADE')
    ) AS keys (tbl, col, target, on_delete) LOOP
        -- By what it does, not by name: a model may have named its relation otherwise.
        IF NOT EXISTS (
            SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
            WHERE k.contype = 'f' AND k.conrelid = format('%I', wanted.tbl)::regclass AND a.attname = wanted.col
              AND k.confrelid = format('%I', wanted.target)::regclass
        ) THEN
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES %I("id") '
                           'ON DELETE %s ON UPDATE CASCADE',
                           wanted.tbl, wanted.tbl || '_' || wanted.col || '_fkey', wanted.col, wanted.target,
                           wanted.on_delete);
        END IF;
    END LOOP;
END $$;
"""

INDEXES = """
-- As DATABASE.md names them.
CREATE INDEX IF NOT EXISTS idx_user_clerk_id ON "User"("clerkId");
CREATE INDEX IF NOT EXISTS idx_user_email ON "User"("email");
CREATE INDEX IF NOT EXISTS idx_user_subscription ON "User"("subscriptionTier");
CREATE INDEX IF NOT EXISTS idx_workflow_user ON "Workflow"("userId");
CREATE INDEX IF NOT EXISTS idx_workflow_status ON "Workflow"("status");
CREATE INDEX IF NOT EXISTS idx_workflow_category ON "Workflow"("category");
CREATE INDEX IF NOT EXISTS idx_workflow_public ON "Workflow"("isPublic");
CREATE INDEX IF NOT EXISTS idx_execution_workflow ON "WorkflowExecution"("workflowId");
CREATE INDEX IF NOT EXISTS idx_execution_user ON "WorkflowExecution"("userId");
CREATE INDEX IF NOT EXISTS idx_execution_status ON "WorkflowExecution"("status");
CREATE INDEX IF NOT EXISTS idx_execution_started ON "WorkflowExecution"("startedAt");
CREATE INDEX IF NOT EXISTS idx_ai_provider ON "AIModel"("provider");
CREATE INDEX IF NOT EXISTS idx_conversation_user ON "AIConversation"("userId");
CREATE INDEX IF NOT EXISTS idx_conversation_model ON "AIConversation"("modelId");
CREATE INDEX IF NOT EXISTS idx_document_user ON "Document"("userId");
-- ivfflat trains its lists on the rows it finds when it is built. Trained on none, with the default of 100
-- lists, its centres are arbitrary and a search of one list misses nearly everything; with a single list every
-- row is in it, whenever it came, and the answer is exact. Maintenance rebuilds it when there is enough.
CREATE INDEX IF NOT EXISTS idx_document_embedding ON "Document"
    USING ivfflat ("embedding" vector_cosine_ops) WITH (lists = 1);

-- Foreign keys that the documented indexes and unique keys leave uncovered, and the order and filters of lists.
CREATE INDEX IF NOT EXISTS "TeamMember_userId_idx" ON "TeamMember"("userId");
CREATE INDEX IF NOT EXISTS "ApiKey_userId_createdAt_idx" ON "ApiKey"("userId", "createdAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "Notification_userId_createdAt_idx" ON "Notification"("userId", "createdAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "Notification_userId_unread_idx" ON "Notification"("userId", "createdAt" DESC, "id" DESC)
    WHERE NOT "isRead";
CREATE INDEX IF NOT EXISTS "UsageLog_userId_createdAt_idx" ON "UsageLog"("userId", "createdAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "UsageLog_userId_resourceType_createdAt_idx"
    ON "UsageLog"("userId", "resourceType", "createdAt" DESC);
CREATE INDEX IF NOT EXISTS "Workflow_userId_createdAt_idx" ON "Workflow"("userId", "createdAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "Workflow_teamId_createdAt_idx" ON "Workflow"("teamId", "createdAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "Workflow_tags_idx" ON "Workflow" USING gin ("tags");
CREATE INDEX IF NOT EXISTS "WorkflowExecution_workflowId_startedAt_idx"
    ON "WorkflowExecution"("workflowId", "startedAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "WorkflowExecution_userId_startedAt_idx"
    ON "WorkflowExecution"("userId", "startedAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "WorkflowTrigger_workflowId_idx" ON "WorkflowTrigger"("workflowId");
CREATE INDEX IF NOT EXISTS "WorkflowTrigger_type_idx" ON "WorkflowTrigger"("type");
CREATE INDEX IF NOT EXISTS "WorkflowSchedule_workflowId_idx" ON "WorkflowSchedule"("workflowId");
CREATE INDEX IF NOT EXISTS "WorkflowSchedule_nextRunAt_idx" ON "WorkflowSchedule"("nextRunAt") WHERE "isActive";
CREATE INDEX IF NOT EXISTS "AIConversation_userId_updatedAt_idx"
    ON "AIConversation"("userId", "updatedAt" DESC, "id" DESC);
CREATE INDEX IF NOT EXISTS "Document_userId_createdAt_idx" ON "Document"("userId", "createdAt" DESC, "id" DESC);
-- A URL may be longer than a btree entry.
CREATE INDEX IF NOT EXISTS "Document_sourceUrl_idx" ON "Document" USING hash ("sourceUrl");
CREATE INDEX IF NOT EXISTS "Template_category_idx" ON "Template"("category");
CREATE INDEX IF NOT EXISTS "Template_authorId_idx" ON "Template"("authorId");
CREATE INDEX IF NOT EXISTS "Template_tags_idx" ON "Template" USING gin ("tags");
CREATE INDEX IF NOT EXISTS "Template_published_downloads_idx"
    ON "Template"("isFeatured" DESC, "downloads" DESC, "id" DESC) WHERE "isPublished";
CREATE INDEX IF NOT EXISTS "Template_published_createdAt_idx"
    ON "Template"("createdAt" DESC, "id" DESC) WHERE "isPublished";
CREATE INDEX IF NOT EXISTS "Webhook_userId_createdAt_idx" ON "Webhook"("userId", "createdAt" DESC, "id" DESC);
"""

# A trigger rather than a clause in each of our UPDATEs: none can forget it, counters and cascades included.
# Prisma always sets the column itself, and what a statement sets is left alone.
UPDATED_AT = """
CREATE OR REPLACE FUNCTION keep_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW."updatedAt" IS NOT DISTINCT FROM OLD."updatedAt" THEN
        NEW."updatedAt" := now() AT TIME ZONE 'UTC';
    END IF;
    RETURN NEW;
END $$;
DO $$
DECLARE tbl text;
BEGIN
    FOREACH tbl IN ARRAY ARRAY['User', 'Team', 'Workflow', 'WorkflowTrigger', 'WorkflowSchedule', 'AIModel',
                               'AIConversation', 'Document', 'Template', 'Webhook'] LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER keep_updated_at BEFORE UPDATE ON %I '
                       'FOR EACH ROW EXECUTE FUNCTION keep_updated_at()', tbl);
    END LOOP;
END $$;
"""

WRITE_DOWN_ORIGIN = """
CREATE TABLE schema_origin (
    kind        text NOT NULL,
    relation    text NOT NULL,
    name        text NOT NULL,
    previous    text,
    PRIMARY KEY (kind, relation, name)
);
COMMENT ON TABLE schema_origin IS
    'What revision 0001 created in a schema that may have held tables already; its downgrade removes only this.';
INSERT INTO schema_origin (kind, relation, name, previous)
SELECT made.kind, made.relation, made.name, found.definition
FROM pg_temp.catalogue() AS made LEFT JOIN found USING (kind, relation, name)
WHERE (found.kind IS NULL OR found.definition <> made.definition)
  -- A new table takes its columns, keys and indexes with it, and a new column its type and default.
  AND NOT (made.kind <> 'table' AND made.relation <> ''
           AND made.relation NOT IN (SELECT name FROM found WHERE kind = 'table'))
  AND NOT (made.kind IN ('type', 'default') AND found.kind IS NULL);
DROP TABLE found;
DROP FUNCTION pg_temp.catalogue();
"""

UPGRADE = (
    CATALOGUE
    + REMEMBER_BEFORE
    + EXTENSIONS
    + ENUMS
    + TABLES
    + ADOPTION
    + UNIQUE
    + FOREIGN_KEYS
    + INDEXES
    + UPDATED_AT
    + WRITE_DOWN_ORIGIN
)

DOWNGRADE = """
DO $$
DECLARE made record;
BEGIN
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'trigger' LOOP
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I', made.name, made.relation);
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'constraint' LOOP
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I', made.relation, made.name);
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'index' LOOP
        EXECUTE format('DROP INDEX IF EXISTS %I', made.name);
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'default' LOOP
        IF made.previous = '' THEN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP DEFAULT', made.relation, made.name);
        ELSE
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT %s', made.relation, made.name, made.previous);
        END IF;
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'column' LOOP
        EXECUTE format('ALTER TABLE %I DROP COLUMN IF EXISTS %I', made.relation, made.name);
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'type' LOOP
        BEGIN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE %s', made.relation, made.name, made.previous);
        EXCEPTION WHEN numeric_value_out_of_range THEN
            -- The wider type is the lesser evil: no value is worth losing to a downgrade.
            RAISE NOTICE 'column % of % holds values that % cannot: left as it is',
                made.name, made.relation, made.previous;
        END;
    END LOOP;
    -- One statement, so that the tables' keys among themselves do not matter; no CASCADE, so that a table of
    -- somebody else's that refers to ours stops the downgrade instead of losing its key.
    SELECT string_agg(format('%I', name), ', ') AS list INTO made FROM schema_origin WHERE kind = 'table';
    IF made.list IS NOT NULL THEN
        EXECUTE 'DROP TABLE IF EXISTS ' || made.list;
    END IF;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'function' LOOP
        EXECUTE 'DROP FUNCTION IF EXISTS ' || made.name;
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'enum' LOOP
        EXECUTE format('DROP TYPE IF EXISTS %I', made.name);
    END LOOP;
    FOR made IN SELECT * FROM schema_origin WHERE kind = 'extension' LOOP
        BEGIN
            EXECUTE format('DROP EXTENSION IF EXISTS %I', made.name);
        EXCEPTION WHEN dependent_objects_still_exist THEN
            RAISE NOTICE 'extension % stays: something else has come to use it', made.name;
        END;
    END LOOP;
END $$;
DROP TABLE schema_origin;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
