"""Log each refused request once. Knows no framework."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from entra_guard.errors import AccessError

log: Final = logging.getLogger("entra_guard")


def log_refusal(error: AccessError, method: str, path: str) -> None:
    """Tell the operator why a request was refused: no token, no signature, no name.

    A request without a token is everyday noise (INFO); every other refusal is a WARNING, which
    Python shows even where nobody set up logging. Told once, however many layers an error passes.
    """
    if "told" in vars(error):
        return
    vars(error)["told"] = True
    level = logging.INFO if error.reason == "missing_token" else logging.WARNING
    if log.isEnabledFor(level):
        details = {
            "reason": error.reason,
            "status": error.status,
            "method": method,
            "path": path,
        } | error.facts
        log.log(
            level, "%d %s %s: %s", error.status, method, _line(path), error, extra={"entra_guard": details}
        )


def _line(path: str) -> str:
    return path if path.isprintable() else repr(path)
