"""The guard in Django, sync and async, and in REST framework: without a database, so without a user table."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import django_site
import pytest
from adapter_cases import django_handler
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import StreamingHttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from rest_framework.test import APIRequestFactory
from rest_framework.throttling import UserRateThrottle

from entra_guard import ConfigurationError, Tenants, current_principal
from entra_guard.django import EntraUser
from entra_guard.drf import EntraAuthentication
from entra_guard.principal import NoPrincipalError, Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from entra_guard import Guard
    from entra_guard.testing import Entra

    Bearer = Callable[..., dict[str, str]]

MIDDLEWARE = ["entra_guard.django.GuardMiddleware"]


@pytest.fixture
def site(guard: Guard) -> Iterator[None]:
    with override_settings(ENTRA_GUARD={"guard": guard, "public": ["/healthz"]}, MIDDLEWARE=MIDDLEWARE):
        yield


@pytest.fixture(params=["sync client", "async client"])
def get(request: pytest.FixtureRequest, site: None) -> Callable[..., Any]:
    """Send requests to the site through Django's WSGI or ASGI handler."""
    if request.param == "sync client":
        return lambda path, headers=None: Client(headers=headers).get(path)

    async def send_request(path: str, headers: Any = None) -> Any:
        response = await AsyncClient().get(path, headers=headers)
        if response.streaming:
            response.body = b"".join([chunk async for chunk in response])
        return response

    return lambda path, headers=None: asyncio.run(send_request(path, headers))


@pytest.mark.parametrize("path", ["/orders", "/async/orders"])
def test_views_know_the_caller(get: Any, entra: Entra, bearer: Bearer, path: str) -> None:
    assert get(path, bearer()).content.decode() == entra.caller.client_id
    assert get(path).status_code == 401
    assert get("/healthz").content == b"healthy"


@pytest.mark.parametrize("path", ["/admin", "/async/admin"])
def test_requires_on_views(get: Any, bearer: Bearer, path: str) -> None:
    refused = get(path, bearer())
    assert (refused.status_code, refused["content-type"]) == (403, "application/problem+json")
    assert get(path, bearer(roles=["Orders.Admin"])).content == b"the admin's"


@pytest.mark.parametrize("path", ["/dispatch", "/async/dispatch", "/methods", "/rest/dispatch"])
def test_requires_with_djangos_method_decorator(get: Any, bearer: Bearer, path: str) -> None:
    refused = get(path, bearer())
    assert (refused.status_code, refused["content-type"]) == (403, "application/problem+json")
    assert b"the admin's" in get(path, bearer(roles=["Orders.Admin"])).content
    assert get(path).status_code == 401


def test_the_caller_is_known_while_a_body_is_streamed(site: None, entra: Entra, bearer: Bearer) -> None:
    response = Client(headers=bearer()).get("/stream")
    assert b"".join(response.streaming_content).decode() == " ".join([entra.caller.client_id] * 2)
    with pytest.raises(NoPrincipalError):
        current_principal()


def test_the_caller_is_known_while_an_async_body_is_streamed(
    site: None, entra: Entra, bearer: Bearer
) -> None:
    async def read() -> bytes:
        response = await AsyncClient().get("/async/stream", headers=bearer())
        body = b"".join([chunk async for chunk in response])
        with pytest.raises(NoPrincipalError):
            current_principal()
        return body

    assert asyncio.run(read()).decode() == " ".join([entra.caller.client_id] * 2)


@pytest.mark.parametrize(("close", "body"), [(True, b"1"), (None, b"123")])
@pytest.mark.parametrize("handler", ["sync", "async"])
def test_a_streamed_response_ends_with_its_token_with_close_at_expiry(
    entra: Entra, handler: str, close: bool | None, body: bytes
) -> None:
    token = entra.token()
    now, end = [entra.now()], entra.guard().verify(token).expires_at
    said = {"guard": entra.guard(leeway=0, clock=lambda: now[0]), "close_at_expiry": close}
    headers = {"Authorization": f"Bearer {token}"}

    async def read() -> bytes:
        chunks = []
        async for chunk in await AsyncClient().get("/async/count", headers=headers):
            chunks.append(chunk)
            now[0] = end
        return b"".join(chunks)

    with override_settings(ENTRA_GUARD=said, MIDDLEWARE=MIDDLEWARE):
        if handler == "async":
            assert asyncio.run(read()) == body
        else:
            chunks = []
            for chunk in Client(headers=headers).get("/count"):
                chunks.append(chunk)
                now[0] = end
            assert b"".join(chunks) == body


