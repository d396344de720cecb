"""Convert a refusal to the HTTP error of the framework that a request runs in.

Frameworks respond to their own HTTP errors before a catch-all handler sees them, and users register
handlers for them. A converted refusal is both: an `AccessError`, and what the framework calls an HTTP
error. A framework is imported here only when the application has imported it already.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from entra_guard._web.request_id import request_id_of
from entra_guard.errors import EntraGuardError, refusal
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from entra_guard.errors import AccessError

    Request = MutableMapping[str, Any]

AnyError = TypeVar("AnyError", bound=EntraGuardError)

# The key in an ASGI scope, WSGI environ or Django's META under which the last refusal of a request is.
REFUSAL: Final = "entra_guard.refusal"


_ABOUT_BODY: Final = frozenset(
    {b"cache-control", b"etag", b"last-modified", b"retry-after", b"transfer-encoding", b"www-authenticate"}
    | {b"x-request-id"}
)


def is_about_body(name: bytes) -> bool:
    """Return whether a response header, in lower case, belongs to a body or is in every refusal."""
    return name.startswith(b"content-") or name in _ABOUT_BODY


class _Converted:
    """An error that is also a framework's own, such as its HTTP error."""

    original: type[EntraGuardError]
    __str__ = BaseException.__str__  # as the original prints itself, not as the framework's error
    __repr__ = BaseException.__repr__

    def __reduce__(self) -> Any:
        """Pickle as the original, for a process that may not have the framework."""
        plain = self.original.__new__(self.original)
        plain.args = cast("EntraGuardError", self).args
        vars(plain).update(vars(self))
        return plain.__reduce__()


class _WerkzeugBody:
    """werkzeug builds a response from these two methods."""

    def get_headers(self, _environ: object = None, _scope: object = None) -> list[tuple[str, str]]:
        """Return the refusal's headers."""
        return list(cast("AccessError", self).headers.items())

    def get_body(self, _environ: object = None, _scope: object = None) -> str:
        """Return the refusal's body."""
        return cast("AccessError", self).body.decode()


class _FalconBody:
    """falcon builds a response from this method."""

    def to_dict(self, obj_type: type = dict) -> Any:
        """Return the refusal's body as a dict."""
        return obj_type(json.loads(cast("AccessError", self).body))


class _DRFCodes:
    """REST framework's users read the codes of an error from these methods."""

    def get_codes(self) -> str:
        """Return the reason's name."""
        return cast("AccessError", self).reason

    def get_full_details(self) -> dict[str, str]:
        """Return the client's sentence and the reason's name."""
        error = cast("AccessError", self)
        return {"message": _sentence(error), "code": error.reason}


def werkzeug_error(error: AccessError, request: Request) -> AccessError:
    """Convert for Flask and Quart: a `werkzeug.exceptions.HTTPException`; `code` is the status."""
    from werkzeug.exceptions import HTTPException, default_exceptions  # noqa: PLC0415

    base = default_exceptions.get(error.status, HTTPException)
    attributes = {"response": None, "description": _sentence(error), "www_authenticate": None}
    return _remember(converted(error, base, attributes, (_WerkzeugBody,), code=error.status), request)


def werkzeug_errors() -> list[type[AccessError]]:
    """Return the classes of all errors that `werkzeug_error` makes, to register handlers for them."""
    refusals = {type(error): error for error in map(refusal, REASONS)}
    return [type(werkzeug_error(error, {})) for error in refusals.values()]


def litestar_error(error: AccessError, request: Request) -> AccessError:
    """Convert for Litestar: a `litestar.exceptions.HTTPException`."""
    from litestar import exceptions  # noqa: PLC0415

    by_status: dict[int, type[Exception]] = {
        400: exceptions.ClientException,
        401: exceptions.NotAuthorizedException,
        403: exceptions.PermissionDeniedException,
        503: exceptions.ServiceUnavailableException,
    }
    base = by_status.get(error.status, exceptions.HTTPException)
    attributes = {
        "status_code": error.status,
        "detail": _sentence(error),
        "extra": {"reason": error.reason, "request_id": request_id_of(request)},
    }
    return _remember(converted(error, base, attributes), request)


