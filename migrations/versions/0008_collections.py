"""Collections: documents of one space that are searched together, and files that expire.

A collection belongs to a space and holds only documents of it, which the foreign keys see to: the space is a part of
each. What moves to another space leaves its collections.

Revision ID: 0008
Revises: 0007
"""

from migrations.sql import run

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE collection (
    id                  text PRIMARY KEY CONSTRAINT collection_id_form CHECK (id ~ '^vs_[0-9a-f]{32}$'),
    user_id             text NOT NULL
        CONSTRAINT collection_user_fkey REFERENCES "User"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    -- With its team: its documents return to the people whose they are, and are no collection any more.
    team_id             text
        CONSTRAINT collection_team_fkey REFERENCES "Team"("id") ON DELETE CASCADE ON UPDATE CASCADE,
    space_id            text NOT NULL GENERATED ALWAYS AS (COALESCE(team_id, user_id)) STORED,
    name                text,
    description         text,
    metadata            jsonb,
    expires_after_days  integer CONSTRAINT collection_expires_later CHECK (expires_after_days > 0),
    last_active_at      timestamptz NOT NULL DEFAULT now(),
    created_at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT collection_space_key UNIQUE (space_id, id)
);
CREATE INDEX collection_user_idx ON collection (user_id);
CREATE INDEX collection_team_idx ON collection (team_id);

