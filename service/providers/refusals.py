"""What a provider's HTTP answer means, in words for the operator."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

from service.providers.errors import RequestFailed

_TOO_LARGE = re.compile(r"too (large|long|many)|maximum|exceed|token limit|at most", re.IGNORECASE)
_OUT_OF_QUOTA = re.compile(r"insufficient_quota|billing", re.IGNORECASE)
_WORDS_CHARS = 300


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who is asked, with what, and which setting says so; neither the key nor a password gets into messages."""

    provider: str
    base_url: str = field(repr=False)
    embedding_model: str
    key_setting: str
    secret: str = field(repr=False, default="")

    @property
    def address(self) -> str:
        """The base URL as it may be shown: without a password."""
        parts = urlsplit(self.base_url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def refused(self, status: int, words: str, headers: Mapping[str, str]) -> RequestFailed:
        """Say what a status other than 200 means; words is the provider's own explanation or body."""
        if status == 401:
            return RequestFailed(
                f"The key in {self.key_setting} was refused by {self.provider}: set a valid one.",
                retryable=False,
            )
        said = self._quote(words)
        if status == 403:
            return RequestFailed(
                f"The key in {self.key_setting} may not use {self.embedding_model} at {self.provider}{said}",
                retryable=False,
            )
        if status == 404:
            return RequestFailed(
                f"{self.provider} has no model {self.embedding_model} at {self.address}: "
                "check EMBEDDING_MODEL and EMBEDDING_BASE_URL.",
                retryable=False,
            )
        if status == 429 and _OUT_OF_QUOTA.search(words):
            return RequestFailed(
                f"The quota of the key in {self.key_setting} is used up: check plan and billing at {self.provider}.",
                retryable=False,
            )
        if status == 429:
            return RequestFailed(
                f"{self.provider} is limiting the rate of requests.",
                retryable=True,
                retry_after_s=retry_after_s(headers),
            )
        if status in (408, 409) or status >= 500:
            return RequestFailed(
                f"{self.provider} failed with status {status}{said}",
                retryable=True,
                retry_after_s=retry_after_s(headers),
            )
        too_large = status == 413 or (status in (400, 422) and _TOO_LARGE.search(words) is not None)
        return RequestFailed(
            f"{self.provider} refused the request with status {status}{said}",
            retryable=False,
            too_large=too_large,
        )

    def silent(self, timeout_s: float) -> RequestFailed:
        return RequestFailed(f"{self.provider} did not answer within {timeout_s:g} s.", retryable=True)

    def unreachable(self) -> RequestFailed:
        return RequestFailed(
            f"{self.provider} could not be reached at {self.address}: check EMBEDDING_BASE_URL and the network.",
            retryable=True,
        )

    def garbled(self, what: str) -> RequestFailed:
        return RequestFailed(f"{self.provider} sent an answer that cannot be used: {what}.", retryable=True)

    def _quote(self, words: str) -> str:
        if self.secret:
            words = words.replace(self.secret, "…")
        words = " ".join(words.split())
        if len(words) > _WORDS_CHARS:
            words = words[:_WORDS_CHARS] + "…"
        return f": {words}" if words else "."


def retry_after_s(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Read Retry-After (RFC 9110, 10.2.3), seconds or a date; and OpenAI's finer retry-after-ms."""
    values = {name.lower(): value for name, value in headers.items()}
    try:
        if "retry-after-ms" in values:
            return max(0.0, float(values["retry-after-ms"]) / 1000)
        if "retry-after" not in values:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", values["retry-after"]):
            return float(values["retry-after"])
        until = parsedate_to_datetime(values["retry-after"])
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
