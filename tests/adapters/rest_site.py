"""The URLs of a Django site with REST framework's routers, actions and function views."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import include, path, re_path
from rest_framework.decorators import action, api_view, permission_classes
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticatedOrReadOnly
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ViewSet

from entra_guard.drf import needs


class Orders(ViewSet):
    permission_classes = (IsAuthenticatedOrReadOnly,)

    def list(self, _request: Any) -> Response:
        return Response()

    def create(self, _request: Any) -> Response:
        return Response()

    @action(detail=True, methods=["post"], permission_classes=[needs(roles=["Orders.Read"])])
    def pay(self, _request: Any, pk: str) -> Response:
        return Response(pk)


class Custom(BasePermission):
    """Decides by itself."""


@api_view(["GET"])
@permission_classes([AllowAny])
def open_view(_request: Any) -> Response:
    return Response()


@api_view(["GET"])
@permission_classes([Custom])
def custom(_request: Any, number: int) -> Response:
    return Response(number)


def item(_request: Any, number: str) -> HttpResponse:
    return HttpResponse(number)


router = SimpleRouter()
router.register("orders", Orders, basename="orders")
urlpatterns = [
    path("api/", include(router.urls)),
    path("open", open_view),
    path("custom/<int:number>/", custom),
    re_path(r"^items/(?P<number>\d+)/$", item),
]
