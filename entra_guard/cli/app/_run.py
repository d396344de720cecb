"""Run a plan: send its requests, or only print them."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

import click

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import MASKED, CommandError, GraphCall, Plan, Question

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from entra_guard.cli.app._target import Target
    from entra_guard.graph import GraphError

T = TypeVar("T")
_NOT_FOUND: Final = 404
# Seconds between tries while Graph does not know an object yet that was created a moment ago.
_SETTLING: Final = (1, 2, 4, 8, 15)
_NOT_YET: Final = ("does not exist", "not reference a valid", "NoBackingApplicationObject", "was not found")
_LONG: Final = 100
_REMEDIES: Final = {
    "Authorization_RequestDenied": "The login lacks a permission: use an Application Administrator, or an "
    "application with Application.ReadWrite.All (and AppRoleAssignment.ReadWrite.All for consent).",
    "InvalidAuthenticationToken": "Log in again: az login --tenant <tenant id>",
    "Request_ResourceNotFound": "It may have been deleted. 'entra-guard app list' shows what is there.",
    "TooManyRequests": "Graph limits requests: run the command again in a minute.",
}
# The options that set what Graph's errors name. The value that an error proposes is group 1.
_OPTIONS: Final = (
    (re.compile(r"requestedAccessTokenVersion(?:=(\w+))?"), ("--token-version",)),
    (re.compile(r"signInAudience"), ("--accounts",)),
    (re.compile(r"identifierUris|App ID URI"), ("--app-id-uri",)),
    (
        re.compile(r"redirectUris|Redirect URI"),
        ("--redirect-uri", "--spa-redirect-uri", "--public-redirect-uri"),
    ),
    (re.compile(r"appRoles|App role"), ("--role",)),
    (re.compile(r"oauth2PermissionScopes|Scope '"), ("--scope",)),
    (re.compile(r"allowedMemberTypes"), ("--for",)),
    (re.compile(r"displayName"), ("--name", "--display-name")),
    (re.compile(r"uniqueName"), ("--unique-name",)),
    (re.compile(r"optionalClaims"), ("--optional-claim",)),
    (re.compile(r"endDateTime"), ("--days",)),
)


class Runner:
    """Run plans on one target.

    Args:
        target: Where.
        dry_run: Print changes instead of sending them. Reads are sent where there is a login.
        yes: Confirm every question.

    Attributes:
        printed: The requests of a dry run.
    """

    def __init__(self, target: Target, *, dry_run: bool = False, yes: bool = False) -> None:
        self.target: Final = target
        self.dry_run: Final = dry_run
        self._yes = yes
        self.printed: Final[list[dict[str, Any]]] = []

    def run(self, plan: Plan[T]) -> T:
        """Run a plan, and return its result.

        Raises:
            CommandError: Graph refused, or a question was declined.
        """
        result: Any = None
        while True:
            try:
                step = plan.send(result)
            except StopIteration as end:
                outcome: T = end.value
                return outcome
            if isinstance(step, Question):
                self._confirm(step)
                result = None
            else:
                result = self._call(step)

    def _confirm(self, question: Question) -> None:
        """Request confirmation for a change in a real tenant. The emulator's data is test data."""
        if self.dry_run or self._yes or not self.target.real:
            return
        if not sys.stdin.isatty():
            raise CommandError(
                f"{question.text} It cannot be confirmed: standard input is not a terminal.",
                "confirmation_required",
                "Add --yes if that is intended.",
            )
        if not click.confirm(f"{question.text} Tenant: {escape(self.target.name)}.", err=True):
            raise CommandError("Stopped.", "declined", "What was done before this question stays.")

    def _call(self, call: GraphCall) -> Any:
        reads = call.method == "GET"
        if self.dry_run:
            self.printed.append(self._as_json(call))
            if not reads:
                return call.assumed
        # A placeholder ('<...>') names an object that only a real run creates.
        if self.target.graph is None or "<" in call.path:
            return call.assumed
        return self._send(call)

    def _send(self, call: GraphCall) -> Any:
        from entra_guard.graph import GraphError  # noqa: PLC0415  # so that --help stays fast

        delays = iter(_SETTLING if call.settles and self.target.real else ())
        while True:
            try:
                return self._request(call)
            except GraphError as error:
                if call.optional and error.status == _NOT_FOUND:
                    return None
                delay = next(delays, None) if _may_settle(error) else None
                if delay is None:
                    raise _refused(call, error) from None
                time.sleep(delay)

    def _request(self, call: GraphCall) -> Any:
        graph = self.target.graph
        assert graph is not None  # noqa: S101  # checked by the caller
        if call.pages:
            return list(graph.iterate(call.path, call.params, call.headers))
        if call.method == "GET":
            return graph.get(call.path, call.params, call.headers)
        if call.method == "DELETE":
            return graph.delete(call.path, call.headers)
        send = graph.post if call.method == "POST" else graph.patch
        return send(call.path, call.body, call.headers)

    def _as_json(self, call: GraphCall) -> dict[str, Any]:
        query = f"?{urlencode(call.params, safe='$,()/:')}" if call.params else ""
        shown = {
            "purpose": call.purpose,
            "method": call.method,
            "url": f"{self.target.graph_url}{call.path}{query}",
        }
        headers = {"headers": dict(call.headers)} if call.headers else {}
        body = {} if call.body is None else {"body": printable_body(call.body, call.masked)}
        return {**shown, **headers, **body}


