"""The bundled embedder, loaded once a test process: half a second and 60 MB that hundreds of services can share."""

import functools

from service.providers.minilm.embedder import MiniLMEmbedder


@functools.cache
def bundled_embedder() -> MiniLMEmbedder:
    """Return the embedder of all; nobody may close it. Its threads end with the process."""
    return MiniLMEmbedder(threads=2)
