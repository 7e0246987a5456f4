"""Batches for the threads that embed."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.providers.minilm.queue import BATCH_TOKENS, BatchQueue, Call, WaitingText, plan_batches
from service.providers.minilm.stream import pad


def waiting(lengths: list[int]) -> list[WaitingText]:
    call = Call(len(lengths))
    return [WaitingText(call, i, [7] * length) for i, length in enumerate(lengths)]


@given(st.lists(st.integers(2, 256), max_size=64))
def test_every_text_is_in_one_batch_and_each_batch_fits(lengths):
    batches = plan_batches(waiting(lengths))
    assert sorted(text.position for batch in batches for text in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) * max(len(text.ids) for text in batch) <= BATCH_TOKENS


@given(st.lists(st.integers(2, 256), min_size=1, max_size=64))
def test_texts_share_a_batch_with_their_like(lengths):
    """Sorted longest first, so that padding is least and the last batches are the quickest."""
    order = [len(text.ids) for batch in plan_batches(waiting(lengths)) for text in batch]
    assert order == sorted(lengths, reverse=True)


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=256), min_size=1, max_size=5))
def test_padding_is_masked(encoded):
    ids, mask = pad(encoded)
    assert ids.shape == mask.shape
    assert ids.shape[1] % 8 == 0
    for row, text_ids in enumerate(encoded):
        assert ids[row][mask[row] == 1].tolist() == text_ids
        assert not ids[row][mask[row] == 0].any()


def test_callers_take_turns():
    queue = BatchQueue()
    big, small = Call(500), Call(1)
    queue.put(big, 0, [[7] * 256] * 500)
    queue.put(small, 0, [[7] * 256])
    handed_out = 0
    while (batch := queue.take()) is not None and all(text.call is big for text in batch):
        handed_out += len(batch)
    assert handed_out <= 64


def test_texts_of_several_callers_share_a_batch():
    queue = BatchQueue()
    calls = [Call(1) for _ in range(4)]
    for call in calls:
        queue.put(call, 0, [[7] * 16])
    # The first take draws all that is waiting.
    batch = queue.take()
    assert batch is not None
    assert {id(text.call) for text in batch} == {id(call) for call in calls}


def test_texts_of_a_caller_that_has_gone_are_left_out():
    queue = BatchQueue()
    gone, here = Call(3), Call(1)
    queue.put(gone, 0, [[7] * 256] * 3)
    queue.put(here, 0, [[7] * 9])
    gone.future.cancel()
    batch = queue.take()
    assert batch is not None
    assert [text.call for text in batch] == [here]


def test_rows_may_come_in_any_order_and_the_last_completes_the_call():
    call = Call(3)
    call.fill([2, 0], np.array([[2.0, 2.5], [0.0, 0.5]], np.float32))
    assert not call.future.done()
    call.fill([1], np.array([[1.0, 1.5]], np.float32))
    rows = call.future.result(timeout=0)
    assert rows.shape == (3, 1536)
    assert rows[:, :2].tolist() == [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]
    assert not rows[:, 2:].any()


def test_a_call_that_failed_stays_failed():
    call = Call(1)
    call.fail(ValueError("first"))
    call.fail(ValueError("second"))
    call.fill([0], np.ones((1, 2), np.float32))
    assert str(call.future.exception(timeout=0)) == "first"


def test_closing_wakes_who_waits_and_returns_who_is_left():
    queue = BatchQueue()
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(queue.take()))
    thread.start()
    assert queue.close() == []
    thread.join(timeout=10)
    assert taken == [None]
    assert not queue.put(Call(1), 0, [[7]])

    queue = BatchQueue()
    call = Call(3)
    queue.put(call, 0, [[7] * 256] * 3)
    queue.take()
    assert queue.close() == [call]
    assert queue.take() is None
