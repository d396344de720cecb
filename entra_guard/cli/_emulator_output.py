"""What a started emulator prints: a start screen, a line for each request, shell exports, or JSON."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, Any, Final

import click
from rich.text import Text

from entra_guard.cli._program import program_name
from entra_guard.cli.app._calls import DEFAULT_URL
from entra_guard.emulator._activity.access_line import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from entra_guard.cli._emulator_content import Content
    from entra_guard.cli._screen import Screen
    from entra_guard.emulator import AppRegistration, Emulator
    from entra_guard.emulator._activity.request_log import Exchange

_LABELS: Final = 15
_STOP: Final = "entra_emulator_stop"
_MOST_USERS: Final = 6
_COLOURS: Final = {"ok": "green", "refused": "red", "waiting": "yellow"}


def base_of(entra: Emulator, *, https: bool) -> str:
    """Return the base URL for both guards and clients, because it is part of a token's issuer."""
    return entra.https_url if https else entra.url


def variables(entra: Emulator, content: Content, *, https: bool) -> dict[str, str]:
    """Return the environment variables for `Guard.from_env`, azure-identity and HTTP clients."""
    base, samples = base_of(entra, https=https), content.samples
    found = {"AZURE_AUTHORITY_HOST": base, "AZURE_TENANT_ID": entra.tenant_id}
    if samples:
        found |= {"AZURE_CLIENT_ID": samples.daemon.client_id, "AZURE_CLIENT_SECRET": samples.secret.value}
    found |= {"ENTRA_GUARD_AUTHORITY": base, "ENTRA_GUARD_TENANT": entra.tenant_id}
    api = samples.api if samples else next(iter(_apis(entra)), None)
    if api:
        found |= {"ENTRA_GUARD_AUDIENCE": api.client_id, "ENTRA_EMULATOR_SCOPE": api.default_scope}
    found |= {"ENTRA_EMULATOR_URL": entra.url, "ENTRA_EMULATOR_PID": str(os.getpid())}
    if content.identity:
        found |= entra.managed_identity_environment()
    if https:
        bundle = str(entra.combined_ca_bundle)
        found |= {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
        found |= {"NODE_EXTRA_CA_CERTS": str(entra.ca_bundle)}  # Node adds it to its own authorities
    return found


def _apis(entra: Emulator) -> list[AppRegistration]:
    own = (app for app in entra.directory.apps.values() if app.tenant_id == entra.tenant_id)
    return [app for app in own if app.app_roles or app.scopes]


def as_shell(found: Mapping[str, str], before: Mapping[str, str]) -> str:
    """Format environment variables as POSIX shell exports, and a function that takes them back.

    Args:
        found: The variables.
        before: The environment until now: the function restores the values that it has.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    restored = [f"export {name}={shlex.quote(before[name])}" for name in found if name in before]
    gone = [name for name in found if name not in before]
    back = "; ".join(["kill $ENTRA_EMULATOR_PID", *restored, f"unset {' '.join(gone)}", f"unset -f {_STOP}"])
    return "\n".join([*exports, f"{_STOP}() {{ {back}; }}"])


def as_json(entra: Emulator, content: Content, *, https: bool) -> str:
    """Return everything a program needs, as JSON."""
    authority, samples = f"{base_of(entra, https=https)}/{entra.tenant_id}", content.samples
    document: dict[str, Any] = {
        "url": entra.url,
        "https_url": entra.https_url if https else None,
        "ca_bundle": str(entra.combined_ca_bundle) if https else None,
        "pid": os.getpid(),
        "authority": authority,
        "tenant_id": entra.tenant_id,
        "discovery_url": f"{authority}/v2.0/.well-known/openid-configuration",
        "token_url": f"{authority}/oauth2/v2.0/token",
    }
    if samples:
        document |= {
            "api": _api(samples.api),
            "api_v1": _api(samples.legacy_api),
            "daemon": {"client_id": samples.daemon.client_id, "client_secret": samples.secret.value},
            "browser": {
                "client_id": samples.page.client_id,
                "redirect_uris": list(samples.page.spa_redirect_uris),
            },
        }
    if content.identity:
        document["managed_identity"] = entra.managed_identity_environment()
    return json.dumps(document, indent=2)


def _api(app: AppRegistration) -> dict[str, str]:
    return {"client_id": app.client_id, "app_id_uri": app.app_id_uri, "scope": app.default_scope}


def show(screen: Screen, entra: Emulator, content: Content, *, https: bool, page: str) -> None:
    """Print the start screen: at most 24 lines on a terminal of 80 columns.

    Args:
        screen: The screen.
        entra: The emulator.
        content: What it contains.
        https: Whether https is served.
        page: The URL of its pages, or ''.
    """
    reach = (
        "for other containers, with the shared secret"
        if entra.store.public_netloc
        else "on this machine only"
    )
    title = ("Microsoft Entra ID, emulated", "bold"), f"  for tests, {reach}"
    screen.render(Text.assemble(*title))
    screen.blank_line()
    screen.name_values(_url_rows(entra, https=https, page=page), labels=_LABELS)
    screen.name_values(_directory_rows(entra, content), labels=_LABELS)
    kept = printable(str(content.origin))
    note = "kept in the state file" if content.keeper else "nothing is kept between runs without --state FILE"
    screen.name_values([("content", f"{kept}; {note}")], labels=_LABELS)
    screen.blank_line()
    api = content.samples.api if content.samples else next(iter(_apis(entra)), None)
    if api:
        screen.code(_guard_lines(entra, api), "python")
    screen.verbatim(_register_command(entra), indent=2)
    screen.blank_line()
    screen.text("Press Ctrl-C to stop. Requests:")


def _register_command(entra: Emulator) -> str:
    """Return the command for another terminal, which looks for an emulator on the default port."""
    options = "--role Orders.Read" if entra.url == DEFAULT_URL else f"--api --emulator {entra.url}"
    return f'{program_name(elsewhere=True)} app register "Orders API" {options}'


def _guard_lines(entra: Emulator, api: AppRegistration) -> str:
    return (
        f'Guard(tenant="{entra.tenant_id}",\n      audience="{api.client_id}",\n'
        f'      authority="{entra.url}")'
    )


def _url_rows(entra: Emulator, *, https: bool, page: str) -> Iterable[tuple[str, str]]:
    yield "pages", page
    yield "authority", entra.authority
    if https:
        if entra.https_url != entra.url:
            yield "https authority", f"{entra.https_url}/{entra.tenant_id}"
        yield "CA bundle", str(entra.combined_ca_bundle)


def _directory_rows(entra: Emulator, content: Content) -> Iterable[tuple[str, str | Text]]:
    tenant = entra.find_tenant()
    yield "tenant", _id_and_name(tenant.id, tenant.name)
    if content.samples:
        yield from _sample_rows(entra, content)
    else:
        own = [app for app in entra.directory.apps.values() if app.tenant_id]
        counts = (_count(len(entra.directory.tenants), "tenant"), _count(len(own), "app"))
        yield "content of it", f"{', '.join(counts)}: see the pages"
    names = [printable(user.display_name) for user in entra.directory.users_in(tenant.id)]
    more = f" and {len(names) - _MOST_USERS} more" if len(names) > _MOST_USERS else ""
    yield "users", Text(f"{', '.join(names[:_MOST_USERS])}{more}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _sample_rows(entra: Emulator, content: Content) -> Iterable[tuple[str, str | Text]]:
    samples = content.samples
    assert samples is not None  # noqa: S101  # checked by the caller
    roles = ", ".join(role.value for role in samples.api.app_roles)
    scopes = ", ".join(scope.value for scope in samples.api.scopes)
    held = entra.directory.held_by(samples.daemon.service_principal_id).get(samples.api.name, ())
    yield "API", _id_and_name(samples.api.client_id, samples.api.name)
    yield "  offers", printable(f"roles {roles}; scope {scopes}")
    yield "daemon", _id_and_name(samples.daemon.client_id, samples.daemon.name)
    yield "  secret", samples.secret.value
    yield "  has", printable(f"role {', '.join(held)}")
    yield "browser client", _id_and_name(samples.page.client_id, samples.page.name)


def _id_and_name(guid: str, name: str) -> Text:
    return Text.assemble((guid, "bold"), f"  {printable(name)}")


def log_to(screen: Screen) -> Callable[[Exchange], None]:
    """Return a function that prints one line for each exchange."""
    from entra_guard.emulator._activity.access_line import access_line  # noqa: PLC0415  # with the first request

    width = None if screen.plain else screen.console.width

    def log(exchange: Exchange) -> None:
        line = access_line(exchange, width)
        click.echo(line if screen.plain else click.style(line, fg=_COLOURS[exchange.outcome]))

    return log
