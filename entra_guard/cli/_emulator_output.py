"""What a started emulator prints: a start screen, shell exports, or JSON."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.cli._screen import Screen
    from entra_guard.emulator import AppRegistration, Emulator, Samples

_LABELS: Final = 16
_FOR_LIBRARIES: Final = (
    "azure-identity and MSAL need the https authority, without a request to Microsoft about it: "
    "disable_instance_discovery=True, in MSAL instance_discovery=False."
)


def base_of(entra: Emulator, *, https: bool) -> str:
    """Return the base URL for guards and clients alike, because it is part of a token's issuer."""
    return entra.https_url if https else entra.url


def variables(entra: Emulator, samples: Samples, *, https: bool) -> dict[str, str]:
    """Return the environment variables for `Guard.from_env`, azure-identity and HTTP clients."""
    base = base_of(entra, https=https)
    found = {
        "AZURE_AUTHORITY_HOST": base,
        "AZURE_TENANT_ID": entra.tenant_id,
        "AZURE_CLIENT_ID": samples.daemon.client_id,
        "AZURE_CLIENT_SECRET": samples.secret.value,
        "ENTRA_GUARD_AUTHORITY": base,
        "ENTRA_GUARD_TENANT": entra.tenant_id,
        "ENTRA_GUARD_AUDIENCE": samples.api.client_id,
        "ENTRA_EMULATOR_URL": entra.url,
        "ENTRA_EMULATOR_SCOPE": samples.api.default_scope,
        "ENTRA_EMULATOR_PID": str(os.getpid()),
    }
    if https:
        bundle = str(entra.combined_ca_bundle)
        found |= {"SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle}
    return found


def as_shell(found: Mapping[str, str]) -> str:
    """Format environment variables as POSIX shell exports."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items())


def as_json(entra: Emulator, samples: Samples, *, https: bool) -> str:
    """Return everything a program needs, as JSON."""
    authority = f"{base_of(entra, https=https)}/{entra.tenant_id}"
    content: dict[str, Any] = {
        "url": entra.url,
        "https_url": entra.https_url if https else None,
        "ca_bundle": str(entra.combined_ca_bundle) if https else None,
        "pid": os.getpid(),
        "authority": authority,
        "tenant_id": entra.tenant_id,
        "discovery_url": f"{authority}/v2.0/.well-known/openid-configuration",
        "token_url": f"{authority}/oauth2/v2.0/token",
        "api": _api(samples.api),
        "api_v1": _api(samples.legacy_api),
        "daemon": {"client_id": samples.daemon.client_id, "client_secret": samples.secret.value},
        "browser": {
            "client_id": samples.page.client_id,
            "redirect_uris": list(samples.page.spa_redirect_uris),
        },
    }
    return json.dumps(content, indent=2)


def _api(app: AppRegistration) -> dict[str, str]:
    return {"client_id": app.client_id, "app_id_uri": app.app_id_uri, "scope": app.default_scope}


def show(screen: Screen, entra: Emulator, samples: Samples, *, https: bool, page: str) -> None:
    """Print the start screen.

    Args:
        screen: The screen.
        entra: The emulator.
        samples: The registered apps.
        https: Whether https is served.
        page: The URL of its pages, or ''.
    """
    screen.title("Microsoft Entra ID, emulated", "for tests, on this machine only")
    screen.heading("URLs")
    screen.name_values(_url_rows(entra, https=https, page=page), labels=_LABELS)
    # Longer than most terminals; not wrapped, so that it can be copied.
    screen.verbatim(
        f"{'discovery':{_LABELS}}  {entra.authority}/v2.0/.well-known/openid-configuration", indent=2
    )
    screen.heading("Registered")
    screen.name_values(_directory_rows(entra, samples), labels=_LABELS)
    screen.heading("Protect an API")
    screen.code(
        f'Guard(tenant="{entra.tenant_id}",\n      audience="{samples.api.client_id}",\n'
        f'      authority="{entra.url}")',
        "python",
    )
    screen.heading("Get a token for that API")
    screen.verbatim(_curl(entra, samples), indent=2)
    screen.blank_line()
    if https:
        screen.text(_FOR_LIBRARIES)
    screen.text("Press Ctrl-C to stop.")


def _url_rows(entra: Emulator, *, https: bool, page: str) -> tuple[tuple[str, str], ...]:
    return (
        ("authority", entra.authority),
        ("https authority", f"{entra.https_url}/{entra.tenant_id}" if https else ""),
        ("  CA bundle", str(entra.combined_ca_bundle) if https else ""),
        ("pages", page),
    )


def _directory_rows(entra: Emulator, samples: Samples) -> tuple[tuple[str, str | Text], ...]:
    tenant = entra.find_tenant()
    roles = ", ".join(role.value for role in samples.api.app_roles)
    scopes = ", ".join(scope.value for scope in samples.api.scopes)
    held = entra.directory.held_by(samples.daemon.service_principal_id)[samples.api.name]
    return (
        ("tenant", _id_and_name(tenant.id, tenant.name)),
        ("API", _id_and_name(samples.api.client_id, samples.api.name)),
        ("  offers", f"roles {roles}; scope {scopes}"),
        ("daemon", _id_and_name(samples.daemon.client_id, samples.daemon.name)),
        ("  secret", samples.secret.value),
        ("  has", f"role {', '.join(held)}"),
        ("browser client", _id_and_name(samples.page.client_id, samples.page.name)),
        ("  redirect URIs", "\n".join(samples.page.spa_redirect_uris)),
        ("API, v1.0 tokens", _id_and_name(samples.legacy_api.client_id, samples.legacy_api.name)),
        ("users", ", ".join(user.display_name for user in entra.directory.users_in(tenant.id))),
    )


def _id_and_name(guid: str, name: str) -> Text:
    return Text.assemble((guid, "bold"), f"  {name}")


def _curl(entra: Emulator, samples: Samples) -> str:
    fields = {
        "grant_type": "client_credentials",
        "client_id": samples.daemon.client_id,
        "client_secret": samples.secret.value,
        "scope": samples.api.default_scope,
    }
    form = (f"  -d {name}={value}" for name, value in fields.items())
    return " \\\n".join((f"curl {entra.authority}/oauth2/v2.0/token", *form))
