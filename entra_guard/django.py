"""The guard as a Django middleware, sync and async. Translates, decides nothing, writes no user table.

    ENTRA_GUARD = {"guard": Guard.from_env(), "public": ["/healthz"]}
    MIDDLEWARE = ["corsheaders.middleware.CorsMiddleware", "entra_guard.django.GuardMiddleware", ...]

What ENTRA_GUARD understands beside the guard are the words of every adapter: `public`, `roles`,
`scopes`, `app_only`, `users_only`, `guests`, `close_at_expiry`. The guard goes after CORS handling, as
it refuses CORS preflights, which carry no token, and before everything that needs the caller. Django's
own check against cross-site forgery stays what it is: views that only programs POST to are marked
`csrf_exempt`, as REST framework does for its own.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import get_resolver

from entra_guard._common.arguments import check_names
from entra_guard._web.authenticator import SETTING_NAMES, RequestAuthenticator
from entra_guard._web.cors_check import notice_names
from entra_guard._web.decorator_order import EndpointCheck
from entra_guard._web.http_errors import REFUSAL, drf_error, is_about_body, unconverted
from entra_guard._web.preflight import is_preflight_environ, log_refused_preflight
from entra_guard._web.refusal_log import log_refusal
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
    """The caller as Django and REST framework ask a user: in no table, and with no permission of Django's.

    Whatever else is asked of it, such as `roles`, its `Principal` answers.
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
        """The object id, for throttling and logs. Key rows by tenant and object id together."""
        return self.principal.identity

    id = pk

    def get_username(self) -> str:
        """The object id: names change, and are not unique."""
        return self.principal.identity

    def has_perm(self, _perm: str, _obj: object = None) -> bool:
        """No: Entra's roles and scopes are no permissions of Django's."""
        return False

    def has_module_perms(self, _app_label: str) -> bool:
        """No, as above."""
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
    """Lets requests with a good token reach the views, and answers all others.

    Views find the `Principal` as `request.principal`, and as a user in `request.user`; `@requires` and
    `current_principal()` work, also while a streamed response is made.

    Raises:
        ConfigurationError: `settings.ENTRA_GUARD` is missing, or cannot work.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._gate = gate()
        self._check_endpoint = EndpointCheck()
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]  # until 3.14
        if self._is_async:
            markcoroutinefunction(self)
        else:
            self._gate.on_threads()
        own = f"{type(self).__module__}.{type(self).__qualname__}"
        names = list(settings.MIDDLEWARE)
        notice_names(names[names.index(own) :] if own in names else ())

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        if self._gate.is_public(request.path_info):
            return cast("HttpResponseBase", self._get_response(request))
        try:
            principal = self._gate.authenticate(authorization(request.META))
        except AccessError as error:
            return answer(request, error)
        with _acting(request, principal):
            return self._finished(request, principal, self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        if self._gate.is_public(request.path_info):
            return cast("HttpResponseBase", await self._get_response(request))
        try:
            principal = await self._gate.authenticate_async(authorization(request.META))
        except AccessError as error:
            return answer(request, error)
        with _acting(request, principal):
            return self._finished(request, principal, await self._get_response(request))

    def process_view(self, _request: HttpRequest, view: Any, _args: object, _kwargs: object) -> None:
        """Raise if the view's `@requires` checks nothing."""
        self._check_endpoint(view, _all_views)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Respond to a refusal that a view raised, as `@requires` does."""
        return answer(request, exception) if isinstance(exception, AccessError) else None

    def _finished(
        self, request: HttpRequest, principal: Principal, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Keep the caller known while a body is made. A file is left alone: servers send it their own way.

        A 500 that a catch-all `process_exception` made of a refusal becomes the refusal again.
        """
        if response.status_code == _HIDDEN and REFUSAL in request.META:
            return _replaced(request, response)
        if isinstance(response, StreamingHttpResponse) and not getattr(response, "file_to_stream", None):
            content: Any = response.streaming_content
            wrap = _achunks if response.is_async else _chunks
            response.streaming_content = wrap(self._gate, principal, content)
        return response


def _all_views() -> list[object]:
    waiting: list[Any] = [get_resolver()]
    views: list[object] = []
    while waiting:
        pattern = waiting.pop()
        views += [pattern.callback] if hasattr(pattern, "callback") else []
        waiting += getattr(pattern, "url_patterns", [])
    return views


def gate() -> RequestAuthenticator:
    """The application's entrance, as `settings.ENTRA_GUARD` says.

    Raises:
        ConfigurationError: It is missing, or cannot work.
    """
    said: object = getattr(settings, "ENTRA_GUARD", None)
    if not isinstance(said, dict) or "guard" not in said:
        raise ConfigurationError('settings.ENTRA_GUARD must be a dict such as {"guard": Guard(...)}')
    entries = cast("dict[str, Any]", said)
    check_names("settings.ENTRA_GUARD", "entry", entries, ("guard", *SETTING_NAMES))
    return RequestAuthenticator(**entries)


def answer(request: HttpRequest, error: AccessError) -> HttpResponse:
    """Answer a request that must not pass, and tell the operator why."""
    log_refusal(error, request.method or "", request.path)
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
    # Where Django's AuthenticationMiddleware keeps whom it has found: further in, it finds ours.
    request._cached_user = request._acached_user = user  # noqa: SLF001
    with acting(principal, to_http_error, request.META):
        yield


def _replaced(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    response.close()
    refused = answer(request, request.META[REFUSAL])
    for name, value in response.items():
        if not is_about_body(name.lower().encode()):
            refused[name] = value
    return refused


def _chunks(gate: RequestAuthenticator, principal: Principal, chunks: Iterator[bytes]) -> Iterator[bytes]:
    while not gate.is_over(principal):
        with acting(principal):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


async def _achunks(
    gate: RequestAuthenticator, principal: Principal, chunks: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    while not gate.is_over(principal):
        with acting(principal):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk
