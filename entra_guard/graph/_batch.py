"""Many requests in few: batches of twenty, their parts told apart and tried again by themselves. No I/O.

Microsoft: "Combine multiple HTTP requests using JSON batching".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.http import retry_after
from entra_guard.graph._errors import GraphError, graph_error
from entra_guard.graph._retry import PROBLEMS, Ask, Conversation, Pause, ask
from entra_guard.graph._urls import relative

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from entra_guard.graph._retry import Patience, Problem

MOST: Final = 20
_SUCCESS: Final = range(200, 300)


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
        status: Its HTTP status; 0 where it has none.
        body: Its JSON, or None.
        error: The error that it is, or None: a `GraphError`; or what the batch met that it was part of, as a
            `FetchError` (nobody knows whether Graph acted) or a `TokenAcquisitionError`.
    """

    status: int
    body: Any
    error: Problem | None = None

    def result(self) -> Any:
        """The body.

        Raises:
            GraphError: Graph refused this request, or the batch that it was part of.
            FetchError: There was no answer to the batch that it was part of.
            TokenAcquisitionError: There was no token to ask with.
        """
        if self.error is not None:
            raise self.error
        return self.body


def ask_all(
    requests: Sequence[BatchRequest], url: str, patience: Patience
) -> Conversation[list[BatchAnswer]]:
    """Send requests twenty at a time, those that were throttled again, and return answers in their order.

    A batch that fails as a whole is the answer to its parts alone: the others' answers are not lost with it.

    Raises:
        ConfigurationError: A path is a whole URL.
    """
    parts = [_part(str(number), request) for number, request in enumerate(requests)]
    answers: dict[int, BatchAnswer] = {}
    pending: list[int] = list(range(len(requests)))
    tried = 0
    while pending:
        throttled: dict[int, float] = {}
        tried += 1
        for start in range(0, len(pending), MOST):
            sent = pending[start : start + MOST]
            try:
                document = yield from ask(Ask("POST", url, {"requests": [parts[n] for n in sent]}), patience)
                found = _read(document, sent)
            except PROBLEMS as error:  # it was tried as often as it may be
                answers |= {number: BatchAnswer(getattr(error, "status", 0), None, error) for number in sent}
                continue
            answers |= found
            waits = {number: _wait(requests[number], found[number], patience, tried) for number in sent}
            throttled |= {number: wait for number, wait in waits.items() if wait is not None}
        pending = list(throttled)
        if pending:
            yield Pause(max(throttled.values()))
    return [answers[number] for number in range(len(requests))]


def _wait(request: BatchRequest, answer: BatchAnswer, patience: Patience, tried: int) -> float | None:
    if answer.error is None:
        return None
    return patience.before_next(request.method.upper(), answer.error, tried)


def _part(identifier: str, request: BatchRequest) -> dict[str, Any]:
    part: dict[str, Any] = {"id": identifier, "method": request.method.upper(), "url": relative(request.path)}
    if request.json is None:
        return part | ({"headers": dict(request.headers)} if request.headers else {})
    headers = {"Content-Type": "application/json", **request.headers}
    return part | {"headers": headers, "body": request.json}


def _read(document: Any, sent: Sequence[int]) -> dict[int, BatchAnswer]:
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
    status, body, told = part.get("status"), part.get("body"), part.get("headers")
    if type(status) is not int:
        return BatchAnswer(0, body, GraphError(0, "no_status", "the answer to this has no status"))
    if status in _SUCCESS:
        return BatchAnswer(status, body)
    headers = {str(name).lower(): str(value) for name, value in _items(told)}
    return BatchAnswer(status, body, graph_error(status, body, headers, retry_after(headers)))


def _items(told: Any) -> Iterable[tuple[Any, Any]]:
    return told.items() if isinstance(told, dict) else ()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
