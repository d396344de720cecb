"""The guard as a FastAPI dependency, and what FastAPI's OpenAPI document says about it."""

# No annotations from the future: FastAPI could not resolve those that name what a test has made.
import asyncio
import logging
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Security, WebSocket
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader, SecurityScopes
from pydantic import BaseModel
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from entra_guard import (
    AccessError,
    Authority,
    ConfigurationError,
    Guard,
    Principal,
    Requirement,
    current_principal,
    requires,
)
from entra_guard.asgi import GuardMiddleware
from entra_guard.errors import EntraGuardError, InvalidTokenError
from entra_guard.fastapi import EntraBearer, access_error_handler, acting_as, document
from entra_guard.principal import NoPrincipalError
from entra_guard.testing import Entra

Bearer = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def bearer_dependency(guard: Guard) -> EntraBearer:
    return EntraBearer(guard)


def orders_app(bearer_dependency: EntraBearer) -> FastAPI:
    app = FastAPI()
    either = bearer_dependency.requires(
        Requirement(scopes=["Orders.Read"]), Requirement(roles=["Orders.Read.All"])
    )

    @app.get("/whoami")
    async def whoami(caller: Annotated[Principal, Security(bearer_dependency)]) -> str:
        assert caller is current_principal()
        return caller.app_id

    @app.get("/whoami-in-a-thread")
    def whoami_in_a_thread(caller: Annotated[Principal, Depends(bearer_dependency)]) -> str:
        assert caller is current_principal()
        return caller.app_id

    @app.get("/orders")
    async def orders(
        caller: Annotated[Principal, Security(bearer_dependency, scopes=["Orders.Read"])],
    ) -> str:
        return caller.display_name

    @app.get("/either")
    async def read_either(caller: Annotated[Principal, Depends(either)]) -> str:
        return caller.app_id

    @app.delete("/orders", dependencies=[Depends(bearer_dependency.requires(roles=["Orders.Delete"]))])
    async def delete_orders() -> str:
        return "deleted"

    @app.get("/decorated", dependencies=[Security(bearer_dependency)])
    @requires(roles=["Orders.Read.All"])
    async def decorated(limit: int = 10) -> int:
        return limit

    @app.get("/open")
    async def opened() -> str:
        return "open"

    return app


@pytest.fixture(scope="module")
def client(bearer_dependency: EntraBearer) -> TestClient:
    return TestClient(orders_app(bearer_dependency))


@pytest.mark.parametrize("path", ["/whoami", "/whoami-in-a-thread"])
def test_a_route_gets_its_caller(client: TestClient, entra: Entra, bearer: Bearer, path: str) -> None:
    assert client.get(path, headers=bearer()).json() == entra.caller.client_id
    assert client.get(path).status_code == 401
    assert client.get("/open").json() == "open"


def test_security_scopes_are_required_of_users(client: TestClient, bearer: Bearer) -> None:
    reader = bearer(scopes=["Orders.Read"], user="alice")
    assert client.get("/orders", headers=reader).json() == "Alice Adams"
    refused = client.get("/orders", headers=bearer(scopes=["Orders.Write"], user="alice"))
    assert refused.status_code == 403
    assert refused.headers["www-authenticate"].endswith('scope="Orders.Read"')
    assert client.get("/orders", headers=bearer(roles=["Orders.Read"])).json()["reason"] == "missing_scope"


def test_roles_and_alternatives_are_dependencies_too(client: TestClient, bearer: Bearer) -> None:
    assert client.delete("/orders", headers=bearer()).json()["reason"] == "missing_role"
    assert client.delete("/orders", headers=bearer(roles=["Orders.Delete"])).json() == "deleted"
    assert client.get("/either", headers=bearer()).status_code == 403
    for who in ({"scopes": ["Orders.Read"], "user": "alice"}, {"roles": ["Orders.Read.All"]}):
        assert client.get("/either", headers=bearer(**who)).status_code == 200


def test_requires_works_below_the_dependency(bearer_dependency: EntraBearer, bearer: Bearer) -> None:
    client = TestClient(orders_app(bearer_dependency))
    assert client.get("/decorated", headers=bearer()).status_code == 403
    assert client.get("/decorated?limit=5", headers=bearer(roles=["Orders.Read.All"])).json() == 5


