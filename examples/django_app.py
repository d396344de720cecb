"""A Django site in one file: a view for every valid caller, one for a role, one that is public.

Set ENTRA_GUARD_TENANT and ENTRA_GUARD_AUDIENCE, then: python django_app.py runserver
"""

import django
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from entra_guard import Guard, requires

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["entra_guard.django.GuardMiddleware"],
    ENTRA_GUARD={"guard": Guard.from_env(), "public": ["/healthz"]},
)
django.setup()


def orders(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"for": request.principal.display_name})


@requires(roles=["Audit.Read"])
async def audit(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"by": request.principal.app_id})


urlpatterns = [
    path("orders", orders),
    path("audit", audit),
    path("healthz", lambda _request: HttpResponse("healthy")),
]

if __name__ == "__main__":
    execute_from_command_line()
