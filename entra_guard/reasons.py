"""Every reason for refusing a request: its status, the client's sentence, and the operator's explanation and fix.

Documentation, command line and log lines are made from this table. The client's sentence is constant: it
contains no claim value and no allow-list. The explanation and the fix are for the operator, who also gets
the facts of `AccessError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for refusing a request.

    Attributes:
        name: The stable name in logs, metrics and response bodies.
        status: The HTTP status of the response.
        client: The constant sentence that the client receives.
        explanation: What happened, for the operator.
        fix: What to change, for the operator.
        args: The `args` of its errors, made once: the name and the client's sentence.
    """

    name: str
    status: int
    client: str
    explanation: str
    fix: str
    args: tuple[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", (f"{self.name}: {self.client}",))


_ALL: Final = (
    Reason(
        "missing_token",
        401,
        "The request has no access token.",
        "The request has no Authorization header.",
        "Send 'Authorization: Bearer <access token>'. If the client sends it, a proxy in front of the API removes the header.",
    ),
    Reason(
        "missing_bearer",
        400,
        "The Authorization header contains a token without the word Bearer.",
        "The Authorization header contains a token without the scheme Bearer.",
        "Write 'Bearer' and a space before the token: 'Authorization: Bearer <access token>'.",
    ),
    Reason(
        "malformed_authorization",
        400,
        "The Authorization header must be 'Bearer' and one token.",
        "The request must have one Authorization header with the scheme Bearer and one token.",
        "Send one header 'Authorization: Bearer <access token>'. A client that sends 'null' or 'undefined' has no token yet.",
    ),
    Reason(
        "quoted_token",
        401,
        "The token is in quotes.",
        "The token is in quotes.",
        "Send the token without quotes.",
    ),
    Reason(
        "token_in_json",
        401,
        "The token is inside of a JSON object.",
        "A whole JSON object was sent in place of the token, such as the response of a token endpoint.",
        "Send only the value of 'access_token'.",
    ),
    Reason(
        "not_a_jwt",
        401,
        "The token is not a signed JWT.",
        "The token must be three base64url segments: a JSON header, JSON claims and a signature.",
        "If 'found' says that it is a part of a JWT, or a placeholder, correct how the client gets and sends the token. Else the client probably requested a token for another API: such tokens can be opaque. If the API's app registration has a token encryption key, remove it.",
    ),
    Reason(
        "token_too_large",
        401,
        "The token is too large.",
        "The token is larger than the limit.",
        "Large tokens usually contain groups. Emit only groups that are assigned to the application, or use app roles.",
    ),
    Reason(
        "algorithm_not_allowed",
        401,
        "The token's signing algorithm or header is not accepted.",
        "The token's header has an algorithm, a kid or an extension that is not accepted. Entra signs with RS256.",
        "Send the access token that Entra issued for this API, unchanged.",
    ),
    Reason(
        "token_for_graph",
        401,
        "The token was issued for Microsoft Graph, not for this API.",
        "The token's audience is Microsoft Graph. Only Graph can validate such a token.",
        "Let the client request a scope of this API ('request_scope' in the log) instead of User.Read or Graph's .default.",
    ),
    Reason(
        "unknown_key",
        401,
        "The token's signing key is unknown.",
        "The issuer's key set has no key with the token's kid. It was fetched again if the limits allowed it.",
        "Compare the token's issuer and cloud with this API's tenant. An application with its own signing key (claims mapping) needs Guard(app_specific_keys=True).",
    ),
    Reason(
        "bad_signature",
        401,
        "The token signature is invalid.",
        "The signature does not match the key that the token's header names.",
        "The token was changed after it was issued, or it is forged. Compare it with the token that Entra returned.",
    ),
    Reason(
        "key_of_other_issuer",
        401,
        "The token was signed with a key of another issuer.",
        "The key that signed the token is published for another issuer.",
        "Use a token of an accepted tenant. A key of personal accounts cannot sign for an organization.",
    ),
    Reason(
        "key_of_other_cloud",
        401,
        "The token was signed with a key of another Microsoft cloud.",
        "The key that signed the token is published for another Microsoft cloud.",
        "Set 'authority' to the API's cloud, or get the token from that cloud.",
    ),
    Reason(
        "expired",
        401,
        "The token has expired.",
        "The token has expired.",
        "The client must request a new token before the old one expires. If the token is new, check this host's clock.",
    ),
    Reason(
        "not_yet_valid",
        401,
        "The token is not valid yet.",
        "The token's nbf is in the future.",
        "Check this host's clock: it is probably slow.",
    ),
    Reason(
        "issued_in_future",
        401,
        "The token was issued in the future.",
        "The token's iat is in the future.",
        "Check this host's clock: it is probably slow.",
    ),
    Reason(
        "wrong_issuer",
        401,
        "The token's issuer is not accepted.",
        "The token's issuer is not the one in the tenant's OpenID configuration.",
        "Get the token from the configured tenant, or change the guard's tenant or authority.",
    ),
    Reason(
        "wrong_tenant",
        401,
        "The token's tenant is not accepted.",
        "The token's tenant is not one of the accepted tenants.",
        "Add the tenant to the guard's Tenants, or sign in to an accepted tenant.",
    ),
    Reason(
        "wrong_version",
        401,
        "The token's version is not accepted.",
        "The token's version is not one of the accepted token_versions.",
        "Set api.requestedAccessTokenVersion in the API's app registration (not in the client's), or accept both token_versions.",
    ),
    Reason(
        "wrong_cloud",
        401,
        "The token was issued by another Microsoft cloud.",
        "The token's issuer is in another Microsoft cloud than the guard's authority.",
        "Set 'authority' to the token's cloud, or get the token from the API's own cloud.",
    ),
    Reason(
        "personal_account",
        401,
        "Personal Microsoft accounts are not accepted.",
        "The token belongs to a personal Microsoft account. This API accepts work or school accounts.",
        "To accept personal accounts, use Tenants.everyone(...) or Tenants.personal().",
    ),
    Reason(
        "wrong_audience",
        401,
        "The token was issued for another API.",
        "The token's audience is not this API.",
        "Let the client request a scope of this API ('request_scope' in the log), or add the audience to the guard.",
    ),
    Reason(
        "id_token",
        401,
        "An ID token was sent instead of an access token.",
        "The token is not an access token. It looks like an ID token, a refresh token or a logout token, or does not show what it is.",
        "Let the client send the access_token that it got for a scope of this API. 'found' says what is wrong, or what another issuer must put into its access tokens.",
    ),
    Reason(
        "invalid_claims",
        401,
        "The token's claims are not those of an access token.",
        "A claim that every Entra access token has is missing, has the wrong type, or contradicts another claim.",
        "Send the access token that Entra issued, unchanged. If Entra issued this token, report its claim names as a bug.",
    ),
    Reason(
        "no_service_principal",
        401,
        "The calling application has no service principal in this tenant.",
        "The token is app-only and has no oid: the application has no service principal (enterprise application) in the tenant.",
        "Create the service principal: run 'az ad sp create --id' with the 'app_id' of this line, or grant admin consent to the application.",
    ),
    Reason(
        "proof_of_possession_required",
        401,
        "The token must be sent with its proof of possession.",
        "The token is bound to a key or certificate (cnf), but was sent as a bearer token.",
        "Request a bearer token for this API, without token_type=pop or mtls_pop.",
    ),
    Reason(
        "token_revoked",
        401,
        "The token has been revoked.",
        "The token was issued before the time that guard.revoke() was called with for this caller.",
        "The client must request a new token; the user may have to sign in again. Entra dates tokens up to five minutes back, so that this can take that long.",
    ),
    Reason(
        "auth_context_required",
        401,
        "The operation requires a stronger sign-in.",
        "The route requires an authentication context (auth_context) that the token does not have.",
        "Let the client request a token with the claims of the challenge; the user then fulfils the Conditional Access policy of the context. 'needs' names the context, and 'advice' says what is missing if the client gets no challenge.",
    ),
    Reason(
        "sign_in_too_old",
        401,
        "The operation requires a more recent sign-in.",
        "The user signed in longer ago than the route allows (max_age), or the token has no auth_time.",
        "Let the client request a token with the max_age of the challenge (RFC 9470), and the issuer write 'auth_time' into access tokens.",
    ),
    Reason(
        "client_not_allowed",
        403,
        "This client application may not call this API.",
        "The token's client application is not in allowed_clients.",
        "If the application may call this API, add its client id to allowed_clients.",
    ),
    Reason(
        "no_permissions",
        403,
        "The token has no permission for this API.",
        "The token has neither scopes nor roles. Any application of the tenant can get such a token.",
        "Assign an app role of this API to the client and grant admin consent, or add the client to allowed_clients.",
    ),
    Reason(
        "missing_scope",
        403,
        "The token lacks a scope that this operation requires.",
        "The route requires a scope that the token does not have.",
        "Let the client request the scope, and grant consent to it. Only tokens of signed-in users have scopes, app-only tokens have roles.",
    ),
    Reason(
        "missing_role",
        403,
        "The caller lacks a role that this operation requires.",
        "The route requires a role that the token does not have.",
        "Check three things: the role allows Applications (or Users), it is assigned to the caller on the API's enterprise application, and an admin has consented.",
    ),
    Reason(
        "app_token_required",
        403,
        "Only applications may call this operation.",
        "The route requires an app-only token, but the token acts for a user.",
        "Use the client credentials flow.",
    ),
    Reason(
        "user_token_required",
        403,
        "Only signed-in users may call this operation.",
        "The route requires a token that acts for a user, but the token is app-only.",
        "Call on behalf of a signed-in user.",
    ),
    Reason(
        "caller_kind_unknown",
        403,
        "The token does not say whether a user or an application calls.",
        "The operation is for users only, or for applications only, and the token does not say which it is for.",
        "Give the guard a rule: Authority.openid(issuer, is_app=...), a function of the token's claims. Or let the issuer write 'idtyp' ('app' or 'user').",
    ),
    Reason(
        "guest_not_allowed",
        403,
        "Guest users may not call this operation.",
        "Guests are not accepted here (guests=False), and the caller is one, or the token does not say.",
        "Add the optional claim 'acct' to the access token in the API's registration (Token configuration): it distinguishes members from guests. Or accept guests with guests=True.",
    ),
    Reason(
        "agent_not_allowed",
        403,
        "AI agents may not call this operation.",
        "The token is an AI agent's (Entra Agent ID), and the guard or the route has agents=False, or the route is users_only and the caller is the agent's own user account.",
        "Call as a person or another application. Or accept agents: agents=True on the route, and not agents=False on the guard.",
    ),
    Reason(
        "agent_required",
        403,
        "Only AI agents may call this operation.",
        "The operation is for AI agents (agents='only'), and the token is not an agent's.",
        "Call with a token of an agent identity (Entra Agent ID).",
    ),
    Reason(
        "groups_overage",
        403,
        "The caller has more groups than a token can contain.",
        "The token contains no groups, only a link to them (groups overage), and Microsoft Graph refused to return them.",
        "'detail' says why. Usually the application of the GroupResolver lacks GroupMember.Read.All or User.Read.All. Or use app roles, or emit only 'groups assigned to the application'.",
    ),
    Reason(
        "groups_unavailable",
        503,
        "The caller's groups are unavailable at the moment. Try again.",
        "The token has more groups than it can contain, and Microsoft Graph did not return them.",
        "'detail' says what failed. Groups that were fetched in the last hour are used during an outage.",
    ),
    Reason(
        "tenants_unavailable",
        503,
        "The token's tenant cannot be checked at the moment. Try again.",
        "The rule of Tenants.where raised an error or did not return in time.",
        "The log of entra_guard.tenants has the error of the rule. Results are cached for at most 60 s, and never longer because of an error.",
    ),
    Reason(
        "keys_unavailable",
        503,
        "The signing keys of the token issuer are unavailable at the moment. Try again.",
        "The guard has no usable signing keys of the issuer, and could not fetch them.",
        "The facts say what failed ('step', 'detail') and what to change ('detail' or 'advice').",
    ),
)

REASONS: Final[dict[str, Reason]] = {reason.name: reason for reason in _ALL}
"""All reasons by name, in the order in which they are checked."""
