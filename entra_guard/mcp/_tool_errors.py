"""Errors as an MCP server sends them to its client: a constant sentence. The log has the reason.

SDK 1.x and fastmcp send the text of any exception in a tool. SDK 2.x, and fastmcp with `mask_error_details`,
send only that of their own errors: so an error for a client is also one of theirs.
"""

from __future__ import annotations

import logging
import sys
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from entra_guard._common.logs import get_logger
from entra_guard._web.http_errors import converted
from entra_guard._web.log_floods import FLOODS
from entra_guard.errors import EntraGuardError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Container

log: Final = get_logger("entra_guard")

AnyError = TypeVar("AnyError", bound=EntraGuardError)

_SIGN_IN: Final = "The user must sign in again before this server can call the next API."
_CONSENT: Final = "The next API needs a consent, which the user or an administrator must give."
_LATER: Final = "This server cannot call the next API at the moment. Try again later."
_OTHER: Final = "This server cannot call the next API. Its log has the reason."

# Microsoft: "OAuth 2.0 On-Behalf-Of flow", error response; RFC 6749 section 5.2.
_SIGN_IN_ERRORS: Final[Container[str]] = frozenset(
    {"interaction_required", "login_required", "invalid_grant"}
)
_CONSENT_CODE: Final = 65001

_ERRORS_OF_SERVERS: Final = (
    ("mcp.server.mcpserver.exceptions", ("ToolError", "ResourceError")),
    ("mcp.server.fastmcp.exceptions", ("ToolError", "ResourceError")),
    ("fastmcp.exceptions", ("ToolError", "ResourceError", "PromptError")),
)


def as_tool_error(error: AnyError) -> AnyError:
    """Return an error that is also the loaded SDKs' own, so that they send its text to the client."""
    loaded = [(sys.modules.get(module), names) for module, names in _ERRORS_OF_SERVERS]
    found = [getattr(module, name, None) for module, names in loaded for name in names]
    bases = tuple(dict.fromkeys(base for base in found if base is not None))
    return converted(error, _common_base(bases), {"log_level": logging.WARNING}) if bases else error


def error_for_client(error: AnyError) -> AnyError:
    """Log why no token was acquired for the next API, and return the error with a sentence as its text.

    The error's other attributes stay, for the tool: `codes`, `claims`, `retryable` and so on.
    """
    sentence = _sentence(error)
    kind = getattr(error, "error", "configuration")
    if FLOODS.is_logged(f"on_behalf_of: {kind}", logging.WARNING, ""):
        log.warning("on-behalf-of failed, and the MCP client gets only %r: %s", sentence, error)
    shown = copy(error)
    shown.args = (sentence,)
    return as_tool_error(shown)


def _sentence(error: EntraGuardError) -> str:
    """Return what the client may know: what it can do, without the ids, names and codes of this server."""
    if not isinstance(error, TokenAcquisitionError):
        return _OTHER
    if error.claims:
        # Entra made the challenge for the client of this server.
        return f"{_SIGN_IN} Claims for the sign-in: {error.claims}"
    if _CONSENT_CODE in error.codes:
        return _CONSENT
    if error.error in _SIGN_IN_ERRORS:
        return _SIGN_IN
    return _LATER if error.retryable else _OTHER


@lru_cache
def _common_base(bases: tuple[Any, ...]) -> type[Exception]:
    return type("ServerError", bases, {})
