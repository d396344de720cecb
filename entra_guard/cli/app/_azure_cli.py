"""Tokens of the person who is logged in to the Azure CLI."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Final

from entra_guard.cli.app._calls import CommandError

if TYPE_CHECKING:
    from entra_guard.credentials import AccessToken

_SECONDS: Final = 60


class AzureCliCredential:
    """Run `az account get-access-token`.

    Args:
        tenant: The tenant id or domain.
        resource: What the tokens are for, such as 'https://graph.microsoft.com'.
    """

    def __init__(self, tenant: str, resource: str) -> None:
        self._tenant = tenant
        self._resource = resource

    def __repr__(self) -> str:
        return "the Azure CLI login"

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return a token.

        Raises:
            CommandError: The Azure CLI is not installed, or not logged in.
        """
        from entra_guard.credentials import AccessToken  # noqa: PLC0415  # so that --help stays fast

        program = shutil.which("az")
        if program is None:
            raise CommandError(
                f"No login was found for the tenant {self._tenant}.",
                "no_credential",
                "Install the Azure CLI and run 'az login', or set AZURE_CLIENT_ID and a credential of an "
                "application: AZURE_CLIENT_CERTIFICATE_PATH or AZURE_CLIENT_SECRET.",
            )
        arguments = ["account", "get-access-token", "--output", "json"]
        arguments += ["--resource", self._resource, "--tenant", self._tenant]
        token, ends = self._read(self._run([program, *arguments]))
        return AccessToken(token, expires_on=int(ends), refresh_on=ends - 300)

    def _run(self, command: list[str]) -> str:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603  # a fixed program, no shell
        except (OSError, subprocess.TimeoutExpired):
            raise self._no_login() from None
        if done.returncode:
            raise self._no_login()
        return done.stdout

    def _read(self, text: str) -> tuple[str, float]:
        try:
            found = json.loads(text)
            return str(found["accessToken"]), float(found.get("expires_on") or time.time() + 300)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._no_login() from None

    def _no_login(self) -> CommandError:
        return CommandError(
            f"The Azure CLI has no token for the tenant {self._tenant}.",
            "no_credential",
            f"Run: az login --tenant {self._tenant}",
        )
