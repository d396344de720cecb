"""Checks of the API's registration: token version, App ID URI, roles, holders, optional claims. Pure."""

from __future__ import annotations

import json
import shlex
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid
from entra_guard._common.json_values import as_object
from entra_guard.cli.doctor._checks_settings import APP_ID_URI_PORTAL
from entra_guard.cli.doctor._commands import app_command, command
from entra_guard.cli.doctor._finding import Check, Finding, counted, failure, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.cli.doctor._facts import Facts, Holder, Registration
    from entra_guard.policy import Policy

_FORBIDDEN: Final = 403
_UNAUTHORIZED: Final = 401
_PORTAL: Final = "Portal: App registrations > the API >"
# Microsoft Graph, and its app role Application.Read.All.
_GRAPH: Final = "00000003-0000-0000-c000-000000000000"
_READ_ID: Final = "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30"
_MOST_NAMES: Final = 5


def of_api(
    rule: Callable[[Facts, Registration, Policy], Finding | None],
) -> Callable[[Facts], Finding | None]:
    """Run a check where the API's registration was read."""

    @wraps(rule)
    def run(facts: Facts) -> Finding | None:
        policy = facts.settings.policy
        if facts.graph is None or policy is None:
            return None
        if facts.graph.api is None:
            return skipped("the registration was not read")
        return rule(facts, facts.graph.api, policy)

    return run


def _found(facts: Facts) -> Finding | None:
    graph = facts.graph
    if graph is None:
        return None
    if graph.error:
        return failure(graph.error, *_access_fix(graph.status, facts))
    if graph.api is None:
        return failure(
            f"there is no registration {graph.wanted} in this tenant",
            f"{command('az', 'ad', 'app', 'show', '--id', graph.wanted)}  # in the API's own tenant",
            f"{_PORTAL} Overview: compare Application (client) ID (not Object ID) and tenant with "
            "ENTRA_GUARD_AUDIENCE",
        )
    application = graph.api.application
    return ok(f"{application.get('displayName')}, client id {application.get('appId')}")


def _access_fix(status: int, facts: Facts) -> tuple[str, ...]:
    client = (facts.credential.client_id if facts.credential else "") or "<client id>"
    if status not in (_FORBIDDEN, _UNAUTHORIZED):
        return ("entra-guard doctor --graph  # again; see 'network' and 'token' for the way to Graph",)
    if facts.credential and facts.credential.scopes:
        return ("Sign in as a user who may read applications, such as one with the role Directory Readers.",)
    read, az = "Application.Read.All", ("az", "ad", "app", "permission")
    return (
        app_command(facts, "permission", "add", client, "graph", "--role", read),
        app_command(facts, "grant", client, "graph"),
        command(*az, "add", "--id", client, "--api", _GRAPH, "--api-permissions", f"{_READ_ID}=Role"),
        command(*az, "admin-consent", "--id", client),
    )


@of_api
def _principal(facts: Facts, api: Registration, _policy: Policy) -> Finding:
    """Check that the API has a service principal: without one there are no tokens (AADSTS500011)."""
    app_id = str(api.application.get("appId"))
    if api.principal is None:
        create = command("az", "ad", "sp", "create", "--id", app_id)
        return failure("none in this tenant: clients get AADSTS500011 and no token", create)
    if api.principal.get("accountEnabled") is False:
        return failure(
            "it is disabled: clients get AADSTS500014 and no token",
            app_command(facts, "update", app_id, "--enable"),
            command("az", "ad", "sp", "update", "--id", app_id, "--set", "accountEnabled=true"),
            "Portal: Enterprise applications > the API > Properties > Enabled for users to sign-in",
        )
    required = api.principal.get("appRoleAssignmentRequired")
    return ok(f"enabled; assignment {'required (AADSTS501051 without one)' if required else 'not required'}")


@of_api
def _token_version(facts: Facts, api: Registration, policy: Policy) -> Finding:
    wanted = _member(api.application, "api").get("requestedAccessTokenVersion")
    version = "2.0" if wanted == 2 else "1.0"  # noqa: PLR2004
    app_id, shown = str(api.application.get("appId")), "null" if wanted is None else wanted
    right = "1" if version == "2.0" else "2"
    fix = (
        app_command(facts, "update", app_id, "--token-version", right),
        command(
            *("az", "rest", "--method", "PATCH"),
            *("--uri", f"https://graph.microsoft.com/v1.0/applications(appId='{app_id}')"),
            *("--body", json.dumps({"api": {"requestedAccessTokenVersion": int(right)}})),
        ),
        f"{_PORTAL} Manifest > requestedAccessTokenVersion",
    )
    if version not in policy.token_versions:
        accepted = " ".join(sorted(policy.token_versions))
        return failure(f"{shown}: tokens are v{version}, and the guard accepts {accepted} only", *fix)
    if version == "1.0" and not any(is_guid(plain(audience)) for audience in policy.audiences):
        return ok(f"{shown}: tokens are v1.0, with the App ID URI as audience")
    uris = [uri for uri in api.application.get("identifierUris") or () if str(uri).startswith("https://")]
    if version == "1.0" and uris:
        return warning(f"{shown}: tokens are v1.0; Microsoft's guide for MCP servers requires 2", *fix)
    return ok(f"{shown}: tokens are v{version}")


