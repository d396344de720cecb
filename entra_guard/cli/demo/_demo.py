"""The demo: seven steps, each executed for real and compared with the expected result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import jwt
from rich.text import Text

from entra_guard.cli._explanation_output import fact_rows, reason_rows, show_steps
from entra_guard.cli._formatting import format_time, shorten_secret
from entra_guard.cli.demo._claims import claim_rows
from entra_guard.cli.demo._refusals import REFUSALS, Refusal
from entra_guard.cli.demo._steps import Steps

if TYPE_CHECKING:
    import httpx

    from entra_guard import Guard
    from entra_guard.cli.demo._fixture import DemoFixture
    from entra_guard.cli.demo._log import OperatorLog

_ACCOUNTS: Final = "Accounts in this organizational directory only (Contoso)"
_OK: Final = 200
CHECKED: Final = "statuses, challenges and logged reasons"
# The facts that distinguish the cases; ids are only in the log.
_SHOWN_FACTS: Final = (
    *("expected", "found", "needs", "has", "nearest", "request_scope"),
    *("expired_for_seconds", "early_by_seconds", "entra_clock_ahead_by_seconds"),
)


@dataclass(slots=True, kw_only=True)
class Demo(Steps):
    """Run the steps and count unexpected results.

    Attributes:
        fixture: The registrations.
        guard: The API's guard.
        orders_url: The API's URL.
        client: The daemon's HTTP client.
        log: The log of the API's operator.
    """

    fixture: DemoFixture
    guard: Guard
    orders_url: str
    client: httpx.Client
    log: OperatorLog

    def run(self) -> bool:
        """Run all steps; return whether every result was as expected."""
        self.screen.title(
            "A daemon calls a protected API",
            f"real requests, on this machine only\nEntra  {self.fixture.entra.url}\nAPI    {self.orders_url}",
        )
        self._registration()
        self._protection()
        token = self._token()
        if token:
            self._contents(token)
            self._checklist(token)
            self._call(token)
            self._refusals()
        return not self.failures

    # Steps

    def _registration(self) -> None:
        fixture, entra = self.fixture, self.fixture.entra
        self.screen.heading("1  An administrator registers an API and a client")
        common = (("Supported account types", _ACCOUNTS), ("Directory (tenant) ID", entra.tenant_id))
        self.show_registration(
            fixture.api.name,
            ("Application (client) ID", fixture.api.client_id),
            *common,
            ("Application ID URI", fixture.api.app_id_uri),
            ("App roles", f"{', '.join(role.value for role in fixture.api.app_roles)}, for applications"),
        )
        self.screen.blank_line()
        self.show_registration(
            fixture.daemon.name,
            ("Application (client) ID", fixture.daemon.client_id),
            *common,
            (
                "Client secret",
                f"{shorten_secret(fixture.secret.value, 5)}, shown this once; Entra keeps a hash",
            ),
            ("Expires", format_time(fixture.secret.expires)),
            ("API permissions", "Orders.Read of Orders API, granted by an admin"),
        )

    def _protection(self) -> None:
        api = self.fixture.api
        self.screen.heading("2  One line protects the API")
        self.screen.code(
            "app.add_middleware(GuardMiddleware, guard=Guard(\n"
            f'    tenant="{api.tenant_id}",\n'
            f'    audience="{api.client_id}",\n'
            f'    authority="{self.fixture.entra.url}"))  # omit with the real Entra\n'
            "\n"
            '@requires(roles=["Orders.Read"])\n'
            "async def list_orders(request): ...",
            "python",
        )

    def _token(self) -> str:
        self.screen.heading("3  The daemon requests a token from Entra")
        self._show_request()
        response = self.fixture.request_token(self.client, self.fixture.api.default_scope)
        self.screen.blank_line()
        self.show_status(response)
        if not self.check("the token endpoint's status", _OK, response.status_code):
            self.screen.verbatim(response.text, indent=2)
            return ""
        content = response.json()
        token = str(content["access_token"])
        self.screen.code(json.dumps(content | {"access_token": shorten_secret(token, 24)}, indent=2), "json")
        return token

    def _show_request(self) -> None:
        form = self.fixture.form(self.fixture.api.default_scope)
        secret = shorten_secret(self.fixture.secret.value, 5)
        body = urlencode(form | {"client_secret": "***"}, safe="*").replace("***", secret)
        self.screen.verbatim(f"POST {self.fixture.token_url}", "bold", indent=2)
        self.screen.verbatim("Content-Type: application/x-www-form-urlencoded", "dim", indent=2)
        self.screen.blank_line()
        self.screen.verbatim(body.replace("&", "\n&"), indent=2)

    def _contents(self, token: str) -> None:
        self.screen.heading("4  The token's claims")
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(token, options={"verify_signature": False})
        self.screen.text(f"{'header':8}{json.dumps(header)}", indent=2)
        self.screen.blank_line()
        self.screen.table(
            ("claim", "means", "value"),
            (
                (Text(name, "cyan"), Text(meaning, "dim"), value)
                for name, value, meaning in claim_rows(claims, self.fixture.entra.now())
            ),
        )

    def _checklist(self, token: str) -> None:
        self.screen.heading("5  What the guard checks: guard.explain(token)")
        explanation = self.guard.explain(token)
        show_steps(self.screen, explanation)
        self.check("the checklist's outcome", "accepted", explanation.reason or "accepted")

    def _call(self, token: str) -> None:
        self.screen.heading("6  The daemon calls the API")
        response = self._send("GET", token)
        self.show_status(response)
        self.screen.code(response.text, "json")
        if self.check("the API's status", _OK, response.status_code):
            self.check(
                "the caller in the API's response",
                self.fixture.daemon.client_id,
                response.json()["called_by"],
            )

    def _refusals(self) -> None:
        self.screen.heading("7  What the API refuses, and what its operator sees")
        for refusal in REFUSALS:
            self._refusal(refusal)

    def _refusal(self, refusal: Refusal) -> None:
        token = refusal.token(self.fixture, self.client)
        self.log.take()
        response = self._send(refusal.method, token)
        challenge = response.headers.get("www-authenticate", "")
        details = self.log.take()
        self.screen.blank_line()
        self.screen.render(Text.assemble((f"{response.status_code}  ", "bold red"), (refusal.title, "bold")))
        reason = details.get("reason", "")
        rows = reason_rows(reason, fact_rows(reason, details, _SHOWN_FACTS)) if reason else []
        self.screen.name_values(
            [("request", f"{refusal.method} /orders"), ("WWW-Authenticate", challenge), *rows], indent=5
        )
        self.check(f"{refusal.reason}: the status", refusal.status, response.status_code)
        self.check(f"{refusal.reason}: the reason in the log", refusal.reason, reason or None)
        self.check(f"{refusal.reason}: the challenge", refusal.challenge, challenge.partition(",")[0])

    # Helpers

    def _send(self, method: str, token: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.client.request(method, self.orders_url, headers=headers)
