"""Metrics against values worked out by hand, and their bounds."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.metrics import ndcg, percentile, recall, reciprocal_rank

DOCUMENTS = st.sampled_from("abcdefgh")
RANKINGS = st.lists(DOCUMENTS, unique=True)
JUDGEMENTS = st.dictionaries(DOCUMENTS, st.integers(-1, 3), min_size=1)


def test_gain_is_linear_in_the_grade() -> None:
    # trec_eval's ndcg_cut: 1/log2(2) + 3/log2(3), over 3/log2(2) + 1/log2(3).
    assert ndcg(["a", "b"], {"a": 1, "b": 3}) == pytest.approx(
        (1 + 3 / math.log2(3)) / (3 + 1 / math.log2(3)), abs=1e-12
    )


@pytest.mark.parametrize(
    ("ranking", "judgements", "expected"),
    [
        (["a"], {"a": 1}, 1.0),
        (["x", "a"], {"a": 1}, 1 / math.log2(3)),
        ([], {"a": 1}, 0.0),
        (["a"], {"a": 0}, 0.0),
        (["a"], {"a": -1, "b": 1}, 0.0),
        (["x"] * 10 + ["a"], {"a": 1}, 0.0),
    ],
)
def test_ndcg(ranking: list[str], judgements: dict[str, int], expected: float) -> None:
    assert ndcg(ranking, judgements) == pytest.approx(expected)


def test_recall_and_reciprocal_rank_count_what_is_relevant() -> None:
    judgements = {"a": 1, "b": 2, "c": 0}
    assert recall(["c", "b"], judgements) == 0.5
    assert reciprocal_rank(["c", "b", "a"], judgements) == 0.5
    assert reciprocal_rank(["c"], judgements) == 0.0
    assert recall(["a"], {"c": 0}) == 0.0


@given(RANKINGS, JUDGEMENTS)
def test_metrics_are_shares(ranking: list[str], judgements: dict[str, int]) -> None:
    for metric in (ndcg, recall, reciprocal_rank):
        assert 0 <= metric(ranking, judgements) <= 1 + 1e-12


@given(RANKINGS, JUDGEMENTS)
def test_an_ideal_ranking_cannot_be_beaten(ranking: list[str], judgements: dict[str, int]) -> None:
    ideal = sorted(judgements, key=lambda document: -judgements[document])
    assert ndcg(ideal, judgements) >= ndcg(ranking, judgements) - 1e-12


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.95, 4.0), (1.0, 4.0), (0.01, 1.0)])
def test_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected
