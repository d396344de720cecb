"""Collect the facts of what the application calls: its credential, Redis, and the registrations in Graph."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from entra_guard._keys.authority import CLOUDS, cloud_of
from entra_guard.cli._import_object import import_object
from entra_guard.cli.doctor._facts import CredentialFacts, GraphFacts, RedisFacts
from entra_guard.cli.doctor._probe_graph import graph_client, probe_graph
from entra_guard.cli.doctor._probe_outbound import (
    credential_of_environment,
    probe_credential,
    read_federated_token,
)
from entra_guard.cli.doctor._probe_redis import probe_redis, probe_shared_redis
from entra_guard.credentials import Settings
from entra_guard.errors import ConfigurationError, EntraGuardError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.cli.doctor._facts import Facts
    from entra_guard.cli.doctor._options import Options
    from entra_guard.credentials._base import BaseCredential


def _called(make: Any, name: str) -> Any:
    """Return what a class or function makes without arguments.

    Raises:
        click.UsageError: It fails; its text is not repeated, as it may quote a secret.
    """
    try:
        return make()
    except ConfigurationError:
        raise
    except Exception as error:
        kind = type(error).__name__
        raise click.UsageError(f"--credential {name}: calling it without arguments raised {kind}.") from error


class Outbound:
    """The outbound side of a deployment.

    Args:
        options: The options.
        environ: The variables.
        settings: More arguments of credentials.
        guard: What is known of the guard.
        for_groups: The credential by which the guard resolves groups; None if it resolves none.
    """

    def __init__(
        self,
        options: Options,
        environ: Mapping[str, str],
        settings: Mapping[str, Any],
        guard: Facts,
        for_groups: BaseCredential | None,
    ) -> None:
        self._options = options
        self._environ = environ
        self._settings = {name: settings[name] for name in settings if name in Settings.__annotations__}
        self._guard = guard
        self._for_groups = for_groups

    @cached_property
    def _credential(self) -> Any:
        """Return the credential, the ConfigurationError that prevents it, or None if none is described."""
        if name := self._options.credential_name:
            found = import_object(name, "--credential")
            return (
                found if hasattr(found, "get_token") and not isinstance(found, type) else _called(found, name)
            )
        if self._for_groups is not None:
            return self._for_groups
        try:
            return credential_of_environment(
                self._environ, managed_identity=self._options.managed_identity, settings=self._settings
            )
        except ConfigurationError as error:
            return error

    def credential_facts(self) -> CredentialFacts | None:
        """Return the credential's dry run; None if there is no credential."""
        origin = self._options.credential_name or "AZURE_* variables"
        credential = self._credential
        if credential is None:
            return None
        if isinstance(credential, ConfigurationError):
            return CredentialFacts(origin, str(credential), federated=read_federated_token(self._environ))
        found = probe_credential(
            credential,
            origin,
            self._options.scope or self._scope(),
            environ=self._environ,
            now=self._guard.now,
            offline=self._guard.offline,
        )
        return replace(found, for_groups=credential is self._for_groups)

    def _scope(self) -> str:
        source = self._guard.settings.source
        cloud = cloud_of(source.authority.url) if source else ""
        graph = CLOUDS[cloud or "public"].graph or CLOUDS["public"].graph
        return f"{graph}/.default"

    def redis_facts(self) -> RedisFacts | None:
        """Return whether Redis can be used; None if none is named."""
        if self._guard.offline:
            return None
        if not self._options.redis:
            return probe_shared_redis(self._credential)
        try:
            return probe_redis(self._options.redis, self._environ)
        except ConfigurationError as error:
            raise click.UsageError(str(error)) from None

    def graph_facts(self, found: CredentialFacts | None) -> GraphFacts | None:
        """Return the registrations; None if they are not to be read."""
        source, policy = self._guard.settings.source, self._guard.settings.policy
        if not self._options.graph or source is None or policy is None:
            return None
        if found is None or isinstance(self._credential, ConfigurationError):
            raise click.UsageError(
                "--graph needs a credential: set AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret, certificate "
                "or federated token file, or use --credential or --managed-identity."
            )
        try:
            with graph_client(self._credential, source.authority, self._settings.get("http_client")) as graph:
                return probe_graph(graph, policy.audiences, found.client_id)
        except EntraGuardError as error:
            return GraphFacts(str(error))
