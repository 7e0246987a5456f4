"""Logging: short fixed events with fields, ids and never contents; JSON in production, readable on a terminal."""

import logging
import sys

import structlog

from service.settings import LogFormat, Settings

# Libraries that tell of every request or poll at INFO.
_CHATTY = (
    "httpx",
    "httpcore",
    "google_genai",
    "openai",
    "_granian",
    "granian.access",
    "alembic",
    "pgqueuer",
    "mcp",
)


def configure_logging(settings: Settings) -> None:
    """Send structlog and the standard library's logging to stderr in one format."""
    as_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        else structlog.dev.ConsoleRenderer(
            # The pretty one prints local variables: keys and documents among them.
            exception_formatter=structlog.dev.plain_traceback
        )
    )
    tracebacks: list[structlog.types.Processor] = [structlog.processors.format_exc_info] if as_json else []
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tracebacks, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
