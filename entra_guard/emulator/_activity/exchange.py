"""Describe an exchange for people: its flow, client, API, result, steps, and parameters without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from entra_guard.emulator._activity.flows import flow_of
from entra_guard.emulator._activity.redaction import MAX_ID, SentFields, cut, masked
from entra_guard.emulator._activity.request_log import Exchange, Outcome
from entra_guard.emulator._http.trail import TrailStep
from entra_guard.emulator._oauth.errors import sent_correlation_id
from entra_guard.emulator._oauth.remedies import REMEDIES, remedy_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._http.trail import Trail
    from entra_guard.emulator._store.directory import Directory

# Pages that people look at are not requests of clients.
_OWN_PAGES: Final = frozenset({"/", "/error", "/favicon.ico"})
_PORTAL: Final = "/portal/"
_AUTHORIZATION_PENDING: Final = 70016
_FIRST_ERROR_STATUS: Final = 400
_MAX_NAME: Final = 120
_MAX_WORD: Final = 20
_MAX_RESULT: Final = 60
_MAX_ERROR: Final = 1000
_FAULT_REMEDY: Final = "A fault is set for this endpoint. Clear it under Test conditions."
_NOT_SENT: Final[Mapping[str, str]] = {
    "silent": "no response",
    "dropped": "dropped",
    "refused": "refused",
    "partial": "interrupted",
}


def is_shown(path: str) -> bool:
    """Return whether a request belongs into the activity: the emulator's own pages do not."""
    return path not in _OWN_PAGES and not path.startswith(_PORTAL)


def describe_exchange(
    request: Request,
    delivery: Delivery,
    trail: Trail,
    directory: Directory,
    *,
    target: str,
    at: float,
    ms: float,
) -> Exchange:
    """Return the record of an exchange.

    Args:
        request: The request.
        delivery: Its response and how it was sent.
        trail: What happened within the request.
        directory: Resolves ids of apps to names.
        target: What faults refer to.
        at: The emulator's time, in seconds since 1970.
        ms: How long the response took to make, in milliseconds.
    """
    sent = SentFields(request)
    error = _error_of(trail, delivery.response)
    client_id = trail.client_id or sent.redact(sent.client_id, MAX_ID)
    client = trail.client or _name_of(directory, client_id)
    api = trail.api or _name_of(directory, sent.redact(_sent_api(sent), MAX_ID))
    result = _NOT_SENT.get(delivery.ending) or error.short_name or str(delivery.response.status)
    steps = _steps(trail, error.code, result)
    return Exchange(
        at=at,
        method=cut(request.method, _MAX_WORD),
        base=request.base,
        path=sent.redact(request.path),
        flow=flow_of(target, request.path, sent.form),
        target=target,
        status=delivery.response.status,
        result=result,
        outcome=_outcome(delivery, error.code, trail),
        milliseconds=ms,
        client=cut(client, MAX_ID),
        client_id=client_id,
        api=cut(api, _MAX_NAME),
        user=cut(trail.user, _MAX_NAME),
        correlation_id=cut(error.correlation_id or _id_of(request, delivery.response), MAX_ID),
        steps=tuple(replace(step, detail=sent.redact(step.detail)) for step in steps),
        query=masked(sent.query),
        form=masked(sent.form),
        scheme=sent.redact((request.header("authorization") or "").partition(" ")[0], _MAX_WORD),
        headers=sent.headers(),
        error=sent.redact(error.text, _MAX_ERROR),
        remedy=sent.redact(_remedy(trail, error.code, client), _MAX_ERROR),
        code=error.code,
    )


class _Error(NamedTuple):
    """Why a request was refused; empty if it was not."""

    code: int = 0
    name: str = ""
    text: str = ""
    correlation_id: str = ""

    @property
    def short_name(self) -> str:
        """The AADSTS code, or the name of the error; '' without one."""
        if self.code:
            return f"AADSTS{self.code}"
        return "" if " " in self.name else cut(self.name, _MAX_RESULT)


def _error_of(trail: Trail, response: Response) -> _Error:
    """Return the error that was noted; what was not noted, from the response."""
    found = _error_in(response)
    return _Error(
        trail.refusal or found.code,
        trail.error or found.name,
        trail.text or found.text,
        trail.correlation_id or found.correlation_id,
    )


def _error_in(response: Response) -> _Error:
    """Return the error in a JSON response: Entra's, Graph's or a managed identity endpoint's."""
    if response.status < _FIRST_ERROR_STATUS:
        return _Error()
    try:
        content: Any = json.loads(response.body)
        error = content["error"]
    except (ValueError, TypeError, KeyError):
        return _Error()
    if isinstance(error, dict):
        return _Error(0, str(error.get("code", "")), str(error.get("message", "")))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    code = next(iter(content.get("error_codes", [])), 0)
    text = str(content.get("error_description", "")).partition(" Trace ID:")[0]
    return _Error(int(code), str(error), text, str(content.get("correlation_id", "")))


def _sent_api(sent: SentFields) -> str:
    """Return the API that a refused request names, as it was sent."""
    names = (scope.rpartition("/")[0] for scope in sent.get("scope").split() if "/" in scope)
    return next(names, sent.get("resource"))


def _name_of(directory: Directory, identifier: str) -> str:
    """Return the name of the app of that client id or App ID URI; otherwise the identifier."""
    known = directory.apps.get(identifier.lower())
    found = known or next((a for a in directory.apps.values() if identifier in a.names()), None)
    return found.name if found else identifier


def _outcome(delivery: Delivery, code: int, trail: Trail) -> Outcome:
    if code == _AUTHORIZATION_PENDING:
        return "waiting"
    failed = delivery.response.status >= _FIRST_ERROR_STATUS or delivery.ending != "complete"
    return "refused" if failed or trail.refusal else "ok"


def _id_of(request: Request, response: Response) -> str:
    """Return the correlation id that the client sent; otherwise the request id of the response."""
    headers = {name.lower(): value for name, value in response.headers}
    return sent_correlation_id(request) or headers.get("request-id") or headers.get("x-ms-request-id", "")


def _steps(trail: Trail, code: int, result: str) -> tuple[TrailStep, ...]:
    """Return the steps in order: those that passed, then the one that failed, then the fault."""
    steps = list(dict.fromkeys(trail.steps))
    if code:
        remedy = REMEDIES.get(code)
        steps.append(TrailStep(remedy.step if remedy else "request", trail.text or result, passed=False))
    if trail.fault:
        steps.append(TrailStep("fault", f"{trail.fault} changed the response", passed=False))
    return tuple(steps)


def _remedy(trail: Trail, code: int, client: str) -> str:
    if trail.fault:
        return _FAULT_REMEDY
    return remedy_text(code, {"name": client, **trail.facts} if client else trail.facts)
