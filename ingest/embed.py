"""What ingestion needs of an embedder, and the text that is embedded for a chunk."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

EMBEDDING_WIDTH = 1536

Embeddings = NDArray[np.float32]
"""(n, 1536) float32, each row of length one."""


class Tokenizer(Protocol):
    """Finds where an embedder's tokens begin, so that chunks can be cut to its window."""

    def token_starts(self, text: str) -> Sequence[int]:
        """Return the code point at which each token begins, ascending, special tokens left out."""
        ...


class Embedder(Protocol):
    """Turns texts into unit vectors of one model.

    Raises EmbeddingFailed; never returns fewer rows than texts, and never a row of another width.
    """

    @property
    def model(self) -> str:
        """The name that is stored with each vector: vectors of different names never meet."""
        ...

    @property
    def window_tokens(self) -> int:
        """The longest input the model reads in full, special tokens left out."""
        ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        """Return row i for texts[i]."""
        ...
