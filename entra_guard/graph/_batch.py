"""Combine requests into batches of twenty, and retry their throttled parts. Does no I/O.

Microsoft: "Combine multiple HTTP requests using JSON batching".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.http import retry_after
from entra_guard.graph._errors import GraphError, graph_error
from entra_guard.graph._retry import REQUEST_ERRORS, GraphRequest, Pause, RequestFlow, send_with_retries
from entra_guard.graph._urls import relative

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from entra_guard.graph._retry import RequestError, RetryPolicy

BATCH_SIZE: Final = 20
_SUCCESS: Final = range(200, 300)


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A request to send with others.

    Attributes:
        method: GET, POST, PATCH, PUT or DELETE.
        path: Such as '/users/alice@contoso.com', without host and version.
        json: The body, if any.
        headers: More headers.
    """

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=_no_headers)


@dataclass(frozen=True, slots=True)
class BatchResponse:
    """The response to one request of a batch.

    Attributes:
        status: Its HTTP status; 0 if it has none.
        body: Its JSON, or None.
        error: The error that it is, or None: a `GraphError`; or the error of the batch that it was part of,
            as a `FetchError` (whether Graph acted is not known) or a `TokenAcquisitionError`.
    """

    status: int
    body: Any
    error: RequestError | None = None

    def result(self) -> Any:
        """Return the body.

        Raises:
            GraphError: Graph refused this request, or the batch that it was part of.
            FetchError: There was no response to the batch that it was part of.
            TokenAcquisitionError: There was no token.
        """
        if self.error is not None:
            raise self.error
        return self.body


def send_batches(
    requests: Sequence[BatchRequest], url: str, policy: RetryPolicy
) -> RequestFlow[list[BatchResponse]]:
    """Send requests twenty at a time, throttled ones again, and return the responses in the same order.

    If a batch fails as a whole, that is the response to its parts alone: other responses are not lost.

    Raises:
        ConfigurationError: A path is a whole URL.
    """
    parts = [_part(str(number), request) for number, request in enumerate(requests)]
    responses: dict[int, BatchResponse] = {}
    pending: list[int] = list(range(len(requests)))
    tried = 0
    while pending:
        throttled: dict[int, float] = {}
        tried += 1
        for start in range(0, len(pending), BATCH_SIZE):
            sent = pending[start : start + BATCH_SIZE]
            body = {"requests": [parts[number] for number in sent]}
            try:
                document = yield from send_with_retries(GraphRequest("POST", url, body), policy)
                found = _responses_in(document, sent)
            except REQUEST_ERRORS as error:  # it was retried already
                responses |= {n: BatchResponse(getattr(error, "status", 0), None, error) for n in sent}
                continue
            responses |= found
            delays = {n: _delay(requests[n], found[n], policy, tried) for n in sent}
            throttled |= {n: delay for n, delay in delays.items() if delay is not None}
        pending = list(throttled)
        if pending:
            yield Pause(max(throttled.values()))
    return [responses[number] for number in range(len(requests))]


def _delay(request: BatchRequest, response: BatchResponse, policy: RetryPolicy, tried: int) -> float | None:
    if response.error is None:
        return None
    return policy.delay_before_retry(request.method.upper(), response.error, tried)


def _part(identifier: str, request: BatchRequest) -> dict[str, Any]:
    part: dict[str, Any] = {"id": identifier, "method": request.method.upper(), "url": relative(request.path)}
    if request.json is None:
        return part | ({"headers": dict(request.headers)} if request.headers else {})
    has_type = any(name.lower() == "content-type" for name in request.headers)
    headers = {} if has_type else {"Content-Type": "application/json"}
    return part | {"headers": {**headers, **request.headers}, "body": request.json}


def _responses_in(document: Any, sent: Sequence[int]) -> dict[int, BatchResponse]:
    """Return the responses by number; Graph sends them in any order."""
    listed: Any = document.get("responses") if isinstance(document, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(listed, list):
        raise GraphError(0, "no_batch", "the response is not one to a batch")
    parts: dict[str, Any] = {str(part.get("id")): part for part in listed if isinstance(part, dict)}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
    return {number: _response(parts.get(str(number))) for number in sent}


def _response(part: Any) -> BatchResponse:
    if part is None:
        error = GraphError(0, "no_answer", "the batch has no response to this request")
        return BatchResponse(0, None, error)
    status, body, given = part.get("status"), part.get("body"), part.get("headers")
    if type(status) is not int:
        return BatchResponse(
            0, body, GraphError(0, "no_status", "the response to this request has no status")
        )
    if status in _SUCCESS:
        return BatchResponse(status, body)
    headers = {str(name).lower(): str(value) for name, value in _items(given)}
    return BatchResponse(status, body, graph_error(status, body, headers, retry_after(headers)))


def _items(headers: Any) -> Iterable[tuple[Any, Any]]:
    return headers.items() if isinstance(headers, dict) else ()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
