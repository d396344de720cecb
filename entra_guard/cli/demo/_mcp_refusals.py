"""The messages that a protected MCP server, and Entra, must refuse: what is sent, and what is expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from entra_guard.cli.demo._mcp_server import McpFixture

if TYPE_CHECKING:
    import httpx

Token = Callable[[McpFixture], str]
_INFO: Final = {"name": "demo", "version": "1"}


@dataclass(frozen=True, slots=True)
class McpRefusal:
    """A message that must be refused.

    Attributes:
        title: What is wrong with it.
        status: The expected status.
        reason: The expected reason in the log; '' for none.
        token: Returns the token; '' sends none.
        method: The method of the JSON-RPC message.
        params: Its parameters.
        session: Whether it names a session of Alice.
    """

    title: str
    status: int
    reason: str
    token: Token
    method: str = "tools/call"
    params: dict[str, Any] = field(default_factory=lambda: {"name": "whoami", "arguments": {}})
    session: bool = False


def _user(name: str, **more: Any) -> Token:
    return lambda fixture: fixture.entra.issue_token(
        fixture.desktop, audience=fixture.api, user=name, scopes=["access_as_user"], **more
    )


def _for_other_api(fixture: McpFixture) -> str:
    return fixture.entra.issue_token(
        fixture.desktop, audience=fixture.other, user="alice", scopes=["Invoices.Read"]
    )


_CLOSE: Final[dict[str, Any]] = {"name": "close_task", "arguments": {"number": 7}}

REFUSALS: Final = (
    McpRefusal("No token: the response leads the client to Entra.", 401, "missing_token", lambda _: ""),
    McpRefusal(
        "Missing scope: Alice may sign in again for Tasks.Write (step-up).",
        403,
        "missing_scope",
        _user("alice"),
        params=_CLOSE,
    ),
    McpRefusal("Another's session: Bob has a valid token.", 404, "", _user("bob"), session=True),
    McpRefusal("Passed through: Alice's token for the Invoices API.", 401, "wrong_audience", _for_other_api),
    McpRefusal("Expired within the session.", 401, "expired", _user("alice", preset="expired"), session=True),
)


def open_session(client: httpx.Client, fixture: McpFixture) -> str:
    """Open a session as Alice, and return its id."""
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": _INFO}
    response = send(client, fixture.url, _user("alice")(fixture), "initialize", params)
    return str(response.headers.get("mcp-session-id", ""))


def send(
    client: httpx.Client, url: str, token: str, method: str, params: dict[str, Any], *, session: str = ""
) -> httpx.Response:
    """Send one JSON-RPC message."""
    headers = {"Accept": "application/json, text/event-stream"}
    headers |= {"Authorization": f"Bearer {token}"} if token else {}
    headers |= {"Mcp-Session-Id": session} if session else {}
    return client.post(
        url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers=headers
    )


def wrong_resource(client: httpx.Client, fixture: McpFixture) -> httpx.Response:
    """Request a token for the server's URL with a slash at its end, which is another resource to Entra."""
    form = {
        "grant_type": "client_credentials",
        "client_id": fixture.daemon.client_id,
        "client_secret": fixture.secret.value,
        "scope": f"api://{fixture.api.client_id}/.default",
        "resource": f"{fixture.url}/",
    }
    return client.post(f"{fixture.entra.authority}/oauth2/v2.0/token", data=form)
