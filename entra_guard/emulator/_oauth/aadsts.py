"""The errors of the token endpoint: AADSTS number, HTTP status, OAuth error and text.

Source: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Aadsts:
    """One error. If `page` is True, Entra links an error page."""

    number: int
    status: int
    error: str
    text: str
    page: bool = True


_NOT_FOUND = (
    "This can happen if the application has not been installed by the administrator of the tenant or "
    "consented to by any user in the tenant. You may have sent your authentication request to the "
    "wrong tenant."
)
_NO_TENANT = (
    "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
    "correct cloud. Check with your subscription administrator, this may happen if there are no active "
    "subscriptions for the tenant."
)

_FEDERATED = (
    "Check your federated identity credential Subject, Audience and Issuer against the parsed "
    "assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_CERTIFICATES = (
    "Review the documentation at https://learn.microsoft.com/entra/identity-platform/"
    "certificate-credentials ."
)

_ROWS: Final = (
    Aadsts(
        50194,
        400,
        "invalid_request",
        "Application '{app}'({name}) is not configured as a multi-tenant application. Usage of the "
        "/common endpoint is not supported for such apps created after '10/15/2018'. Use a tenant-"
        "specific endpoint or configure the application to be multi-tenant.",
    ),
    Aadsts(900561, 405, "invalid_request", "The endpoint only accepts {value} requests."),
    Aadsts(
        7000229,
        400,
        "unauthorized_client",
        "The client application {app} is missing service principal in the tenant {tenant}. See "
        "instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
    ),
    Aadsts(
        50011,
        400,
        "invalid_request",
        "The redirect URI '{uri}' specified in the request does not match the redirect URIs "
        "configured for the application '{app}'. Make sure the redirect URI sent in the request "
        "matches one added to your application in the Azure portal.",
    ),
    Aadsts(
        50034,
        400,
        "invalid_grant",
        "The user account {user} does not exist in the {tenant} directory. To sign into this application, "
        "the account must be added to the directory.",
    ),
    Aadsts(50013, 400, "invalid_grant", "Assertion failed signature validation. [Reason - {detail}]"),
    Aadsts(
        50057,
        400,
        "invalid_grant",
        "The user account is disabled. The account has been disabled by an administrator.",
    ),
    Aadsts(50058, 400, "login_required", "A silent sign-in request was sent but no user is signed in."),
    Aadsts(
        50105,
        400,
        "invalid_grant",
        "Your administrator has configured the application {name} ('{app}') to block users unless "
        "they are specifically granted ('assigned') access to the application.",
    ),
    Aadsts(
        50173,
        400,
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The "
        "user might have changed or reset their password.",
    ),
    Aadsts(
        500112,
        400,
        "invalid_grant",
        "The reply address '{uri}' does not match the reply address '{value}' provided when "
        "requesting Authorization code.",
    ),
    Aadsts(
        500131,
        400,
        "invalid_grant",
        "Assertion audience does not match the Client app presenting the assertion. The audience in"
        " the assertion was '{value}' and the expected audience is '{resource}' or one of the "
        "Application Uris of this application with App ID '{app}'({name}). The downstream client "
        "must request a token for the expected audience (the application that made the OBO request)"
        " and this application should use that token as the assertion.",
    ),
    Aadsts(
        500133,
        400,
        "invalid_grant",
        "Assertion is not within its valid time range. Ensure that the access token is not expired "
        "before using it for user assertion, or request a new token.",
    ),
    Aadsts(
        501481,
        400,
        "invalid_grant",
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    ),
    Aadsts(
        54005,
        400,
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use "
        "an existing refresh token.",
    ),
    Aadsts(65004, 400, "access_denied", "User declined to consent to access the app."),
    Aadsts(
        650053,
        400,
        "invalid_client",
        "The application '{name}' asked for scope '{scope}' that doesn't exist on the resource "
        "'{resource}'. Contact the app vendor.",
    ),
    Aadsts(70000, 400, "invalid_grant", "Provided grant is invalid or malformed."),
    Aadsts(
        70008,
        400,
        "invalid_grant",
        "The provided authorization code or refresh token has expired due to inactivity. Send a new"
        " interactive authorization request for this user and resource.",
    ),
    Aadsts(
        70016,
        400,
        "authorization_pending",
        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    ),
    Aadsts(70017, 400, "authorization_declined", "The end user declined to authorize the device."),
    Aadsts(
        70018,
        400,
        "bad_verification_code",
        "Invalid verification code due to User typing in wrong user code for device code flow.",
    ),
    Aadsts(
        70020,
        400,
        "expired_token",
        "The provided value for the input parameter 'device_code' is not valid. This device code "
        "has expired.",
    ),
    Aadsts(
        700054,
        400,
        "unsupported_response_type",
        "response_type '{value}' is not enabled for the application.",
    ),
    Aadsts(700082, 400, "invalid_grant", "The refresh token has expired due to inactivity."),
    Aadsts(
        7000114,
        400,
        "invalid_grant",
        "Application '{app}' is not allowed to make application on-behalf-of calls.",
    ),
    Aadsts(
        90094,
        400,
        "consent_required",
        "The grant requires admin permission. {name} needs permission to access resources in your "
        "organization that only an admin can grant.",
    ),
    Aadsts(900971, 400, "invalid_request", "No reply address provided."),
    Aadsts(9002313, 400, "invalid_grant", "Invalid request. Request is malformed or invalid."),
    Aadsts(
        9002325,
        400,
        "invalid_request",
        "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
    ),
    Aadsts(
        9002326,
        400,
        "invalid_request",
        "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type.",
    ),
    Aadsts(
        9002327,
        400,
        "invalid_request",
        "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via "
        "cross-origin requests.",
    ),
    Aadsts(
        5002738,
        401,
        "invalid_client",
        "Invalid JWT token. '{algorithm}' is not a supported signature algorithm.",
    ),
    Aadsts(50027, 400, "invalid_request", "JWT token is invalid or malformed."),
    Aadsts(
        700021,
        401,
        "invalid_client",
        "Client assertion application identifier doesn't match 'client_id' parameter. " + _CERTIFICATES,
    ),
    Aadsts(
        700023,
        401,
        "invalid_client",
        "Client assertion audience claim does not match Realm issuer. " + _CERTIFICATES,
    ),
    Aadsts(
        700024,
        401,
        "invalid_client",
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid "
        "from {start}, expiry time of assertion {end}. " + _CERTIFICATES,
    ),
    Aadsts(700027, 401, "invalid_client", "{detail}"),
    Aadsts(
        700211,
        401,
        "invalid_client",
        "No matching federated identity record found for parsed assertion issuer '{value}'. " + _FEDERATED,
    ),
    Aadsts(
        700212,
        401,
        "invalid_client",
        "No matching federated identity record found for parsed assertion audience '{value}'. " + _FEDERATED,
    ),
    Aadsts(
        700213,
        401,
        "invalid_client",
        "No matching federated identity record found for parsed assertion subject '{value}'. " + _FEDERATED,
    ),
    Aadsts(
        9001023,
        400,
        "invalid_request",
        "The grant type is not supported over the /common or /consumers endpoints. Please use the "
        "/organizations or tenant-specific endpoint.",
    ),
    Aadsts(
        9010010,
        400,
        "invalid_target",
        "The resource parameter provided in the request doesn't match with the requested scopes.",
    ),
    Aadsts(
        7000215,
        401,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client "
        "secret value, not the client secret ID, for a secret added to app '{app}'.",
    ),
    Aadsts(
        7000222,
        401,
        "invalid_client",
        "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to "
        "create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate "
        "credentials for added security: https://aka.ms/certCreds.",
    ),
    Aadsts(
        7000218,
        401,
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    Aadsts(7000112, 400, "unauthorized_client", "Application '{app}'({name}) is disabled."),
    Aadsts(
        700025,
        401,
        "invalid_client",
        "Client is public so neither 'client_assertion' nor 'client_secret' should be parsed.",
    ),
    Aadsts(700038, 400, "unauthorized_client", "{app} is not a valid application identifier.", page=False),
    Aadsts(
        700016,
        400,
        "unauthorized_client",
        "Application with identifier '{app}' was not found in the directory '{tenant}'. " + _NOT_FOUND,
    ),
    Aadsts(
        500011,
        400,
        "invalid_resource",
        "The resource principal named {resource} was not found in the tenant named {tenant}. " + _NOT_FOUND,
    ),
    Aadsts(
        1002012,
        400,
        "invalid_scope",
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope"
        " value with /.default suffixed to the resource identifier (application ID URI).",
    ),
    Aadsts(
        70011,
        400,
        "invalid_scope",
        "The provided request must include a 'scope' input parameter. The provided value for the "
        "input parameter 'scope' is not valid. The scope {scope} is not valid.",
    ),
    Aadsts(
        28000,
        400,
        "invalid_scope",
        "Provided value for the input parameter scope is not valid because it contains more than one "
        "resource. Scope {scope} is not valid.",
    ),
    Aadsts(
        70003,
        400,
        "unsupported_grant_type",
        "The app requested an unsupported grant type '{grant}'.",
        page=False,
    ),
    Aadsts(
        900144, 400, "invalid_request", "The request body must contain the following parameter: '{name}'."
    ),
    Aadsts(90002, 400, "invalid_request", _NO_TENANT),
    Aadsts(50049, 400, "invalid_instance", "Unknown or invalid instance."),
    Aadsts(
        501051,
        400,
        "invalid_grant",
        "Application '{app}'({name}) is not assigned to a role for the application "
        "'{resource}'({resource_name}).",
    ),
    Aadsts(
        65001,
        400,
        "invalid_grant",
        "The user or administrator has not consented to use the application with ID '{app}' named "
        "'{name}'. Send an interactive authorization request for this user and resource.",
    ),
    Aadsts(
        53003,
        400,
        "invalid_grant",
        "Access has been blocked by Conditional Access policies. The access policy does not allow "
        "token issuance.",
    ),
    Aadsts(
        90055, 429, "temporarily_unavailable", "The server is busy: too many requests. Please retry later."
    ),
    Aadsts(90033, 503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
)

AADSTS: Final = {row.number: row for row in _ROWS}
# Clients such as MSAL decide by these whether a user must interact.
SUBERRORS: Final = {65001: "consent_required", 50173: "bad_token"}
