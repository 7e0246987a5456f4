"""What goes wrong while a workflow is read or run; service/errors.py says it to people."""


class EngineError(Exception):
    """The base of all of them. The message can be shown to whoever may see the workflow."""


class NodeError(EngineError):
    """A node could not do its work.

    retryable: another try may go better, after retry_after_s where the other side has said so. code is for programs:
    http_status, timeout, bad_config, expression, address_refused, model_failed, not_found, …
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        retryable: bool = False,
        retry_after_s: float | None = None,
        field: str | None = None,
        expression: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.field = field
        self.expression = expression


class DefinitionError(EngineError):
    """Nodes or connections are not what they must be to be stored at all: the path says where."""

    def __init__(self, detail: str, *, path: str) -> None:
        super().__init__(f"{path}: {detail}")
        self.detail = detail
        self.path = path
