"""Write the log line of a refused request. Imports no framework."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from entra_guard._common.logs import get_logger
from entra_guard.errors import cleaned, printable

if TYPE_CHECKING:
    from entra_guard.errors import AccessError

log: Final = get_logger("entra_guard")


def log_refusal(error: AccessError, method: str, path: str) -> None:
    """Log why a request was refused, once per error: with the facts, without token, signature or name.

    A request without a token is frequent and logged as INFO; every other refusal is a WARNING, which
    Python shows also if logging is not configured.

    Args:
        error: The refusal.
        method: The request's method, as the client sent it.
        path: The request's path, as the client sent it.
    """
    if "is_logged" in vars(error):
        return
    vars(error)["is_logged"] = True
    level = logging.INFO if error.reason == "missing_token" else logging.WARNING
    if log.isEnabledFor(level):
        request = {"reason": error.reason, "status": error.status, "method": method, "path": path}
        log.log(
            level,
            "%d %s %s: %s",
            error.status,
            printable(method),
            printable(path),
            error.report(),
            extra={"entra_guard": cleaned(error.facts | request)},
        )
