"""Describe an exchange for people: its flow, client, API, result, steps, and parameters without secrets."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from entra_guard.emulator._http.messages import MAX_FIELDS, parse_basic
from entra_guard.emulator._http.trail import TrailStep
from entra_guard.emulator._oauth.errors import sent_correlation_id
from entra_guard.emulator._oauth.remedies import REMEDIES, remedy_text
from entra_guard.emulator._store.access_line import printable
from entra_guard.emulator._store.request_log import Exchange, Outcome, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.messages import Request, Response
    from entra_guard.emulator._http.trail import Trail
    from entra_guard.emulator._store.directory import Directory

# Pages that people look at are not requests of clients.
_OWN_PAGES: Final = frozenset({"/", "/error", "/favicon.ico"})
_PORTAL: Final = "/portal/"
_WAITING: Final = 70016
MAX_TEXT: Final = 300
MAX_ERROR: Final = 1000
MIN_SECRET: Final = 6
_REMOVED: Final = "(hidden)"
_FAULT_REMEDY: Final = "A fault is set for this endpoint. Clear it under Test conditions."
_GRANTS: Final[Mapping[str, str]] = {
    "urn:ietf:params:oauth:grant-type:device_code": "device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "on_behalf_of",
    "client_credentials": "client_credentials",
    "authorization_code": "authorization_code",
    "refresh_token": "refresh_token",
    "device_code": "device_code",
}
_TARGET_FLOWS: Final[Mapping[str, str]] = {
    "configuration": "metadata",
    "keys": "keys",
    "instance": "discovery",
    "authorize": "sign_in",
    "graph": "graph",
    "identity": "managed_identity",
    "nothing": "unknown",
}
_PAGE_FLOWS: Final[Mapping[str, str]] = {
    "logout": "sign_out",
    "adminconsent": "admin_consent",
    "devicelogin": "device_sign_in",
}
# Only these are shown. Whatever else a client sends may be a secret, a token, a code or a verifier.
_SHOWN_NAMES: Final = (
    "client_id grant_type scope resource redirect_uri response_type response_mode prompt domain_hint "
    "code_challenge code_challenge_method requested_token_use client_assertion_type api-version "
    "appid tenant authorization_endpoint client-request-id client_info decision x-client-sku "
    "x-client-ver x-client-os object_id principal_id msi_res_id mi_res_id xms_cc error $filter "
    "$select $top $count $orderby $search $expand post_logout_redirect_uri return-client-request-id"
)
_SHOWN: Final = frozenset(_SHOWN_NAMES.split())
_KEPT_HEADERS: Final = ("metadata", "origin", "consistencylevel")
_HIDDEN_HEADER: Final = "x-identity-header"
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_.-]{8,}")
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
    form = _fields(request.body.decode("utf-8", "replace") if _has_form(request) else "")
    query = _fields(request.query)
    named = {**query, **form}
    clean = _Redactor(request, named)
    error = _error_of(delivery.response)
    code = trail.refusal or error.number
    client_id = trail.client_id or clean.cut(_named_client(request, named), 80)
    client = trail.client or _name_of(directory, client_id)
    facts = {"name": client, **trail.facts} if client else trail.facts
    result = _NOT_SENT.get(delivery.ending) or _result(delivery.response, code, trail.error or error.name)
    return Exchange(
        at=at,
        method=_cut(request.method, 20),
        base=request.base,
        path=clean.cut(request.path),
        flow=flow_of(target, request.path, form),
        target=target,
        status=delivery.response.status,
        result=result,
        outcome=_outcome(delivery, code, trail),
        milliseconds=ms,
        client=_cut(client, 80),
        client_id=client_id,
        api=_cut(trail.api or _name_of(directory, clean.cut(_named_api(named), 80)), 120),
        user=_cut(trail.user, 120),
        correlation_id=_cut(
            trail.correlation_id or error.correlation or _response_id(request, delivery.response), 80
        ),
        steps=tuple(replace(step, detail=clean.cut(step.detail)) for step in _steps(trail, code, result)),
        query=_parameters(query),
        form=_parameters(form),
        scheme=clean.cut((request.header("authorization") or "").partition(" ")[0], 20),
        headers=_headers(request, clean),
        error=clean.cut(trail.text or error.text, MAX_ERROR),
        remedy=_FAULT_REMEDY if trail.fault else clean.cut(remedy_text(code, facts), MAX_ERROR),
        code=code,
    )


class _Redactor:
    """Remove tokens, and the values of hidden parameters and headers, from texts that repeat them."""

    def __init__(self, request: Request, fields: Mapping[str, str]) -> None:
        basic = parse_basic(request.header("authorization") or "")
        hidden = [value for name, value in fields.items() if mask(name, value).hidden]
        self._secrets = [value for value in (*hidden, *(basic or ())[1:]) if len(value) >= MIN_SECRET]

    def cut(self, text: str, length: int = MAX_TEXT) -> str:
        """Return the text without secrets, shortened to a length."""
        for secret in self._secrets:
            text = text.replace(secret, _REMOVED)
        return _cut(_JWT.sub(_REMOVED, text), length)


def flow_of(target: str, path: str, form: Mapping[str, str]) -> str:
    """Return the name of the flow that a request belongs to."""
    last = path.rstrip("/").rpartition("/")[2].lower()
    if target == "token":
        return (
            "device_code_start" if last == "devicecode" else _GRANTS.get(form.get("grant_type", ""), "token")
        )
    return _TARGET_FLOWS.get(target) or _PAGE_FLOWS.get(last, target)


def mask(name: str, value: str) -> Parameter:
    """Return a parameter as it may be shown: hidden unless its name is known to be harmless."""
    if name.lower() in _SHOWN and not _JWT.search(value):
        return Parameter(_cut(name, 80), _cut(value))
    return Parameter(_cut(name, 80), f"hidden, {len(value)} characters", hidden=True)


def _parameters(fields: Mapping[str, str]) -> tuple[Parameter, ...]:
    return tuple(mask(name, value) for name, value in list(fields.items())[:50])


def _headers(request: Request, clean: _Redactor) -> tuple[Parameter, ...]:
    """Return the headers without which the request would mean something else. Cookies are never kept."""
    found = [
        Parameter(name, clean.cut(value))
        for name in _KEPT_HEADERS
        if (value := request.header(name)) is not None
    ]
    if request.body and not _has_form(request):
        found.append(Parameter("content-type", clean.cut(request.header("content-type") or "", 80)))
    if (secret := request.header(_HIDDEN_HEADER)) is not None:
        found.append(Parameter(_HIDDEN_HEADER, f"hidden, {len(secret)} characters", hidden=True))
    return tuple(found)


def _has_form(request: Request) -> bool:
    return "x-www-form-urlencoded" in (request.header("content-type") or "").lower()


def _fields(text: str) -> dict[str, str]:
    try:
        found = parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


def _cut(text: str, length: int = MAX_TEXT) -> str:
    # Printable: people copy it from the page into a terminal, where a control character is a key press.
    return printable(text if len(text) <= length else f"{text[: length - 3]}...")


def _named_client(request: Request, fields: Mapping[str, str]) -> str:
    """Return the client id that a request names, in its parameters or its Basic header."""
    basic = parse_basic(request.header("authorization") or "")
    return fields.get("client_id") or (basic[0] if basic else "")


def _named_api(fields: Mapping[str, str]) -> str:
    """Return the API that a refused request names, as it was sent."""
    words = [word for word in fields.get("scope", "").split() if "/" in word]
    return words[0].rpartition("/")[0] if words else fields.get("resource", "")


def _name_of(directory: Directory, identifier: str) -> str:
    """Return the name of the app of that client id or App ID URI; otherwise the identifier."""
    known = directory.apps.get(identifier.lower())
    found = known or next((a for a in directory.apps.values() if identifier in a.names()), None)
    return found.name if found else identifier


class _Error:
    """The error in a response, whichever endpoint wrote it."""

    def __init__(self, number: int = 0, name: str = "", text: str = "", correlation: str = "") -> None:
        self.number, self.name, self.text, self.correlation = number, name, text, correlation


def _error_of(response: Response) -> _Error:
    """Return the error in a JSON response: Entra's, Graph's or a managed identity endpoint's."""
    if response.status < 400:  # noqa: PLR2004 (the first status of errors)
        return _Error()
    try:
        content: Any = json.loads(response.body)
        error = content["error"]
    except (ValueError, TypeError, KeyError):
        return _Error()
    if isinstance(error, dict):
        return _Error(0, str(error.get("code", "")), str(error.get("message", "")))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    number = next(iter(content.get("error_codes", [])), 0)
    text = str(content.get("error_description", "")).partition(" Trace ID:")[0]
    return _Error(int(number), str(error), text, str(content.get("correlation_id", "")))


def _result(response: Response, code: int, name: str) -> str:
    if code:
        return f"AADSTS{code}"
    return _cut(name, 60) if name and " " not in name else str(response.status)


def _outcome(delivery: Delivery, code: int, trail: Trail) -> Outcome:
    if code == _WAITING:
        return "waiting"
    failed = delivery.response.status >= 400 or delivery.ending != "complete"  # noqa: PLR2004
    return "refused" if failed or trail.refusal else "ok"


def _response_id(request: Request, response: Response) -> str:
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
