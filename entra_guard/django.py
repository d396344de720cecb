"""Django middleware that guards a site, sync and async, without a user table.

    ENTRA_GUARD = {"guard": Guard.from_env(), "public": ["/healthz"]}
    MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", "entra_guard.django.GuardMiddleware", ...]

ENTRA_GUARD has the guard and the settings of all adapters: `public`, `roles`, `scopes`, `app_only`,
`users_only`, `guests`, `close_at_expiry`. Put the middleware after CORS handling, because it refuses CORS
preflights, which have no token, and before everything that needs the caller. Django's CSRF check is
unchanged: mark views that only programs POST to as `csrf_exempt`, as REST framework does for its views.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import get_resolver

from entra_guard._common.arguments import check_names
from entra_guard._web.authenticator import SETTING_NAMES, RequestAuthenticator
from entra_guard._web.cors_check import warn_if_cors_among
from entra_guard._web.decisions import AcceptedRequest, is_observed, log_refusal
from entra_guard._web.decorator_order import EndpointCheck
from entra_guard._web.http_errors import REFUSAL, drf_error, is_about_body, unconverted
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.route_template import django_route
from entra_guard._web.startup_check import check_endpoints
from entra_guard._web.wsgi_environ import authorization
from entra_guard.errors import AccessError, ConfigurationError
from entra_guard.principal import Principal, acting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator

    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    GetResponse = Callable[[HttpRequest], Any]

_HIDDEN: Final = 500


class EntraUser:
    """The caller as a user of Django and REST framework, without a row in a table or Django permissions.

    All other attributes, such as `roles`, are those of its `Principal`.
    """

    is_authenticated: Final = True
    is_anonymous: Final = False
    is_active: Final = True
    is_staff: Final = False
    is_superuser: Final = False

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    @property
    def pk(self) -> str:
        """The object id, for throttling and logs. As a database key, use tenant id and object id."""
        return self.principal.identity

    id = pk

    def get_username(self) -> str:
        """Return the object id, because names change and are not unique."""
        return self.principal.identity

    def has_perm(self, _perm: str, _obj: object = None) -> bool:
        """Return False: roles and scopes of Entra are not Django permissions."""
        return False

    def has_module_perms(self, _app_label: str) -> bool:
        """Return False, as `has_perm` does."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["principal"], name)

    def __str__(self) -> str:
        return self.principal.identity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntraUser) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[str, str]:
        return self.principal.tenant_id, self.principal.identity


