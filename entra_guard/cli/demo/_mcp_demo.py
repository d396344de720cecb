"""The demo of an MCP server: five steps, each executed for real and compared with the expected result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
from rich.text import Text

from entra_guard.cli._explanation_output import fact_rows, reason_rows
from entra_guard.cli._formatting import shorten_secret
from entra_guard.cli._screen import BAD, GOOD, folded
from entra_guard.cli.demo._mcp_client import ClientRun, run_as_application, run_as_user
from entra_guard.cli.demo._mcp_refusals import (
    REFUSALS,
    McpRefusal,
    open_session,
    send,
    wrong_resource,
)
from entra_guard.cli.demo._mcp_server import REDIRECT
from entra_guard.cli.demo._steps import Steps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import httpx

    from entra_guard.cli.demo._log import OperatorLog
    from entra_guard.cli.demo._mcp_client import SentRequest
    from entra_guard.cli.demo._mcp_server import McpFixture

CHECKED: Final = "tools, results, statuses and logged reasons"
_REFUSED: Final = 400
_INDENT: Final = 5 + len("request scope") + 2
_SHOWN_FACTS: Final = ("expected", "found", "needs", "expired_for_seconds", "request_scope")


@dataclass(slots=True, kw_only=True)
class McpDemo(Steps):
    """Run the steps and count unexpected results.

    Attributes:
        fixture: The registrations.
        client: An HTTP client, for messages that the SDK's client would not send.
        log: The log of the server's operator.
    """

    fixture: McpFixture
    client: httpx.Client
    log: OperatorLog

    def run(self) -> bool:
        """Run all steps; return whether every result was as expected."""
        self.screen.title(
            "An MCP server for callers with a token of Entra only",
            "real requests, on this machine only\n"
            f"Entra  {self.fixture.entra.url}\nMCP    {self.fixture.url}",
        )
        self._registration()
        self._protection()
        self._user()
        self._application()
        self._refusals()
        return not self.failures

    def _registration(self) -> None:
        fixture = self.fixture
        self.screen.heading("1  An administrator registers the server and its clients")
        self.show_registration(
            fixture.api.name,
            ("Application (client) ID", fixture.api.client_id),
            ("Application ID URIs", "\n".join(fixture.api.identifier_uris)),
            ("Scopes", ", ".join(scope.value for scope in fixture.api.scopes)),
            ("App roles", ", ".join(role.value for role in fixture.api.app_roles)),
        )
        self.screen.blank_line()
        self.show_registration(
            fixture.desktop.name,
            ("Application (client) ID", fixture.desktop.client_id),
            ("Redirect URI", f"{REDIRECT}, desktop: any port"),
            ("API permissions", "access_as_user of Tasks, for signed-in users"),
        )
        self.screen.blank_line()
        self.show_registration(
            fixture.daemon.name,
            ("Application (client) ID", fixture.daemon.client_id),
            ("Client secret", f"{shorten_secret(fixture.secret.value, 5)}, shown this once"),
            ("API permissions", "Tasks.Write of Tasks, granted by an admin"),
        )

    def _protection(self) -> None:
        self.screen.heading("2  One line protects the server")
        self.screen.code(
            "@server.tool()\n"
            '@requires(Requirement(roles=["Tasks.Write"]),\n'
            '          Requirement(scopes=["Tasks.Write"]))\n'
            "def close_task(number: int) -> str: ...\n"
            "\n"
            "app = protect(server, guard,\n"
            f'              url="{self.fixture.url}",\n'
            '              scopes=["access_as_user"], hide=True)',
            "python",
        )

    def _user(self) -> None:
        self.screen.heading("3  The SDK's client finds Entra, and Alice signs in")
        run = self._completed(partial(run_as_user, self.fixture, "alice"))
        self._show_run(run, "whoami")
        self.check("the tools that Alice may use", ["whoami"], run.tools)
        self.check("the caller that the tool sees", "Alice Adams", run.result)

    def _application(self) -> None:
        self.screen.heading("4  An application calls with client credentials")
        run = self._completed(partial(run_as_application, self.fixture))
        self._show_run(run, "close_task")
        self.check("the tools that the application may use", ["whoami", "close_task"], run.tools)
        self.check("the result of its call", "closed task 7", run.result)

    def _completed(self, run_client: Callable[[], Awaitable[ClientRun]]) -> ClientRun:
        """Run a client; if the SDK raises an error, count it as an unexpected result."""
        try:
            return anyio.run(run_client)
        except Exception as error:  # noqa: BLE001  # the demo continues after any error, and reports failure
            self.check("the run of the SDK's client", "no error", type(error).__name__)
            return ClientRun()

    def _show_run(self, run: ClientRun, tool: str) -> None:
        self.screen.table(
            ("status", "server", "request"),
            [
                (self._status(request), self._server(request), self._request(request))
                for request in run.requests
            ],
        )
        self.screen.blank_line()
        self.screen.name_values([("tools", ", ".join(run.tools)), (tool, Text(run.result, f"bold {GOOD}"))])

    @staticmethod
    def _status(request: SentRequest) -> Text:
        return Text(str(request.status), BAD if request.status >= _REFUSED else GOOD)

    def _server(self, request: SentRequest) -> str:
        return "Entra" if request.url.startswith(self.fixture.entra.url) else "MCP"

    def _request(self, request: SentRequest) -> str:
        """Return a request without its host and query, with a short name for the tenant, and its message."""
        path = request.url.partition("?")[0].partition("://")[2].partition("/")[2]
        line = f"{request.method} /{path}".replace(self.fixture.entra.tenant_id, "{tenant}")
        return f"{line}  {request.message}" if request.message else line

    def _refusals(self) -> None:
        self.screen.heading("5  What is refused, and what the operator sees")
        session = open_session(self.client, self.fixture)
        for refusal in REFUSALS:
            self._refusal(refusal, session if refusal.session else "")
        response = wrong_resource(self.client, self.fixture)
        self._show_refused(response, "Entra: the resource is not exactly an App ID URI of the server.")
        description = str(response.json().get("error_description", "")).partition(" Trace ID")[0]
        self.screen.name_values(
            [
                ("resource", f"{self.fixture.url}/"),
                ("error", description),
                (
                    "what to do",
                    Text("Give url= and the App ID URI in one spelling, last slash included.", "yellow"),
                ),
            ],
            indent=5,
        )
        self.check("the error of Entra", "AADSTS9010010", description.partition(":")[0])

    def _refusal(self, refusal: McpRefusal, session: str) -> None:
        token = refusal.token(self.fixture)
        self.log.take()
        response = send(self.client, self.fixture.url, token, refusal.method, refusal.params, session=session)
        details = self.log.take()
        self._show_refused(response, refusal.title)
        reason = str(details.get("reason", ""))
        rows = reason_rows(reason, fact_rows(reason, details, _SHOWN_FACTS)) if reason else []
        challenge = response.headers.get("www-authenticate", "")
        body = "" if challenge else response.text
        self.screen.name_values(
            [("challenge", self._folded(challenge.replace(", ", ",\n"))), ("body", body), *rows], indent=5
        )
        self.check(f"{refusal.title} The status", refusal.status, response.status_code)
        self.check(f"{refusal.title} The reason in the log", refusal.reason, reason)

    def _folded(self, text: str) -> str:
        """Break the lines of a challenge at slashes, and not within words."""
        return text if self.screen.plain else "\n".join(folded(text, self.screen.console.width - _INDENT))

    def _show_refused(self, response: httpx.Response, title: str) -> None:
        self.screen.blank_line()
        self.screen.render(Text.assemble((f"{response.status_code}  ", "bold red"), (title, "bold")))
