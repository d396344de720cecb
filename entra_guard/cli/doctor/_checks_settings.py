"""Checks of the guard's settings, and of the form of the audience. Pure."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid
from entra_guard.cli.doctor._facts import variables_of_settings
from entra_guard.cli.doctor._finding import Check, Finding, failure, ok, skipped, warning

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Facts, Setting

_SETTINGS: Final = tuple(variables_of_settings())
_REQUIRED: Final = frozenset({"tenant", "audience"})
_LONG_LEEWAY: Final = 300.0
_AUDIENCE_PORTAL: Final = "Portal: App registrations > the API > Overview > Application (client) ID"
_FIXES: Final = {
    "tenant": (
        "export ENTRA_GUARD_TENANT=$(az account show --query tenantId -o tsv)",
        "Portal: Entra admin center > Overview > Tenant ID",
    ),
    "audience": ("export ENTRA_GUARD_AUDIENCE=<client id of the API>", _AUDIENCE_PORTAL),
    "authority": (
        "unset ENTRA_GUARD_AUTHORITY AZURE_AUTHORITY_HOST  # for the public cloud",
        "export ENTRA_GUARD_AUTHORITY=us-government  # or china, or the URL of an External ID tenant",
    ),
    "allowed_clients": ("unset ENTRA_GUARD_ALLOWED_CLIENTS  # or list the clients' ids in it",),
    "token_versions": ("export ENTRA_GUARD_TOKEN_VERSIONS='1.0 2.0'",),
    "leeway": ("export ENTRA_GUARD_LEEWAY=60  # seconds",),
    "guests": ("export ENTRA_GUARD_GUESTS=false  # or true",),
    "keys_file": ("export ENTRA_GUARD_KEYS_FILE=<path>",),
}
_NETWORK_VARIABLE: Final = re.compile(r"\b(?:[A-Z]+_PROXY|[a-z]+_proxy|SSL_CERT_(?:FILE|DIR))\b")
APP_ID_URI_PORTAL: Final = "Portal: App registrations > the API > Expose an API > Application ID URI"


def _setting(name: str, facts: Facts) -> Finding | None:
    """Return a setting's value and origin, or the error that is about it."""
    row = next((row for row in facts.settings.settings if row.name == name), None)
    errors = {**facts.settings.other_errors, facts.settings.blamed: facts.settings.error}
    if name in errors:
        found = errors[name]
        return failure(f"{found} ({row.origin})" if row and row.value else found, *_fix_of(name))
    if row is None or not row.value:
        return failure("not set", *_fix_of(name)) if facts.settings.error and name in _REQUIRED else None
    if not facts.settings.all_checked and row.origin != "default":
        return skipped(f"{row.value} ({row.origin})")
    return _checked_value(name, row, facts)


def _fix_of(name: str) -> tuple[str, ...]:
    return _FIXES.get(name) or (f"unset {variables_of_settings()[name]}  # see docs/settings.md",)


def _checked_value(name: str, row: Setting, facts: Facts) -> Finding:
    shown = f"{row.value} ({row.origin})"
    if name == "leeway" and facts.settings.policy and facts.settings.policy.leeway > _LONG_LEEWAY:
        return warning(
            f"{shown}: tokens are accepted for {row.value} s after they have expired",
            "Synchronize this host's clock, and use a leeway of at most 300 seconds.",
        )
    return ok(shown)


def _all_settings(facts: Facts) -> Finding | None:
    """Report an error that is about no single setting."""
    error = facts.settings.error
    if not error or facts.settings.blamed in _SETTINGS:
        return None
    if named := _NETWORK_VARIABLE.search(error):
        return failure(error, f"unset {named[0]}  # or correct it")
    return failure(error, "env | grep -i entra_guard  # compare with docs/settings.md")


def _audience_form(facts: Facts) -> Finding | None:
    """Check the audience: a client id for v2.0 tokens, an App ID URI or client id for v1.0 tokens."""
    policy, source = facts.settings.policy, facts.settings.source
    if policy is None or source is None:
        return skipped("the settings are wrong") if facts.settings.error else None
    if not source.authority.is_entra:
        return ok("issuers other than Entra choose audiences of any form")
    has_id = any(is_guid(plain(audience)) for audience in policy.audiences)
    uris = sorted(audience for audience in policy.audiences if not is_guid(plain(audience)))
    if has_id:
        also = f", and the App ID URIs {', '.join(uris)}" if uris else ", also as api://<client id>"
        return ok(f"the client id, which v2.0 tokens have{also}")
    found = "only App ID URIs, but v2.0 tokens have the API's client id as their audience"
    fix = (
        f"Set ENTRA_GUARD_AUDIENCE to the client id and the URI: '<client id> {uris[0]}'",
        _AUDIENCE_PORTAL,
    )
    if "2.0" not in policy.token_versions:
        return ok("App ID URIs, which v1.0 tokens have")
    return warning(found, *fix) if "1.0" in policy.token_versions else failure(found, *fix)


CHECKS: Final = (
    Check("settings", "settings", _all_settings),
    *(Check("settings", name.replace("_", " "), partial(_setting, name)) for name in _SETTINGS),
    Check("settings", "audience form", _audience_form),
)
