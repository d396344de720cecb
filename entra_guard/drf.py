"""Django REST framework: an authentication class, permission classes and an exception handler.

    REST_FRAMEWORK = {
        "DEFAULT_AUTHENTICATION_CLASSES": ["entra_guard.drf.EntraAuthentication"],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "EXCEPTION_HANDLER": "entra_guard.drf.exception_handler",
    }

The guard is the one in `settings.ENTRA_GUARD`, with or without `entra_guard.django.GuardMiddleware`.
`current_principal()` and `@requires` need the middleware; without it, use `request.auth` and `needs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission

from entra_guard._common.arguments import known_arguments
from entra_guard._web.decisions import AcceptedRequest, is_observed, log_refusal
from entra_guard._web.http_errors import drf_error
from entra_guard._web.route_template import django_route
from entra_guard._web.wsgi_environ import authorization
from entra_guard.django import EntraUser, authenticator, link_to_reason, respond
from entra_guard.errors import AccessError, refusal
from entra_guard.principal import Principal
from entra_guard.requirement import Requirement, alternatives_of, check_any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.http import HttpResponse
    from rest_framework.request import Request
    from rest_framework.response import Response
    from rest_framework.views import APIView

    from entra_guard._common.agent import Agents


class EntraAuthentication(BaseAuthentication):
    """Authenticates by bearer token: `request.user` is an `EntraUser`, `request.auth` its `Principal`.

    A request without a token stays anonymous: the permission classes must refuse it.
    """

    def authenticate(self, request: Request) -> tuple[EntraUser, Principal] | None:
        """Return the user and the principal of a request, or None if it has no token.

        Raises:
            AccessError: The token is not valid. It is also a REST framework `APIException`.
        """
        principal = getattr(request, "principal", None)
        if not isinstance(principal, Principal):  # and so not set by our middleware
            principal = _authenticated(request)
        return None if principal is None else (EntraUser(principal), principal)

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Return the challenge for a request without a token."""
        return refusal("missing_token").challenge


@known_arguments()
def needs(
    *alternatives: Requirement,
    roles: Iterable[str] | str = (),
    scopes: Iterable[str] | str = (),
    app_only: bool = False,
    users_only: bool = False,
    guests: bool = True,
    agents: Agents | None = None,
    auth_context: str = "",
    max_age: float | None = None,
) -> type[BasePermission]:
    """Return a permission class with the same arguments as `entra_guard.requires`.

    It can be combined with others: `needs(...) | ReadOnly`. A refusal of a combination is REST framework's
    own 403, without the reason of one part.

    Raises:
        ConfigurationError: Nothing is required, or no caller could meet it.

    Example:
        >>> class Orders(APIView):
        ...     permission_classes = [needs(roles=["Orders.Read"])]
    """
    needed = alternatives_of(
        alternatives,
        roles=roles,
        scopes=scopes,
        app_only=app_only,
        users_only=users_only,
        guests=guests,
        agents=agents,
        auth_context=auth_context,
        max_age=max_age,
    )

    class Needs(BasePermission):
        required = needed

        def has_permission(self, request: Request, view: APIView) -> bool:
            if not isinstance(request.auth, Principal):
                return False
            try:
                check_any(needed, request.auth)
            except AccessError as error:
                refused = error
            else:
                return True
            if Needs in map(type, view.get_permissions()):  # and not a part of `Needs | Other`
                raise _refused(request, refused)
            return False

    return Needs


def exception_handler(exception: Exception, context: Any) -> HttpResponse | Response | None:
    """Respond to refusals like all adapters, and leave other exceptions to REST framework."""
    from rest_framework import views  # noqa: PLC0415  # which imports this module, by its settings

    error = _access_error(exception, context)
    if error is None:
        return views.exception_handler(exception, context)
    views.set_rollback()
    return respond(context["request"], error)


def _access_error(exception: Exception, context: Any) -> AccessError | None:
    if isinstance(exception, NotAuthenticated):
        ours = any(isinstance(way, EntraAuthentication) for way in context["request"].authenticators)
        return refusal("missing_token") if ours else None
    return exception if isinstance(exception, AccessError) else None


def _authenticated(request: Request) -> Principal | None:
    values = authorization(request.META)
    if not values:
        return None
    try:
        ours = authenticator().on_threads()
        principal = ours.authenticate(values)
        if is_observed():  # a refusal by a permission class is another decision
            _observe(principal, request, with_user=ours.guard.trace_users)
        return principal  # noqa: TRY300
    except AccessError as error:
        refused = error
    finally:
        del values  # this frame stays in the traceback
    raise _refused(request, refused)


def _observe(principal: Principal, request: Request, *, with_user: bool) -> None:
    method = request.method or ""
    accepted = AcceptedRequest(principal, request.META, method, request.path, with_user=with_user)
    accepted.finish(django_route(request))


def _refused(request: Request, error: AccessError) -> AccessError:
    """Log a refusal and return it as REST framework's APIException."""
    link_to_reason(error)
    log_refusal(error, request.method or "", request.path, request.META, django_route(request))
    return drf_error(error, request.META)
