"""The story: seven scenes, each played for real and held against what it should be."""

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

if TYPE_CHECKING:
    import httpx

    from entra_guard import Guard
    from entra_guard.cli._screen import Screen
    from entra_guard.cli.demo._fixture import DemoFixture
    from entra_guard.cli.demo._log import OperatorLog

_ACCOUNTS: Final = "Accounts in this organizational directory only (Contoso)"
_LABELS: Final = 23
_OK: Final = 200
_CHECKED: Final = "statuses, challenges and logged reasons"
_TELLING: Final = (
    *("expected", "found", "needs", "has", "nearest", "request_scope"),
    *("expired_for_seconds", "early_by_seconds", "entra_clock_ahead_by_seconds"),
)
"""The facts that tell one case from others; ids are left to the log."""


@dataclass(slots=True)
class Demo:
    """Tells it, and counts what is not as it should be.

    Attributes:
        screen: Where to.
        fixture: Who plays.
        guard: What the API is protected by.
        orders_url: Where the API is.
        client: What the daemon calls with.
        log: What the API's operator reads.
        held: Answers held against what they should be.
        broken: Those that were something else.
    """

    screen: Screen
    fixture: DemoFixture
    guard: Guard
    orders_url: str
    client: httpx.Client
    log: OperatorLog
    held: int = 0
    broken: int = 0

    def tell(self) -> bool:
        """Tell the whole story; returns whether everything was as it should be."""
        self.screen.title(
            "A daemon calls a protected API",
            f"for real, and on this machine alone\nEntra  {self.fixture.entra.url}\nAPI    {self.orders_url}",
        )
        self._registration()
        self._protection()
        token = self._token()
        if token:
            self._contents(token)
            self._checklist(token)
            self._call(token)
            self._refusals()
        return not self.broken

    def end(self, seconds: float) -> None:
        """Say how it went."""
        self.screen.blank_line()
        if self.broken:
            wrong = f"{self.broken} of {self.held} checks of {_CHECKED} failed: see above."
            self.screen.text(wrong, "bold red")
            return
        self.screen.text(f"All {self.held} checks of {_CHECKED} held, in {seconds:.1f} s.", "bold green")

    # --- scenes --------------------------------------------------------------------------------------

    def _registration(self) -> None:
        fixture, entra = self.fixture, self.fixture.entra
        self.screen.heading("1  An administrator registers an API and a client")
        common = (("Supported account types", _ACCOUNTS), ("Directory (tenant) ID", entra.tenant_id))
        self._registered(
            fixture.api.name,
            ("Application (client) ID", fixture.api.client_id),
            *common,
            ("Application ID URI", fixture.api.app_id_uri),
            ("App roles", f"{', '.join(role.value for role in fixture.api.app_roles)}, for applications"),
        )
        self.screen.blank_line()
        self._registered(
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

    def _registered(self, name: str, *rows: tuple[str, str | Text]) -> None:
        self.screen.name_values([("Name", Text(name, "bold")), *rows], labels=_LABELS)

    def _protection(self) -> None:
        api = self.fixture.api
        self.screen.heading("2  One line protects the API")
        self.screen.code(
            "app.add_middleware(GuardMiddleware, guard=Guard(\n"
            f'    tenant="{api.tenant_id}",\n'
            f'    audience="{api.client_id}",\n'
            f'    authority="{self.fixture.entra.url}"))  # not needed with the real Entra\n'
            "\n"
            '@requires(roles=["Orders.Read"])\n'
            "async def list_orders(request): ...",
            "python",
        )

    def _token(self) -> str:
        self.screen.heading("3  The daemon asks Entra for a token")
        self._show_request()
        answer = self.fixture.ask(self.client, self.fixture.api.default_scope)
        self.screen.blank_line()
        self._show_status(answer)
        if not self._hold("the token endpoint's status", _OK, answer.status_code):
            self.screen.verbatim(answer.text, indent=2)
            return ""
        content = answer.json()
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
        self.screen.heading("4  What the token says")
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
        self._hold("the checklist's outcome", "accepted", explanation.reason or "accepted")

    def _call(self, token: str) -> None:
        self.screen.heading("6  The daemon calls the API")
        answer = self._send("GET", token)
        self._show_status(answer)
        self.screen.code(answer.text, "json")
        if self._hold("the API's status", _OK, answer.status_code):
            self._hold("who the API says called", self.fixture.daemon.client_id, answer.json()["called_by"])

    def _refusals(self) -> None:
        self.screen.heading("7  What the API refuses, and what its operator is told")
        for refusal in REFUSALS:
            self._refusal(refusal)

    def _refusal(self, due: Refusal) -> None:
        token = due.token(self.fixture, self.client)
        self.log.take()
        answer = self._send(due.method, token)
        challenge = answer.headers.get("www-authenticate", "")
        details = self.log.take()
        self.screen.blank_line()
        self.screen.render(Text.assemble((f"{answer.status_code}  ", "bold red"), (due.title, "bold")))
        reason = details.get("reason", "")
        rows = reason_rows(reason, fact_rows(reason, details, _TELLING)) if reason else []
        self.screen.name_values(
            [("request", f"{due.method} /orders"), ("WWW-Authenticate", challenge), *rows], indent=5
        )
        self._hold(f"{due.reason}: the status", due.status, answer.status_code)
        self._hold(f"{due.reason}: the reason in the log", due.reason, reason or None)
        self._hold(f"{due.reason}: the challenge", due.challenge, challenge.partition(",")[0])

    # --- playing -------------------------------------------------------------------------------------

    def _send(self, method: str, token: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return self.client.request(method, self.orders_url, headers=headers)

    def _show_status(self, answer: httpx.Response) -> None:
        self.screen.text(
            f"{answer.status_code} {answer.reason_phrase}",
            "bold green" if answer.is_success else "bold red",
            indent=2,
        )

    def _hold(self, what: str, expected: object, found: object) -> bool:
        """Hold what came against what should have come."""
        self.held += 1
        if found == expected:
            return True
        self.broken += 1
        wrong = f"NOT AS IT SHOULD BE: {what}: expected {expected}, found {found}"
        self.screen.text(wrong, "bold red", indent=2)
        return False
