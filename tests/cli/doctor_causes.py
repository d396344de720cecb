"""A real cause for each check of `entra-guard doctor`: what makes it fail, and what it says then."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
from closed_ports import closed_port
from doctor_certificates import old_style
from doctor_deployment import GRAPH, Deployment, Report, module
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from entra_guard import Guard, requires
from entra_guard.asgi import GuardMiddleware
from entra_guard.cli.doctor._facts import variables_of_settings
from entra_guard.credentials import (
    AccessToken,
    ChainedCredential,
    ClientSecret,
    ClientSecretCredential,
    EnvironmentCredential,
)
from entra_guard.emulator._http.server import LoopbackServer
from entra_guard.fastapi import EntraBearer
from entra_guard.graph import GroupResolver
from entra_guard.mcp import protect
from entra_guard.testing import Entra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY = 24 * 3600.0
# What our own commands cannot fix, because something else than the registration must change; and the
# application that is gone when its report has been made.
WITHOUT_COMMAND = {
    "url_of_the_mcp_server_is_not_registered",
    "signed_in_user_may_not_read_applications",
    "unknown_registration",
    "no_service_principal",
    "audience_is_not_registered",
    "audience_is_an_uri_of_another_api",
    "federated_credential_with_another_audience",
}

CAUSES: dict[tuple[str, str], list[Any]] = {}


def cause(section: str, check: str, state: str = "failure", *, says: str = "") -> Callable[[Any], Any]:
    """Register a cause for which a check must fail, and what it says."""

    def register(function: Any) -> Any:
        CAUSES.setdefault((section, check), []).append((state, says, function))
        return function

    return register


@cause("settings", "settings", says="ENTRA_GUARD_TENNANT")
def misspelt_variable(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_TENNANT="x")


@cause("settings", "settings", says="SSL_CERT_FILE")
def missing_file_with_trusted_certificates(deployment: Deployment, folder: Path) -> Report:
    return deployment.check(SSL_CERT_FILE=str(folder / "ca.pem"))


@cause("settings", "settings", says="HTTPS_PROXY")
def proxy_of_an_unknown_kind(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(HTTPS_PROXY="ftp://user:swordfish@proxy.example")


@cause("settings", "tenant", says="set ENTRA_GUARD_TENANT")
def no_tenant(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_TENANT=None, AZURE_TENANT_ID=None)


@cause("settings", "audience")
def tenant_as_audience(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_AUDIENCE=deployment.entra.tenant_id)


@cause("settings", "authority")
def authority_of_another_product(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_AUTHORITY="https://contoso.okta.com")


@cause("settings", "allowed clients")
def empty_allow_list(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_ALLOWED_CLIENTS="")


@cause("settings", "token versions")
def unknown_token_version(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_TOKEN_VERSIONS="3.0")


@cause("settings", "leeway")
def leeway_in_words(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_LEEWAY="1 minute")


@cause("settings", "leeway", "warning")
def long_leeway(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check("--offline", ENTRA_GUARD_LEEWAY="600")


@cause("settings", "guests")
def guests_maybe(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_GUESTS="maybe")


@cause("settings", "audience form")
def only_an_app_id_uri(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(
        "--offline", ENTRA_GUARD_AUDIENCE="api://orders.example", ENTRA_GUARD_TOKEN_VERSIONS="2.0"
    )


@cause("settings", "audience form", "warning")
def only_an_app_id_uri_with_both_versions(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check("--offline", ENTRA_GUARD_AUDIENCE="api://orders.example")


@cause("settings", "MCP resource", says="the slash at its end.*AADSTS9010010")
def resource_with_a_slash(deployment: Deployment, _folder: Path) -> Report:
    audience = f"{deployment.api.client_id} https://tasks.example/mcp"
    return deployment.check(
        "--offline", "--mcp-url", "https://tasks.example/mcp/", ENTRA_GUARD_AUDIENCE=audience
    )


@cause("settings", "MCP resource", says="letter case.*AADSTS9010010")
def registered_resource_differs(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.update_app(deployment.api, identifier_uris=["https://tasks.example/mcp"])
    return deployment.check("--graph", "--mcp-url", "https://tasks.example/MCP")


@cause("settings", "MCP resource", says="AADSTS9010010")
def url_of_the_mcp_server_is_not_registered(deployment: Deployment, _folder: Path) -> Report:
    inner = Starlette(routes=[Route("/mcp", reached)])
    with module("deployed", app=protect(inner, Entra().guard(), url="https://tasks.example/mcp")):
        return deployment.check("--graph", "--app", "deployed:app")


@cause("network", "DNS", says="does not resolve")
def unknown_host(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(url="https://login.entra-guard.invalid")


@cause("network", "connection", says="Connection refused")
def refused_connection(deployment: Deployment, _folder: Path) -> Report:
    with closed_port() as port:
        return deployment.check(url=f"http://127.0.0.1:{port}")


@cause("network", "proxy", says="HTTPS_PROXY='http://127.0.0.1:")
def dead_proxy(deployment: Deployment, _folder: Path) -> Report:
    with closed_port() as port:
        proxy = f"http://user:swordfish@127.0.0.1:{port}"
        return deployment.check(url="https://login.entra-guard.invalid", HTTPS_PROXY=proxy)


@cause("network", "proxy", says="407")
def proxy_that_requires_a_password(deployment: Deployment, _folder: Path) -> Report:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with answering(refusal) as port:
        return deployment.check(
            url="https://login.entra-guard.invalid", HTTPS_PROXY=f"http://user:swordfish@127.0.0.1:{port}"
        )


@contextmanager
def answering(response: bytes) -> Iterator[int]:
    """Send the same response to each request; yields the port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(response)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@cause("network", "TLS", says="entra-guard emulator")
