"""Turn refused and failed token requests into TokenAcquisitionErrors. Pure, and without anything secret.

Whether a later attempt can help follows from the OAuth error and the HTTP status, never from AADSTS numbers
(Microsoft: "Entra authentication and authorization error codes").
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from entra_guard._common.guid import is_guid
from entra_guard._common.http import retry_after
from entra_guard.credentials._azure_types import unavailable_class
from entra_guard.credentials._hints import HINTS
from entra_guard.errors import FetchError, TokenAcquisitionError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from entra_guard._common.http import Answer

_RETRYABLE_ERRORS: Final = frozenset({"temporarily_unavailable", "server_error"})
_RETRYABLE_STATUS: Final = frozenset({408, 429})
_SERVER_ERROR: Final = 500
_LONGEST_TEXT: Final = 400
# Looks at each character once, however long the text is: a match begins where a word does.
_PERSON: Final = re.compile(r"(?<![^\s'\"<>(){},@])[^\s'\"<>(){},@]++@[^\s'\"<>(){},]+")
# How `FetchError` reports a refusal that is not JSON, as a proxy sends it.
_REFUSED_WITHOUT_JSON: Final = re.compile(r"status 4(?!08|29)\d\d")
_KNOWN_LIBRARIES: Final = frozenset({"azure", "msal", "msal_extensions"})
_CODE: Final = re.compile(r"AADSTS(\d{1,9})")


class CredentialUnavailableError(TokenAcquisitionError):
    """The credential is not configured here: a chain tries the next one.

    Where azure-identity is loaded, it is also azure-identity's own CredentialUnavailableError, so that
    ChainedTokenCredential continues, too.
    """

    def __new__(cls, *args: Any, **_more: Any) -> Self:
        made: type[Self] = unavailable_class(cls) if cls is CredentialUnavailableError else cls
        return Exception.__new__(made, *args)

    def __reduce__(self) -> tuple[object, ...]:
        return (partial(CredentialUnavailableError, error=self.error), self.args, self.__dict__)


def as_unavailable(error: TokenAcquisitionError) -> CredentialUnavailableError:
    """Return the same error as one of a credential that is not configured here."""
    unavailable = CredentialUnavailableError("", error=error.error)
    unavailable.__dict__.update(error.__dict__)
    unavailable.args = error.args
    return unavailable


def error_from_response(
    answer: Answer, *, secrets: Iterable[str] = (), correlation_id: str = "", passing: Container[int] = ()
) -> TokenAcquisitionError:
    """Return the error for a response without a token (RFC 6749 section 5.2).

    Args:
        answer: The endpoint's response.
        secrets: What was sent and must not be in any text, should the response repeat it.
        correlation_id: The one that was sent, should the response name none.
        passing: More statuses that are temporary.
    """
    document = answer.document
    error = _error_code(document.get("error"), secrets) or f"http_{answer.status}"
    text = document.get("error_description")
    description = redact(text if isinstance(text, str) else "", secrets)
    correlation_id = _correlation_id(document) or correlation_id
    codes = _aadsts_codes(document, description)
    claims = document.get("claims")
    return TokenAcquisitionError(
        _message(error, description, correlation_id),
        error=error,
        codes=codes,
        correlation_id=correlation_id or None,
        retryable=answer.status in passing or _is_temporary(error, answer.status),
        retry_after=retry_after(answer.headers),
        claims=claims if isinstance(claims, str) and claims else None,
        hint=_hint(codes),
    )


def error_from_fetch(error: FetchError, *, correlation_id: str = "") -> TokenAcquisitionError:
    """Return the error for a request without a usable response; a wrong TLS set-up is not temporary."""
    return TokenAcquisitionError(
        f"No token: {error}",
        error=error.step,
        correlation_id=correlation_id or None,
        retryable=error.step != "tls" and not _REFUSED_WITHOUT_JSON.fullmatch(error.detail),
        retry_after=error.retry_after,
    )


def error_from_azure(error: Exception) -> TokenAcquisitionError:
    """Return the error of another library as ours; it is taken as temporary, as it does not say.

    Only the text of Azure's own errors is repeated: that of others may hold secrets.
    """
    known = type(error).__module__.partition(".")[0] in _KNOWN_LIBRARIES
    description = redact(str(error)) if known else f"{type(error).__name__} was raised"
    codes = _aadsts_codes({}, description)
    names = {each.__name__ for each in type(error).__mro__}
    kind = CredentialUnavailableError if "CredentialUnavailableError" in names else TokenAcquisitionError
    return kind(
        f"No token: {description}", error="azure_identity", codes=codes, retryable=True, hint=_hint(codes)
    )


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return foreign text on one line, without secrets that were sent and e-mail addresses, and not long."""
    for secret in filter(None, secrets):
        text = _any_encoding_of(secret).sub("(secret)", text)
    text = without_people(text.partition("Trace ID:")[0])
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def without_people(text: str) -> str:
    """Return a text without e-mail addresses and user names of that form."""
    return _PERSON.sub("(person)", text)


def _any_encoding_of(secret: str) -> re.Pattern[str]:
    """Return a pattern for a secret, also where it is percent-encoded, in part and in either case."""
    return re.compile("".join(c if c.isalnum() else _encodings(c) for c in secret), re.IGNORECASE)


def _encodings(character: str) -> str:
    percent = "".join(f"%{byte:02x}" for byte in character.encode())
    plus = r"|\+" if character == " " else ""
    return f"(?:{re.escape(character)}|{percent}{plus})"


def _is_temporary(error: str, status: int) -> bool:
    return error in _RETRYABLE_ERRORS or status in _RETRYABLE_STATUS or status >= _SERVER_ERROR


def _hint(codes: tuple[int, ...]) -> str:
    return next((HINTS[code] for code in codes if code in HINTS), "")


def _message(error: str, description: str, correlation_id: str) -> str:
    text = f"{error}: {description}" if description else error
    which = f" (correlation id {correlation_id})" if correlation_id else ""
    return f"No token: {text}{which}"


def _error_code(value: object, secrets: Iterable[str]) -> str:
    """Return an error code as RFC 6749 writes it, or nothing: codes appear in logs and metrics."""
    word = value if isinstance(value, str) and re.fullmatch(r"[\w.-]{1,64}", value, re.ASCII) else ""
    return word if redact(word, secrets) == word else ""


def _aadsts_codes(document: Mapping[str, Any], description: str) -> tuple[int, ...]:
    """Return the AADSTS numbers, from their own field or else from the text."""
    listed: Any = document.get("error_codes")
    if not isinstance(listed, list):
        return tuple(int(code) for code in _CODE.findall(description))
    return tuple(code for code in listed if isinstance(code, int))  # pyright: ignore[reportUnknownVariableType]


def _correlation_id(document: Mapping[str, Any]) -> str:
    value = document.get("correlation_id")
    return value if isinstance(value, str) and is_guid(value) else ""
