"""Causes of a 401 or 403, each made on the emulator by its real mistake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from cause_world import DOMAIN, ROLE, SCOPE, World

from entra_guard.credentials import ClientSecretCredential
from entra_guard.emulator import CONTOSO, FABRIKAM, AppRole
from entra_guard.graph import GroupResolver

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Cause:
    """A mistake, and what the API's response must be.

    Attributes:
        reason: The reason that must be reported.
        make: Makes the mistake, and returns the function with which the client gets its token.
        path: The route that the client calls.
        hint: What the report must say in addition.
    """

    reason: str
    make: Callable[[World], Callable[[], str]]
    path: str = "/role"
    hint: str = ""


def role_not_assigned(world: World) -> Callable[[], str]:
    return world.app_token


def no_admin_consent(world: World) -> Callable[[], str]:
    assert (
        world.run("app", "permission", "add", world.client.client_id, world.api.client_id, ROLE).exit_code
        == 0
    )
    return world.app_token


def role_for_users_only(world: World) -> Callable[[], str]:
    only_users = [AppRole(role.id, role.value, ("User",)) for role in world.api.app_roles]
    world.change_api(app_roles=tuple(only_users))
    return world.app_token


def role_not_in_the_registration(world: World) -> Callable[[], str]:
    world.change_api(app_roles=world.api.app_roles[1:])
    world.permit("Orders.Write")
    return world.app_token


def role_in_another_letter_case(world: World) -> Callable[[], str]:
    role = world.api.app_roles[0]
    world.change_api(app_roles=(AppRole(role.id, "orders.read"),))
    world.permit("orders.read")
    return world.app_token


def another_role_assigned(world: World) -> Callable[[], str]:
    world.permit("Orders.Write")
    return world.app_token


def client_has_no_service_principal(world: World) -> Callable[[], str]:
    principal = world.entra.directory.principal_of(world.client.client_id, world.tenant)
    assert principal
    token = world.entra.issue_token(world.client, audience=world.api, claims={"oid": None})
    world.entra.directory_service.registrations.remove_principal(principal.id)
    return lambda: token


def v1_tokens(world: World) -> Callable[[], str]:
    world.permit()
    world.change_api(token_version=None)
    world.settings["ENTRA_GUARD_TOKEN_VERSIONS"] = "2.0"
    return world.app_token


def version_set_at_the_client(world: World) -> Callable[[], str]:
    world.entra.update_app(world.client, token_version=2)
    return v1_tokens(world)


def v1_audience_is_the_app_id_uri(world: World) -> Callable[[], str]:
    world.permit()
    world.change_api(token_version=1, identifier_uris=(f"{DOMAIN}/orders",))
    return lambda: world.app_token(f"{DOMAIN}/orders/.default")


def member_without_acct(world: World) -> Callable[[], str]:
    world.entra.grant_delegated(world.client, world.api, SCOPE)
    world.settings["ENTRA_GUARD_GUESTS"] = "false"
    return world.user_token


def guest_of_the_tenant(world: World) -> Callable[[], str]:
    world.user = world.entra.add_user("grace", home=FABRIKAM).upn
    world.change_api(optional_claims=("acct",))
    return member_without_acct(world)


def agent_calls(world: World) -> Callable[[], str]:
    blueprint = world.entra.register_app("Agents", is_blueprint=True)
    agent = world.entra.add_agent("Helper", blueprint=blueprint)
    world.entra.grant(agent, world.api, ROLE)
    world.settings["ENTRA_GUARD_AGENTS"] = "false"
    return lambda: world.entra.issue_token(agent, audience=world.api)


def scope_not_granted(world: World) -> Callable[[], str]:
    world.entra.grant_delegated(world.client, world.api, "Orders.List")
    world.scope = f"{world.api.app_id_uri}/Orders.List"
    return world.user_token


def scope_not_in_the_registration(world: World) -> Callable[[], str]:
    world.change_api(scopes=world.api.scopes[1:])
    return scope_not_granted(world)


def scope_in_another_letter_case(world: World) -> Callable[[], str]:
    from dataclasses import replace

    world.change_api(scopes=(replace(world.api.scopes[0], value="orders.use"),))
    world.entra.grant_delegated(world.client, world.api, "orders.use")
    return world.user_token


def role_not_assigned_to_the_user(world: World) -> Callable[[], str]:
    world.entra.grant_delegated(world.client, world.api, SCOPE)
    return world.user_token


def role_for_applications_only(world: World) -> Callable[[], str]:
    role = world.api.app_roles[0]
    world.change_api(app_roles=(AppRole(role.id, ROLE, ("Application",)),))
    return role_not_assigned_to_the_user(world)


def scope_of_graph(world: World) -> Callable[[], str]:
    world.permit()
    return lambda: world.app_token("https://graph.microsoft.com/.default")


def user_signs_in_without_a_scope(world: World) -> Callable[[], str]:
    world.permit()
    world.scope = "User.Read"
    return world.user_token


def scope_of_the_client_itself(world: World) -> Callable[[], str]:
    world.permit()
    return lambda: world.app_token(f"{world.client.client_id}/.default")


def scope_of_another_api(world: World) -> Callable[[], str]:
    world.permit()
    other = world.entra.register_app("Invoices API", app_roles=["Invoices.Read"])
    world.entra.grant(world.client, other, "Invoices.Read")
    return lambda: world.app_token(other.default_scope)


def scope_of_azure_resource_manager(world: World) -> Callable[[], str]:
    world.permit()
    return lambda: world.app_token("https://management.azure.com/.default")


def token_of_another_tenant(world: World) -> Callable[[], str]:
    world.permit()
    for app in (world.api, world.client):
        world.entra.update_app(app, accounts="AzureADMultipleOrgs")
        world.entra.consent(app, tenant=FABRIKAM)
    world.entra.grant(world.client, world.api, ROLE, tenant=FABRIKAM)
    world.tenant = FABRIKAM
    return world.app_token


def id_token_sent(world: World) -> Callable[[], str]:
    world.permit()
    return lambda: str(world.signed_in()["id_token"])


def refresh_token_sent(world: World) -> Callable[[], str]:
    world.permit()
    return lambda: str(world.signed_in()["refresh_token"])


def expired_cache(world: World) -> Callable[[], str]:
    world.permit()
    token = world.app_token()
    world.entra.advance(2 * 3600)
    return lambda: token


def token_changed_on_the_way(world: World) -> Callable[[], str]:
    world.permit()
    token = world.app_token()
    middle = len(token) - 100
    return lambda: f"{token[:middle]}{'A' if token[middle] != 'A' else 'B'}{token[middle + 1 :]}"


def signing_key_of_the_application(world: World) -> Callable[[], str]:
    world.permit()
    world.entra.add_signing_key(world.api)
    return world.app_token


def client_not_listed(world: World) -> Callable[[], str]:
    world.permit()
    world.settings["ENTRA_GUARD_ALLOWED_CLIENTS"] = world.api.client_id
    return world.app_token


def object_id_listed(world: World) -> Callable[[], str]:
    world.permit()
    principal = world.entra.directory.principal_of(world.client.client_id, world.tenant)
    assert principal
    world.settings["ENTRA_GUARD_ALLOWED_CLIENTS"] = principal.id
    return world.app_token


def audience_is_the_clients_id(world: World) -> Callable[[], str]:
    world.permit()
    world.settings["ENTRA_GUARD_AUDIENCE"] = world.client.client_id
    return world.app_token


def audience_is_the_app_id_uri_only(world: World) -> Callable[[], str]:
    world.permit()
    world.settings["ENTRA_GUARD_AUDIENCE"] = f"{DOMAIN}/orders-api"
    return world.app_token


def audience_is_a_scope(world: World) -> Callable[[], str]:
    world.permit()
    world.settings["ENTRA_GUARD_AUDIENCE"] = f"api://{world.api.client_id}/{SCOPE}"
    return world.app_token


def audience_in_another_letter_case(world: World) -> Callable[[], str]:
    world.permit()
    world.change_api(token_version=1, identifier_uris=(f"{DOMAIN}/Orders",))
    world.settings["ENTRA_GUARD_AUDIENCE"] = f"{DOMAIN}/orders"
    return lambda: world.app_token(f"{DOMAIN}/Orders/.default")


def audience_with_another_scheme(world: World) -> Callable[[], str]:
    world.permit()
    world.change_api(token_version=1, identifier_uris=(f"{DOMAIN}/orders",))
    world.settings["ENTRA_GUARD_AUDIENCE"] = "https://contoso.onmicrosoft.com/orders"
    return lambda: world.app_token(f"{DOMAIN}/orders/.default")


def users_token_for_applications(world: World) -> Callable[[], str]:
    world.permit()
    world.entra.assign("alice", world.api, ROLE)
    world.entra.grant_delegated(world.client, world.api, SCOPE)
    return world.user_token


def client_of(authority: str) -> Callable[[World], Callable[[], str]]:
    """Return a mistake: the guard has the public cloud, and the client another authority.

    The emulator serves loopback only. A transport responds for other hosts with its documents, host by host.
    """

    def make(world: World) -> Callable[[], str]:
        world.permit()
        world.settings["ENTRA_GUARD_AUTHORITY"] = "public"
        emulator, own = world.entra.transport, world.entra.url

        def respond(request: httpx.Request) -> httpx.Response:
            asked = f"{request.url.scheme}://{request.url.netloc.decode()}"
            url = str(request.url).replace(asked, own)
            response = emulator.handle_request(httpx.Request(request.method, url))
            return httpx.Response(response.status_code, text=response.read().decode().replace(own, asked))

        world.http = httpx.Client(transport=httpx.MockTransport(respond), base_url=own)
        return lambda: world.entra.issue_token(world.client, audience=world.api, base_url=authority)

    return make


def client_of_a_b2c_policy(world: World) -> Callable[[], str]:
    """The emulator has no B2C: its keys and a transport make a policy of it, as B2C publishes one."""
    host, policy = "https://contoso.b2clogin.com", "B2C_1_susi"
    issuer, path = f"{host}/{world.tenant}/v2.0/", f"/{world.tenant}/{policy}"
    emulator = world.entra.transport

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == f"{path}/v2.0/.well-known/openid-configuration":
            keys = f"{host}{path}/discovery/v2.0/keys"
            return httpx.Response(200, json={"issuer": issuer, "jwks_uri": keys})
        if request.url.path == f"{path}/discovery/v2.0/keys":
            published = world.entra.keys[0]
            key = {"kty": "RSA", "use": "sig", "kid": published.kid, "e": "AQAB", "n": published.modulus}
            return httpx.Response(200, json={"keys": [key]})
        return emulator.handle_request(request)

    world.http = httpx.Client(transport=httpx.MockTransport(respond), base_url=world.entra.url)
    claims = {"iss": issuer, "ver": "1.0", "tid": None, "tfp": policy, "idtyp": None, "uti": None}
    return lambda: world.entra.issue_token(
        world.client, audience=world.api, user="alice", scopes=[SCOPE], claims=claims
    )


def personal_account(world: World) -> Callable[[], str]:
    anyone = "AzureADandPersonalMicrosoftAccount"
    world.change_api(app_roles=(), identifier_uris=(), accounts=anyone)
    world.entra.update_app(world.client, accounts=anyone)
    world.scope = f"{world.api.client_id}/{SCOPE}"
    dave = next(user for user in world.entra.directory.users.values() if user.given_name == "Dave")
    for user in (dave, "alice"):
        world.entra.sign_in(world.client, user, scope=world.scope)  # both have consented

    def get_token() -> str:
        for user, segment in ((dave.upn, "common"), ("alice@contoso.onmicrosoft.com", world.tenant)):
            found = world.sign_in_silently(user, segment)
            if "code" in found:
                return str(world.redeem(found["code"], segment)["access_token"])
        raise AssertionError(found)

    return get_token


def too_many_groups(world: World) -> Callable[[], str]:
    for number in range(201):
        world.entra.add_group(f"Group {number}", "alice")
    world.change_api(group_claims=True)
    world.entra.grant_delegated(world.client, world.api, SCOPE)
    secret = world.entra.add_secret(world.api).value

    def resolver() -> dict[str, Any]:
        credential = ClientSecretCredential(
            world.tenant, world.api.client_id, secret, authority=world.entra.url, http_client=world.http
        )
        graph = {"base_url": world.entra.url, "scope": "https://graph.microsoft.com/.default"}
        return {"groups": GroupResolver(credential, http_client=world.http, **graph)}

    world.arguments = resolver
    return world.user_token


def revoked(world: World) -> Callable[[], str]:
    world.permit()
    token = world.app_token()
    principal = world.entra.directory.principal_of(world.client.client_id, world.tenant)
    assert principal
    world.revoked[principal.id] = world.entra.now()
    world.entra.advance(301)  # as Entra dates tokens back

    return lambda: token


def sent_as(form: str | None) -> Callable[[World], Callable[[], str]]:
    """Return a mistake in the header: the form in which the token is sent."""

    def make(world: World) -> Callable[[], str]:
        world.permit()
        world.header = lambda token: None if form is None else form.format(token)
        return world.app_token

    return make


ANOTHER, OWN = "another registration of the same tenant", "requested its own client id"
CAUSES = {
    "role not assigned": Cause("no_permissions", role_not_assigned),
    "no admin consent": Cause("no_permissions", no_admin_consent),
    "role for users only": Cause("no_permissions", role_for_users_only),
    "role not in the registration": Cause("missing_role", role_not_in_the_registration),
    "role in another letter case": Cause("missing_role", role_in_another_letter_case, hint="letter case"),
    "another role assigned": Cause("missing_role", another_role_assigned),
    "client has no service principal": Cause("no_service_principal", client_has_no_service_principal),
    "v1.0 tokens": Cause("wrong_version", v1_tokens),
    "token version set at the client": Cause("wrong_version", version_set_at_the_client),
    "v1.0 audience is the App ID URI": Cause("wrong_audience", v1_audience_is_the_app_id_uri),
    "member without acct": Cause("guest_not_allowed", member_without_acct, "/scope"),
    "guest of the tenant": Cause("guest_not_allowed", guest_of_the_tenant, "/scope"),
    "agent calls": Cause("agent_not_allowed", agent_calls),
    "scope not granted": Cause("missing_scope", scope_not_granted, "/scope"),
    "scope not in the registration": Cause("missing_scope", scope_not_in_the_registration, "/scope"),
    "scope in another letter case": Cause(
        "missing_scope", scope_in_another_letter_case, "/scope", "letter case"
    ),
    "role not assigned to the user": Cause("missing_role", role_not_assigned_to_the_user),
    "role for applications only": Cause("missing_role", role_for_applications_only),
    "scope of Graph": Cause("token_for_graph", scope_of_graph),
    "user signs in without a scope of the API": Cause("token_for_graph", user_signs_in_without_a_scope),
    "scope of the client itself": Cause("wrong_audience", scope_of_the_client_itself, hint=OWN),
    "scope of another API": Cause("wrong_audience", scope_of_another_api, hint=ANOTHER),
    "scope of Azure Resource Manager": Cause(
        "wrong_audience", scope_of_azure_resource_manager, hint="Azure Resource"
    ),
    "token of another tenant": Cause("wrong_tenant", token_of_another_tenant),
    "ID token sent": Cause("id_token", id_token_sent),
    "refresh token sent": Cause("not_a_jwt", refresh_token_sent),
    "expired cache": Cause("expired", expired_cache),
    "token changed on the way": Cause("bad_signature", token_changed_on_the_way),
    "signing key of the application": Cause("unknown_key", signing_key_of_the_application),
    "client not in allowed_clients": Cause("client_not_allowed", client_not_listed),
    "object id in allowed_clients": Cause("client_not_allowed", object_id_listed),
    "audience is the client's id": Cause(
        "wrong_audience", audience_is_the_clients_id, hint="id of the caller"
    ),
    "audience is the App ID URI only": Cause(
        "wrong_audience", audience_is_the_app_id_uri_only, hint="v2.0 tokens have the API's client id"
    ),
    "audience is a scope": Cause("wrong_audience", audience_is_a_scope, hint="more in it than the client id"),
    "audience in another letter case": Cause(
        "wrong_audience", audience_in_another_letter_case, hint="letter case"
    ),
    "audience with another scheme": Cause("wrong_audience", audience_with_another_scheme, hint="scheme"),
    "client of another cloud": Cause("wrong_cloud", client_of("https://login.microsoftonline.us")),
    "client of an External ID tenant": Cause("wrong_issuer", client_of(f"https://{CONTOSO}.ciamlogin.com")),
    "client of a B2C policy": Cause("wrong_issuer", client_of_a_b2c_policy, "/scope"),
    "personal account": Cause("personal_account", personal_account, "/scope"),
    "too many groups": Cause("groups_overage", too_many_groups, "/scope"),
    "user's token for applications": Cause("app_token_required", users_token_for_applications, "/app-only"),
}
# What `explain` does not see: the header in which the client sends the token, and what happens in the API's process.
NOT_IN_THE_TOKEN = {
    "header removed by a proxy": Cause("missing_token", sent_as(None)),
    "without Bearer": Cause("missing_bearer", sent_as("{}")),
    "sign-in not finished": Cause("malformed_authorization", sent_as("Bearer undefined")),
    "variable not replaced": Cause("not_a_jwt", sent_as("Bearer $TOKEN")),
    "cut by copy and paste": Cause("not_a_jwt", sent_as("Bearer {:.200}")),
    "Bearer twice": Cause("malformed_authorization", sent_as("Bearer Bearer {}")),
    "Bearer with a colon": Cause("malformed_authorization", sent_as("Bearer: {}")),
    "in quotes": Cause("quoted_token", sent_as('Bearer "{}"')),
    "caller was revoked": Cause("token_revoked", revoked),
    "whole response of the token endpoint": Cause("token_in_json", sent_as('Bearer {{"access_token":"{}"}}')),
}
