"""Hide secrets: show the parameters and headers that are known to be harmless; of others, only the length."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._activity.access_line import printable
from entra_guard.emulator._activity.request_log import Parameter
from entra_guard.emulator._http.messages import TooManyFieldsError, parse_basic, parse_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._http.messages import Request

MAX_TEXT: Final = 300
MAX_ID: Final = 80
MAX_PARAMETERS: Final = 50
MIN_SECRET: Final = 6
_REMOVED: Final = "(hidden)"
# Only these are shown. Whatever else a client sends may be a secret, a token, a code or a verifier.
_SHOWN_NAMES: Final = (
    "client_id grant_type scope resource redirect_uri response_type response_mode prompt domain_hint "
    "code_challenge code_challenge_method requested_token_use client_assertion_type api-version "
    "appid tenant authorization_endpoint client-request-id client_info decision x-client-sku "
    "x-client-ver x-client-os object_id principal_id msi_res_id mi_res_id xms_cc error $filter "
    "$select $top $count $orderby $search $expand post_logout_redirect_uri return-client-request-id"
)
_SHOWN: Final = frozenset(_SHOWN_NAMES.split())
_SHOWN_HEADERS: Final = ("metadata", "origin", "consistencylevel")
_HIDDEN_HEADER: Final = "x-identity-header"
_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_.-]{8,}")


class SentFields:
    """What a client sent: its query, its form and its Basic header.

    Attributes:
        query: The parameters of the query string.
        form: The fields of the body, if it is a form.
        client_id: The client id in the parameters or the Basic header; '' without one.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self.query = _fields(request.query)
        self.form = _fields(request.body.decode("utf-8", "replace")) if _has_form(request) else {}
        user, password = parse_basic(request.header("authorization") or "") or ("", "")
        self.client_id = self.get("client_id") or user
        fields = (*self.query.items(), *self.form.items())
        hidden = (value for name, value in fields if mask(name, value).hidden)
        self._secrets = [value for value in (*hidden, password) if len(value) >= MIN_SECRET]

    def get(self, name: str) -> str:
        """Return the value of a field of the form or the query; '' without one."""
        return self.form.get(name, self.query.get(name, ""))

    def redact(self, text: str, length: int = MAX_TEXT) -> str:
        """Return a text without tokens and without the secrets that were sent, shortened to a length."""
        for secret in self._secrets:
            text = text.replace(secret, _REMOVED)
        return cut(_JWT.sub(_REMOVED, text), length)

    def headers(self) -> tuple[Parameter, ...]:
        """Return the headers without which the request would mean something else. Cookies are never kept."""
        sent = {name: self._request.header(name) for name in _SHOWN_HEADERS}
        found = [Parameter(name, self.redact(value)) for name, value in sent.items() if value is not None]
        if self._request.body and not _has_form(self._request):
            found.append(Parameter("content-type", self.redact(_content_type(self._request), MAX_ID)))
        if (secret := self._request.header(_HIDDEN_HEADER)) is not None:
            found.append(_hidden(_HIDDEN_HEADER, secret))
        return tuple(found)


def cut(text: str, length: int = MAX_TEXT) -> str:
    """Return a text shortened to a length, without control characters."""
    # Printable: people copy it from the page into a terminal, where a control character is a key press.
    return printable(text if len(text) <= length else f"{text[: length - 3]}...")


def mask(name: str, value: str) -> Parameter:
    """Return a parameter as it may be shown: hidden unless its name is known to be harmless."""
    if name.lower() in _SHOWN and not _JWT.search(value):
        return Parameter(cut(name, MAX_ID), cut(value))
    return _hidden(name, value)


def masked(fields: Mapping[str, str]) -> tuple[Parameter, ...]:
    """Return the first 50 parameters as they may be shown."""
    return tuple(mask(name, value) for name, value in list(fields.items())[:MAX_PARAMETERS])


def _hidden(name: str, value: str) -> Parameter:
    return Parameter(cut(name, MAX_ID), f"hidden, {len(value)} characters", hidden=True)


def _content_type(request: Request) -> str:
    return request.header("content-type") or ""


def _has_form(request: Request) -> bool:
    return "x-www-form-urlencoded" in _content_type(request).lower()


def _fields(text: str) -> dict[str, str]:
    try:
        return parse_form(text)
    except TooManyFieldsError:
        return {}
