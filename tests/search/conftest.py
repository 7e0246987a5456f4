"""The labelled collection, stored for one test."""

import pytest

from db.pool import Pool
from ingest.embed import embedding_text
from service.providers.minilm.embedder import MiniLMEmbedder
from tests.search.labelled import PASSAGES
from tests.search.rows import add_document

SPACE = "office"


@pytest.fixture
async def office(pool: Pool, minilm: MiniLMEmbedder) -> Pool:
    """A pool on a database that holds the labelled passages, a document each, in SPACE."""
    vectors = await minilm.embed_documents([embedding_text("", (), text) for text in PASSAGES.values()])
    async with pool.acquire() as conn:
        for (name, text), vector in zip(PASSAGES.items(), vectors, strict=True):
            metadata = {"language": "de" if name in ("urlaub", "kuendigung") else "en", "length": len(text)}
            await add_document(
                conn, SPACE, name, [text], vectors=[vector], model=minilm.model, metadata=metadata
            )
    return pool
