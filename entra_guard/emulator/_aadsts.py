"""The errors of the token endpoint as data: AADSTS number, HTTP status, OAuth error and text.

Microsoft's list: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Aadsts:
    """One row of the table. `page` says whether Entra links an error page."""

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
    "Check your federated identity credential Subject, Audience and Issuer against the presented "
    "assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_CERTIFICATES = (
    "Review the documentation at https://learn.microsoft.com/entra/identity-platform/"
    "certificate-credentials ."
)

_ROWS: Final = (
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
        "No matching federated identity record found for presented assertion issuer '{value}'. " + _FEDERATED,
    ),
    Aadsts(
        700212,
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion audience '{value}'. "
        + _FEDERATED,
    ),
    Aadsts(
        700213,
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion subject '{value}'. "
        + _FEDERATED,
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
    Aadsts(
        7000112,
        400,
        "unauthorized_client",
        "Application '{app}'({name}) is disabled.",
    ),
    Aadsts(
        700025,
        401,
        "invalid_client",
        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    ),
    Aadsts(
        700038,
        400,
        "unauthorized_client",
        "{app} is not a valid application identifier.",
        page=False,
    ),
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
        900144,
        400,
        "invalid_request",
        "The request body must contain the following parameter: '{name}'.",
    ),
    Aadsts(
        90002,
        400,
        "invalid_request",
        _NO_TENANT,
    ),
    Aadsts(
        50049,
        400,
        "invalid_instance",
        "Unknown or invalid instance.",
    ),
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
        90055,
        429,
        "temporarily_unavailable",
        "The server is busy: too many requests. Please retry later.",
    ),
    Aadsts(
        90033,
        503,
        "temporarily_unavailable",
        "A transient error has occurred. Please try again.",
    ),
)

AADSTS: Final = {row.number: row for row in _ROWS}


class EntraError(Exception):
    """A refusal of the protocol, to be answered in Entra's words.

    Args:
        number: The AADSTS number.
        error: Another OAuth error than the table's, where endpoints differ.
        facts: What the text speaks of: app, tenant, resource, scope, ...
    """

    def __init__(self, number: int, *, error: str | None = None, **facts: str) -> None:
        self.row = AADSTS[number]
        self.error = error or self.row.error
        self.extra: dict[str, Any] = {}
        self.text = self.row.text.format(**facts)
        super().__init__(f"AADSTS{number}: {self.text}")


def error_body(
    problem: EntraError, *, base: str, timestamp: str, trace: str, correlation: str
) -> dict[str, Any]:
    """The JSON Entra answers an error with."""
    description = f"{problem} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"
    body: dict[str, Any] = {
        "error": problem.error,
        "error_description": description,
        "error_codes": [problem.row.number],
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
    }
    page = {"error_uri": f"{base}/error?code={problem.row.number}"} if problem.row.page else {}
    return {**body, **page, **problem.extra}