def test_a_requirement_that_cannot_work_fails_when_it_is_declared(bearer_dependency: EntraBearer) -> None:
    with pytest.raises(ConfigurationError, match="accepts every caller"):
        bearer_dependency.requires()


def test_there_is_no_current_principal_after_the_request(client: TestClient, bearer: Bearer) -> None:
    client.get("/whoami", headers=bearer())
    with pytest.raises(NoPrincipalError):
        current_principal()


def test_background_tasks_know_the_caller(
    bearer_dependency: EntraBearer, entra: Entra, bearer: Bearer
) -> None:
    app, seen = FastAPI(), []

    async def later(caller: Principal) -> None:
        seen.append(caller.app_id)

    @app.post("/jobs")
    async def jobs(caller: Annotated[Principal, Security(bearer_dependency)], tasks: BackgroundTasks) -> None:
        tasks.add_task(later, caller)

    TestClient(app).post("/jobs", headers=bearer())
    assert seen == [entra.caller.client_id]


def test_a_test_can_override_the_dependency_with_a_principal(
    bearer_dependency: EntraBearer, entra: Entra
) -> None:
    app = orders_app(bearer_dependency)
    app.dependency_overrides[bearer_dependency] = lambda: entra.principal(scopes=["Orders.Read"], user="bob")
    client = TestClient(app)
    assert client.get("/orders").json() == "Bob Brown"
    assert client.get("/either").status_code == 200
    assert client.delete("/orders").json()["reason"] == "missing_role"


def test_acting_as_behaves_like_a_token(bearer_dependency: EntraBearer, entra: Entra) -> None:
    def client_of(**who: Any) -> TestClient:
        app = orders_app(bearer_dependency)
        app.dependency_overrides[bearer_dependency] = acting_as(entra.principal(**who))
        return TestClient(app)

    alice = client_of(scopes=["Orders.Read"], user="alice")
    assert alice.get("/orders").json() == "Alice Adams"
    assert alice.get("/whoami").json() == alice.get("/whoami-in-a-thread").json() == entra.caller.client_id
    assert (
        alice.delete("/orders").json()["reason"] == alice.get("/decorated").json()["reason"] == "missing_role"
    )
    reader = client_of(roles=["Orders.Read.All"])
    assert reader.get("/orders").json()["reason"] == "missing_scope"
    assert reader.get("/decorated").json() == 10
    with pytest.raises(NoPrincipalError):
        current_principal()


def test_without_auto_error_a_missing_token_is_none(guard: Guard, bearer: Bearer) -> None:
    maybe = EntraBearer(guard, auto_error=False)
    app = FastAPI()

    @app.get("/")
    async def greet(caller: Annotated[Principal | None, Security(maybe)]) -> str | None:
        return caller and caller.display_name

    client = TestClient(app)
    assert client.get("/", headers=bearer(user="alice")).json() == "Alice Adams"
    assert client.get("/").json() is None
    assert client.get("/", headers=bearer(preset="expired")).json()["reason"] == "expired"
    assert client.get("/", headers={"Authorization": "Basic dTpw"}).status_code == 400


def test_without_auto_error_requirements_still_hold(guard: Guard, entra: Entra, bearer: Bearer) -> None:
    maybe = EntraBearer(guard, auto_error=False)
    app = FastAPI()
    app.get("/role", dependencies=[Depends(maybe.requires(roles=["Greeter"]))])(lambda: "greeted")
    app.get("/scope", dependencies=[Security(maybe, scopes=["Greet"])])(lambda: "greeted")

    @app.get("/caller")
    async def caller(
        principal: Annotated[Principal | None, Depends(maybe.requires(roles=["Greeter"]))],
    ) -> str | None:
        return principal and principal.app_id

    client = TestClient(app)
    for path in ("/role", "/scope", "/caller"):
        assert client.get(path).json()["reason"] == "missing_token"
        assert client.get(path, headers=bearer(preset="expired")).json()["reason"] == "expired"
        assert client.get(path, headers=bearer()).status_code == 403
    assert client.get("/role", headers=bearer(roles=["Greeter"])).json() == "greeted"
    assert client.get("/scope", headers=bearer(scopes=["Greet"], user="alice")).json() == "greeted"
    assert client.get("/caller", headers=bearer(roles=["Greeter"])).json() == entra.caller.client_id


