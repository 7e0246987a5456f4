"""What search needs beside the tables: terms indexed by space, and the approximate nearest neighbours.

Revision ID: 0004
Revises: 0003
"""

from migrations.sql import run

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = """
-- One inverted index holds the terms of everybody. Were they indexed as they are, a search for a common word
-- would read the postings of all spaces to find those of one. Scrambled by their space, each space has posting
-- lists of its own, and how fast a search is does not depend on the neighbours. XOR loses nothing: within a
-- space different terms stay different; two spaces that collide only cost a look, for the query names the space.
CREATE FUNCTION scope_terms(space_id text, terms integer[]) RETURNS integer[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 1000
    RETURN ARRAY(SELECT term # (hashtext(space_id) & 1073741823) FROM unnest(terms) AS term);
DROP INDEX chunk_terms_idx;
-- The pending list is read whole by every search: a short one keeps searches fast while documents arrive.
CREATE INDEX chunk_terms_idx ON chunk USING gin (scope_terms(space_id, terms))
    WITH (fastupdate = on, gin_pending_list_limit = 256);

-- A chunk with very many terms (a large window, Chinese) outgrows a page: MAIN lets it, PLAIN would refuse it.
ALTER TABLE chunk ALTER COLUMN term_weights SET STORAGE MAIN;
ALTER TABLE chunk ALTER COLUMN terms SET STORAGE MAIN;

-- The nearest chunks by the ivfflat index. A function, because the index takes its settings from the session: here
-- they hold for one call, in the same round trip, and a pooler need not know. The scan goes on to further lists
-- until enough rows pass the conditions. Without sorts and sequential scans the index is the plan that remains.
-- document_ids NULL stands for all.
CREATE FUNCTION approximate_neighbours(
    spaces text[], document_ids text[], embedding_model text, query vector, depth integer, probes integer
) RETURNS TABLE (space_id text, chunk_id uuid) LANGUAGE plpgsql
    SET enable_sort = off
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET ivfflat.iterative_scan = relaxed_order
    SET ivfflat.probes = 1
AS $$
BEGIN
    PERFORM set_config('ivfflat.probes', probes::text, true);
    RETURN QUERY
        SELECT e.space_id, e.chunk_id FROM chunk_embedding AS e
        WHERE e.space_id = ANY(spaces) AND e.model = embedding_model
          AND (document_ids IS NULL OR e.document_id = ANY(document_ids))
        ORDER BY e.embedding <=> query
        LIMIT depth;
END $$;
"""

DOWNGRADE = """
DROP INDEX chunk_terms_idx;
CREATE INDEX chunk_terms_idx ON chunk USING gin (terms);
DROP FUNCTION scope_terms;
DROP FUNCTION approximate_neighbours;
ALTER TABLE chunk ALTER COLUMN term_weights SET STORAGE PLAIN;
ALTER TABLE chunk ALTER COLUMN terms SET STORAGE PLAIN;
"""


def upgrade() -> None:
    run(UPGRADE)


def downgrade() -> None:
    run(DOWNGRADE)
