"""From a refused or failed token request to a TokenAcquisitionError: pure, and with nothing secret in it.

Whether a try later can help follows from the OAuth error and the HTTP status, never from AADSTS numbers
(Microsoft: "Entra authentication and authorization error codes").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.guid import is_guid
from entra_guard._common.http import retry_after
from entra_guard.credentials._hints import HINTS
from entra_guard.errors import FetchError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from entra_guard._common.http import Answer

_RETRYABLE_ERRORS: Final = frozenset({"temporarily_unavailable", "server_error"})
_RETRYABLE_STATUS: Final = frozenset({408, 429})
_SERVER_ERROR: Final = 500
_LONGEST_TEXT: Final = 400
_TRAILER: Final = re.compile(r"\s*Trace ID:.*", re.DOTALL)
_PERSON: Final = re.compile(r"[^\s'\"<>(){},]+@[^\s'\"<>(){},]+")
_REFUSING: Final = re.compile(r"status 4(?!08|29)\d\d")
"""How `FetchError` tells of a refusal in no JSON, as of a proxy."""
_KNOWN_LIBRARIES: Final = frozenset({"azure", "msal", "msal_extensions"})
_CODE: Final = re.compile(r"AADSTS(\d{1,9})")


class CredentialUnavailableError(TokenAcquisitionError):
    """There is no such credential here: a chain goes on to the next."""


def absent(error: TokenAcquisitionError) -> CredentialUnavailableError:
    """Say the same, as of a credential that is not there."""
    missing = CredentialUnavailableError("", error=error.error)
    missing.__dict__.update(error.__dict__)
    missing.args = error.args
    return missing


def refused(
    answer: Answer, *, secrets: Iterable[str] = (), correlation_id: str = "", passing: Container[int] = ()
) -> TokenAcquisitionError:
    """Build the error that belongs to an answer without a token (RFC 6749 section 5.2).

    Args:
        answer: The endpoint's answer.
        secrets: What was sent and must not be in any text, should the answer echo it.
        correlation_id: The one that was sent, should the answer name none.
        passing: More statuses that may pass by themselves.
    """
    document = answer.document
    error = _word(document.get("error"), secrets) or f"http_{answer.status}"
    said = document.get("error_description")
    description = redact(said if isinstance(said, str) else "", secrets)
    correlation_id = _correlation(document) or correlation_id
    codes = _codes(document, description)
    claims = document.get("claims")
    return TokenAcquisitionError(
        _sentence(error, description, correlation_id),
        error=error,
        codes=codes,
        correlation_id=correlation_id or None,
        retryable=answer.status in passing or _may_pass(error, answer.status),
        retry_after=retry_after(answer.headers),
        claims=claims if isinstance(claims, str) and claims else None,
        hint=_hint(codes),
    )


def unanswered(error: FetchError, *, correlation_id: str = "") -> TokenAcquisitionError:
    """Build the error for a request that got no answer to act on; a wrong TLS set-up will not mend itself."""
    return TokenAcquisitionError(
        f"No token: {error}",
        error=error.step,
        correlation_id=correlation_id or None,
        retryable=error.step != "tls" and not _REFUSING.fullmatch(error.detail),
        retry_after=error.retry_after,
    )


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """A stranger's text on one line: no secret that was sent, no person's address, and not long."""
    for secret in filter(None, secrets):
        text = _spelt_somehow(secret).sub("(secret)", text)
    text = _PERSON.sub("(person)", _TRAILER.sub("", text))
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def _spelt_somehow(secret: str) -> re.Pattern[str]:
    """Find a secret also where it is percent-encoded, in part and in either case."""
    return re.compile("".join(c if c.isalnum() else _spellings(c) for c in secret), re.IGNORECASE)


def _spellings(character: str) -> str:
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|{percent}{plus})"


def retold(error: Exception) -> TokenAcquisitionError:
    """Retell the error of another library, which does not say whether a later try can help: it may.

    Only the words of Azure's own errors are repeated: who knows what stands in others.
    """
    known = type(error).__module__.partition(".")[0] in _KNOWN_LIBRARIES
    description = redact(str(error)) if known else f"{type(error).__name__} was raised"
    codes = _codes({}, description)
    kind = (
        CredentialUnavailableError
        if type(error).__name__ == "CredentialUnavailableError"
        else TokenAcquisitionError
    )
    return kind(
        f"No token: {description}", error="azure_identity", codes=codes, retryable=True, hint=_hint(codes)
    )


def _may_pass(error: str, status: int) -> bool:
    return error in _RETRYABLE_ERRORS or status in _RETRYABLE_STATUS or status >= _SERVER_ERROR


def _hint(codes: tuple[int, ...]) -> str:
    return next((HINTS[code] for code in codes if code in HINTS), "")


def _sentence(error: str, description: str, correlation_id: str) -> str:
    said = f"{error}: {description}" if description else error
    which = f" (correlation id {correlation_id})" if correlation_id else ""
    return f"No token: {said}{which}"


def _word(value: object, secrets: Iterable[str]) -> str:
    """An error code as RFC 6749 spells them, or nothing: codes end up in logs and metrics."""
    word = value if isinstance(value, str) and re.fullmatch(r"[\w.-]{1,64}", value, re.ASCII) else ""
    return word if redact(word, secrets) == word else ""


def _codes(document: Mapping[str, Any], description: str) -> tuple[int, ...]:
    """The AADSTS numbers, from their own field or else from the text."""
    listed: Any = document.get("error_codes")
    if not isinstance(listed, list):
        return tuple(int(code) for code in _CODE.findall(description))
    return tuple(code for code in listed if isinstance(code, int))  # pyright: ignore[reportUnknownVariableType]


def _correlation(document: Mapping[str, Any]) -> str:
    value = document.get("correlation_id")
    return value if isinstance(value, str) and is_guid(value) else ""
