"""Many requests in few: batches of twenty, their parts told apart and tried again by themselves. No I/O.

Microsoft: "Combine multiple HTTP requests using JSON batching".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard._http import retry_after
from entra_guard.graph._conversation import Ask, Conversation, Pause, ask
from entra_guard.graph._errors import GraphError, graph_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from entra_guard.graph._conversation import Patience

MOST: Final = 20
_FIRST_ERROR: Final = 400


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """A request to send along with others.

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
class BatchAnswer:
    """The answer to one request of a batch.

    Attributes:
        status: Its HTTP status.
        body: Its JSON, or None.
        error: The error that it is, or None.
    """

    status: int
    body: Any
    error: GraphError | None = None

    def result(self) -> Any:
        """The body.

        Raises:
            GraphError: Graph refused this request.
        """
        if self.error is not None:
            raise self.error
        return self.body


def ask_all(
    requests: Sequence[BatchRequest], url: str, patience: Patience
) -> Conversation[list[BatchAnswer]]:
    """Send requests twenty at a time, those that were throttled again, and return answers in their order.

    Raises:
        GraphError: A whole batch was refused.
        FetchError: There was no answer.
    """
    answers: dict[int, BatchAnswer] = {}
    pending: list[int] = list(range(len(requests)))
    tried = 0
    while pending:
        for start in range(0, len(pending), MOST):
            sent = {number: requests[number] for number in pending[start : start + MOST]}
            document = yield from ask(Ask("POST", url, {"requests": _written(sent)}), patience)
            answers |= _read(document, sent)
        tried += 1
        waits = {number: _wait(requests[number], answers[number], patience, tried) for number in pending}
        pending = [number for number, wait in waits.items() if wait is not None]
        if pending:
            yield Pause(max(wait for wait in waits.values() if wait is not None))
    return [answers[number] for number in range(len(requests))]


def _wait(request: BatchRequest, answer: BatchAnswer, patience: Patience, tried: int) -> float | None:
    if answer.error is None:
        return None
    return patience.before_next(request.method.upper(), answer.error, tried)


def _written(requests: Mapping[int, BatchRequest]) -> list[dict[str, Any]]:
    return [_part(str(number), request) for number, request in requests.items()]


def _part(identifier: str, request: BatchRequest) -> dict[str, Any]:
    part: dict[str, Any] = {"id": identifier, "method": request.method.upper(), "url": request.path}
    if request.json is None:
        return part | ({"headers": dict(request.headers)} if request.headers else {})
    headers = {"Content-Type": "application/json", **request.headers}
    return part | {"headers": headers, "body": request.json}


def _read(document: Any, sent: Mapping[int, BatchRequest]) -> dict[int, BatchAnswer]:
    """The answers by number; Graph sends them in any order, and the order means nothing."""
    listed: Any = document.get("responses") if isinstance(document, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(listed, list):
        raise GraphError(0, "no_batch", "the answer is none to a batch")
    parts: dict[str, Any] = {str(part.get("id")): part for part in listed if isinstance(part, dict)}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
    return {number: _answer(parts.get(str(number))) for number in sent}


def _answer(part: Any) -> BatchAnswer:
    if part is None:
        return BatchAnswer(
            0, None, GraphError(0, "no_answer", "the batch came back without an answer to this")
        )
    status, body = int(part.get("status") or 0), part.get("body")
    told: dict[str, str] = part.get("headers") or {}
    headers = {name.lower(): str(value) for name, value in told.items()}
    if status < _FIRST_ERROR:
        return BatchAnswer(status, body)
    return BatchAnswer(status, body, graph_error(status, body, headers, retry_after(headers)))