class GuardMiddleware:
    """Passes requests with a valid token to the views, and refuses all others.

    Views get the `Principal` as `request.principal`, and as a user in `request.user`. `@requires` and
    `current_principal()` work, also while a response is streamed.

    Raises:
        ConfigurationError: `settings.ENTRA_GUARD` is missing or not valid. For requests: the `@requires` of
            a view checks nothing, because the URL pattern has the function without it.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._authenticator = authenticator()
        self._check_endpoint = EndpointCheck()
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]  # until 3.14
        if self._is_async:
            markcoroutinefunction(self)
        else:
            self._authenticator.on_threads()
        own = f"{type(self).__module__}.{type(self).__qualname__}"
        names = list(settings.MIDDLEWARE)
        warn_if_cors_among(names[names.index(own) :] if own in names else ())
        if settings.ROOT_URLCONF in sys.modules:  # `runserver` and tests load it first; others with a request
            check_endpoints(self._authenticator.guard, _all_views())

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._call_async(request)
        if self._authenticator.is_public(request.path_info):
            return cast("HttpResponseBase", self._get_response(request))
        try:
            principal = self._authenticator.authenticate(authorization(request.META))
        except AccessError as error:
            return respond(request, error)
        with _acting(request, principal):
            return self._finished(request, principal, self._get_response(request))

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        if self._authenticator.is_public(request.path_info):
            return cast("HttpResponseBase", await self._get_response(request))
        try:
            principal = await self._authenticator.authenticate_async(authorization(request.META))
        except AccessError as error:
            return respond(request, error)
        with _acting(request, principal):
            return self._finished(request, principal, await self._get_response(request))

    def process_view(self, _request: HttpRequest, view: Any, _args: object, _kwargs: object) -> None:
        """Raise if the URL pattern has a function without its `@requires`.

        Raises:
            ConfigurationError: The view checks nothing.
        """
        self._check_endpoint(view, _all_views)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Respond to a refusal that a view raised, as `@requires` does."""
        return respond(request, exception) if isinstance(exception, AccessError) else None

    def _finished(
        self, request: HttpRequest, principal: Principal, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Keep the caller current while a body is streamed, except for files, which servers send themselves.

        Respond with the refusal that a `process_exception` for all exceptions turned into a 500.
        """
        if response.status_code == _HIDDEN and REFUSAL in request.META:
            return _replaced(request, response)
        if is_observed():
            self._record(request, principal)
        if isinstance(response, StreamingHttpResponse) and not getattr(response, "file_to_stream", None):
            content: Any = response.streaming_content
            wrap = _chunks_async if response.is_async else _chunks
            # A body of a declared length is sent whole: without its end, the client gets a broken response.
            is_whole = response.has_header("Content-Length")
            is_over = _never if is_whole else partial(self._authenticator.is_over, principal)
            response.streaming_content = wrap(is_over, principal, content)
        return response

    def _record(self, request: HttpRequest, principal: Principal) -> None:
        with_user, method = self._authenticator.guard.trace_users, request.method or ""
        accepted = AcceptedRequest(principal, request.META, method, request.path, with_user=with_user)
        accepted.finish(django_route(request))


def _all_views() -> list[object]:
    waiting: list[Any] = [get_resolver()]
    views: list[object] = []
    while waiting:
        pattern = waiting.pop()
        views += [pattern.callback] if hasattr(pattern, "callback") else []
        waiting += getattr(pattern, "url_patterns", [])
    return views


def authenticator() -> RequestAuthenticator:
    """Return an authenticator with the settings in `settings.ENTRA_GUARD`.

    Raises:
        ConfigurationError: The settings are missing or not valid.
    """
    configured: object = getattr(settings, "ENTRA_GUARD", None)
    if not isinstance(configured, dict) or "guard" not in configured:
        raise ConfigurationError('settings.ENTRA_GUARD must be a dict such as {"guard": Guard(...)}')
    entries = cast("dict[str, Any]", configured)
    check_names("settings.ENTRA_GUARD", "entry", entries, ("guard", *SETTING_NAMES))
    return RequestAuthenticator(**entries)


def link_to_reason(error: AccessError) -> None:
    """Let the log line of a refusal link to the section of its reason, if the guard has a `reasons_url`."""
    entries: Any = getattr(settings, "ENTRA_GUARD", None) or {}
    if url := getattr(entries.get("guard"), "reasons_url", ""):
        error.reasons_url = url


def respond(request: HttpRequest, error: AccessError) -> HttpResponse:
    """Log a refusal and respond with it."""
    link_to_reason(error)
    log_refusal(error, request.method or "", request.path, request.META, django_route(request))
    if is_preflight_environ(request.META):
        log_refused_preflight("django")
    body = b"" if request.method == "HEAD" else error.body
    headers = error.headers | {"content-length": str(len(error.body))}
    return HttpResponse(body, status=error.status, headers=headers)


@contextmanager
def _acting(request: Any, principal: Principal) -> Generator[None]:
    user = EntraUser(principal)
    to_http_error = drf_error if "rest_framework.exceptions" in sys.modules else unconverted

    async def auser() -> EntraUser:
        return user

    request.principal = principal
    request.user, request.auser = user, auser
    # Django's AuthenticationMiddleware, if it runs later, returns the user that is cached here.
    request._cached_user = request._acached_user = user  # noqa: SLF001
    with acting(principal, to_http_error, request.META):
        yield


def _replaced(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    response.close()
    refused = respond(request, request.META[REFUSAL])
    for name, value in response.items():
        if not is_about_body(name.lower().encode()):
            refused[name] = value
    return refused


def _never() -> bool:
    return False


def _chunks(is_over: Callable[[], bool], principal: Principal, chunks: Iterator[bytes]) -> Iterator[bytes]:
    while not is_over():
        with acting(principal):
            chunk = next(chunks, None)
        if chunk is None or is_over():  # the token may have ended while the body waited
            return
        yield chunk


async def _chunks_async(
    is_over: Callable[[], bool], principal: Principal, chunks: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    while not is_over():
        with acting(principal):
            chunk = await anext(chunks, None)
        if chunk is None or is_over():
            return
        yield chunk