CREATE TABLE collection_document (
    collection_id  text NOT NULL,
    space_id       text NOT NULL,
    document_id    text NOT NULL,
    attributes     jsonb,
    -- The chunking that was asked for with it; null: any.
    chunk_tokens   integer,
    chunk_overlap  integer,
    cancelled_at   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (collection_id, document_id),
    CONSTRAINT collection_document_collection_fkey FOREIGN KEY (space_id, collection_id)
        REFERENCES collection (space_id, id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT collection_document_document_fkey FOREIGN KEY (space_id, document_id)
        REFERENCES "Document"("spaceId", "id") ON DELETE CASCADE
);
CREATE INDEX collection_document_document_idx ON collection_document (space_id, document_id);
CREATE INDEX collection_document_created_idx ON collection_document (space_id, collection_id, created_at, document_id);

-- Documents that were put into a collection together.
CREATE TABLE collection_batch (
    id             text PRIMARY KEY CONSTRAINT collection_batch_id_form CHECK (id ~ '^vsfb_[0-9a-f]{32}$'),
    collection_id  text NOT NULL,
    space_id       text NOT NULL,
    cancelled_at   timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT collection_batch_space_key UNIQUE (space_id, id),
    CONSTRAINT collection_batch_collection_fkey FOREIGN KEY (space_id, collection_id)
        REFERENCES collection (space_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX collection_batch_collection_idx ON collection_batch (space_id, collection_id);

CREATE TABLE collection_batch_document (
    batch_id       text NOT NULL,
    collection_id  text NOT NULL,
    space_id       text NOT NULL,
    document_id    text NOT NULL,
    -- Of this batch: the document may have been put into the collection again since.
    cancelled      boolean NOT NULL DEFAULT false,
    PRIMARY KEY (space_id, batch_id, document_id),
    CONSTRAINT collection_batch_document_batch_fkey FOREIGN KEY (space_id, batch_id)
        REFERENCES collection_batch (space_id, id) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT collection_batch_document_member_fkey FOREIGN KEY (collection_id, document_id)
        REFERENCES collection_document (collection_id, document_id) ON DELETE CASCADE
);
CREATE INDEX collection_batch_document_member_idx ON collection_batch_document (collection_id, document_id);

-- What a document was uploaded for and when it goes by itself, where whoever uploaded it has said so.
CREATE TABLE document_file (
    space_id     text NOT NULL,
    document_id  text NOT NULL,
    purpose      text NOT NULL,
    expires_at   timestamptz,
    PRIMARY KEY (space_id, document_id),
    CONSTRAINT document_file_document_fkey FOREIGN KEY (space_id, document_id)
        REFERENCES "Document"("spaceId", "id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX document_file_expires_idx ON document_file (expires_at) WHERE expires_at IS NOT NULL;

-- How a document is cut, where somebody wants it otherwise than by default.
ALTER TABLE ingestion
    ADD COLUMN chunk_tokens integer CONSTRAINT ingestion_chunk_tokens_positive CHECK (chunk_tokens > 0),
    ADD COLUMN chunk_overlap integer CONSTRAINT ingestion_chunk_overlap_half CHECK (chunk_overlap BETWEEN 0 AND chunk_tokens / 2);

-- Before the move, so that nothing is left in a collection that the foreign keys would have to take along.
CREATE FUNCTION leave_collections() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM collection_document WHERE space_id = OLD."spaceId" AND document_id = OLD."id";
    RETURN NEW;
END $$;
CREATE TRIGGER leave_collections BEFORE UPDATE OF "teamId", "userId" ON "Document"
    FOR EACH ROW WHEN (COALESCE(OLD."teamId", OLD."userId") IS DISTINCT FROM COALESCE(NEW."teamId", NEW."userId"))
    EXECUTE FUNCTION leave_collections();
"""

# As in 0007: policies choose rows, privileges choose columns. Only the service's own routes change memberships.
POLICIES = """
DO $$
DECLARE
    wanted record;
    grantee text;
    readers constant text := 'ANY ((SELECT docsearch_spaces(''VIEWER''))::text[])';
    writers constant text := 'ANY ((SELECT docsearch_spaces(''MEMBER''))::text[])';
    people text[] := ARRAY['docsearch_app'];
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        people := array_append(people, 'authenticated');
    END IF;
    FOR wanted IN SELECT * FROM (VALUES
        ('collection', ' AND user_id = (SELECT docsearch_user_id())'),
        ('collection_document', ''), ('collection_batch', ''), ('collection_batch_document', ''), ('document_file', '')
    ) AS t (tbl, insertion) LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', wanted.tbl);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', wanted.tbl);
        EXECUTE format('CREATE POLICY docsearch_service ON %I TO docsearch_service USING (true) WITH CHECK (true)', wanted.tbl);
        EXECUTE format('CREATE POLICY docsearch_select ON %I FOR SELECT USING (space_id = %s)', wanted.tbl, readers);
        EXECUTE format('CREATE POLICY docsearch_insert ON %I FOR INSERT WITH CHECK (space_id = %s%s)',
                       wanted.tbl, writers, wanted.insertion);
        EXECUTE format('CREATE POLICY docsearch_update ON %I FOR UPDATE USING (space_id = %s) WITH CHECK (space_id = %s)',
                       wanted.tbl, writers, writers);
        EXECUTE format('CREATE POLICY docsearch_delete ON %I FOR DELETE USING (space_id = %s)', wanted.tbl, writers);
        FOR grantee IN SELECT rolname FROM pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
            EXECUTE format('REVOKE ALL ON %I FROM %I', wanted.tbl, grantee);
        END LOOP;
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO docsearch_service', wanted.tbl);
        FOREACH grantee IN ARRAY people LOOP
            EXECUTE format('GRANT SELECT ON %I TO %I', wanted.tbl, grantee);
        END LOOP;
    END LOOP;
    GRANT INSERT (id, user_id, team_id, name, description, metadata, expires_after_days),
          UPDATE (name, description, metadata, expires_after_days, last_active_at), DELETE ON collection TO docsearch_app;
    GRANT INSERT, UPDATE (attributes, chunk_tokens, chunk_overlap, cancelled_at), DELETE ON collection_document TO docsearch_app;
    GRANT INSERT, UPDATE (cancelled_at) ON collection_batch TO docsearch_app;
    GRANT INSERT, UPDATE (cancelled) ON collection_batch_document TO docsearch_app;
    GRANT INSERT ON document_file TO docsearch_app;
    EXECUTE format('ALTER FUNCTION leave_collections() SET search_path = %I, pg_temp', current_schema());
END $$;
"""

DOWNGRADE = """
DROP TRIGGER leave_collections ON "Document";
DROP FUNCTION leave_collections;
ALTER TABLE ingestion DROP COLUMN chunk_tokens, DROP COLUMN chunk_overlap;
DROP TABLE document_file, collection_batch_document, collection_batch, collection_document, collection;
"""


def upgrade() -> None:
    run(TABLES + POLICIES)


def downgrade() -> None:
    run(DOWNGRADE)
