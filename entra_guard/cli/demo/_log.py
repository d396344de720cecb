"""The log of the API's operator: recorded during the demo, printed live with --serve."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class OperatorLog(logging.Handler):
    """Record the details of the last refusal; print lines once `show` is set."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.show: Callable[[str], None] | None = None
        self._last: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Record a log record; called by logging."""
        details = getattr(record, "entra_guard", None)
        if isinstance(details, dict):
            self._last = details
        if self.show is not None:
            self.show(record.getMessage())

    def take(self) -> dict[str, Any]:
        """Return the details of the last refusal since the previous call."""
        last, self._last = self._last, {}
        return last


@contextmanager
def operator_log() -> Generator[OperatorLog]:
    """Record the guard's log and keep it off the terminal within the block."""
    logger, handler = logging.getLogger("entra_guard"), OperatorLog()
    before = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
