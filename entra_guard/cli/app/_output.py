"""What these commands print: ids, endpoints, code to paste, credentials with their ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from entra_guard._escaping import escape
from entra_guard.cli._formatting import relative_time
from entra_guard.cli._screen import GOOD, QUIET, Screen
from entra_guard.cli.app._rows import roles_of, rows_in, scopes_of, seconds_of
from entra_guard.cli.app._target import PUBLIC_AUTHORITY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entra_guard.cli.app._calls import Row
    from entra_guard.cli.app._plan_permissions import Needs
    from entra_guard.cli.app._target import Target

_LABELS: Final = 18
ACCOUNTS: Final = {
    "AzureADMyOrg": "this organization only",
    "AzureADMultipleOrgs": "any organization",
    "AzureADandPersonalMicrosoftAccount": "any organization, and personal accounts",
    "PersonalMicrosoftAccount": "personal accounts only",
}
_ALIASES: Final = {
    "AzureADMultipleOrgs": "organizations",
    "AzureADandPersonalMicrosoftAccount": "common",
    "PersonalMicrosoftAccount": "consumers",
}
_TENANTS: Final = {
    "AzureADMultipleOrgs": 'Tenants.organizations("why any organization may call")',
    "AzureADandPersonalMicrosoftAccount": 'Tenants.everyone("why everyone may call")',
    "PersonalMicrosoftAccount": "Tenants.personal()",
}


def facts(screen: Screen, rows: Iterable[tuple[str, Any]]) -> None:
    """Print names and values; text that others wrote is escaped, ids are never cut."""
    shown = [(name, value if isinstance(value, Text) else Text(_plain(value))) for name, value in rows]
    screen.name_values([(name, value) for name, value in shown if value.plain], labels=_LABELS)


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(escape(str(item)) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return "" if value is None else escape(str(value), longest=2000)


def done(screen: Screen, text: str, target: Target) -> None:
    """Print what was done, and where."""
    screen.render(Text.assemble((escape(text), f"bold {GOOD}"), (f"  {escape(target.name)}", QUIET)))


def endpoints(target: Target, app: Row) -> dict[str, str]:
    """Return the URLs of an application's authority, as the portal's panel 'Endpoints' lists them."""
    segment = _ALIASES.get(str(app.get("signInAudience")), target.tenant_id)
    base = f"{target.authority}/{segment}"
    return {
        "authority": f"{target.authority}/{target.tenant_id}",
        "token": f"{base}/oauth2/v2.0/token",
        "authorization": f"{base}/oauth2/v2.0/authorize",
        "device_code": f"{base}/oauth2/v2.0/devicecode",
        "openid_configuration": f"{base}/v2.0/.well-known/openid-configuration",
        "keys": f"{base}/discovery/v2.0/keys",
        "graph": target.graph_url,
    }


def guard_code(target: Target, app: Row) -> str:
    """Return the six lines that guard a FastAPI application with this registration."""
    rule = _TENANTS.get(str(app.get("signInAudience")))
    tenant = rule or f'"{target.tenant_id}"'
    authority = "" if target.authority == PUBLIC_AUTHORITY else f', authority="{target.authority}"'
    names = "Guard, Tenants" if rule else "Guard"
    return "\n".join(
        (
            "from fastapi import FastAPI",
            f"from entra_guard import {names}",
            "from entra_guard.asgi import GuardMiddleware",
            f'guard = Guard(tenant={tenant}, audience="{app["appId"]}"{authority})',
            "app = FastAPI()",
            "app.add_middleware(GuardMiddleware, guard=guard)",
        )
    )


def app_id_uri(app: Row) -> str:
    """Return the first App ID URI; '' if the application has none."""
    return next(iter(app.get("identifierUris") or ()), "")


def show_ids(screen: Screen, target: Target, app: Row, principal: Row | None) -> None:
    """Print the ids that people copy."""
    uri = app_id_uri(app)
    facts(
        screen,
        [
            ("name", app["displayName"]),
            ("client ID", Text(str(app["appId"]), "bold")),
            ("tenant ID", Text(target.tenant_id, "bold")),
            ("App ID URI", uri),
            ("scope to request", f"{uri}/.default" if uri else ""),
            ("object ID", app["id"]),
            ("service principal", (principal or {}).get("id")),
            ("unique name", app.get("uniqueName")),
            ("accounts", ACCOUNTS.get(str(app.get("signInAudience")), app.get("signInAudience"))),
        ],
    )


def show_endpoints(screen: Screen, target: Target, app: Row) -> None:
    """Print the endpoints, one per line and never wrapped."""
    screen.heading("Endpoints")
    for name, url in endpoints(target, app).items():
        screen.verbatim(f"{name.replace('_', ' '):{_LABELS + 2}}  {url}", indent=2)


def show_permissions(screen: Screen, app: Row) -> None:
    """Print what an API offers."""
    roles: list[Row] = roles_of(app)
    scopes: list[Row] = scopes_of(app)
    if not roles and not scopes:
        return
    screen.heading("Offers")
    facts(
        screen,
        [
            *(
                (f"role {escape(r['value'])}", f"for {', '.join(r['allowedMemberTypes'])}{_off(r)}")
                for r in roles
            ),
            *((f"scope {escape(s['value'])}", f"{s['type']} may consent{_off(s)}") for s in scopes),
        ],
    )


def _off(row: Row) -> str:
    return "" if row.get("isEnabled", True) else " (disabled)"


def show_needs(screen: Screen, app: Row) -> None:
    """Print what an application needs, and whether it is granted."""
    rows = list(needs_of(app))
    if rows:
        screen.heading("Needs")
        facts(screen, [(f"{api}: {value}", f"{kind}, {state}") for api, value, kind, state in rows])


def needs_of(app: Row) -> Iterable[tuple[str, str, str, str]]:
    """Yield API, permission, kind and state. An unknown id is shown as it is, never dropped."""
    granted = {(row["resourceId"], row["appRoleId"]) for row in app["appRoleAssignments"]}
    scopes = {(g["resourceId"], s) for g in app["oauth2PermissionGrants"] for s in str(g["scope"]).split()}
    for access in rows_in(app, "requiredResourceAccess"):
        api: Row = app["apis"].get(access["resourceAppId"]) or {}
        offers = {row["id"]: row["value"] for row in roles_of(api)}
        offers |= {row["id"]: row["value"] for row in rows_in(api, "oauth2PermissionScopes")}
        for permission in access["resourceAccess"]:
            value = offers.get(permission["id"])
            held = (api.get("id"), permission["id"]) in granted or (api.get("id"), value) in scopes
            name = str(api.get("displayName") or access["resourceAppId"])
            kind = "Application" if permission["type"] == "Role" else "Delegated"
            state = "granted" if held else "not granted"
            yield escape(name), escape(value or f"unknown id {permission['id']}"), kind, state


def show_credentials(screen: Screen, app: Row) -> None:
    """Print the credentials with their ends; expired ones in words and colour."""
    secrets: list[Row] = rows_in(app, "passwordCredentials")
    certificates: list[Row] = rows_in(app, "keyCredentials")
    federated: list[Row] = rows_in(app, "federatedIdentityCredentials")
    if not secrets and not certificates and not federated:
        return
    screen.heading("Credentials")
    facts(
        screen,
        [
            *(
                (f"secret {s['keyId']}", _ends(s, f"{s.get('hint') or ''}..., {s.get('displayName') or ''}"))
                for s in secrets
            ),
            *((f"certificate {c['keyId']}", _ends(c, str(c.get("displayName") or ""))) for c in certificates),
            *((f"federated {escape(f['name'])}", f"{f['issuer']} for {f['subject']}") for f in federated),
        ],
    )


def _ends(row: Row, about: str) -> Text:
    left = seconds_of(str(row["endDateTime"])) - time.time()
    words = f"ends {relative_time(left)}" if left > 0 else f"ended {relative_time(left)}"
    named = f", {escape(about.strip(', '))}" if about.strip(", ") else ""
    return Text.assemble((words, "" if left > 0 else "bold red"), named)


def credential_summary(app: Row) -> str:
    """Return an application's credentials in a few words."""
    secrets, certificates = (rows_in(app, n) for n in ("passwordCredentials", "keyCredentials"))
    if not secrets and not certificates:
        return "none"
    first = min(str(row["endDateTime"]) for row in (*secrets, *certificates))
    counts = [_count(secrets, "secret"), _count(certificates, "certificate")]
    left = seconds_of(first) - time.time()
    ends = f"ends {relative_time(left)}" if left > 0 else f"ended {relative_time(left)}"
    return f"{', '.join(filter(None, counts))}, {ends}"


def _count(rows: Sequence[Row], noun: str) -> str:
    return f"{len(rows)} {noun}{'s' if len(rows) > 1 else ''}" if rows else ""


def needs_json(needs: Sequence[Needs]) -> list[Row]:
    """Return granted or needed permissions as JSON."""
    return [
        {
            "api": need.api["displayName"],
            "apiId": need.api["appId"],
            "type": p.type,
            "value": p.value,
            "id": p.id,
        }
        for need in needs
        for p in need.permissions
    ]
