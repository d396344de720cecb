"""Collect the facts for the options of the command: build guard and credential, and run the probes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from entra_guard._common.clock import wall_clock
from entra_guard._escaping import escape
from entra_guard._guard.combined_guard import guards_of
from entra_guard.cli._import_object import import_object
from entra_guard.cli.doctor._collect_outbound import Outbound
from entra_guard.cli.doctor._facts import AppFacts, Facts, SettingsFacts, variables_of_settings
from entra_guard.cli.doctor._guard_parts import groups_credential, parts_of
from entra_guard.cli.doctor._probe_app import probe_app
from entra_guard.cli.doctor._probe_authority import probe_authority, probe_keys_file
from entra_guard.cli.doctor._probe_network import probe_network
from entra_guard.cli.doctor._registry import Line, run_checks
from entra_guard.cli.doctor._settings import (
    Variable,
    read_env_file,
    settings_of_guard,
    settings_of_variables,
    values_of,
)
from entra_guard.errors import ConfigurationError
from entra_guard.guard import Guard

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from entra_guard.cli.doctor._options import Options


def collect(options: Options, settings: Mapping[str, Any]) -> list[Line]:
    """Run the probes and the checks, and return the lines of the report.

    Args:
        options: The options.
        settings: More arguments of `Guard` and credentials: tests give an HTTP client.

    Raises:
        click.UsageError: An option cannot work.
    """
    if options.offline and (options.graph or options.redis):
        raise click.UsageError("--graph and --redis need a network: omit them, or --offline.")
    _check_mcp_url(options.mcp_url or "")
    file = read_env_file(options.env_file) if options.env_file else {}
    with _added_to_environment(file):
        return _collect(options, settings, file)


def _check_mcp_url(url: str) -> None:
    """Refuse a URL that no MCP client can use.

    Raises:
        click.UsageError: It is not one.
    """
    if not url:
        return
    from entra_guard.mcp._metadata import is_usable  # noqa: PLC0415  # most runs have no MCP server

    if not is_usable(url):
        raise click.UsageError(
            f"--mcp-url must be an https URL such as https://tasks.example/mcp, got {escape(url)}"
        )


@contextmanager
def _added_to_environment(variables: Mapping[str, str]) -> Generator[None]:
    """Set variables that are not set, such as those of proxies, as they are in the deployment."""
    added = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _collect(options: Options, settings: Mapping[str, Any], file: Mapping[str, str]) -> list[Line]:
    variables = _variables(options, file)
    guards = _guards(options, variables, settings)
    lines: list[Line] = []
    for number, (found, guard) in enumerate(guards):
        facts = _facts_of_guard(options, found, guard)
        if number == 0:
            facts = _with_the_rest(
                facts,
                options,
                Outbound(options, values_of(variables), settings, facts, groups_credential(guard)),
            )
        label = f", guard {number + 1} of {len(guards)}" if len(guards) > 1 else ""
        lines += run_checks(facts, label)
    return lines


def _variables(options: Options, file: Mapping[str, str]) -> dict[str, Variable]:
    """Return the variables with their origins: options win over the environment, and that over the file."""
    given = {
        "tenant": options.tenant,
        "audience": " ".join(options.audience),
        "authority": options.authority,
        "keys_file": options.keys_file,
    }
    names = variables_of_settings()
    found = {name: Variable(value, str(options.env_file)) for name, value in file.items()}
    # The file's variables have been added to the environment.
    of_environment = {name: value for name, value in os.environ.items() if file.get(name) != value}
    found |= {name: Variable(value, name) for name, value in of_environment.items()}
    return found | {
        names[setting]: Variable(value, f"--{setting.replace('_', '-')}")
        for setting, value in given.items()
        if value
    }


def _guards(
    options: Options, variables: Mapping[str, Variable], settings: Mapping[str, Any]
) -> list[tuple[SettingsFacts, Guard | None]]:
    """Return the settings of each guard with the guard itself, or with None if it cannot be built."""
    if not options.guard_name:
        return [settings_of_variables(variables, settings)]
    name = options.guard_name
    if options.tenant or options.audience or options.authority or options.keys_file:
        raise click.UsageError(
            "--guard has its settings: omit --tenant, --audience, --authority, --keys-file."
        )
    found = import_object(name, "--guard")
    guards: list[Any] = [*guards_of(found)]
    for each in guards:
        if not isinstance(each, Guard):
            raise click.UsageError(f"--guard {name}: this is not a Guard, but {type(each).__name__}.")
    return [(settings_of_guard(each, name), each) for each in guards]


def _facts_of_guard(options: Options, found: SettingsFacts, guard: Guard | None) -> Facts:
    """Probe what one guard needs."""
    if guard is None:
        return Facts(wall_clock(), options.offline, found, options.mcp_url or "")
    parts = parts_of(guard)
    url = parts.source.configuration_urls["2.0"]
    return Facts(
        parts.clock(),
        options.offline,
        found,
        options.mcp_url or "",
        network=None if options.offline else probe_network(parts, url),
        authority=None if options.offline else probe_authority(parts),
        keys_file=probe_keys_file(parts),
    )


def _with_the_rest(facts: Facts, options: Options, outbound: Outbound) -> Facts:
    """Probe what is there once: the credential, Redis, the registration, the application."""
    credential = outbound.credential_facts()
    return replace(
        facts,
        credential=credential,
        redis=outbound.redis_facts(),
        graph=outbound.graph_facts(credential),
        app=_app_facts(options.app_name) if options.app_name else None,
    )


def _app_facts(name: str) -> AppFacts:
    """Return the facts of the application with a name.

    Raises:
        click.UsageError: It is not an application, or cannot be read.
    """
    app = import_object(name, "--app")
    if isinstance(app, type) or not callable(app):
        kind = f"the class {app.__name__}" if isinstance(app, type) else type(app).__name__
        raise click.UsageError(f"--app {name}: this is not an application, but {kind}.")
    try:
        return probe_app(app, name)
    except ConfigurationError as error:
        raise click.UsageError(f"--app {name}: its routes cannot be read: {escape(str(error))}") from error
    except Exception as error:
        kind = type(error).__name__
        raise click.UsageError(f"--app {name}: its routes cannot be read: {kind} was raised.") from error
