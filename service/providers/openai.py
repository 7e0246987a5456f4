"""OpenAI's embeddings interface: OpenAI itself, and whatever else speaks it."""

import base64
import binascii
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import openai

from ingest.embed import EMBEDDING_WIDTH
from service.providers.batching import Limits
from service.providers.refusals import Endpoint
from service.providers.remote import Reply, Task

OPENAI_BASE_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "text-embedding-3-small"

LIMITS = Limits(texts=2048, tokens_each=8191, tokens_together=300_000)
"""developers.openai.com/api/docs/api-reference/embeddings/create"""

CONNECT_TIMEOUT_S = 10.0


class _Row(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Body(msgspec.Struct):
    data: list[_Row]
    usage: _Usage | None = None


class OpenAIApi:
    """POST {base_url}/embeddings. The client's own retries are off: RemoteEmbedder has the one policy."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        dimensions: int | None,
        encoding: Literal["float", "base64"],
        timeout_s: float = 60.0,
    ) -> None:
        self.provider = endpoint.provider
        self._endpoint = endpoint
        self._dimensions: int | openai.Omit = openai.omit if dimensions is None else dimensions
        self._encoding: Literal["float", "base64"] = encoding
        self._timeout_s = timeout_s
        self._client = openai.AsyncOpenAI(
            # The client insists on a key; servers of one's own that need none ignore it.
            api_key=endpoint.secret or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=openai.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
        )

    async def embed(self, texts: Sequence[str], task: Task) -> Reply:
        endpoint = self._endpoint
        try:
            raw = await self._client.embeddings.with_raw_response.create(
                model=endpoint.embedding_model,
                input=list(texts),
                dimensions=self._dimensions,
                encoding_format=self._encoding,
            )
        except openai.APIStatusError as exc:
            words = _explanation(exc)
            raise endpoint.refused(exc.status_code, words, dict(exc.response.headers)) from exc
        except openai.APITimeoutError as exc:
            raise endpoint.silent(self._timeout_s) from exc
        except openai.APIConnectionError as exc:
            raise endpoint.unreachable() from exc
        return self._read(raw.http_response.content, len(texts))

    async def aclose(self) -> None:
        await self._client.close()

    def _read(self, content: bytes, expected: int) -> Reply:
        try:
            body = msgspec.json.decode(content, type=_Body)
            rows = [_numbers(row.embedding) for row in _in_order(body.data)]
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            raise self._endpoint.garbled("it is not an embeddings response in JSON") from exc
        except ValueError as exc:
            raise self._endpoint.garbled(str(exc)) from exc
        usage = body.usage or _Usage()
        return Reply(rows, usage.total_tokens or usage.prompt_tokens)


def native_dimensions(model: str) -> int | None:
    """Return the width to ask OpenAI for; None where the model cannot be asked."""
    return EMBEDDING_WIDTH if model.startswith("text-embedding-3") else None


def _in_order(rows: Sequence[_Row]) -> Sequence[_Row]:
    """Order by index, where there are indexes. Raises ValueError when they do not count the rows."""
    if all(row.index is None for row in rows):
        return rows
    ordered = sorted(rows, key=lambda row: -1 if row.index is None else row.index)
    if [row.index for row in ordered] != list(range(len(rows))):
        raise ValueError("the vectors' indexes do not count them")
    return ordered


def _numbers(embedding: list[float] | str) -> Sequence[float]:
    if isinstance(embedding, list):
        return embedding
    try:
        values = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
    except (binascii.Error, ValueError) as exc:
        raise ValueError("a vector is not base64 of float32 numbers") from exc
    numbers: list[float] = values.tolist()
    return numbers


def _explanation(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        parts = (body.get("message"), body.get("code"))
        return " ".join(part for part in parts if isinstance(part, str))
    return error.response.text