@pytest.mark.parametrize(("length", "body"), [({}, b"1"), ({"Content-Length": "2"}, b"12")])
@pytest.mark.parametrize("handler", ["sync", "async"])
def test_a_revoked_caller_gets_no_later_chunk_except_of_a_body_with_a_length(
    entra: Entra, handler: str, length: dict[str, str], body: bytes
) -> None:
    guard = entra.guard()

    def chunks() -> Iterator[bytes]:
        yield b"1"
        guard.revoke(current_principal().object_id)  # while the body waits for its next chunk
        yield b"2"

    async def chunks_async() -> AsyncIterator[bytes]:
        for chunk in chunks():
            yield chunk

    def view(_request: Any) -> StreamingHttpResponse:
        return StreamingHttpResponse(chunks() if handler == "sync" else chunks_async(), headers=length)

    headers = {"Authorization": f"Bearer {entra.token()}"}

    async def read() -> bytes:
        return b"".join([chunk async for chunk in await AsyncClient().get("/", headers=headers)])

    urls = type("urls", (), {"urlpatterns": [path("", view)]})
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=MIDDLEWARE, ROOT_URLCONF=urls):
        sent = asyncio.run(read()) if handler == "async" else b"".join(Client(headers=headers).get("/"))
    assert sent == body


SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


@pytest.mark.parametrize("path", ["/members", "/async/members"])
@pytest.mark.parametrize(
    "others", [[], [SESSIONS, AUTHENTICATION]], ids=["without sessions", "with Django's users"]
)
@pytest.mark.parametrize("guard_first", [True, False])
def test_djangos_request_user_is_the_caller_in_any_middleware_order(
    guard: Guard, entra: Entra, bearer: Bearer, path: str, others: list[str], guard_first: bool
) -> None:
    names = [*MIDDLEWARE, *others] if guard_first else [*others, *MIDDLEWARE]
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=names):
        response = asyncio.run(AsyncClient().get(path, headers=bearer(user="alice")))
    assert response.content.decode() == entra.find_user("alice").id


def test_the_user_has_no_django_permissions(entra: Entra) -> None:
    user = EntraUser(entra.principal(scopes=["access_as_user"], user="alice"))
    assert (user.is_authenticated, user.is_active) == (True, True)
    assert (user.is_anonymous, user.is_staff, user.is_superuser) == (False, False, False)
    assert not user.has_perm("orders.delete")
    assert not user.has_module_perms("orders")
    assert user.pk == user.id == user.get_username() == str(user) == entra.find_user("alice").id
    assert user.scopes == ("access_as_user",)
    with pytest.raises(AttributeError):
        _ = user.email
    assert user == EntraUser(entra.principal(user="alice"))
    assert len({user, EntraUser(entra.principal(user="bob"))}) == 2


@pytest.mark.parametrize("said", [None, {}, {"public": []}, [], {"guard": None}])
@pytest.mark.parametrize("handler", [WSGIHandler, ASGIHandler])
def test_settings_that_cannot_work_fail_at_start_up(said: Any, handler: Any) -> None:
    with (
        override_settings(ENTRA_GUARD=said, MIDDLEWARE=MIDDLEWARE),
        pytest.raises(ConfigurationError, match="guard"),
    ):
        handler()


@pytest.mark.parametrize(("cors_first", "warned"), [(True, False), (False, True)])
def test_the_wrong_order_of_cors_and_guard_is_logged(
    guard: Guard, caplog: pytest.LogCaptureFixture, cors_first: bool, warned: bool
) -> None:
    cors = "django_site.PretendedCorsMiddleware"
    names = [cors, *MIDDLEWARE] if cors_first else [*MIDDLEWARE, cors]
    with (
        caplog.at_level(logging.WARNING, "entra_guard"),
        override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=names),
    ):
        WSGIHandler()
    assert ("The guard runs before CORS handling" in caplog.text) is warned


# --- REST framework ----------------------------------------------------------------------------------


@pytest.fixture(params=["with the middleware", "without it"])
def rest(request: pytest.FixtureRequest, guard: Guard) -> Iterator[Callable[..., Any]]:
    names = MIDDLEWARE if request.param == "with the middleware" else []
    with override_settings(ENTRA_GUARD={"guard": guard, "public": ["/rest/healthz"]}, MIDDLEWARE=names):
        yield lambda path, headers=None: Client(headers=headers).get(f"/rest{path}")


