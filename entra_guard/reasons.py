"""Every reason for refusing a request, as data: its status, the client's sentence, the operator's words.

README, CLI and log lines print from here. What a reason's words may say differs by reader: the
client's sentence is constant and names no claim value and no allow-list; the explanation and the
fix are for the operator, who also gets the facts that `AccessError` carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a request was refused.

    Attributes:
        name: Stable, speaking name, as it stands in logs, metrics and response bodies.
        status: HTTP status of the answer.
        client: The one sentence that the client is told.
        explanation: What happened, for the operator.
        fix: What to change, and where, for the operator.
    """

    name: str
    status: int
    client: str
    explanation: str
    fix: str


_ALL: Final = (
    Reason(
        "missing_token",
        401,
        "This request needs a bearer token.",
        "The request has no Authorization header.",
        "Send 'Authorization: Bearer <access token>'. A proxy in front of the API may have removed the header.",
    ),
    Reason(
        "malformed_authorization",
        400,
        "The Authorization header must be 'Bearer' and one token.",
        "There is not exactly one Authorization header with the scheme Bearer and one token.",
        "Send one header 'Authorization: Bearer <access token>'; a client that sends 'null' or 'undefined' had no token yet.",
    ),
    Reason(
        "not_a_jwt",
        401,
        "The token is not a signed JWT.",
        "The token is not three base64url segments holding a JSON header, JSON claims and a signature.",
        "Opaque or encrypted tokens come from asking for another resource, or from a token encryption key on the API's registration.",
    ),
    Reason(
        "token_too_large",
        401,
        "The token is too large.",
        "The token is larger than this API accepts.",
        "Large tokens usually carry groups: assign groups to the application, or use app roles instead.",
    ),
    Reason(
        "algorithm_not_allowed",
        401,
        "The token's signing algorithm or header is not accepted.",
        "The token's header names an algorithm, type or extension that is not accepted; Entra signs with RS256.",
        "Send the access token that Entra issued for this API, unchanged.",
    ),
    Reason(
        "token_for_graph",
        401,
        "The token was issued for Microsoft Graph, not for this API.",
        "The token's audience is Microsoft Graph; nobody but Graph can check such a token.",
        "Request the scope 'api://<this API's client id>/.default' (or one of its scopes) instead of User.Read or Graph's .default.",
    ),
    Reason(
        "unknown_key",
        401,
        "The token's signing key is not known.",
        "The issuer's key set, fetched afresh where that was allowed, has no key of the token's kid.",
        "Compare the token's issuer and cloud with this API's tenant. An application with its own signing key (claims mapping) needs 'appid' in the key URL.",
    ),
    Reason(
        "bad_signature",
        401,
        "The token's signature does not hold.",
        "The signature does not fit the key that the token's header names.",
        "The token was changed on its way, or forged. Compare it with the one that Entra answered.",
    ),
    Reason(
        "key_of_other_issuer",
        401,
        "The token's signing key does not belong to its issuer.",
        "The key that signed the token is published for another issuer.",
        "Use a token of a tenant that this API accepts; a key of personal accounts cannot sign for an organization.",
    ),
    Reason(
        "key_of_other_cloud",
        401,
        "The token's signing key does not belong to this cloud.",
        "The key that signed the token is published for another Microsoft cloud.",
        "Name the cloud the API lives in with 'authority', or get the token from that cloud.",
    ),
    Reason(
        "expired",
        401,
        "The token has expired.",
        "The token's lifetime is over.",
        "The client must ask for a new token before the old one ends. If it just did, compare this host's clock with Entra's.",
    ),
    Reason(
        "not_yet_valid",
        401,
        "The token is not valid yet.",
        "The token's lifetime has not begun.",
        "Compare this host's clock with Entra's: it is probably behind.",
    ),
    Reason(
        "issued_in_future",
        401,
        "The token claims to be issued in the future.",
        "The token's iat lies in the future.",
        "Compare this host's clock with Entra's: it is probably behind.",
    ),
    Reason(
        "wrong_issuer",
        401,
        "The token comes from an issuer that this API does not accept.",
        "The token's issuer is not the one that the tenant's OpenID configuration names.",
        "Get the token from the tenant that this API is configured for, or change the guard's tenant or authority.",
    ),
    Reason(
        "wrong_tenant",
        401,
        "The token comes from a tenant that this API does not accept.",
        "The token's tenant is not among those that this API accepts.",
        "Add the tenant to the guard's Tenants, or sign in to an accepted one.",
    ),
    Reason(
        "wrong_version",
        401,
        "The token's version is not accepted.",
        "The token's version is not among those that this API accepts.",
        "Set api.requestedAccessTokenVersion on the API's own registration (not the client's), or accept both token_versions.",
    ),
    Reason(
        "wrong_cloud",
        401,
        "The token comes from another Microsoft cloud.",
        "The token's issuer belongs to another Microsoft cloud than the guard's authority.",
        "Name the cloud with 'authority', or get the token from the API's own cloud.",
    ),
    Reason(
        "personal_account",
        401,
        "Personal Microsoft accounts are not accepted here.",
        "The token is of a personal Microsoft account, and this API accepts work or school accounts.",
        "Use Tenants.everyone(...) or Tenants.personal() if personal accounts are meant to pass.",
    ),
    Reason(
        "wrong_audience",
        401,
        "The token was issued for another API.",
        "The token's audience is not this API.",
        "Let the client request this API's scope, 'api://<this API's client id>/.default', or name the audience in the guard.",
    ),
    Reason(
        "id_token",
        401,
        "An ID token was sent instead of an access token.",
        "The token is not an access token: it looks like an ID token, a refresh token or a logout token, or does not show what it is.",
        "Let the client send the access_token that it got for a scope of this API. 'found' names what is wrong, or what another issuer must write into its access tokens.",
    ),
    Reason(
        "invalid_claims",
        401,
        "The token's claims are not those of an access token.",
        "A claim that every Entra access token has is absent, of the wrong type, or contradicts another.",
        "Send the access token that Entra issued, unchanged. If Entra did issue this, please report its claim names.",
    ),
    Reason(
        "proof_of_possession_required",
        401,
        "This token must be presented with its proof of possession.",
        "The token is bound to a key or certificate (cnf), and was presented as a plain bearer token.",
        "Request a bearer token (no token_type=pop or mtls_pop) for this API.",
    ),
    Reason(
        "client_not_allowed",
        403,
        "This client application may not call this API.",
        "The token's client application is not among allowed_clients.",
        "Add the application's client id to allowed_clients if it is meant to call this API.",
    ),
    Reason(
        "no_permissions",
        403,
        "The token carries no permission for this API.",
        "The token has neither scopes nor roles: any application of the tenant can get such a token.",
        "Assign an app role of this API to the client and grant admin consent, or list the client in allowed_clients.",
    ),
    Reason(
        "missing_scope",
        403,
        "The token lacks a scope that this operation needs.",
        "A scope that the route asks for is not in the token.",
        "Let the client request the scope, and grant consent to it. Scopes count for signed-in users only, never for app-only tokens.",
    ),
    Reason(
        "missing_role",
        403,
        "The caller lacks a role that this operation needs.",
        "A role that the route asks for is not in the token.",
        "Does the role allow Applications (or Users)? Is it assigned to the caller on the API's enterprise application? Has an admin consented?",
    ),
    Reason(
        "app_token_required",
        403,
        "Only applications may call this operation.",
        "The route asks for an app-only token, and this token acts for a user.",
        "Call with the client credentials flow.",
    ),
    Reason(
        "user_token_required",
        403,
        "Only signed-in users may call this operation.",
        "The route asks for a token that acts for a user, and this token is app-only.",
        "Call on behalf of a signed-in user.",
    ),
    Reason(
        "caller_kind_unknown",
        403,
        "The token does not say whether a user or an application calls.",
        "The operation is for users only, or for applications only, and a token of this issuer does not say which it is for.",
        "Give the guard a rule: Authority.openid(issuer, is_app=...), a function of the token's claims. Or let the issuer write 'idtyp' ('app' or 'user').",
    ),
    Reason(
        "groups_overage",
        403,
        "The caller has more groups than a token can carry.",
        "The token names no groups, only where to ask for them (groups overage).",
        "Use app roles, or emit only 'groups assigned to the application', or let the guard resolve groups with Microsoft Graph.",
    ),
    Reason(
        "groups_unavailable",
        503,
        "The caller's groups cannot be looked up at the moment. Try again.",
        "The token has more groups than it can carry, and Microsoft Graph did not tell them.",
        "The facts name what failed. Groups that were known less than an hour ago would have served meanwhile.",
    ),
    Reason(
        "tenants_unavailable",
        503,
        "The token's tenant cannot be checked at the moment. Try again.",
        "The rule of Tenants.where raised an error or did not return in time.",
        "The log of entra_guard.tenants has the error of the rule. Answers are kept for at most 60 s, and never longer because of an error.",
    ),
    Reason(
        "keys_unavailable",
        503,
        "The signing keys of the token issuer are unavailable at the moment. Try again.",
        "The guard has no usable signing keys of the issuer, and could not fetch any.",
        "Let this host reach the URL in the facts; the step that failed is DNS, connect, proxy, TLS, HTTP or content. A host without egress serves from a keys_file, which 'entra-guard keys pull' writes elsewhere.",
    ),
)

REASONS: Final[dict[str, Reason]] = {reason.name: reason for reason in _ALL}
"""All reasons by code, in the order of the validation."""
