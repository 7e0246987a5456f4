"""Reading a database's schema and rows back, to compare one with another."""

import asyncpg

Conn = asyncpg.Connection


async def schema_of(conn: Conn) -> set[tuple[str, ...]]:
    """Return every column, key, index, enum, trigger, function and extension, independent of their order."""
    rows = await conn.fetch("""
        WITH tables AS (
            SELECT c.oid, c.relname FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
              AND c.relname NOT IN ('alembic_version', 'schema_origin')
        )
        SELECT 'column', t.relname, a.attname, format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || ' ' || a.attstorage::text
               || COALESCE(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
        FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT 'constraint', t.relname, k.conname, pg_get_constraintdef(k.oid)
        FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid WHERE k.contype <> 'n'
        UNION ALL
        SELECT 'index', t.relname, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
        FROM tables t JOIN pg_index i ON i.indrelid = t.oid
        UNION ALL
        SELECT 'trigger', t.relname, g.tgname, pg_get_triggerdef(g.oid)
        FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal
        UNION ALL
        SELECT 'enum', '', y.typname, string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder)
        FROM pg_type y JOIN pg_enum e ON e.enumtypid = y.oid GROUP BY y.typname
        UNION ALL
        SELECT 'function', '', p.oid::regprocedure::text, p.prosrc FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
        UNION ALL
        SELECT 'extension', '', extname, '' FROM pg_extension
    """)
    return {tuple(row) for row in rows}


async def columns_of(conn: Conn) -> dict[str, list[str]]:
    """Return the columns of each table, those of the schema's bookkeeping left out."""
    rows = await conn.fetch("""
        SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) AS columns
        FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name NOT IN ('alembic_version', 'schema_origin')
        GROUP BY table_name
    """)
    return {row["table_name"]: row["columns"] for row in rows}


async def row_digests(conn: Conn, columns: dict[str, list[str]]) -> dict[str, tuple[int, str]]:
    """Return for each table how many rows it has and a digest of the values of the columns given."""
    digests = {}
    for table, names in columns.items():
        values = ", ".join(f'"{name}"' for name in names)
        row = await conn.fetchrow(
            f"SELECT count(*) AS n, md5(string_agg(v::text, E'\\n' ORDER BY v::text)) AS digest "
            f'FROM (SELECT {values} FROM "{table}") AS v'
        )
        assert row is not None
        digests[table] = (row["n"], row["digest"])
    return digests
