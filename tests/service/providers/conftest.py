"""A bundled embedder for all tests of a worker, and remote ones with short patience."""

from collections.abc import AsyncIterator, Iterator

import pytest

from service.providers.minilm.embedder import MiniLMEmbedder
from tests.fakes.embedding_servers import FakeProvider, fake_provider


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with fake_provider() as running:
        yield running


@pytest.fixture
async def own_minilm() -> AsyncIterator[MiniLMEmbedder]:
    """A bundled embedder that a test may close."""
    embedder = await MiniLMEmbedder.open(threads=2)
    yield embedder
    await embedder.aclose()
