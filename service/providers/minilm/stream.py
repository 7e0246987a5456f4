"""One thread that embeds the batches of a queue with a compiled model of its own."""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.embed import Embeddings
from ingest.errors import EmbeddingFailed
from service.providers.minilm.queue import BatchQueue, WaitingText

_QUERY_LENGTHS = (8, 16, 24, 32)


class Stream:
    """A compiled model that runs in the calling thread; call embed from one thread at a time."""

    def __init__(self, core: Any, model: Any) -> None:
        # One stream of one thread runs in the caller's thread, with no hand-over and at the caller's priority.
        # bf16 is taken for what is left in float (the attention) only where the processor has it.
        config = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
        self._request = core.compile_model(model, "CPU", config).create_infer_request()

    def embed(self, encoded: Sequence[Sequence[int]]) -> Embeddings:
        """Return (n, 384) float32 of length one."""
        ids, mask = pad(encoded)
        self._request.infer([ids, mask], share_inputs=True)
        rows: Embeddings = self._request.get_output_tensor(0).data.copy()
        return rows

    def prepare_for_queries(self) -> None:
        for length in _QUERY_LENGTHS:
            self.embed([[0] * length])


def pad(encoded: Sequence[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return ids and mask, both (n, longest rounded up)."""
    shape = (len(encoded), _padded_length(max(map(len, encoded))))
    ids, mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for row, text_ids in enumerate(encoded):
        ids[row, : len(text_ids)] = text_ids
        mask[row, : len(text_ids)] = 1
    return ids, mask


def _padded_length(tokens: int) -> int:
    """Round up: a length never seen costs a stream 13 ms of preparation and, above 128, 5 MB for good."""
    step = 8 if tokens <= 32 else 16 if tokens <= 128 else 32
    return -(-tokens // step) * step


class StreamThread:
    """Embeds what a queue hands out until it is closed."""

    def __init__(
        self, name: str, queue: BatchQueue, open_stream: Callable[[], Stream], niceness: int = 0
    ) -> None:
        self._queue = queue
        self._open_stream = open_stream
        self._niceness = niceness
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        _lower_priority(self._niceness)
        stream: Stream | None = None
        while (batch := self._queue.take()) is not None:
            try:
                stream = stream or self._open_stream()
                rows = stream.embed([text.ids for text in batch])
            except Exception as exc:  # noqa: BLE001 - whatever it is, the callers must hear of it
                _fail(batch, exc)
            else:
                _deliver(batch, rows)


def _deliver(batch: Sequence[WaitingText], rows: Embeddings) -> None:
    by_call = sorted(range(len(batch)), key=lambda i: id(batch[i].call))
    for _, group in groupby(by_call, key=lambda i: id(batch[i].call)):
        indexes = list(group)
        batch[indexes[0]].call.fill([batch[i].position for i in indexes], rows[indexes])


def _fail(batch: Sequence[WaitingText], cause: Exception) -> None:
    for call in dict.fromkeys(text.call for text in batch):
        error = EmbeddingFailed(f"The bundled embedding model failed: {cause}", retryable=True)
        error.__cause__ = cause
        call.fail(error)


def _lower_priority(niceness: int) -> None:
    """Give way to everything else in the process. On Linux priority belongs to the thread; elsewhere do nothing."""
    if niceness and hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
