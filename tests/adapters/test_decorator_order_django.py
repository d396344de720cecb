"""@requires on a Django view that is routed without it: the route is refused."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest
from decorator_orders import Bearer, needs_admin
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from rest_framework.views import APIView

from entra_guard import ConfigurationError, Guard
from entra_guard._web import decorator_order

if TYPE_CHECKING:
    from collections.abc import Iterator


def orders_view(_request: Any) -> HttpResponse:
    return HttpResponse("orders")


def open_view(_request: Any) -> HttpResponse:
    return HttpResponse("open")


@needs_admin
def admin_view(_request: Any) -> HttpResponse:
    return HttpResponse("admin")


class Base(View):
    """A base class of the application, with a decorator on the shared `dispatch`."""

    @method_decorator(never_cache)
    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        return super().dispatch(request, *args, **kwargs)

    def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("base")


@method_decorator(never_cache, name="dispatch")
class Orders(View):
    def get(self, _request: Any) -> HttpResponse:
        return HttpResponse("orders")


@method_decorator(never_cache, name="dispatch")
class Internals(View):
    """Not routed here, as in a process without these routes."""


@method_decorator(needs_admin, name="dispatch")
class AdminOrders(Orders):
    pass


class OtherRest(APIView):
    pass


needs_admin(Internals.as_view())
needs_admin(Base.as_view())
needs_admin(OtherRest.as_view())
late_class_view = Base.as_view()
needs_admin(late_class_view)

urlpatterns = [
    path("class/base", type("Child", (Base,), {}).as_view()),
    path("orders", orders_view),
    path("open", open_view),
    path("class/orders", Orders.as_view()),
    path("class/csrf", csrf_exempt(Orders.as_view())),
    path("class/admin", AdminOrders.as_view()),
    path("class/late", late_class_view),
    path("nested/", include([path("admin", admin_view), path("guarded", needs_admin(open_view))])),
]
needs_admin(orders_view)


@pytest.fixture
def django_settings(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Each view is reported once per process.
    monkeypatch.setattr(decorator_order, "_reported", WeakSet[Any]())
    middleware = ["entra_guard.django.GuardMiddleware"]
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=middleware, ROOT_URLCONF=__name__):
        yield


@pytest.mark.usefixtures("django_settings")
def test_django_views(bearer: Bearer, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(raise_request_exception=False, headers=bearer())
    with caplog.at_level(logging.WARNING, "entra_guard"):
        assert client.get("/orders").status_code == 500
        assert client.get("/open").status_code == client.get("/open").status_code == 200
        assert client.get("/nested/admin").status_code == 403
    assert len([r for r in caplog.records if "open_view" in r.getMessage()]) == 1
    with pytest.raises(ConfigurationError, match=r"orders_view .*directly above"):
        Client(headers=bearer()).get("/orders")


@pytest.mark.usefixtures("django_settings")
def test_django_class_views_with_a_shared_dispatch_are_independent(bearer: Bearer) -> None:
    client = Client(raise_request_exception=False, headers=bearer())
    for at, status in {"orders": 200, "csrf": 200, "base": 200, "admin": 403, "late": 500}.items():
        assert client.get(f"/class/{at}").status_code == status, at
    admin = Client(headers=bearer(roles=["Orders.Admin"]))
    assert admin.get("/class/admin").status_code == 200


@pytest.mark.usefixtures("django_settings")
def test_django_views_in_asgi(bearer: Bearer) -> None:
    async def statuses() -> list[int]:
        client = AsyncClient(raise_request_exception=False)
        return [
            (await client.get(at, headers=bearer())).status_code
            for at in ("/orders", "/open", "/nested/admin")
        ]

    assert asyncio.run(statuses()) == [500, 200, 403]
