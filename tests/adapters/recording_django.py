"""Guarded Django sites that record each of their functions that runs, and respond to OPTIONS themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from adapter_cases import AdapterCase
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from django.views import View
from raw_requests import request_asgi, request_wsgi
from rest_framework.decorators import api_view
from rest_framework.response import Response as RestResponse
from rest_framework.views import APIView

if TYPE_CHECKING:
    from collections.abc import Callable

    from raw_requests import RawResponse

    Record = Callable[[str], None]

OVERRIDE = "X-HTTP-Method-Override"

_recorded: list[Record] = []


def _record(name: str) -> None:
    for record in _recorded:
        record(name)


def function_view(_request: Any) -> HttpResponse:
    _record("function")
    return HttpResponse("done")


async def async_view(_request: Any) -> HttpResponse:
    _record("function")
    return HttpResponse("done")


class ClassView(View):
    def setup(self, request: Any, *args: Any, **kwargs: Any) -> None:
        _record("setup")
        super().setup(request, *args, **kwargs)

    def delete(self, _request: Any) -> HttpResponse:
        _record("class")
        return HttpResponse("done")

    options = delete


class RestView(APIView):
    def options(self, _request: Any) -> RestResponse:
        _record("class")
        return RestResponse("done")

    delete = options


@api_view(["GET", "OPTIONS", "DELETE"])
def rest_function(_request: Any) -> RestResponse:
    _record("function")
    return RestResponse("done")


urlpatterns = [
    path("function", function_view),
    path("class", ClassView.as_view()),
    path("mounted/deep", async_view),
    path("rest/function", rest_function),
    path("rest/class", RestView.as_view()),
]


class RecordingDjango:
    """Middleware inside of the guard, with a hook before views, and one that lets a header name the method."""

    def __init__(self, get_response: Any) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        _record("inner middleware")
        request.method = request.headers.get(OVERRIDE, request.method)
        return self._get_response(request)

    def process_view(self, *_view: Any) -> None:
        _record("process_view")


GUARD = "entra_guard.django.GuardMiddleware"
INNER = "recording_django.RecordingDjango"


def _django(
    guard: Any, record: Record, handler: Any, send_request: Any, middleware: list[str], prefix: str = ""
) -> AdapterCase:
    settings = {"ENTRA_GUARD": {"guard": guard}, "ROOT_URLCONF": "recording_django"}
    with override_settings(**settings, MIDDLEWARE=middleware):
        app = handler()

    def send_recorded_request(app: Any, path: str, authorization: list[bytes], **more: Any) -> RawResponse:
        _recorded[:] = [record]
        with override_settings(**settings):
            response: RawResponse = send_request(app, path, authorization, **more)
        return response

    return AdapterCase(app, send_recorded_request, prefix)


def django_wsgi(guard: Any, record: Record) -> AdapterCase:
    return _django(guard, record, WSGIHandler, request_wsgi, [GUARD, INNER])


def django_asgi(guard: Any, record: Record) -> AdapterCase:
    return _django(guard, record, ASGIHandler, request_asgi, [GUARD, INNER])


def django_with_cors_inside(guard: Any, record: Record) -> AdapterCase:
    layers = [GUARD, INNER, "django_site.PretendedCorsMiddleware"]
    return _django(guard, record, WSGIHandler, request_wsgi, layers)


def rest_framework(guard: Any, record: Record) -> AdapterCase:
    return _django(guard, record, WSGIHandler, request_wsgi, [GUARD, INNER], "/rest")


def rest_framework_alone(guard: Any, record: Record) -> AdapterCase:
    return _django(guard, record, WSGIHandler, request_wsgi, [], "/rest")
