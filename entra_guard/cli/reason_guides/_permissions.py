"""Reasons that are about permissions: the token is valid, and does not allow the operation."""

from __future__ import annotations

from typing import Final

from entra_guard.cli.reason_guides._guide import Guide
from entra_guard.cli.reason_guides._requests import NEW_TOKEN

_EXPLAIN: Final = "$ entra-guard explain < token.txt"
_CLIENT: Final = "00001111-aaaa-2222-bbbb-3333cccc4444"
_GRANT_ROLE: Final = (
    "entra-guard app role add {api} {role} --for apps",
    "entra-guard app permission add {client} {api} --role {role}",
    "entra-guard app grant {client}",
    NEW_TOKEN,
)
_AZ_ROLE: Final = (
    "ROLE_ID=$(az ad sp show --id {api} --query \"appRoles[?value=='{role}'].id\" --output tsv)",
    "az ad app permission add --id {client} --api {api} --api-permissions $ROLE_ID=Role",
    "az ad app permission admin-consent --id {client}",
)
_CONSENT: Final = (
    "App registrations > the client > API permissions > Add a permission > APIs my organization uses > the API > "
    "Application permissions: {role}. Then 'Grant admin consent'."
)

PERMISSIONS: Final[dict[str, Guide]] = {
    "client_not_allowed": Guide(
        causes=(
            "The client is not in allowed_clients.",
            "allowed_clients has an object id in place of the client id.",
            "The client uses another registration than before.",
        ),
        see=(_EXPLAIN,),
        settings=("ENTRA_GUARD_ALLOWED_CLIENTS={allowed}",),
        otherwise="Add {client} to allowed_clients, if it may call this API.",
        facts={
            "expected": "a client among ...",
            "found": f"client {_CLIENT} with no permission",
            "app_id": _CLIENT,
        },
    ),
    "no_permissions": Guide(
        causes=(
            "No app role of the API is assigned to the client.",
            "The permission is listed at the client, but an administrator has not consented.",
            "The role is for users only: its allowed member types lack Applications.",
            "The API has no app role at all.",
        ),
        see=(_EXPLAIN, "$ entra-guard app show {client}", "$ az ad app permission list --id {client}"),
        commands=_GRANT_ROLE,
        portal=f"App registrations > the API > App roles: a role for Applications. {_CONSENT}",
        az=_AZ_ROLE,
        otherwise="Or name all clients that may call in allowed_clients: they need no role, and all others are refused.",
        facts={
            "expected": "scp or roles",
            "found": f"client {_CLIENT} with no permission",
            "app_id": _CLIENT,
        },
    ),
    "missing_scope": Guide(
        causes=(
            "The client did not request the scope: a token has only scopes that were requested and consented to.",
            "The user, or an administrator, has not consented to the scope.",
            "The API does not offer the scope, or under another name or letter case.",
            "The token is app-only: such tokens have roles.",
        ),
        see=(_EXPLAIN, "$ entra-guard app show {client}"),
        commands=(
            "entra-guard app scope add {api} {scope}",
            "entra-guard app permission add {client} {api} --scope {scope}",
            "entra-guard app grant {client}",
        ),
        portal="App registrations > the API > Expose an API: the scope. App registrations > the client > "
        "API permissions > Delegated permissions: {scope}. Then 'Grant admin consent'.",
        az=(
            "SCOPE_ID=$(az ad sp show --id {api} --query \"oauth2PermissionScopes[?value=='{scope}'].id\" --output tsv)",
            "az ad app permission add --id {client} --api {api} --api-permissions $SCOPE_ID=Scope",
            "az ad app permission admin-consent --id {client}",
        ),
        otherwise="Let the client request {api}/{scope}, and sign in again.",
        facts={"needs": ["Orders.Read"], "has": ["orders.read"], "missing": "Orders.Read", "app_id": _CLIENT}
        | {"hint": "the token has 'orders.read': names differ by letter case"},
    ),
    "missing_role": Guide(
        causes=(
            "The role is not assigned to the client, or to the user on the API's enterprise application.",
            "An administrator has not consented.",
            "The role is for users only, or for applications only.",
            "The token is older than the assignment: clients cache tokens, and managed identities for up to 24 hours.",
            "The user is in a group inside of the assigned group: Entra does not count nested groups.",
            "The API's role has another value or letter case than the route requires ('hint' in the log line).",
        ),
        see=(_EXPLAIN, "$ entra-guard app show {api}", "$ entra-guard app show {client}"),
        commands=_GRANT_ROLE,
        portal=f"For an application: {_CONSENT} For a user: Enterprise applications > the API > "
        "Users and groups > Add user: {role}.",
        az=_AZ_ROLE,
        otherwise="Give the caller the role, and let the client request a new token: a role shows in the next one only.",
        facts={
            "needs": ["Orders.Read"],
            "has": [],
            "missing": "Orders.Read",
            "app_id": _CLIENT,
            "is_app": True,
        },
    ),
    "app_token_required": Guide(
        causes=("A user's token is sent to an operation for applications (app_only).",),
        see=(_EXPLAIN,),
        commands=_GRANT_ROLE,
        portal=f"{_CONSENT}",
        az=_AZ_ROLE,
        otherwise="Let the client use the client credentials flow, or remove app_only from the route.",
        facts={"app_id": _CLIENT, "is_app": False},
    ),
    "user_token_required": Guide(
        causes=("An application's own token is sent to an operation for users (users_only, scopes).",),
        see=(_EXPLAIN,),
        otherwise="Let a user sign in (authorization code flow), or use the on-behalf-of flow in an API between.",
        facts={"app_id": _CLIENT, "is_app": True},
    ),
    "caller_kind_unknown": Guide(
        causes=("An issuer other than Entra does not say whether a user or an application calls.",),
        see=(_EXPLAIN,),
        otherwise="Authority.openid(issuer, is_app=lambda claims: ...), or let the issuer write 'idtyp'.",
        facts={"app_id": "orders-client"},
    ),
    "guest_not_allowed": Guide(
        causes=(
            "The token does not say whether the user is a guest: the API's registration lacks the optional claim acct.",
            "The user is a guest of the tenant.",
        ),
        see=(_EXPLAIN, "$ az ad user show --id {user} --query userType"),
        commands=("entra-guard app update {api} --optional-claim acct",),
        settings=("ENTRA_GUARD_GUESTS=true",),
        portal="App registrations > the API > Token configuration > Add optional claim > Access: acct.",
        az=('az ad app update --id {api} --optional-claims \'{"accessToken": [{"name": "acct"}]}\'',),
        otherwise="To accept guests, use guests=True.",
        facts={"found": "unknown: no acct, no idp", "app_id": _CLIENT},
    ),
    "agent_not_allowed": Guide(
        causes=("An AI agent (Entra Agent ID) calls an operation or API that does not accept agents.",),
        see=(_EXPLAIN,),
        settings=("ENTRA_GUARD_AGENTS=true",),
        otherwise="Accept agents with agents=True on the route, and not agents=False on the guard.",
        facts={"app_id": _CLIENT},
    ),
    "agent_required": Guide(
        causes=("A person or another application calls an operation for AI agents (agents='only').",),
        see=(_EXPLAIN,),
        otherwise="Call with a token of an agent identity.",
        facts={"app_id": _CLIENT},
    ),
    "groups_overage": Guide(
        causes=(
            "The user is in more groups than a token can contain (200), and Graph refuses to return them: the "
            "application of the GroupResolver lacks GroupMember.Read.All or User.Read.All.",
            "The credential of the GroupResolver has expired ('detail' in the log line).",
        ),
        see=(_EXPLAIN,),
        commands=(
            "entra-guard app role assign graph GroupMember.Read.All --app {graph_client}",
            "entra-guard app role assign graph User.Read.All --app {graph_client}",
        ),
        portal="App registrations > the API > Token configuration > groups claim: 'Groups assigned to the application'.",
        az=("az ad app update --id {api} --set groupMembershipClaims=ApplicationGroup",),
        otherwise="Use app roles, or emit only groups that are assigned to the application.",
        facts={"app_id": _CLIENT, "detail": "403 Authorization_RequestDenied: Insufficient privileges ..."},
    ),
}
