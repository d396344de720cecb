"""A deployment for `doctor`: an Entra on loopback, an API, an outbound client, and their variables."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from entra_guard.cli._group import group
from entra_guard.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

GRAPH = "00000003-0000-0000-c000-000000000000"
_FOREIGN = ("_PROXY", "_proxy", "SSL_CERT", "ENTRA_GUARD", "AZURE_", "IDENTITY_")


@dataclass(frozen=True)
class Report:
    """The JSON report of a run."""

    exit_code: int
    text: str
    findings: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def state(self, section: str, check: str) -> str:
        return str(self.findings.get((section, check), {"state": "missing"})["state"])

    def found(self, section: str, check: str) -> str:
        return str(self.findings[section, check]["found"])

    @property
    def bad(self) -> dict[tuple[str, str], str]:
        """The checks that failed or warned, with what was found."""
        return {
            key: row["found"] for key, row in self.findings.items() if row["state"] in ("failure", "warning")
        }


class Deployment:
    """An API and a client that are registered correctly."""

    def __init__(self, **settings: Any) -> None:
        self.entra = Emulator(**settings)
        self.api = self.entra.register_app("Orders API", app_roles=["Orders.Read"], scopes=["access_as_user"])
        self.client = self.entra.register_app("Night report", identifier_uris=())
        (self.grant,) = self.entra.grant(self.client, self.api, "Orders.Read")
        (self.graph_grant,) = self.entra.grant(self.client, GRAPH, "Application.Read.All")
        self.secret = self.entra.add_secret(self.client)
        self._last: tuple[dict[str, str | None], tuple[str, ...], dict[str, Any] | None] = ({}, (), None)

    @property
    def reads_graph(self) -> bool:
        """Whether the last run read the registrations."""
        return "--graph" in self._last[1]

    def fix(self, report: Report, key: tuple[str, str]) -> None:
        """Run the commands of our own that a report shows for a check."""
        shown = [line for line in report.findings[key]["fix"] if line.startswith("entra-guard app ")]
        for line in shown:
            words = shlex.split(line.replace("<client id>", self.client.client_id))[1:]
            done = CliRunner().invoke(group, words)
            assert done.exit_code == 0, done.output
        assert shown

    @property
    def principal_of_api(self) -> Any:
        return self.entra.directory.principal_of(self.api.client_id, self.entra.tenant_id)

    def variables(self, url: str = "") -> dict[str, str]:
        url = url or self.entra.url
        return {
            "ENTRA_GUARD_TENANT": self.entra.tenant_id,
            "ENTRA_GUARD_AUDIENCE": self.api.client_id,
            "ENTRA_GUARD_AUTHORITY": url,
            "AZURE_TENANT_ID": self.entra.tenant_id,
            "AZURE_CLIENT_ID": self.client.client_id,
            "AZURE_CLIENT_SECRET": self.secret.value,
            "AZURE_AUTHORITY_HOST": url,
        }

    def check(
        self,
        *options: str,
        url: str = "",
        obj: dict[str, Any] | None = None,
        outbound: bool = False,
        **changed: str | None,
    ) -> Report:
        """Run `doctor --json` with these variables and no others of ours.

        Args:
            options: Of the command.
            url: The authority; by default the Entra of this deployment.
            obj: More settings of the guard and the credential.
            outbound: Configure the outbound credential, as --graph does.
            changed: Variables that differ; None for one that is not set.
        """
        given: dict[str, str | None] = {**self.variables(url)}
        if not (outbound or "--graph" in options):
            given["AZURE_CLIENT_SECRET"] = None
        given |= changed
        self._last = given, options, obj
        return self.check_again()

    def check_again(self) -> Report:
        """Run `doctor` again with the same options and variables."""
        given, options, obj = self._last
        done = run("--json", *options, variables=given, obj=obj)
        if not done.text.startswith("{"):
            return done
        rows = json.loads(done.text)["findings"]
        return Report(done.exit_code, done.text, {(row["section"], row["check"]): row for row in rows})


def foreign_variables() -> list[str]:
    """Return the names of the environment's variables that would change what `doctor` finds."""
    return [name for name in os.environ if any(part in name for part in _FOREIGN)]


def run(*options: str, variables: dict[str, str | None], obj: dict[str, Any] | None = None) -> Report:
    """Run `doctor` in this process."""
    unset: dict[str, str | None] = dict.fromkeys(foreign_variables())
    done = CliRunner(env=unset | variables).invoke(group, ["doctor", *options], obj=obj)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Report(done.exit_code, done.output)


@contextmanager
def module(name: str, **objects: Any) -> Iterator[str]:
    """Make objects importable for a while; yields the module's name."""
    made = ModuleType(name)
    vars(made).update(objects)
    sys.modules[name] = made
    try:
        yield name
    finally:
        del sys.modules[name]
