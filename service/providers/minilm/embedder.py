"""The bundled all-MiniLM-L6-v2: runs on this processor, needs no network."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as HuggingFaceTokenizer

from ingest.embed import EMBEDDING_WIDTH, Embeddings
from ingest.errors import EmbeddingFailed
from ingest.tokenize import TokenizerSpec
from service.providers.minilm.cores import usable_cores
from service.providers.minilm.files import FOLDER, verify_files
from service.providers.minilm.queue import BatchQueue, Call
from service.providers.minilm.runtime import ov
from service.providers.minilm.stream import Stream, StreamThread
from service.providers.usage import EmbeddingUsage

MODEL = "local/all-MiniLM-L6-v2"
WINDOW_TOKENS = 254
"""The model's 256 positions less [CLS] and [SEP]. The tokenizer's file says 128, which cuts what it could read."""

# Bulk gives way to the event loop, the database beside it and to queries.
_BULK_NICENESS = 5

# Tokenised at a time, 0.5 ms each, so that the first batch starts soon.
_TOKENISE_TEXTS = 16


class MiniLMEmbedder:
    """Unit vectors of all-MiniLM-L6-v2, 384 numbers and then zeros, which change neither length nor cosine.

    Documents of all callers share batches on one thread a core; queries have a thread of their own and do not
    wait for them. Use one instance a process, open it with `await MiniLMEmbedder.open()` and close it.
    """

    model = MODEL
    window_tokens = WINDOW_TOKENS

    def __init__(self, folder: Path = FOLDER, threads: int | None = None) -> None:
        """Load and check the files, in about half a second. Raises ModelFilesDamaged."""
        verify_files(folder)
        self.tokenizer_spec = TokenizerSpec("wordpiece", str(folder / "tokenizer.json"))
        self.usage = EmbeddingUsage()
        self._encoder = _load_encoder(folder / "tokenizer.json")
        self._core = ov.Core()
        self._model = self._core.read_model(folder / "model.xml")
        self._documents, self._queries = BatchQueue(), BatchQueue()
        query_stream = self._open_stream()
        query_stream.prepare_for_queries()
        self._threads = [StreamThread("minilm-query", self._queries, lambda: query_stream)]
        # Their models are compiled when the first document comes: a replica that only searches needs none.
        self._threads += [
            StreamThread(f"minilm-{index}", self._documents, self._open_stream, _BULK_NICENESS)
            for index in range(threads or usable_cores())
        ]

    @classmethod
    async def open(cls, folder: Path = FOLDER, threads: int | None = None) -> "MiniLMEmbedder":
        return await asyncio.to_thread(cls, folder, threads)

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, 1536), row i for texts[i]; what is behind a text's first WINDOW_TOKENS tokens is not read."""
        if not texts:
            return np.zeros((0, EMBEDDING_WIDTH), dtype=np.float32)
        call = Call(len(texts))
        try:
            for start in range(0, len(texts), _TOKENISE_TEXTS):
                encoded = await asyncio.to_thread(self._encode, texts[start : start + _TOKENISE_TEXTS])
                self._submit(self._documents, call, start, encoded)
            return await asyncio.wrap_future(call.future)
        except asyncio.CancelledError:
            call.future.cancel()
            raise

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return (1536,)."""
        call = Call(1)
        # A query is short: 0.1 ms here is less than handing it to another thread and back.
        self._submit(self._queries, call, 0, self._encode([text]))
        rows = await asyncio.wrap_future(call.future)
        row: NDArray[np.float32] = rows[0]
        return row

    async def aclose(self) -> None:
        """Stop after the batches at hand; calls that are not finished fail."""
        error = EmbeddingFailed("The embedder was closed while texts were waiting.", retryable=True)
        for queue in (self._documents, self._queries):
            for call in queue.close():
                call.fail(error)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _open_stream(self) -> Stream:
        return Stream(self._core, self._model)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._encoder.encode_batch_fast(list(texts))]

    def _submit(self, queue: BatchQueue, call: Call, start: int, encoded: list[list[int]]) -> None:
        if not queue.put(call, start, encoded):
            raise EmbeddingFailed("The embedder is closed.", retryable=True)
        self.usage.add(texts=len(encoded), tokens=sum(map(len, encoded)))


def _load_encoder(path: Path) -> HuggingFaceTokenizer:
    # The library would start a thread a core of its own, beside the ones that embed.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    encoder = HuggingFaceTokenizer.from_file(str(path))
    encoder.enable_truncation(WINDOW_TOKENS + 2)
    encoder.no_padding()
    return encoder