def test_without_auto_error_an_outage_is_still_an_outage(entra: Entra, bearer: Bearer) -> None:
    maybe = EntraBearer(entra.guard(), auto_error=False)
    app = FastAPI(dependencies=[Security(maybe)])
    app.get("/")(lambda: "anybody")
    with entra.failing("configuration", "500"):
        assert TestClient(app).get("/", headers=bearer()).status_code == 503
        assert TestClient(app).get("/").json() == "anybody"


def test_an_exception_handler_of_the_application_wins(guard: Guard, bearer: Bearer) -> None:
    app = orders_app(EntraBearer(guard))

    @app.exception_handler(AccessError)
    async def own(_request: Any, error: AccessError) -> PlainTextResponse:
        return PlainTextResponse(f"own: {error.reason}", 418)

    client = TestClient(app)
    assert client.get("/whoami").text == "own: missing_token"
    assert client.delete("/orders", headers=bearer()).text == "own: missing_role"


@pytest.mark.parametrize("kind", [EntraGuardError, InvalidTokenError])
def test_a_handler_for_a_base_or_derived_error_wins(guard: Guard, bearer: Bearer, kind: Any) -> None:
    app = orders_app(EntraBearer(guard))

    @app.exception_handler(kind)
    async def own(_request: Any, error: AccessError) -> PlainTextResponse:
        return PlainTextResponse(f"own: {error.reason}", 418)

    assert TestClient(app).get("/whoami", headers=bearer(preset="expired")).text == "own: expired"


def test_access_error_handler_can_be_registered(guard: Guard) -> None:
    app = FastAPI(
        exception_handlers={AccessError: access_error_handler}, dependencies=[Security(EntraBearer(guard))]
    )
    app.get("/")(lambda: "in")
    assert TestClient(app).get("/").headers["www-authenticate"] == "Bearer"


def test_outside_of_starlettes_handlers_a_refusal_is_an_http_exception(
    bearer_dependency: EntraBearer,
) -> None:
    bare = HTTPConnection({"type": "http", "method": "GET", "path": "/", "headers": []})
    with pytest.raises(HTTPException) as caught:
        asyncio.run(anext(bearer_dependency(bare, SecurityScopes())))  # type: ignore[arg-type]
    assert (caught.value.status_code, caught.value.headers["www-authenticate"]) == (401, "Bearer")


def test_a_refusal_is_logged_once(
    client: TestClient, bearer: Bearer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "entra_guard"):
        client.delete("/orders", headers=bearer())
    assert [r.getMessage()[:32] for r in caplog.records if r.name == "entra_guard"] == [
        "403 DELETE /orders: missing_role"
    ]