@of_api
def _app_id_uri(facts: Facts, api: Registration, policy: Policy) -> Finding:
    app_id = str(api.application.get("appId"))
    uris = [str(uri) for uri in api.application.get("identifierUris") or ()]
    fix = (
        app_command(facts, "update", app_id, "--app-id-uri", f"api://{app_id}"),
        command("az", "ad", "app", "update", "--id", app_id, "--identifier-uris", f"api://{app_id}"),
        APP_ID_URI_PORTAL,
    )
    if not uris:
        return failure("none: clients cannot request scopes of this API by name", *fix)
    known = {plain(uri) for uri in uris} | {plain(app_id)}
    missing = sorted(name for name in policy.audiences if plain(name) not in known)
    if missing:
        return failure(
            f"the audience {', '.join(missing)} is not an App ID URI of the registration ({', '.join(uris)})",
            f"export ENTRA_GUARD_AUDIENCE={shlex.quote(' '.join([app_id, *uris]))}",
            *fix[1:],
        )
    return ok(", ".join(uris))


@of_api
def _permissions(facts: Facts, api: Registration, policy: Policy) -> Finding:
    """List the app roles with who may hold them, and the scopes."""
    roles = [role for role in api.application.get("appRoles") or () if role.get("isEnabled")]
    scopes = [
        scope
        for scope in _member(api.application, "api").get("oauth2PermissionScopes") or ()
        if scope.get("isEnabled")
    ]
    app_id = str(api.application.get("appId"))
    by_kind = [f"{role.get('value')} ({', '.join(role.get('allowedMemberTypes') or ())})" for role in roles]
    names = [str(scope.get("value")) for scope in scopes]
    shown = f"app roles: {', '.join(by_kind) or 'none'}; scopes: {', '.join(names) or 'none'}"
    add_role = (
        app_command(facts, "role", "add", app_id, "Orders.Read", "--for", "apps"),
        command("az", "ad", "app", "update", "--id", app_id, "--app-roles", "@roles.json"),
        f"{_PORTAL} App roles > Create app role > Allowed member types: Applications",
    )
    if not roles and not scopes and policy.allowed_clients is None:
        return failure(f"{shown}: every token is without permissions and gets 403", *add_role)
    if any("Application" in (role.get("allowedMemberTypes") or ()) for role in roles):
        return ok(shown)
    found = f"{shown}; no role that applications can hold, so that apps without a user get 403"
    return ok(found) if scopes or policy.allowed_clients is not None else warning(found, *add_role)


@of_api
def _role_holders(facts: Facts, api: Registration, policy: Policy) -> Finding | None:
    """List who holds app roles: applications by name, people as a number."""
    roles = {str(role.get("id")): str(role.get("value")) for role in api.application.get("appRoles") or ()}
    if not roles or api.principal is None:
        return None
    held = {role: [each for each in api.holders if each.role_id == role] for role in roles}
    words = [f"{roles[role]}: {_held_by(holders)}" for role, holders in held.items()]
    has_scopes = bool(_member(api.application, "api").get("oauth2PermissionScopes"))
    if not any(held.values()) and policy.allowed_clients is None and not has_scopes:
        client, app_id = "<client id>", str(api.application.get("appId"))
        first = next(iter(roles.values()))
        return warning(
            f"no one holds an app role of this API ({', '.join(roles.values())})",
            app_command(facts, "permission", "add", client, app_id, "--role", first),
            app_command(facts, "grant", client, app_id),
            f"{command('az', 'ad', 'app', 'permission', 'admin-consent', '--id', client)}  "
            "# after az ad app permission add",
            "Portal: App registrations > the client > API permissions > Grant admin consent",
        )
    return ok("; ".join(words))


def _held_by(holders: list[Holder]) -> str:
    apps = sorted(each.name or "unnamed" for each in holders if each.kind == "ServicePrincipal")
    more = f" and {len(apps) - _MOST_NAMES} more" if len(apps) > _MOST_NAMES else ""
    parts = [f"{', '.join(apps[:_MOST_NAMES])}{more}"] if apps else []
    for kind, noun in (("User", "user"), ("Group", "group")):
        if number := sum(each.kind == kind for each in holders):
            parts.append(counted(number, noun))
    return ", ".join(parts) or "no one"


@of_api
def _optional_claims(facts: Facts, api: Registration, policy: Policy) -> Finding:
    rows = _member(api.application, "optionalClaims").get("accessToken") or ()
    names = [str(row.get("name")) for row in rows]
    shown = ", ".join(names) or "none"
    app_id = str(api.application.get("appId"))

    def fix(name: str) -> tuple[str, ...]:
        return (
            app_command(facts, "update", app_id, "--optional-claim", name),
            command(
                "az", "ad", "app", "update", "--id", app_id, "--optional-claims", _claims([*names, name])
            ),
            f"{_PORTAL} Token configuration > Add optional claim > Access > {name}",
        )

    if not policy.guests and "acct" not in names:
        return failure(f"{shown}; guests=False needs 'acct', so every user is refused", *fix("acct"))
    also = "" if "idtyp" in names else "; 'idtyp' would say of each token whether an app or a user calls"
    return ok(f"{shown}{also}")


def _claims(names: list[str]) -> str:
    return json.dumps({"accessToken": [{"name": name} for name in names]})


def _member(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return as_object(row.get(name))


CHECKS: Final = (
    Check("registration", "registration", _found),
    Check("registration", "service principal", _principal),
    Check("registration", "token version", _token_version),
    Check("registration", "App ID URI", _app_id_uri),
    Check("registration", "permissions", _permissions),
    Check("registration", "role holders", _role_holders),
    Check("registration", "optional claims", _optional_claims),
)
