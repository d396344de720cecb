"""Errors of Microsoft Graph, read from its responses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.json_values import as_object
from entra_guard._escaping import escape
from entra_guard.errors import EntraGuardError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_MESSAGE: Final = 1000


class GraphError(EntraGuardError):
    """Microsoft Graph refused a request (Microsoft: "Microsoft Graph error responses and resource types").

    Attributes:
        status: The HTTP status; 0 if a response could not be understood.
        code: Graph's error code, such as 'Request_ResourceNotFound'.
        message: Graph's message, which may name what was requested.
        request_id: The id that Microsoft's support needs.
        retry_after: Seconds after which Graph allows a retry, or None.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        which = f" (request id {request_id})" if request_id else ""
        super().__init__(escape(f"{status} {code}: {message}{which}"))
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.status, self.code, self.message), self.__dict__ | {"args": self.args})


def graph_error(
    status: int, body: Any, headers: Mapping[str, str], retry_after: float | None = None
) -> GraphError:
    """Return the error in a response of Graph, to one request or to a part of a batch.

    Args:
        status: The HTTP status.
        body: The JSON of the response, or None if it was not JSON.
        headers: Its headers, names in lower case.
        retry_after: Seconds after which Graph allows a retry.
    """
    error = as_object(as_object(body).get("error"))
    inner = as_object(error.get("innerError") or error.get("innererror"))
    return GraphError(
        status,
        _text(error.get("code")) or f"http_{status}",
        " ".join(str(error.get("message") or "no message").split())[:_LONGEST_MESSAGE],
        request_id=headers.get("request-id") or _text(inner.get("request-id")),
        retry_after=retry_after,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
