"""What happened within one request, in order: the activity record is made from it."""

from __future__ import annotations

import contextlib
import contextvars
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping


@dataclass(frozen=True, slots=True)
class TrailStep:
    """One step of a request: what was checked, what was found, and whether it passed."""

    name: str
    detail: str
    passed: bool = True


@dataclass(slots=True)
class Trail:
    """The steps of one request, and who took part in it. It never contains a secret or a token.

    Attributes:
        refusal: The AADSTS number of the refusal; 0 without one.
        facts: Values of the refusal's text: app, tenant, resource, ...
        error: The OAuth error of the refusal.
        text: The text of the refusal, without trace id and time.
        fault: The fault that changed the response.
    """

    client_id: str = ""
    client: str = ""
    api: str = ""
    user: str = ""
    correlation_id: str = ""
    refusal: int = 0
    error: str = ""
    text: str = ""
    fault: str = ""
    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    steps: list[TrailStep] = field(default_factory=list[TrailStep])


_current: contextvars.ContextVar[Trail | None] = contextvars.ContextVar("trail", default=None)


@contextlib.contextmanager
def recording() -> Generator[Trail]:
    """Record what happens within a `with` block, in this thread or task."""
    trail = Trail()
    token = _current.set(trail)
    try:
        yield trail
    finally:
        _current.reset(token)


def note(step: str, detail: str) -> None:
    """Add a step that passed. Do nothing outside of a request."""
    trail = _current.get()
    if trail is not None:
        trail.steps.append(TrailStep(step, detail))


def note_failure(step: str, detail: str) -> None:
    """Add a step that failed."""
    trail = _current.get()
    if trail is not None:
        trail.steps.append(TrailStep(step, detail, passed=False))


def note_client(client_id: str, name: str) -> None:
    """Record which app sends the request."""
    trail = _current.get()
    if trail is not None:
        trail.client_id, trail.client = client_id, name
        trail.steps.append(TrailStep("client", name))


def note_api(name: str) -> None:
    """Record which API the request is about."""
    trail = _current.get()
    if trail is not None:
        trail.api = name
        trail.steps.append(TrailStep("API", name))


def note_user(name: str) -> None:
    """Record for which user the request is."""
    trail = _current.get()
    if trail is not None:
        trail.user = name
        trail.steps.append(TrailStep("user", name))


def note_correlation(correlation_id: str) -> None:
    """Record the correlation id that the response contains."""
    trail = _current.get()
    if trail is not None:
        trail.correlation_id = correlation_id


def note_refusal(number: int, error: str, text: str, facts: Mapping[str, str]) -> None:
    """Record the error that the request is refused with."""
    trail = _current.get()
    if trail is not None:
        trail.refusal, trail.error, trail.text, trail.facts = number, error, text, facts


def note_fault(how: str) -> None:
    """Record the fault that changes the response."""
    trail = _current.get()
    if trail is not None:
        trail.fault = how
