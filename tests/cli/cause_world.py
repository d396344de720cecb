"""An API, a client and a user on an emulator, in which a test makes mistakes, and the program that calls the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
from click.testing import CliRunner, Result

from entra_guard import Guard, requires
from entra_guard.cli._group import group
from entra_guard.cli.app._target import ROLES, Target
from entra_guard.credentials import AccessToken
from entra_guard.emulator import GRAPH, Emulator
from entra_guard.graph import GraphClient
from entra_guard.wsgi import GuardMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

ROLE, SCOPE = "Orders.Read", "Orders.Use"
DOMAIN = "api://contoso.onmicrosoft.com"
REDIRECT = "http://localhost/cb"
ROUTES = {
    "/any": lambda: None,
    "/role": requires(roles=[ROLE])(lambda: None),
    "/scope": requires(scopes=[SCOPE])(lambda: None),
    "/app-only": requires(roles=[ROLE], app_only=True)(lambda: None),
}


def api_app(environ: Any, start_response: Any) -> list[bytes]:
    ROUTES[environ["PATH_INFO"]]()
    start_response("200 OK", [])
    return [b"done"]


@dataclass
class World:
    """An API, a client and a user on an emulator; everything is right until a cause changes it."""

    entra: Emulator = field(default_factory=lambda: Emulator(base_url="http://causes.localhost"))
    settings: dict[str, str] = field(default_factory=dict)
    user: str = "alice"
    header: Callable[[str], str | None] = "Bearer {}".format
    # What the API's code gives to its guard; each start of the API calls it.
    arguments: Callable[[], dict[str, Any]] = dict
    # Object ids that the API's code revokes, with the time.
    revoked: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entra = self.entra
        self.http = httpx.Client(transport=entra.transport, base_url=entra.url)
        self.api = entra.register_app(
            "Orders API",
            app_roles=[ROLE, "Orders.Write"],
            scopes=[SCOPE, "Orders.List"],
            identifier_uris=[f"{DOMAIN}/orders-api"],
        )
        self.client = entra.register_app("Nightly report", identifier_uris=(), redirect_uris=[REDIRECT])
        self.secret = entra.add_secret(self.client).value
        self.scope = self.api.default_scope
        self.tenant = entra.tenant_id

    def permit(self, *roles: str) -> None:
        """Do what a right set-up does: the client holds roles, by default the right one."""
        self.entra.grant(self.client, self.api, *(roles or (ROLE,)))

    def change_api(self, **changes: Any) -> None:
        self.api = self.entra.update_app(self.api, **changes)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the API and of the client."""
        return {
            "ENTRA_GUARD_TENANT": self.entra.tenant_id,
            "ENTRA_GUARD_AUDIENCE": self.api.client_id,
            "ENTRA_GUARD_AUTHORITY": self.entra.url,
            "AZURE_TENANT_ID": self.tenant,
            "AZURE_CLIENT_ID": self.client.client_id,
            "AZURE_CLIENT_SECRET": self.secret,
            "AZURE_AUTHORITY_HOST": self.entra.url,
            **self.settings,
        }

    def call(self, path: str, token: str) -> tuple[int, str]:
        """Call the API; returns the status and the reason of a refusal."""
        settings = {"http_client": self.http, "clock": self.entra.now} | self.arguments()
        guard = Guard.from_env(self._guard_environ(), **settings)
        for object_id, since in self.revoked.items():
            guard.revoke(object_id, since=since)
        header = self.header(token)
        headers = {} if header is None else {"Authorization": header}
        with httpx.Client(transport=httpx.WSGITransport(GuardMiddleware(api_app, guard=guard))) as client:
            response = client.get(f"http://api.example{path}", headers=headers)
        return response.status_code, response.json()["reason"] if response.is_error else ""

    def _guard_environ(self) -> dict[str, str]:
        return {name: value for name, value in self.environ.items() if name.startswith("ENTRA_")}

    def run(self, *arguments: str, token: str = "") -> Result:
        """Run a command of ours on this emulator, in this process."""
        if arguments[0] in {"app", "user"}:
            graph = GraphClient(Administrator(self.entra), base_url=self.entra.url, http_client=self.http)
            where = (self.entra.url, graph, f"{self.entra.url}/v1.0")
            obj: Any = {"target": Target(False, "the emulator", self.entra.tenant_id, *where)}
        else:
            of_guard = {"clock": self.entra.now} | self.arguments() if arguments[0] == "explain" else {}
            obj = {"http_client": self.http} | of_guard
        return CliRunner(env=self.environ).invoke(group, [*arguments], obj=obj, input=token)

    def app_token(self, scope: str = "") -> str:
        """Get a token as the client, as its program does."""
        done = self.run("token", "--scope", scope or self.scope, "--raw")
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    def signed_in(self) -> dict[str, Any]:
        """Sign in as the user with the client, and return the response of the token endpoint."""
        code = self.entra.sign_in(self.client, self.user, scope=f"openid offline_access {self.scope}")
        return self.redeem(code, self.entra.tenant_id)

    def sign_in_silently(self, user: str, segment: str) -> dict[str, Any]:
        """Sign in by the authorize endpoint, which checks who may; returns the fields of the redirect."""
        query = {"client_id": self.client.client_id, "response_type": "code", "prompt": "none"}
        query |= {"redirect_uri": REDIRECT, "scope": self.scope, "login_hint": user}
        response = self.http.get(f"/{segment}/oauth2/v2.0/authorize", params=query)
        fields = parse_qs(urlsplit(response.headers.get("location", "")).query)
        return {name: value[0] for name, value in fields.items()}

    def redeem(self, code: str, segment: str) -> dict[str, Any]:
        """Return the response of the token endpoint for a code."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
        form |= {"client_id": self.client.client_id, "client_secret": self.secret}
        response = self.http.post(f"/{segment}/oauth2/v2.0/token", data=form)
        assert response.is_success, response.text
        content: dict[str, Any] = response.json()
        return content

    def user_token(self) -> str:
        return str(self.signed_in()["access_token"])


class Administrator:
    """Tokens of the emulator's administrator, for Graph."""

    def __init__(self, entra: Emulator) -> None:
        self._entra = entra

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        token = self._entra.issue_token(GRAPH, audience=GRAPH, roles=ROLES, tenant=self._entra.tenant_id)
        return AccessToken(token, expires_on=2**33, refresh_on=2**32)
