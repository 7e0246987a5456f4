"""Why an embedder cannot be opened, and why one request to a provider failed.

ProviderNotConfigured      opening: a setting is missing, or does not go with another
    ModelFilesDamaged      opening: the bundled model is incomplete
RequestFailed              one request; becomes ingest.errors.EmbeddingFailed once retries are used up
"""


class ProviderNotConfigured(Exception):
    """The configured embedder cannot be opened; the message is one sentence that says what to do."""


class ModelFilesDamaged(ProviderNotConfigured):
    """A file of the bundled model is missing or is not the one that was shipped."""


class RequestFailed(Exception):
    """One request to a provider failed; detail says to the operator what to do, and never holds the key.

    retry_after_s: how long the provider asks to be left alone. too_large: fewer texts may be accepted.
    """

    def __init__(
        self, detail: str, *, retryable: bool, retry_after_s: float | None = None, too_large: bool = False
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.too_large = too_large
