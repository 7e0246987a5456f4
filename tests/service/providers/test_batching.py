"""Requests that a provider accepts, and what is believed of its answers."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers.batching import Limits, plan_batches, to_unit_rows
from service.providers.errors import RequestFailed


@given(
    counts=st.lists(st.integers(1, 50), max_size=60),
    texts=st.integers(1, 10),
    together=st.integers(1, 120),
)
def test_batches_hold_every_text_once_in_order_and_keep_the_limits(counts, texts, together):
    batches = plan_batches(counts, Limits(texts=texts, tokens_each=50, tokens_together=together))
    assert [index for batch in batches for index in batch] == list(range(len(counts)))
    for batch in batches:
        assert 1 <= len(batch) <= texts
        assert len(batch) == 1 or sum(counts[i] for i in batch) <= together


@given(
    counts=st.lists(st.integers(1, 50), min_size=2, max_size=60),
    texts=st.integers(1, 10),
    together=st.integers(50, 120),
)
def test_no_two_neighbouring_batches_would_fit_into_one(counts, texts, together):
    batches = plan_batches(counts, Limits(texts=texts, tokens_each=50, tokens_together=together))
    for batch, following in itertools.pairwise(batches):
        would_be = len(batch) + 1
        tokens = sum(counts[i] for i in batch) + counts[following[0]]
        assert would_be > texts or tokens > together


def test_rows_come_back_with_length_one():
    rows = to_unit_rows([[3.0, 4.0], [0.0, -2.0]], 2, "Them")
    assert rows.dtype == np.float32
    assert rows.tolist() == pytest.approx(np.array([[0.6, 0.8], [0.0, -1.0]]))


@pytest.mark.parametrize(
    ("rows", "words", "retryable"),
    [
        ([[1.0, 0.0]], "1 vectors for 2 texts", True),
        ([[1.0, 0.0], [1.0]], "widths 1, 2", True),
        ([[1.0, 0.0], [float("nan"), 1.0]], "not finite", True),
        ([[1.0, 0.0], [float("inf"), 1.0]], "not finite", True),
        ([[1.0, 0.0], [0.0, 0.0]], "zeros", True),
        ([[], []], "empty vector", True),
        ([[1.0] * 3072] * 2, "3072 numbers, and the database holds 1536", False),
    ],
)
def test_rows_that_cannot_be_used_are_refused(rows, words, retryable):
    with pytest.raises(RequestFailed, match=words) as caught:
        to_unit_rows(rows, 2, "Them")
    assert caught.value.retryable is retryable
    assert caught.value.detail.startswith("Them ")


def test_a_vector_of_huge_numbers_keeps_its_direction():
    rows = to_unit_rows([[3e30, 4e30]], 1, "Them")
    assert rows[0].tolist() == pytest.approx([0.6, 0.8])
