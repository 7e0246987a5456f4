"""What a chat provider's refusal means, in words that say what to do; neither the key nor a password gets into them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from ingest.outbound import AddressRefused
from search.answer.model import FailureCode, ModelFailed
from service.providers.refusals import retry_after_s

_OUT_OF_QUOTA = re.compile(
    r"insufficient_quota|billing|credit balance|exceeded your current quota", re.IGNORECASE
)
_TOO_LONG = re.compile(
    r"context_length_exceeded|context (length|window|size)|prompt is too long|too many tokens"
    r"|maximum number of tokens|input (is )?too (long|large)|reduce the length",
    re.IGNORECASE,
)
_FILTERED = re.compile(r"content_filter|content_policy|content management policy", re.IGNORECASE)
_OVERLOADED = 529
"""Anthropic's own status."""
_WORDS_CHARS = 300


@dataclass(frozen=True, slots=True)
class Provider:
    """Who is asked for which model. The names of fields in messages are those of PATCH /v1/ai/models/{id}."""

    name: str
    """As in sentences: OpenAI, Groq, The server at …"""
    model_id: str
    base_url: str = field(repr=False)
    secret: str = field(repr=False, default="")

    @property
    def address(self) -> str:
        """The base URL as it may be shown: without a password."""
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))

    def refused(self, status: int, words: str, headers: Mapping[str, str]) -> ModelFailed:
        """Say what a status other than 200 means; words is the provider's own explanation or body."""
        said = self.quote(words)
        if status == 401:
            return self._fail("key_refused", self._key_refused())
        if status == 402 or (status in (400, 403, 429) and _OUT_OF_QUOTA.search(words)):
            return self._fail(
                "quota",
                f"The quota of the api_key of {self.model_id} is used up: check plan and billing at {self.name}.",
            )
        if status == 403:
            return self._fail(
                "key_refused", f"The api_key of {self.model_id} may not use this model at {self.name}{said}"
            )
        if status == 404:
            return self._fail(
                "no_such_model",
                f"{self.name} has no model {self.model_id} at {self.address}: check model_id and endpoint.",
            )
        if status == 429:
            return self._fail(
                "rate_limited",
                f"{self.name} is limiting the rate of requests for {self.model_id}: try again later.",
                retryable=True,
                retry_after=retry_after_s(headers),
            )
        if status in (408, 409) or status >= 500:
            busy = "is overloaded" if status == _OVERLOADED else f"failed with status {status}"
            return self._fail(
                "unreachable", f"{self.name} {busy}{said}", retryable=True, retry_after=retry_after_s(headers)
            )
        if status == 413 or _TOO_LONG.search(words):
            return self._fail(
                "context_too_long",
                f"The conversation is longer than {self.model_id} can read: shorten it, use a model with more room, "
                f"or set context_tokens to what the model has{said}",
            )
        if _FILTERED.search(words):
            return self._fail("refused", f"{self.name} refused to answer{said}")
        if 300 <= status < 400:
            return self._fail(
                "unreachable", f"{self.address} redirects elsewhere: set endpoint to where the API is."
            )
        return self._fail("refused", f"{self.name} refused the request with status {status}{said}")

    def blocked(self, why: str) -> ModelFailed:
        return self._fail(
            "refused", f"{self.name} refused to answer: its filter found {why} in the question."
        )

    def unconnected(self, error: Exception) -> ModelFailed:
        """Say what a client's error means that is about the connection."""
        if _is_refused_address(error):
            return self._fail(
                "unreachable",
                f"{self.address} must not be connected to: models are asked at public addresses over https, and in "
                "the networks of MODEL_ALLOWED_NETWORKS.",
            )
        return self._fail(
            "unreachable",
            f"{self.name} could not be reached at {self.address}: check endpoint and the network.",
            retryable=True,
        )

    def silent(self, timeout_s: float) -> ModelFailed:
        return self._fail(
            "timeout",
            f"{self.name} sent nothing of {self.model_id}'s answer for {timeout_s:g} s.",
            retryable=True,
        )

    def too_slow(self, timeout_s: float) -> ModelFailed:
        return self._fail(
            "timeout",
            f"{self.model_id} at {self.name} had not finished after {timeout_s:g} s.",
            retryable=True,
        )

    def broken(self) -> ModelFailed:
        return self._fail(
            "broken_stream", f"{self.name} broke off before the end of the answer: ask again.", retryable=True
        )

    def garbled(self) -> ModelFailed:
        return self._fail(
            "garbled",
            f"{self.name} sent an answer that cannot be read: check that {self.address} is its chat interface.",
        )

    def quote(self, words: str) -> str:
        """Return the end of a sentence that repeats what the provider said, or just ends it."""
        if self.secret:
            words = words.replace(self.secret, "…")
        words = " ".join(words.split())
        if len(words) > _WORDS_CHARS:
            words = words[:_WORDS_CHARS] + "…"
        return f": {words}" + ("" if words.endswith((".", "…", "!", "?")) else ".") if words else "."

    def _key_refused(self) -> str:
        if not self.secret:
            return f"{self.name} wants a key: set the api_key of {self.model_id}."
        return f"The api_key of {self.model_id} was refused by {self.name}: set a valid one."

    def _fail(
        self, code: FailureCode, detail: str, *, retryable: bool = False, retry_after: float | None = None
    ) -> ModelFailed:
        return ModelFailed(detail, code=code, retryable=retryable, retry_after_s=retry_after)


def _is_refused_address(error: BaseException) -> bool:
    """Return whether our check of addresses is at the bottom of it; clients wrap what is raised beneath them."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
