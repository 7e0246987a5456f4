"""Conversations that are answered here: their settings, and the answers that are being written.

Revision ID: 0009
Revises: 0008
"""

from migrations.sql import run

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE "AIConversation"
    ADD COLUMN IF NOT EXISTS "settings" jsonb,               -- where to look and how to answer; null: as usual
    ADD COLUMN IF NOT EXISTS "summary" jsonb;                -- of its beginning: {"text", "covers"}

-- An answer that is being written. It becomes a message of its conversation when it is over; until then this is what
-- a reader who was cut off takes up again, whichever process they reach, and what is left where a process dies.
CREATE TABLE conversation_turn (
    id               uuid PRIMARY KEY,                       -- of the message that it becomes
    conversation_id  text NOT NULL
        CONSTRAINT conversation_turn_conversation_fkey REFERENCES "AIConversation"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    question_id      uuid NOT NULL,                          -- of the message that it answers
    user_id          text NOT NULL,
    team_id          text,
    key_id           text,
    model_id         text NOT NULL,
    status           text NOT NULL DEFAULT 'running'
        CONSTRAINT conversation_turn_status_known
        CHECK (status IN ('running', 'complete', 'stopped', 'interrupted', 'failed')),
    stop_requested   boolean NOT NULL DEFAULT false,
    retrieval        jsonb,                                  -- the data of the event
    text             text NOT NULL DEFAULT '',
    message          jsonb,                                  -- once it is over
    error            jsonb,
    created_at       timestamptz NOT NULL DEFAULT now(),
    seen_at          timestamptz NOT NULL DEFAULT now(),     -- by the process that writes it
    read_at          timestamptz                             -- by a reader in another process
);
CREATE INDEX conversation_turn_conversation_idx ON conversation_turn (conversation_id, created_at);
CREATE INDEX conversation_turn_running_idx ON conversation_turn (seen_at) WHERE status = 'running';
CREATE INDEX conversation_turn_created_idx ON conversation_turn (created_at);

ALTER TABLE conversation_turn ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation_turn FORCE ROW LEVEL SECURITY;
CREATE POLICY docsearch_service ON conversation_turn TO docsearch_service USING (true) WITH CHECK (true);
CREATE POLICY docsearch_select ON conversation_turn FOR SELECT
    USING (conversation_id IN (SELECT c."id" FROM "AIConversation" c));
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation_turn TO docsearch_service;

DO $$
DECLARE grantee text;
BEGIN
    FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
        EXECUTE format('REVOKE ALL ON conversation_turn FROM %I', grantee);
    END LOOP;
    FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('docsearch_app', 'authenticated') LOOP
        EXECUTE format('GRANT SELECT ON conversation_turn TO %I', grantee);
        EXECUTE format('GRANT UPDATE ("settings", "summary") ON "AIConversation" TO %I', grantee);
    END LOOP;
END $$;
"""

DOWNGRADE = """
DROP TABLE conversation_turn;
ALTER TABLE "AIConversation" DROP COLUMN "settings", DROP COLUMN "summary";
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