def unknown_ca(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(url=str(deployment.entra.https_url))


@cause("network", "strict X.509", says="only the strict rules of Python 3.13")
def old_ca_under_strict_rules(deployment: Deployment, folder: Path) -> Report:
    ca, server = old_style(folder)
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return _with_certificate(deployment, server, context)


@cause("network", "strict X.509", "warning", says="Python 3.13 and later will refuse")
def old_ca_before_python_3_13(deployment: Deployment, folder: Path) -> Report:
    ca, server = old_style(folder)
    context = ssl.create_default_context(cafile=str(ca))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return _with_certificate(deployment, server, context)


def _with_certificate(deployment: Deployment, server: Path, context: ssl.SSLContext) -> Report:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(server)
    emulator = LoopbackServer(deployment.entra.app, tls=serving)
    emulator.start()
    try:
        guard = Guard(
            tenant=deployment.entra.tenant_id,
            audience=deployment.api.client_id,
            authority=str(emulator.https_url),
            ssl_context=context,
        )
        with module("deployed", guard=guard):
            return deployment.check("--guard", "deployed:guard")
    finally:
        emulator.stop()


@cause("network", "clock", says="behind the authority's, more than the leeway")
def clock_two_minutes_behind(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(obj={"clock": lambda: time.time() - 120})


@cause("network", "clock", "warning", says=r"(4[4-9]|5\d) s ahead of")
def clock_45_seconds_ahead(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(obj={"clock": lambda: time.time() + 45})


@cause("authority", "tenant exists", says="AADSTS90002")
def unknown_tenant(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_TENANT="contso.example")


@cause("authority", "configuration")
def authority_is_down(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.fail("configuration", "503")
    return deployment.check()


@cause("authority", "configuration")
def keys_on_another_host(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.fail("configuration", "foreign-jwks-uri")
    return deployment.check()


@cause("authority", "configuration", says="the http_client raised RuntimeError")
def http_client_of_the_user_fails(deployment: Deployment, _folder: Path) -> Report:
    class Broken(httpx.BaseTransport):
        def handle_request(self, _request: httpx.Request) -> httpx.Response:
            raise RuntimeError("swordfish")

    with httpx.Client(transport=Broken()) as client:
        return deployment.check(obj={"http_client": client})


@cause("authority", "issuer, v2.0")
def wrong_issuer(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.fail_next("configuration", "wrong-issuer")
    return deployment.check()


@cause("authority", "issuer, v1.0", "warning")
def wrong_issuer_of_v1(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.fail_next("configuration", "slow", delay=0.0)
    deployment.entra.fail_next("configuration", "wrong-issuer")
    return deployment.check()


@cause("authority", "cloud", says="the tenant is in the cloud microsoftonline.com")
def tenant_of_another_cloud(deployment: Deployment, _folder: Path) -> Report:
    us_government = "https://login.microsoftonline.us"

    class Renamed(httpx.BaseTransport):
        """The Entra, whose cloud calls itself microsoftonline.com, under the host of another cloud."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            url = str(request.url).replace(us_government, deployment.entra.url)
            response = plain.get(url)
            return httpx.Response(200, text=response.text.replace(deployment.entra.url, us_government))

    with httpx.Client(trust_env=False, verify=False) as plain, httpx.Client(transport=Renamed()) as client:
        return deployment.check(obj={"http_client": client}, ENTRA_GUARD_AUTHORITY="us-government")


@cause("authority", "keys")
def empty_key_set(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.fail("keys", "empty")
    return deployment.check()


@cause("authority", "keys", "warning", says="not RSA of 2048 bits")
def weak_key(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.fail("keys", "rsa-1024-key")
    return deployment.check()


@cause("authority", "app-specific keys", says="app_specific_keys|signing key")
def signing_key_of_the_api(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.add_signing_key(deployment.api)
    return deployment.check()


@cause("authority", "keys file", says="written by other users")
def keys_file_that_others_can_write(deployment: Deployment, folder: Path) -> Report:
    file = folder / "keys.json"
    file.write_text("{}")
    file.chmod(0o666)
    return deployment.check(ENTRA_GUARD_KEYS_FILE=str(file))


@cause("authority", "keys file", "warning")
def keys_file_without_a_folder(deployment: Deployment, folder: Path) -> Report:
    return deployment.check(ENTRA_GUARD_KEYS_FILE=str(folder / "missing" / "keys.json"))


@cause("authority", "keys file", "warning")
def offline_without_keys(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check("--offline")


@cause("outbound", "chain", says="not configured; .* not configured")
def nothing_configured(deployment: Deployment, _folder: Path) -> Report:
    chain = ChainedCredential(EnvironmentCredential({}), EnvironmentCredential({}))
    with module("deployed", chain=chain):
        return deployment.check("--credential", "deployed:chain")


@cause("outbound", "token", says="AADSTS7000215")
def wrong_secret(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(AZURE_CLIENT_SECRET="a-wrong-secret-of-some-length")


@cause("outbound", "token")
def half_of_a_credential(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(outbound=True, AZURE_CLIENT_ID=None)


@cause("outbound", "secret, certificate", says="ended 1 days ago")
def ended_secret(deployment: Deployment, _folder: Path) -> Report:
    return _with_secret(deployment, time.time() - DAY)


@cause("outbound", "secret, certificate", "warning")
def secret_that_ends_soon(deployment: Deployment, _folder: Path) -> Report:
    return _with_secret(deployment, time.time() + 10 * DAY)


def _with_secret(deployment: Deployment, ends: float) -> Report:
    secret = ClientSecret(deployment.secret.value, expires_on=ends)
    entra = deployment.entra
    credential = ClientSecretCredential(
        entra.tenant_id, deployment.client.client_id, secret, authority=entra.url
    )
    with module("deployed", credential=credential):
        return deployment.check("--credential", "deployed:credential")


@cause("outbound", "secret, certificate", "warning", says="certificate: ends in 5 days")
def certificate_that_ends_soon(deployment: Deployment, folder: Path) -> Report:
    made = deployment.entra.new_certificate(deployment.client, expires_in=5 * DAY)
    return deployment.check(AZURE_CLIENT_CERTIFICATE_PATH=str(made.write(folder / "client.pem")))


@cause("outbound", "groups", says="lacks GroupMember.Read.All and User.Read.All")
def groups_without_permission(deployment: Deployment, _folder: Path) -> Report:
    entra, client = deployment.entra, deployment.client.client_id
    credential = ClientSecretCredential(entra.tenant_id, client, deployment.secret.value, authority=entra.url)
    guard = Guard(
        tenant=entra.tenant_id,
        audience=deployment.api.client_id,
        authority=entra.url,
        groups=GroupResolver(credential, base_url=entra.url),
    )
    with module("deployed", guard=guard):
        return deployment.check("--guard", "deployed:guard")


@cause("outbound", "federated token")
def missing_token_file(deployment: Deployment, folder: Path) -> Report:
    return deployment.check(AZURE_FEDERATED_TOKEN_FILE=str(folder / "token"))


@cause("outbound", "Redis")
def dead_redis(deployment: Deployment, _folder: Path) -> Report:
    with closed_port() as port:
        url = f"redis://user:swordfish@127.0.0.1:{port}/0"
        return deployment.check("--redis", "REDIS_URL", REDIS_URL=url)


@cause("registration", "registration", says="403 Authorization_RequestDenied")
def no_permission_in_graph(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.store.remove(assignments=deployment.graph_grant.id)
    return deployment.check("--graph")


@cause("registration", "registration")
def unknown_registration(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check("--graph", ENTRA_GUARD_AUDIENCE="11112222-bbbb-3333-cccc-4444dddd5555")


@cause("registration", "registration", says="403 Authorization_RequestDenied")
def signed_in_user_may_not_read_applications(deployment: Deployment, _folder: Path) -> Report:
    class SignedIn:
        """A user's login, as AzureCliCredential has it."""

        def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
            entra = deployment.entra
            token = entra.issue_token(deployment.client, audience=GRAPH, user="alice", scopes=["User.Read"])
            return AccessToken(token, int(entra.now()) + 3600, entra.now() + 1800)

    with module("deployed", login=SignedIn):
        report = deployment.check("--graph", "--credential", "deployed:login")
    assert "scopes User.Read" in report.found("outbound", "token")
    assert report.findings["registration", "registration"]["fix"][0].startswith("Sign in as a user")
    return report


@cause("registration", "service principal", says="AADSTS500011")
def no_service_principal(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.directory_service.registrations.remove_principal(deployment.principal_of_api.id)
    return deployment.check("--graph")


@cause("registration", "service principal")
def disabled_service_principal(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.store.upsert(principals=replace(deployment.principal_of_api, enabled=False))
    return deployment.check("--graph")


@cause("registration", "token version", says="the guard accepts 2.0 only")
def v1_tokens_for_a_v2_guard(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.update_app(deployment.api, token_version=1)
    return deployment.check("--graph", ENTRA_GUARD_TOKEN_VERSIONS="2.0")


@cause("registration", "App ID URI")
def no_app_id_uri(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.update_app(deployment.api, identifier_uris=[])
    return deployment.check("--graph")


@cause("registration", "App ID URI")
def audience_is_not_registered(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check(
        "--graph", ENTRA_GUARD_AUDIENCE=f"{deployment.api.client_id} api://orders.example"
    )


@cause("registration", "App ID URI", says="is not an App ID URI")
def audience_is_an_uri_of_another_api(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.update_app(deployment.api, identifier_uris=["api://orders.example"])
    audience = "api://orders.example api://old.example"
    return deployment.check("--graph", ENTRA_GUARD_AUDIENCE=audience)


@cause("registration", "permissions", says="gets 403")
def neither_roles_nor_scopes(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.update_app(deployment.api, app_roles=[], scopes=[])
    return deployment.check("--graph")


@cause("registration", "role holders", "warning")
def no_role_holder(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.store.remove(assignments=deployment.grant.id)
    deployment.entra.update_app(deployment.api, scopes=[])
    return deployment.check("--graph")


@cause("registration", "optional claims", says="'acct'")
def guests_refused_without_acct(deployment: Deployment, _folder: Path) -> Report:
    return deployment.check("--graph", ENTRA_GUARD_GUESTS="false")


@cause("registration", "secrets")
def ended_secret_of_the_api(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.add_secret(deployment.api, expires_in=-DAY)
    return deployment.check("--graph")


@cause("registration", "certificates", "warning")
def certificate_of_the_api_ends_soon(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.new_certificate(deployment.api, expires_in=5 * DAY)
    return deployment.check("--graph")


@cause("registration", "federated credentials", "warning")
def federated_credential_with_another_audience(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.add_federated_credential(
        deployment.api, "https://token.actions.example", "repo:contoso/orders", "api://other"
    )
    return deployment.check("--graph")


@cause("outbound client's registration", "secrets", "warning")
def secret_of_the_client_ends_soon(deployment: Deployment, _folder: Path) -> Report:
    client_id, entra = deployment.client.client_id, deployment.entra
    held = entra.directory.credentials_of(client_id)
    secrets = tuple(replace(each, expires=entra.now() + 3 * DAY) for each in held.secrets)
    entra.directory_service.credentials.set_credentials(deployment.client, replace(held, secrets=secrets))
    return deployment.check("--graph")


@cause("outbound client's registration", "certificates")
def ended_certificate_of_the_client(deployment: Deployment, _folder: Path) -> Report:
    deployment.entra.new_certificate(deployment.client, starts_in=-2 * DAY, expires_in=-DAY)
    return deployment.check("--graph")


@cause("outbound client's registration", "federated credentials", says="differs in subject.*AADSTS700213")
def token_on_disk_matches_no_federated_credential(deployment: Deployment, folder: Path) -> Report:
    entra, token = deployment.entra, folder / "token"
    entra.add_federated_credential(
        deployment.client, entra.workload_issuer, "system:serviceaccount:prod:orders"
    )
    token.write_text(entra.workload_token("system:serviceaccount:test:orders"))
    return deployment.check("--graph", AZURE_FEDERATED_TOKEN_FILE=str(token))


async def reached(_request: object) -> None:
    raise AssertionError("doctor sends no request to the application")


def app_report(deployment: Deployment, **objects: Any) -> Report:
    with module("deployed", **objects):
        return deployment.check("--offline", "--app", "deployed:app")


@cause("application", "routes")
def requires_without_a_guard(deployment: Deployment, _folder: Path) -> Report:
    async def orders(_request: object) -> None:
        raise AssertionError

    return app_report(deployment, app=Starlette(routes=[Route("/orders", requires(roles="A")(orders))]))


@cause("application", "routes")
def no_guard(deployment: Deployment, _folder: Path) -> Report:
    return app_report(deployment, app=Starlette(routes=[Route("/orders", reached)]))


@cause("application", "routes", says="above the route's decorator")
def requires_above_the_decorator_of_an_open_route(deployment: Deployment, _folder: Path) -> Report:
    app = FastAPI(openapi_url=None)
    app.get("/guarded", dependencies=[Depends(EntraBearer(Entra().guard()))])(reached)
    requires(roles="A")(app.get("/orders")(lambda: None))
    return app_report(deployment, app=app)


@cause("application", "routes", "warning")
def open_mount(deployment: Deployment, _folder: Path) -> Report:
    guarded = GuardMiddleware(Starlette(routes=[Route("/", reached)]), guard=Entra().guard())
    routes = [Mount("/api", guarded), Route("/metrics", reached)]
    return app_report(deployment, app=Starlette(routes=routes))


@cause("application", "middleware", says="CORSMiddleware is inside")
def cors_inside_of_the_guard(deployment: Deployment, _folder: Path) -> Report:
    layers = [Middleware(GuardMiddleware, guard=Entra().guard()), Middleware(CORSMiddleware)]
    return app_report(deployment, app=Starlette(routes=[Route("/orders", reached)], middleware=layers))


def quoted(variable: str) -> Any:
    """Return a cause: quotes around a value, as `docker run --env-file` keeps them."""

    def quotes_around_a_value(deployment: Deployment, _folder: Path) -> Report:
        return deployment.check(**{variable: "'x'"})

    return quotes_around_a_value


for name, variable in variables_of_settings().items():
    cause("settings", name.replace("_", " "), says="has quotes")(quoted(variable))
