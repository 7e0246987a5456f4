"""Requests: what is asked for, what is refused, what is made of odd text."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from db.filters import And, Eq
from search.errors import InvalidQuery, QueryNotEmbedded
from search.query import MAX_QUERY_CHARS, Mode, SearchRequest, embed_query, read_request


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("  what\n is\tit ", "what is it"),
        ("pan\0da", "pan da"),
        ("pan\ud800da", "pan da"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("👩‍🚀", "👩‍🚀"),
        ("?!", "?!"),
    ],
)
def test_text_is_cleaned(query: str, text: str) -> None:
    assert read_request(SearchRequest(query=query), ("s",)).text == text


@given(st.text(min_size=1))
def test_any_text_is_either_searchable_or_refused(query: str) -> None:
    try:
        text = read_request(SearchRequest(query=query), ("s",)).text
    except InvalidQuery:
        return
    assert text.strip() == text != ""
    assert "\0" not in text.encode().decode()


@pytest.mark.parametrize(
    "request_",
    [
        SearchRequest(query=""),
        SearchRequest(query=" \n\t\u2003"),
        SearchRequest(query="\0\ud800"),
        SearchRequest(query="a" * (MAX_QUERY_CHARS + 1)),
        SearchRequest(query="a", top_k=0),
        SearchRequest(query="a", top_k=100_000),
        SearchRequest(query="a", min_score=1.1),
        SearchRequest(query="a", min_score=float("nan")),
        SearchRequest(query="a", document_ids=("a\0b",)),
        SearchRequest(query="a", filters=And(filters=[])),
        SearchRequest(query="a", filters=Eq(key="\0", value=1)),
    ],
)
def test_what_cannot_be_searched_for_is_refused(request_: SearchRequest) -> None:
    with pytest.raises(InvalidQuery):
        read_request(request_, ("s",))


class Answering:
    """An embedder that answers with whatever the test wants."""

    model = "model-a"

    def __init__(self, answer: Callable[[], NDArray[np.float32]]) -> None:
        self._answer = answer

    async def embed_query(self, _text: str) -> NDArray[np.float32]:
        return self._answer()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: np.zeros(1536, np.float32),
        lambda: np.ones(384, np.float32),
        lambda: np.ones((1, 1536), np.float32),
        lambda: np.full(1536, np.nan, np.float32),
    ],
)
async def test_a_garbled_vector_is_not_searched_with(answer: Callable[[], NDArray[np.float32]]) -> None:
    query = read_request(SearchRequest(query="panda"), ("s",))
    with pytest.raises(QueryNotEmbedded):
        await embed_query(Answering(answer), query)


async def test_a_lexical_search_embeds_nothing() -> None:
    def fail() -> NDArray[np.float32]:
        raise AssertionError("the embedder was asked")

    query = read_request(SearchRequest(query="panda", mode=Mode.LEXICAL), ("s",))
    assert await embed_query(Answering(fail), query) is None
