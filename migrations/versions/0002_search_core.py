"""The search core: originals, ingestions, chunks, embeddings, term statistics.

Revision ID: 0002
Revises: 0001
"""

from migrations.sql import run

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
-- A document belongs to a space: its team, else its user. The space is the unit of isolation, of exact
-- search, of fair queueing and, one day, of sharding, so every core key begins with it.
ALTER TABLE "Document"
    ADD COLUMN IF NOT EXISTS "teamId" text
        CONSTRAINT "Document_teamId_fkey" REFERENCES "Team"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "Document"
    ADD COLUMN IF NOT EXISTS "spaceId" text GENERATED ALWAYS AS (COALESCE("teamId", "userId")) STORED;
ALTER TABLE "Document" ADD CONSTRAINT document_space_key UNIQUE ("spaceId", "id");
CREATE INDEX document_team_idx ON "Document"("teamId");
CREATE INDEX document_space_created_idx ON "Document"("spaceId", "createdAt" DESC, "id" DESC);
CREATE INDEX document_metadata_idx ON "Document" USING gin ("metadata" jsonb_path_ops);

-- The uploaded bytes: where they lie in the object store and what they are.
CREATE TABLE original (
    space_id     text NOT NULL,
    document_id  text NOT NULL,
    storage_key  text NOT NULL,
    filename     text,
    media_type   text NOT NULL,
    size_bytes   bigint NOT NULL CONSTRAINT original_size_not_negative CHECK (size_bytes >= 0),
    sha256       bytea NOT NULL CONSTRAINT original_sha256_width CHECK (octet_length(sha256) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (space_id, document_id),
    CONSTRAINT original_document_fkey FOREIGN KEY (space_id, document_id)
        REFERENCES "Document"("spaceId", "id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX original_sha256_idx ON original (space_id, sha256);

-- Where a document stands on its way from bytes to searchable chunks.
CREATE TABLE ingestion (
    space_id        text NOT NULL,
    document_id     text NOT NULL,
    status          text NOT NULL DEFAULT 'queued'
        CONSTRAINT ingestion_status_known CHECK (status IN ('queued', 'processing', 'ready', 'failed')),
    stage           text
        CONSTRAINT ingestion_stage_known CHECK (stage IN ('fetch', 'parse', 'chunk', 'embed', 'store')),
    progress        real NOT NULL DEFAULT 0 CONSTRAINT ingestion_progress_share CHECK (progress BETWEEN 0 AND 1),
    error_stage     text,
    error_code      text,
    error_detail    text,
    attempts        integer NOT NULL DEFAULT 0,
    page_starts     integer[] NOT NULL DEFAULT '{}',   -- code point at which page i+1 begins
    page_count      integer,
    chunk_count     integer,
    token_count     integer,
    embedding_model text,
    queued_at       timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    PRIMARY KEY (space_id, document_id),
    CONSTRAINT ingestion_document_fkey FOREIGN KEY (space_id, document_id)
        REFERENCES "Document"("spaceId", "id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX ingestion_unfinished_idx ON ingestion (status, queued_at) WHERE status IN ('queued', 'processing');

-- What is searched and cited. text = content[char_start:char_end] of the document, in code points.
-- terms and term_weights are the lexical columns (see db/lexical.py): distinct hashed terms, and their BM25
-- term-frequency weights, so that BM25 is an inner product with the query's IDF vector.
CREATE TABLE chunk (
    space_id      text NOT NULL,
    id            uuid NOT NULL,
    document_id   text NOT NULL,
    ordinal       integer NOT NULL,
    text          text NOT NULL,
    char_start    integer NOT NULL,
    char_end      integer NOT NULL,
    page_start    integer,
    page_end      integer,
    headings      text[] NOT NULL DEFAULT '{}',
    token_count   integer NOT NULL,
    content_hash  bytea NOT NULL,
    terms         integer[] NOT NULL,
    term_weights  sparsevec(1000000000) NOT NULL,
    PRIMARY KEY (space_id, id),
    CONSTRAINT chunk_ordinal_key UNIQUE (space_id, document_id, ordinal),
    CONSTRAINT chunk_span_ordered CHECK (0 <= char_start AND char_start < char_end),
    CONSTRAINT chunk_document_fkey FOREIGN KEY (space_id, document_id)
        REFERENCES "Document"("spaceId", "id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX chunk_terms_idx ON chunk USING gin (terms);
CREATE INDEX chunk_content_hash_idx ON chunk (space_id, content_hash);
-- Scoring reads the weights of every matching chunk: keep them in the row, not in TOAST.
ALTER TABLE chunk ALTER COLUMN term_weights SET STORAGE PLAIN;
ALTER TABLE chunk ALTER COLUMN terms SET STORAGE PLAIN;

-- Vectors apart from the text, inline: a scan of vector(1536) stored PLAIN is six times faster than from
-- TOAST, and a row of 6 KiB would push the text out of line. model is part of the key because vectors of
-- different models must never meet, though all are 1536 wide.
CREATE TABLE chunk_embedding (
    space_id     text NOT NULL,
    chunk_id     uuid NOT NULL,
    document_id  text NOT NULL,
    model        text NOT NULL,
    embedding    vector(1536) NOT NULL,
    PRIMARY KEY (space_id, chunk_id, model),
    CONSTRAINT chunk_embedding_chunk_fkey FOREIGN KEY (space_id, chunk_id)
        REFERENCES chunk (space_id, id) ON DELETE CASCADE ON UPDATE CASCADE
);
ALTER TABLE chunk_embedding ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX chunk_embedding_document_idx ON chunk_embedding (space_id, document_id);
-- One list is an exact index that merely waits: lists are trained on what is there when the index is built,
-- and nothing is. `docsearch index rebuild` replaces it when there is enough to train on.
CREATE INDEX chunk_embedding_ivfflat_idx ON chunk_embedding
    USING ivfflat (embedding vector_cosine_ops) WITH (lists = 1);

-- What the vector index was built from and how well it does, written by its maintenance.
CREATE TABLE vector_index (
    index_name   text PRIMARY KEY,
    lists        integer NOT NULL,
    probes       integer NOT NULL,
    rows_built   bigint NOT NULL,
    recall       real,                    -- of the 10 nearest, against the exact answer
    built_at     timestamptz NOT NULL DEFAULT now()
);

-- How many chunks of a space hold each term, as insert-only deltas summed at query time: no row that two
-- ingests fight over, no counter that drifts. Term 0 counts the chunks themselves. `compact_term_counts`
-- folds the deltas together.
CREATE TABLE term_count (
    space_id  text NOT NULL,
    term      integer NOT NULL,
    chunks    integer NOT NULL
);
CREATE INDEX term_count_idx ON term_count (space_id, term) INCLUDE (chunks);

CREATE FUNCTION count_inserted_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO term_count (space_id, term, chunks)
    SELECT space_id, term, count(*) FROM added, unnest(array_append(terms, 0)) AS term GROUP BY space_id, term;
    RETURN NULL;
END $$;
CREATE FUNCTION count_deleted_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO term_count (space_id, term, chunks)
    SELECT space_id, term, -count(*) FROM removed, unnest(array_append(terms, 0)) AS term GROUP BY space_id, term;
    RETURN NULL;
END $$;
CREATE FUNCTION count_updated_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO term_count (space_id, term, chunks)
    SELECT space_id, term, sum(step) FROM (
        SELECT space_id, unnest(array_append(terms, 0)) AS term, 1 AS step FROM added
        UNION ALL
        SELECT space_id, unnest(array_append(terms, 0)), -1 FROM removed
    ) AS steps GROUP BY space_id, term HAVING sum(step) <> 0;
    RETURN NULL;
END $$;
-- Triggers, so that a chunk that goes by a cascade from any table is counted out as well.
CREATE TRIGGER chunk_terms_inserted AFTER INSERT ON chunk REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_inserted_terms();
CREATE TRIGGER chunk_terms_deleted AFTER DELETE ON chunk REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_terms();
CREATE TRIGGER chunk_terms_updated AFTER UPDATE ON chunk REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_updated_terms();

-- A repeated POST with the same Idempotency-Key gets the first reply again.
CREATE TABLE idempotency_key (
    user_id       text NOT NULL,
    key           text NOT NULL,
    request_hash  bytea NOT NULL,
    document_id   text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_key_created_idx ON idempotency_key (created_at);
"""

DOWNGRADE = """
DROP TABLE idempotency_key, term_count, vector_index, chunk_embedding, chunk, ingestion, original;
DROP FUNCTION count_inserted_terms, count_deleted_terms, count_updated_terms;
DROP INDEX document_team_idx, document_space_created_idx, document_metadata_idx;
ALTER TABLE "Document" DROP CONSTRAINT document_space_key;
ALTER TABLE "Document" DROP COLUMN "spaceId", DROP COLUMN "teamId";
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
