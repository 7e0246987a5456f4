"""POST /v1/embeddings: the vectors that documents and queries have here."""

import asyncio
import base64
from http import HTTPStatus
from typing import Any, Literal, cast

import msgspec
import numpy as np
from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.pool import Pool
from db.usage import UsageEntry
from ingest.embed import EMBEDDING_WIDTH, Embeddings, Tokenizer
from ingest.tokenize import TiktokenTokenizer, TokenizerSpec
from service.auth.caller import Caller
from service.budgets import Budgets
from service.errors import Problem
from service.metering import UsageRecorder
from service.openai_api.errors import failures
from service.providers import EmbeddingProvider
from service.settings import Settings

MAX_INPUTS = 2048
_TOKEN_IDS = TokenizerSpec("tiktoken", "cl100k_base")
"""What clients that count for themselves send, such as LangChain's: ids of OpenAI's own vocabulary."""


class EmbeddingsBody(msgspec.Struct, frozen=True, kw_only=True):
    """model may be any name: there is one embedder, and the reply says which."""

    input: str | list[str | int | list[int]]
    model: str
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class EmbeddingItem(msgspec.Struct, frozen=True, kw_only=True):
    """embedding: numbers, or their bytes in base64, as little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(msgspec.Struct, frozen=True, kw_only=True):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(msgspec.Struct, frozen=True, kw_only=True):
    """In the order of the texts."""

    object: Literal["list"]
    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage


@post("/embeddings", status_code=200, responses=failures(402), summary="Embed texts")
async def create_embeddings(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    usage_recorder: NamedDependency[UsageRecorder],
    deployment: NamedDependency[Settings],
    data: JSONBody[EmbeddingsBody],
) -> Response[EmbeddingList]:
    """Return a vector of 1536 numbers and of length one for each text, as the deployment's own embedder sees it."""
    if data.dimensions not in {None, EMBEDDING_WIDTH}:
        raise _refuse(f"dimensions: vectors have {EMBEDDING_WIDTH} numbers here.", "dimensions")
    texts = await asyncio.to_thread(_texts, data.input)
    tokens = await asyncio.to_thread(_count, embedder.tokenizer_spec.load(), texts)
    cost = tokens * deployment.embedding_price_per_million / 1_000_000
    budgets = Budgets(pool)
    reservation = await budgets.reserve(caller, None, cost)
    try:
        rows = await embedder.embed_documents(texts)
    except BaseException:
        await budgets.release(reservation)
        raise
    await usage_recorder.record(
        UsageEntry(
            user_id=caller.user_id,
            key_id=caller.key_id,
            resource="ai_request",
            action="embedding",
            tokens=tokens,
            cost=cost,
            metadata={"model": embedder.model, "texts": len(texts)},
            reservation=reservation,
        )
    )
    # Three million numbers take half a second to write: not in the loop.
    body = await asyncio.to_thread(_write, rows, data.encoding_format, embedder.model, tokens)
    return cast("Response[EmbeddingList]", Response(body, media_type="application/json"))


def _write(rows: Embeddings, form: str, model: str, tokens: int) -> bytes:
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": _encode(row, form)}
                for index, row in enumerate(rows)
            ],
            "model": model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
    )


def _texts(given: str | list[str | int | list[int]]) -> list[str]:
    """Return the texts of any of the forms that clients send. Raises Problem for what cannot be embedded."""
    if isinstance(given, str):
        texts = [given]
    elif given and all(isinstance(item, int) for item in given):
        texts = [_decode([item for item in given if isinstance(item, int)])]
    else:
        texts = [item if isinstance(item, str) else _decode(item) for item in given]
    if not 1 <= len(texts) <= MAX_INPUTS:
        raise _refuse(f"input: from 1 to {MAX_INPUTS:,} texts.", "input")
    if not all(text.strip() for text in texts):
        raise _refuse("input: a text is empty.", "input")
    return texts


def _decode(tokens: int | list[int]) -> str:
    if isinstance(tokens, int):
        raise _refuse("input: texts, or lists of token ids, not both.", "input")
    try:
        tokenizer = _TOKEN_IDS.load()
        assert isinstance(tokenizer, TiktokenTokenizer)
        return tokenizer.decode(tokens)
    except (KeyError, OverflowError, ValueError) as exc:
        raise _refuse("input: not token ids of cl100k_base.", "input") from exc


def _count(tokenizer: Tokenizer, texts: list[str]) -> int:
    return sum(len(tokenizer.token_starts(text)) for text in texts)


def _encode(row: Any, form: str) -> list[float] | str:
    if form == "base64":
        return base64.b64encode(np.asarray(row, dtype="<f4").tobytes()).decode("ascii")
    floats: list[float] = row.tolist()
    return floats


def _refuse(detail: str, param: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, detail, param=param)


embedding_routes = [create_embeddings]