def printable_body(body: Any, masked: Sequence[str] = ()) -> Any:
    """Return a body to print: secrets masked, long keys shortened."""
    if isinstance(body, dict):
        return {k: MASKED if k in masked else printable_body(v, masked) for k, v in body.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(body, list):
        return [printable_body(value, masked) for value in body]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(body, str) and len(body) > _LONG and " " not in body:
        return f"{body[:12]}... ({len(body)} characters)"
    return body


def print_requests(requests: list[dict[str, Any]]) -> None:
    """Print the requests of a dry run: each with its purpose, so that they read as a script."""
    for number, request in enumerate(requests, 1):
        click.echo(f"# {number}. {escape(request['purpose'])}")
        click.echo(f"{request['method']} {escape(request['url'], longest=2000)}")
        for name, value in request.get("headers", {}).items():
            click.echo(f"{name}: {escape(value)}")
        if "body" in request:
            click.echo(json.dumps(request["body"], indent=2))
        click.echo()


def _may_settle(error: GraphError) -> bool:
    """Return whether Graph does not know an object yet: directory changes take seconds to spread."""
    return error.status == _NOT_FOUND or any(words in error.message for words in _NOT_YET)


def _refused(call: GraphCall, error: GraphError) -> CommandError:
    what = f"{call.purpose}: Graph refuses it. {escape(error.message, longest=1000)}"
    identifier = f", request id {escape(error.request_id)}" if error.request_id else ""
    remedy = _REMEDIES.get(error.code) or options_remedy(error.message, _own_options())
    return CommandError(what, f"{escape(error.code)} (HTTP {error.status}){identifier}", remedy)


def options_remedy(message: str, own: Collection[str]) -> str:
    """Return what to change: the options of this command that set what an error of Graph names.

    Args:
        message: Graph's message.
        own: The options that the command has.
    """
    found = [
        f"{option} {named[1]}" if named.re.groups and named[1] else option
        for pattern, options in _OPTIONS
        if (named := pattern.search(message))
        for option in options
        if option in own
    ]
    if not found:
        return "Change the value that the message names, and run the command again."
    return f"Change it with {' or '.join(found)}, and run the command again."


def _own_options() -> set[str]:
    context = click.get_current_context(silent=True)
    return {name for option in context.command.params for name in option.opts} if context else set()
