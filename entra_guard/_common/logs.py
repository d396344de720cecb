"""Loggers that escape every value they write, so that nothing from outside can forge or hide a log line."""

from __future__ import annotations

import logging
import sys
from traceback import format_exception
from typing import Any

from entra_guard._escaping import escape


class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger for constant messages with arguments from anywhere: the arguments are escaped.

    A traceback is written as escaped text below the message. It is not passed on as an object: error
    trackers would read the local variables of its frames.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        """Log a message with its arguments escaped."""
        if not self.isEnabledFor(level):
            return
        values = [*map(_escaped, args)]
        error = kwargs.pop("exc_info", None)
        if error:
            msg = f"{msg}\n%s"
            values.append(_traceback_text(error if isinstance(error, BaseException) else sys.exception()))
        kwargs.setdefault("stacklevel", 2)
        self.logger.log(level, msg, *values, **kwargs)


def get_logger(name: str) -> SafeLogger:
    """Return the logger of a name: the only way to a logger in this package.

    Example:
        >>> get_logger("entra_guard.keys").debug("keys file not used: %s", "it is empty")
    """
    return SafeLogger(logging.getLogger(name), {})


def _escaped(value: object) -> object:
    return value if isinstance(value, int | float) else escape(str(value))


def _traceback_text(error: BaseException | None) -> str:
    # Indented: a message with a newline in it could otherwise begin a line that looks like another record.
    lines = "".join(format_exception(error)).splitlines() if error else []
    return "\n".join(f"    {escape(line)}" for line in lines)
