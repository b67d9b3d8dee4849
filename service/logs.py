"""Structured logs, for people or machines. Knows nothing of what is logged."""

import logging
import sys

import structlog

from service.settings import Settings


def configure_logs(settings: Settings) -> None:
    """Sends log lines to standard error, as the settings say."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    # The server under BentoML makes a line of its own for each answer, for nobody.
    lines = logging.getLogger("uvicorn.access")
    lines.handlers, lines.propagate = [], False
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, settings.log_level.upper())
        ),
        # Looked up at each line: a program that runs this one may have its own standard error.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
    )