def test_api_views_know_the_caller(rest: Any, entra: Entra, bearer: Bearer) -> None:
    alice = entra.find_user("alice").id
    response = rest("/orders", bearer(user="alice"))
    assert response.json() == {"app": entra.caller.client_id, "user": alice, "pk": alice}
    assert rest("/healthz").json() == "healthy"


def test_permission_classes_require_roles(rest: Any, bearer: Bearer) -> None:
    assert rest("/admin").status_code == 401
    refused = rest("/admin", bearer())
    assert refused.status_code == 403
    assert refused["www-authenticate"].endswith('scope="Orders.Admin"')
    assert rest("/admin", bearer(roles=["Orders.Admin"])).json() == "the admin's"


def test_an_async_tenant_rule_needs_the_asgi_handler(entra: Entra) -> None:
    async def rule(_tenant: str) -> bool:
        return True

    guard = entra.guard(tenant=Tenants.where(rule, "a test"))
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=MIDDLEWARE):
        with pytest.raises(ConfigurationError, match="async"):
            WSGIHandler()
        assert ASGIHandler()
        request = APIRequestFactory().get("/", headers={"Authorization": f"Bearer {entra.token()}"})
        with pytest.raises(ConfigurationError, match="async"):
            EntraAuthentication().authenticate(request)


def test_permission_classes_can_be_combined(rest: Any, bearer: Bearer) -> None:
    """Each alone says False where it would refuse, so that another may let the caller pass."""

    def post(**who: Any) -> Any:
        return Client(headers=bearer(**who)).post("/rest/combined")

    assert rest("/combined", bearer()).json() == "read"
    assert post(roles=["Orders.Write"]).json() == post(roles=["Orders.Admin"]).json() == "written"
    assert post(roles=["Orders.Read"]).status_code == 403


def test_settings_of_the_guard_apply_to_the_authentication_class(guard: Guard, bearer: Bearer) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard, "roles": ["Orders.Read"]}, MIDDLEWARE=[]):
        assert Client(headers=bearer()).get("/rest/orders").status_code == 403
        assert Client(headers=bearer(roles=["Orders.Read"])).get("/rest/orders").status_code == 200


def test_a_custom_exception_handler_gets_status_challenge_and_problem(
    guard: Guard, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rest_framework.views import exception_handler

    monkeypatch.setattr(django_site.Whoami, "get_exception_handler", lambda _view: exception_handler)
    with override_settings(ENTRA_GUARD={"guard": guard}, MIDDLEWARE=[]):
        refused = Client(headers=bearer(preset="expired")).get("/rest/orders")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused["www-authenticate"]
        assert refused.json()["reason"] == "expired"
        nobody = Client().get("/rest/orders")
        assert (nobody.status_code, nobody["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("foreign", ["a text", {"roles": ["Orders.Admin"]}, object()])
def test_only_a_principal_is_read_from_the_request(guard: Guard, bearer: Bearer, foreign: Any) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard}):
        request = APIRequestFactory().get("/")
        request.principal = foreign
        assert EntraAuthentication().authenticate(request) is None
        request = APIRequestFactory().get("/", headers=bearer())
        request.principal = foreign
        found = EntraAuthentication().authenticate(request)
    assert found
    assert isinstance(found[1], Principal)


def test_throttles_count_each_caller(guard: Guard, bearer: Bearer) -> None:
    view = django_site.Whoami()
    keys = set()
    with override_settings(ENTRA_GUARD={"guard": guard}):
        for user in ("alice", "bob"):
            request = view.initialize_request(APIRequestFactory().get("/", headers=bearer(user=user)))
            throttle = UserRateThrottle.__new__(UserRateThrottle)
            keys.add(throttle.get_cache_key(request, view))
    assert len(keys) == 2


def test_another_authentication_class_may_take_a_request_without_a_token(guard: Guard) -> None:
    with override_settings(ENTRA_GUARD={"guard": guard}):
        assert EntraAuthentication().authenticate(APIRequestFactory().get("/")) is None


def test_other_errors_are_handled_by_rest_framework(rest: Any, bearer: Bearer) -> None:
    response = Client(headers=bearer()).post("/rest/orders")
    assert response.status_code == 405


def test_the_exception_handler_uses_the_current_settings(guard: Guard) -> None:
    assert django_handler(guard, WSGIHandler)