def test_websocket_routes(bearer_dependency: EntraBearer, entra: Entra, bearer: Bearer) -> None:
    app = FastAPI()

    @app.websocket("/ws")
    async def talk(
        websocket: WebSocket, caller: Annotated[Principal, Security(bearer_dependency, scopes=["Talk"])]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(f"{caller.app_id} {current_principal().app_id}")
        await websocket.close()

    client = TestClient(app)
    with client.websocket_connect("/ws", headers=bearer(scopes=["Talk"], user="alice")) as websocket:
        assert websocket.receive_text() == " ".join([entra.caller.client_id] * 2)
    for headers, status in (({}, 401), (bearer(), 403)):
        with pytest.raises(WebSocketDenialResponse) as caught:
            client.websocket_connect("/ws", headers=headers).__enter__()
        assert caught.value.status_code == status


def test_a_refusal_after_a_websocket_was_accepted_closes_it(
    bearer_dependency: EntraBearer, bearer: Bearer
) -> None:
    app = FastAPI(exception_handlers={AccessError: access_error_handler})

    @app.websocket("/ws")
    async def talk(websocket: WebSocket, _caller: Annotated[Principal, Security(bearer_dependency)]) -> None:
        await websocket.accept()
        requires(roles=["Admin"])(lambda: None)()

    with (
        TestClient(app).websocket_connect("/ws", headers=bearer()) as websocket,
        pytest.raises(WebSocketDisconnect) as caught,
    ):
        websocket.receive_text()
    assert (caught.value.code, caught.value.reason) == (1008, "missing_role")


def test_routers_and_sub_applications_have_policies_of_their_own(entra: Entra, bearer: Bearer) -> None:
    partners = entra.register_app("Partners' API", app_roles=["Partner"])
    ours, theirs = (
        EntraBearer(entra.guard()),
        EntraBearer(entra.guard(audience=partners.client_id), scheme_name="PartnerBearer"),
    )
    app, sub = FastAPI(), FastAPI(dependencies=[Security(theirs)])
    reports = APIRouter(prefix="/reports", dependencies=[Depends(ours.requires(roles=["Reports.Read"]))])
    reports.get("/")(lambda: "reports")
    sub.get("/")(lambda: current_principal().app_id)
    app.include_router(reports)
    app.mount("/partners", sub)

    client = TestClient(app)
    assert client.get("/reports/", headers=bearer()).status_code == 403
    assert client.get("/reports/", headers=bearer(roles=["Reports.Read"])).json() == "reports"
    assert client.get("/partners/", headers=bearer()).json()["reason"] == "wrong_audience"
    assert client.get("/partners/", headers=bearer(audience=partners, roles=["Partner"])).status_code == 200
    assert client.get("/reports/", headers=bearer(audience=partners)).json()["reason"] == "wrong_audience"


# --- OpenAPI -----------------------------------------------------------------------------------------


def operations(app: FastAPI) -> dict[str, Any]:
    return {
        f"{method} {path}": operation.get("security")
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
    }


def test_openapi_shows_the_scheme_and_what_each_route_requires(
    bearer_dependency: EntraBearer, entra: Entra
) -> None:
    app = orders_app(bearer_dependency)
    scheme = app.openapi()["components"]["securitySchemes"]["EntraBearer"]
    base = f"{entra.authority}/oauth2/v2.0"
    assert scheme["type"] == "oauth2"
    assert scheme["flows"]["authorizationCode"] == {
        "authorizationUrl": f"{base}/authorize",
        "tokenUrl": f"{base}/token",
        "scopes": {f"api://{entra.api.client_id}/.default": ".default"},
    }
    shown = operations(app)
    assert shown["get /orders"] == [{"EntraBearer": ["Orders.Read"]}]
    assert shown["get /whoami"] == shown["delete /orders"] == [{"EntraBearer": []}]
    assert shown["get /open"] is None


def test_documented_scopes_have_the_full_names_that_entra_knows(
    bearer_dependency: EntraBearer, entra: Entra
) -> None:
    app = orders_app(bearer_dependency)
    document(app, bearer_dependency.guard, client_id="docs-client", scopes=["Orders.Write"])
    uri = f"api://{entra.api.client_id}"
    assert operations(app)["get /orders"] == [{"EntraBearer": [f"{uri}/Orders.Read"]}]
    assert operations(app)["get /open"] is None
    assert list(app.openapi()["paths"]["/orders"]["get"]["responses"]) == ["401", "403", "200"]
    assert list(app.openapi()["paths"]["/open"]["get"]["responses"]) == ["200"]
    flow = app.openapi()["components"]["securitySchemes"]["EntraBearer"]["flows"]["authorizationCode"]
    assert flow["scopes"] == {f"{uri}/Orders.Write": "Orders.Write", f"{uri}/Orders.Read": "Orders.Read"}
    assert app.swagger_ui_init_oauth == {
        "clientId": "docs-client",
        "usePkceWithAuthorizationCodeGrant": True,
        "scopes": f"{uri}/Orders.Write",
    }


def test_document_describes_the_middleware(guard: Guard, entra: Entra) -> None:
    app = FastAPI()
    app.add_middleware(GuardMiddleware, guard=guard, public=["/healthz"])
    app.get("/orders")(lambda: "orders")
    app.get("/healthz", operation_id="health")(lambda: "healthy")
    document(app, guard, scopes=["Orders.Read"], public=["/healthz"])
    assert operations(app) == {"get /orders": [{"EntraBearer": []}], "get /healthz": None}
    flow = app.openapi()["components"]["securitySchemes"]["EntraBearer"]["flows"]["authorizationCode"]
    assert list(flow["scopes"]) == [f"api://{entra.api.client_id}/Orders.Read"]


def test_a_routes_own_scheme_is_required_together_with_the_guards(guard: Guard) -> None:
    app, key = FastAPI(), APIKeyHeader(name="x-key")
    app.get("/orders", dependencies=[Security(key)])(lambda: "orders")
    document(app, guard, public=[])
    assert operations(app)["get /orders"] == [{"EntraBearer": [], "APIKeyHeader": []}]


def test_the_document_follows_routes_that_are_added_later(guard: Guard) -> None:
    app = FastAPI()
    document(app, guard, public=[])
    assert operations(app) == {}
    app.get("/later")(lambda: "later")
    assert list(operations(app)) == ["get /later"]


def test_an_issuer_that_is_not_entra_is_documented_by_its_metadata() -> None:
    other = Guard(authority=Authority.openid("https://issuer.example/"), audience="orders")
    app = FastAPI(dependencies=[Security(EntraBearer(other))])
    app.get("/")(lambda: "in")
    scheme = app.openapi()["components"]["securitySchemes"]["EntraBearer"]
    assert scheme["openIdConnectUrl"] == "https://issuer.example/.well-known/openid-configuration"


def test_the_login_of_the_first_combined_guard_is_documented(entra: Entra) -> None:
    both = entra.guard() | entra.guard(audience="api://other")
    app = FastAPI(dependencies=[Security(EntraBearer(both))])
    app.get("/")(lambda: "in")
    scheme = app.openapi()["components"]["securitySchemes"]["EntraBearer"]
    assert list(scheme["flows"]["authorizationCode"]["scopes"]) == [f"api://{entra.api.client_id}/.default"]


# --- A principal as a response -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def me(guard: Guard) -> TestClient:
    app, bearer_dependency = FastAPI(), EntraBearer(guard)

    @app.get("/bare")
    def bare(caller: Annotated[Principal, Depends(bearer_dependency)]):  # type: ignore[no-untyped-def]
        return caller

    @app.get("/annotated")
    def annotated(caller: Annotated[Principal, Depends(bearer_dependency)]) -> Principal:
        return caller

    @app.get("/model", response_model=Principal)
    async def model(caller: Annotated[Principal, Depends(bearer_dependency)]) -> Any:
        return caller

    @app.get("/list")
    def in_a_list(caller: Annotated[Principal, Depends(bearer_dependency)]) -> list[Principal]:
        return [caller]

    @app.get("/field")
    def in_a_model(caller: Annotated[Principal, Depends(bearer_dependency)]) -> "Me":
        return Me(caller=caller)

    return TestClient(app)


class Me(BaseModel):
    caller: Principal


@pytest.mark.parametrize("path", ["/bare", "/annotated", "/model", "/list", "/field"])
def test_a_route_can_return_its_caller(me: TestClient, entra: Entra, bearer: Bearer, path: str) -> None:
    headers = bearer(user="alice", scopes=["Orders.Read"])
    shown = me.get(path, headers=headers).json()
    shown = shown[0] if path == "/list" else shown.get("caller", shown)
    principal = entra.guard().verify(headers["Authorization"].removeprefix("Bearer "))
    assert shown == {
        "tenant_id": entra.tenant_id,
        "object_id": principal.object_id,
        "subject": principal.subject,
        "app_id": entra.caller.client_id,
        "display_name": "Alice Adams",
        "roles": [],
        "scopes": ["Orders.Read"],
        "is_app": False,
        "is_guest": None,
        "token_version": "2.0",
        "token_id": principal.token_id,
        "expires_at": principal.expires_at,
    }


def test_the_document_describes_a_returned_caller(me: TestClient) -> None:
    document = me.get("/openapi.json").json()
    response = document["paths"]["/annotated"]["get"]["responses"]["200"]
    schema = response["content"]["application/json"]["schema"]
    assert schema["properties"]["roles"] == {"items": {"type": "string"}, "type": "array", "title": "Roles"}
    assert set(schema["required"]) == set(schema["properties"])


def test_a_caller_is_never_read_from_a_body(guard: Guard, entra: Entra, bearer: Bearer) -> None:
    app = FastAPI(dependencies=[Security(EntraBearer(guard))])

    @app.post("/me")
    def forged(caller: Principal) -> str:
        return caller.app_id

    body = dict(entra.principal(roles=["Orders.Admin"]))
    assert TestClient(app).post("/me", headers=bearer(), json=body).status_code == 422
