"""The URLs of the Django site under test: plain views, sync and async, and REST framework's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.permissions import BasePermission
from rest_framework.response import Response
from rest_framework.views import APIView

from entra_guard import current_principal, requires
from entra_guard.drf import needs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


def whoami(request: Any) -> HttpResponse:
    assert request.user.principal is request.principal is current_principal()
    return HttpResponse(request.principal.app_id)


async def awhoami(request: Any) -> HttpResponse:
    assert request.principal is current_principal()
    return HttpResponse(request.principal.app_id)


@requires(roles=["Orders.Admin"])
def admin(_request: Any) -> HttpResponse:
    return HttpResponse("the admin's")


@requires(roles=["Orders.Admin"])
async def aadmin(_request: Any) -> HttpResponse:
    return HttpResponse("the admin's")


def healthy(_request: Any) -> HttpResponse:
    return HttpResponse("healthy")


def members(request: Any) -> HttpResponse:
    return HttpResponse(str(request.user))


async def amembers(request: Any) -> HttpResponse:
    return HttpResponse(str(await request.auser()))


def careless(_request: Any) -> HttpResponse:
    """Looks at no method and at no caller."""
    return HttpResponse("what only callers may know")


def stream(_request: Any) -> StreamingHttpResponse:
    def chunks() -> Iterator[str]:
        yield current_principal().app_id
        yield f" {current_principal().app_id}"

    return StreamingHttpResponse(chunks())


async def astream(_request: Any) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[str]:
        yield current_principal().app_id
        yield f" {current_principal().app_id}"

    return StreamingHttpResponse(chunks())


def count(_request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter("123"))


async def acount(_request: Any) -> StreamingHttpResponse:
    async def chunks() -> AsyncIterator[str]:
        for chunk in "123":
            yield chunk

    return StreamingHttpResponse(chunks())


class Whoami(APIView):
    def get(self, request: Any) -> Response:
        return Response({"app": request.auth.app_id, "user": str(request.user), "pk": request.user.pk})


class Admin(APIView):
    permission_classes = (needs(roles=["Orders.Admin"]),)

    def get(self, _request: Any) -> Response:
        return Response("the admin's")


needs_admin = requires(roles=["Orders.Admin"])


@method_decorator(needs_admin, name="dispatch")
class DecoratedView(View):
    def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("the admin's")


@method_decorator([needs_admin], name="dispatch")
class DecoratedAsyncView(View):
    async def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("the admin's")


class DecoratedMethods(View):
    @method_decorator(needs_admin)
    def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("the admin's")


@method_decorator(needs_admin, name="dispatch")
class DecoratedRestView(APIView):
    def get(self, _request: Any) -> Response:
        return Response("the admin's")


class Decorated(APIView):
    permission_classes = ()

    @requires(roles=["Orders.Admin"])
    def get(self, _request: Any) -> Response:
        return Response("the admin's")


class ReadOnly(BasePermission):
    def has_permission(self, request: Any, _view: Any) -> bool:
        return request.method == "GET"


class Combined(APIView):
    permission_classes = (needs(roles=["Orders.Admin"]) | needs(roles=["Orders.Write"]) | ReadOnly,)

    def get(self, _request: Any) -> Response:
        return Response("read")

    def post(self, _request: Any) -> Response:
        return Response("written")


class Healthy(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, _request: Any) -> Response:
        return Response("healthy")


urlpatterns = [
    path("orders", whoami),
    path("admin", admin),
    path("healthz", healthy),
    path("careless", careless),
    path("dispatch", DecoratedView.as_view()),
    path("async/dispatch", DecoratedAsyncView.as_view()),
    path("methods", DecoratedMethods.as_view()),
    path("rest/dispatch", DecoratedRestView.as_view()),
    path("members", login_required(members)),
    path("async/members", amembers),
    path("stream", stream),
    path("count", count),
    path("async/count", acount),
    path("async/healthz", healthy),
    path("async/orders", awhoami),
    path("async/admin", aadmin),
    path("async/stream", astream),
    path("rest/orders", Whoami.as_view()),
    path("rest/admin", Admin.as_view()),
    path("rest/decorated", Decorated.as_view()),
    path("rest/combined", Combined.as_view()),
    path("rest/healthz", Healthy.as_view()),
]


class PretendedCorsMiddleware:
    """Answers preflights as django-cors-headers does."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return HttpResponse(headers={"Access-Control-Allow-Origin": request.headers["origin"]})
        return self._get_response(request)


class BlindCorsMiddleware:
    """Answers no preflight, as django-cors-headers for paths outside of CORS_URLS_REGEX."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self._get_response(request)
