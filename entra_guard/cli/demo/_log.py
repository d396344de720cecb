"""What the API's operator reads: the guard's log records, kept for the story, later shown as they come."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class OperatorLog(logging.Handler):
    """Keeps the details of the last refusal; shows lines once it is told how."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.show: Callable[[str], None] | None = None
        self._last: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record in; called by logging."""
        details = getattr(record, "entra_guard", None)
        if isinstance(details, dict):
            self._last = details
        if self.show is not None:
            self.show(record.getMessage())

    def take(self) -> dict[str, Any]:
        """The details of the last refusal since this was last asked."""
        last, self._last = self._last, {}
        return last


@contextmanager
def operator_log() -> Generator[OperatorLog]:
    """Listen to the guard's log, and keep it off the terminal meanwhile."""
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