def falcon_error(error: AccessError, request: Request) -> AccessError:
    """Convert for Falcon: a `falcon.HTTPError`."""
    import falcon  # noqa: PLC0415

    by_status: dict[int, type[Exception]] = {
        400: falcon.HTTPBadRequest,
        401: falcon.HTTPUnauthorized,
        403: falcon.HTTPForbidden,
        503: falcon.HTTPServiceUnavailable,
    }
    base = by_status.get(error.status, falcon.HTTPError)
    attributes = {"title": json.loads(error.body)["title"], "description": _sentence(error), "link": None}
    return _remember(converted(error, base, attributes, (_FalconBody,)), request)


def drf_error(error: AccessError, request: Request) -> AccessError:
    """Convert for Django REST framework: an `APIException`."""
    from rest_framework.exceptions import APIException  # noqa: PLC0415

    attributes = {
        "status_code": error.status,
        "detail": json.loads(error.body),
        "auth_header": error.challenge,
        "wait": error.retry_after,
    }
    return _remember(converted(error, APIException, attributes, (_DRFCodes,)), request)


def converter_for(framework: str) -> Callable[[AccessError, Request], AccessError]:
    """Return the converter for a framework by its name in `app_layers`."""
    return _CONVERTERS.get(framework, unconverted)


def unconverted(error: AccessError, request: Request) -> AccessError:
    """Remember the refusal and return it as it is: the framework is not known, or has no HTTP error."""
    return _remember(error, request)


def starlette_error(error: AccessError, request: Request) -> AccessError:
    """Convert for Starlette and FastAPI: their `HTTPException`, and FastAPI's where it is loaded."""
    from starlette.exceptions import HTTPException  # noqa: PLC0415

    from entra_guard._web.starlette_handler import ensure_handler  # noqa: PLC0415

    base = getattr(sys.modules.get("fastapi.exceptions"), "HTTPException", HTTPException)
    both = converted(error, base, {"status_code": error.status, "detail": _sentence(error)})
    ensure_handler(request, type(both))
    return _remember(both, request)


def converted(
    error: AnyError,
    base: type[Exception],
    attributes: dict[str, Any],
    mixins: tuple[type, ...] = (),
    **namespace: Any,
) -> AnyError:
    """Return an error that is also a framework's own, and shows and pickles itself as before.

    Args:
        error: An error of this package.
        base: The framework's class.
        attributes: What the framework reads from its errors.
        mixins: Classes with the methods that it calls.
        namespace: More attributes of the class.
    """
    if isinstance(error, base):
        return error
    original: type[EntraGuardError] = getattr(error, "original", type(error))
    recipe = (original, base, *namespace.items())
    kind = _classes.get(recipe)
    if kind is None:
        members = {"__module__": original.__module__, "original": original} | namespace
        made = type(original.__name__, (_Converted, *mixins, original, base), members)
        kind = _classes[recipe] = cast("type[EntraGuardError]", made)
    both = kind.__new__(kind)
    both.args = error.args
    vars(both).update(vars(error))
    for name, value in attributes.items():
        setattr(both, name, value)
    return cast("AnyError", both)


_classes: Final[dict[object, type[EntraGuardError]]] = {}


def _sentence(error: AccessError) -> str:
    return REASONS[error.reason].client


def _remember(error: AccessError, request: Request) -> AccessError:
    request[REFUSAL] = error
    error.request_id = request_id_of(request)
    return error


_CONVERTERS: Final[Mapping[str, Callable[[AccessError, Request], AccessError]]] = {
    "starlette": starlette_error,
    "litestar": litestar_error,
    "quart": werkzeug_error,
    "flask": werkzeug_error,
    "falcon": falcon_error,
}
