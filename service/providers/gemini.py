"""Gemini's embeddings through google-genai, the successor of google-generativeai."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types
from pydantic import ValidationError

from ingest.embed import EMBEDDING_WIDTH
from service.providers.batching import Limits
from service.providers.errors import RequestFailed
from service.providers.refusals import Endpoint
from service.providers.remote import Reply, Task

GEMINI_BASE_URL = "https://generativelanguage.googleapis.com"
DEFAULT_MODEL = "gemini-embedding-001"

LIMITS = Limits(texts=100, tokens_each=2048, tokens_together=200_000)
"""ai.google.dev/gemini-api/docs/embeddings: 2,048 tokens an input; the API takes 100 inputs a request."""

_TASK_TYPES: Mapping[Task, str] = {"document": "RETRIEVAL_DOCUMENT", "query": "RETRIEVAL_QUERY"}


class GeminiApi:
    """models/{model}:batchEmbedContents, at 1536 of the model's 3072 numbers.

    Only the full width comes with length one; RemoteEmbedder normalises what any provider sends.
    """

    def __init__(self, endpoint: Endpoint, *, timeout_s: float = 60.0) -> None:
        self.provider = endpoint.provider
        self._endpoint = endpoint
        self._timeout_s = timeout_s
        # A client of ours: its errors are known, and google-genai repeats dropped requests on one of its own making.
        self._http = httpx2.AsyncClient(timeout=httpx2.Timeout(timeout_s, connect=10.0))
        self._client = genai.Client(
            vertexai=False,
            api_key=endpoint.secret,
            http_options=types.HttpOptions(
                base_url=endpoint.base_url,
                timeout=int(timeout_s * 1000),
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=self._http,
            ),
        )

    async def embed(self, texts: Sequence[str], task: Task) -> Reply:
        endpoint = self._endpoint
        contents: list[Any] = list(texts)
        config = types.EmbedContentConfig(task_type=_TASK_TYPES[task], output_dimensionality=EMBEDDING_WIDTH)
        try:
            response = await self._client.aio.models.embed_content(
                model=endpoint.embedding_model, contents=contents, config=config
            )
        except errors.APIError as exc:
            raise self._refused(exc) from exc
        except httpx2.TimeoutException as exc:
            raise endpoint.silent(self._timeout_s) from exc
        except httpx2.HTTPError as exc:
            raise endpoint.unreachable() from exc
        except (
            errors.UnknownApiResponseError,
            ValidationError,
            ValueError,
            TypeError,
            AttributeError,
        ) as exc:
            # What google-genai raises for a body that is not what it expects depends on how it is wrong.
            raise endpoint.garbled("it is not an embeddings response in JSON") from exc
        return Reply([embedding.values or [] for embedding in response.embeddings or []], None)

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()

    def _refused(self, error: errors.APIError) -> RequestFailed:
        headers = dict(getattr(error.response, "headers", None) or {})
        delay = retry_delay(error.details)
        if delay is not None:
            headers.setdefault("retry-after", delay)
        # A wrong key is a 400 here.
        status = 401 if "API_KEY_INVALID" in str(error.details) else error.code
        return self._endpoint.refused(status, error.message or "", headers)


def retry_delay(details: Any) -> str | None:
    """Find google.rpc.RetryInfo's `retryDelay: "31s"` in an error's body, as Retry-After would say it."""
    body = details.get("error", details) if isinstance(details, dict) else {}
    for detail in body.get("details", []) if isinstance(body, dict) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            return delay.removesuffix("s")
    return None
