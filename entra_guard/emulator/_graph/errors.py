"""Graph's errors."""

from __future__ import annotations

from typing import Final

from entra_guard._escaping import shorten

_LONGEST: Final = 1000


class GraphRequestError(Exception):
    """Graph refuses the request.

    Args:
        status: The HTTP status.
        code: Graph's error code.
        message: Graph's error message; it is shortened.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(shorten(message, _LONGEST))
        self.status = status
        self.code = code
        self.headers: tuple[tuple[str, str], ...] = ()


def bad_request(message: str) -> GraphRequestError:
    """Return the error for a request that the directory refuses."""
    return GraphRequestError(400, "Request_BadRequest", message)


def malformed(message: str) -> GraphRequestError:
    """Return the error for a request that Graph refuses before it reaches the directory."""
    return GraphRequestError(400, "BadRequest", message)


def unsupported_query(message: str) -> GraphRequestError:
    """Return the error for a query that the directory cannot run."""
    return GraphRequestError(400, "Request_UnsupportedQuery", message)


def missing(identifier: str) -> GraphRequestError:
    """Return Graph's error for an object that does not exist, or that the caller may not see."""
    words = "does not exist or one of its queried reference-property objects are not present."
    return GraphRequestError(404, "Request_ResourceNotFound", f"Resource '{identifier}' {words}")
