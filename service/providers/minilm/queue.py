"""Texts of many callers, waiting for the threads that embed them."""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

import numpy as np

from ingest.embed import EMBEDDING_WIDTH, Embeddings

BATCH_TOKENS = 512
"""Padding included. Two full windows; more gains nothing (25 ms a window in batches of 1 to 16, measured), fewer
lose 15 % on short texts. It is also how long a closing embedder waits."""

WINDOW_TEXTS = 64
"""How many waiting texts are sorted by length together: about 0.8 s of two cores."""

_TURN_TEXTS = 16


class Call:
    """One caller's texts: rows fill in any order, and the future is done with the last."""

    def __init__(self, count: int) -> None:
        self.future: Future[Embeddings] = Future()
        self._rows = np.zeros((count, EMBEDDING_WIDTH), dtype=np.float32)
        self._left = count
        self._lock = threading.Lock()

    def fill(self, positions: Sequence[int], rows: Embeddings) -> None:
        """rows are (len(positions), width ≤ 1536); the rest of each row stays zero."""
        with self._lock:
            self._rows[list(positions), : rows.shape[1]] = rows
            self._left -= len(positions)
            finished = self._left == 0
        if finished:
            try:
                self.future.set_result(self._rows)
            except InvalidStateError:  # cancelled, or failed by another batch
                return

    def fail(self, error: Exception) -> None:
        try:
            self.future.set_exception(error)
        except InvalidStateError:  # cancelled, or failed by another batch
            return


@dataclass(frozen=True, slots=True, eq=False)
class WaitingText:
    call: Call
    position: int
    ids: Sequence[int]


@dataclass(slots=True, eq=False)
class _Line:
    call: Call
    texts: deque[WaitingText] = field(default_factory=deque)


class BatchQueue:
    """Hands out batches of similar length, drawn from all callers in turn so that none waits behind a big one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lines: deque[_Line] = deque()
        self._batches: deque[list[WaitingText]] = deque()
        self._closed = False

    def put(self, call: Call, first_position: int, encoded: Sequence[Sequence[int]]) -> bool:
        """Add texts to a call; False when the queue is closed and they were not taken."""
        texts = [WaitingText(call, first_position + i, ids) for i, ids in enumerate(encoded)]
        with self._changed:
            if self._closed:
                return False
            line = next((line for line in self._lines if line.call is call), None)
            if line is None:
                line = _Line(call)
                self._lines.append(line)
            line.texts.extend(texts)
            self._changed.notify_all()
        return True

    def take(self) -> list[WaitingText] | None:
        """Wait for a batch and return it, or None once closed."""
        with self._changed:
            while not self._closed:
                if not self._batches:
                    self._batches.extend(plan_batches(self._draw()))
                if self._batches:
                    return self._batches.popleft()
                self._changed.wait()
            return None

    def close(self) -> list[Call]:
        """Stop handing out; return the calls that still had texts waiting."""
        with self._changed:
            self._closed = True
            waiting = [line.call for line in self._lines]
            waiting += [text.call for batch in self._batches for text in batch]
            self._lines.clear()
            self._batches.clear()
            self._changed.notify_all()
        return list(dict.fromkeys(waiting))

    def _draw(self) -> list[WaitingText]:
        drawn: list[WaitingText] = []
        while self._lines and len(drawn) < WINDOW_TEXTS:
            line = self._lines.popleft()
            if line.call.future.done():  # cancelled, or one of its batches failed
                continue
            drawn += [line.texts.popleft() for _ in range(min(_TURN_TEXTS, len(line.texts)))]
            if line.texts:
                self._lines.append(line)
        return drawn


def plan_batches(texts: Sequence[WaitingText]) -> list[list[WaitingText]]:
    """Cut texts, longest first, into batches that fit BATCH_TOKENS when padded to their longest.

    The short ones come last, so that several threads finish at about the same time.
    """
    batches: list[list[WaitingText]] = []
    room = 0
    for text in sorted(texts, key=lambda text: len(text.ids), reverse=True):
        if room == 0:
            batches.append([])
            room = max(1, BATCH_TOKENS // len(text.ids))
        batches[-1].append(text)
        room -= 1
    return batches
