"""What to do about each AADSTS error, and which step of a request it refuses."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about an error.

    Attributes:
        step: The step that failed: tenant, client, credential, redirect URI, user, consent, ...
        text: What to change, with placeholders for values of the occasion.
        place: The section of the app's page where it is changed; '' if it is not changed there.
    """

    step: str
    text: str
    place: str = ""


_GENERIC: Final[Mapping[str, str]] = {
    "app": "the client id",
    "name": "the app",
    "tenant": "the tenant",
    "resource": "the API",
    "resource_name": "the API",
    "scope": "the scope",
    "grant": "the grant type",
    "uri": "the redirect URI of the request",
    "value": "the value of the request",
    "algorithm": "the algorithm",
    "detail": "",
    "now": "now",
    "start": "its start",
    "end": "its end",
}

REMEDIES: Final[Mapping[int, Remedy]] = MappingProxyType(
    {
        50194: Remedy(
            "tenant",
            "Use {name}'s own tenant in the URL instead of /common, or set its supported account "
            "types to several tenants.",
            "overview",
        ),
        900561: Remedy(
            "request",
            "Send a {value} request.",
        ),
        7000229: Remedy(
            "client",
            "Create the service principal of {app} in the tenant: grant admin consent once.",
            "permissions",
        ),
        50011: Remedy(
            "redirect URI",
            "Add {uri} to the redirect URIs of {name}, or send one that is registered. They are "
            "compared character by character.",
            "authentication",
        ),
        50013: Remedy(
            "assertion",
            "Send the access token that this API was called with, unchanged and issued by this "
            "authority. {detail}",
        ),
        50034: Remedy(
            "user",
            "Name a user that exists in this tenant, by object id or user principal name.",
        ),
        50057: Remedy(
            "user",
            "Enable the user, or sign in as another one.",
        ),
        50058: Remedy(
            "user",
            "Send the user to the sign-in page: repeat the request without prompt=none.",
        ),
        50105: Remedy(
            "assignment",
            'Assign the user to {name}, or turn off "Assignment required" of {name}.',
            "assignments",
        ),
        50173: Remedy(
            "session",
            "Sign in again. The user's sessions were revoked after this token was issued.",
        ),
        500112: Remedy(
            "redirect URI",
            "Send the same redirect_uri as in the authorize request: {value}.",
        ),
        500131: Remedy(
            "assertion",
            "On-behalf-of takes a token for the API itself. Let the caller request a token for "
            "{resource}, not for {value}.",
        ),
        500133: Remedy(
            "assertion",
            "The incoming token has expired. Validate it before the exchange; the caller sends a new one.",
        ),
        501481: Remedy(
            "PKCE",
            "Send the code_verifier that the code_challenge was made from, with method S256.",
        ),
        54005: Remedy(
            "code",
            "Redeem each code once. Sign in again, or use the refresh token.",
        ),
        65004: Remedy(
            "consent",
            "The user pressed Cancel. Sign in again and accept the permissions.",
        ),
        650053: Remedy(
            "permissions",
            "Add the scope {scope} to the API {resource}, or request one that it offers.",
            "expose",
        ),
        70000: Remedy(
            "code",
            "Redeem a code with the client, and in the tenant, that it was issued for.",
        ),
        70008: Remedy(
            "code",
            "The code or refresh token has expired. Redeem codes within 10 minutes; sign in again.",
        ),
        70016: Remedy(
            "user",
            "Nothing is wrong. Continue polling until the user has entered the code.",
        ),
        70017: Remedy(
            "consent",
            "The user declined. Start again with a new device code.",
        ),
        70018: Remedy(
            "code",
            "Send the device_code, not the user_code, with the client id that started the sign-in.",
        ),
        70020: Remedy(
            "code",
            "The device code has expired. Start again with a new one.",
        ),
        700054: Remedy(
            "request",
            "Use response_type=code with PKCE. The implicit and hybrid flows are not served.",
        ),
        700082: Remedy(
            "session",
            "The refresh token has expired. Sign in again; a page's token ends after 24 hours.",
        ),
        7000114: Remedy(
            "assertion",
            "On-behalf-of needs a user's token (with scp). For an app's token, use client credentials.",
        ),
        90094: Remedy(
            "consent",
            "An administrator must grant consent: open the app's API permissions and press 'Grant "
            "admin consent'.",
            "permissions",
        ),
        900971: Remedy(
            "redirect URI",
            "Add a redirect URI to the app, and send it as redirect_uri.",
            "authentication",
        ),
        9002313: Remedy(
            "session",
            "Send a refresh token that this emulator has issued since it started.",
        ),
        9002325: Remedy(
            "PKCE",
            "Send code_challenge in the authorize request and code_verifier here.",
        ),
        9002326: Remedy(
            "client",
            "Register the redirect URI as Single-page application, or redeem the code on the server.",
            "authentication",
        ),
        9002327: Remedy(
            "client",
            "Redeem the code in the browser, or register the redirect URI as Web.",
            "authentication",
        ),
        5002738: Remedy(
            "credential",
            "Sign the assertion with RS256 or PS256 instead of {algorithm}.",
        ),
        50027: Remedy(
            "credential",
            "Send a JWT as client_assertion: three base64url parts with dots between them.",
        ),
        700021: Remedy(
            "credential",
            "Set iss and sub of the assertion to the client id, or add a federated credential.",
            "credentials",
        ),
        700023: Remedy(
            "credential",
            "Set aud of the assertion to the URL of the token endpoint.",
        ),
        700024: Remedy(
            "credential",
            "Compare the clocks, and set nbf and exp around now ({now}): the assertion is valid "
            "from {start} until {end}.",
        ),
        700027: Remedy(
            "credential",
            "Upload the certificate that signs the assertion, and sign with its private key.",
            "credentials",
        ),
        700211: Remedy(
            "credential",
            "Add a federated credential with the issuer {value}.",
            "credentials",
        ),
        700212: Remedy(
            "credential",
            "Add a federated credential with the audience {value}; usually it is api://AzureADTokenExchange.",
            "credentials",
        ),
        700213: Remedy(
            "credential",
            "Add a federated credential with the subject {value}, compared exactly.",
            "credentials",
        ),
        9001023: Remedy(
            "tenant",
            "Use the tenant's id in the URL. Client credentials have no meaning without a tenant.",
        ),
        9010010: Remedy(
            "API",
            "Omit the resource parameter, or set it to the API that the scopes name.",
        ),
        7000215: Remedy(
            "credential",
            "Send the secret's value, not its ID. If it is lost, add a new secret to {name}.",
            "credentials",
        ),
        7000222: Remedy(
            "credential",
            "Add a new client secret to {name}, or a certificate.",
            "credentials",
        ),
        7000218: Remedy(
            "credential",
            "Send client_secret or client_assertion. For an app without credentials, allow public "
            "client flows.",
            "authentication",
        ),
        7000112: Remedy(
            "client",
            "Enable the app {name} again, also its service principal in the tenant.",
        ),
        700025: Remedy(
            "credential",
            "Send no credential: this is a public client.",
        ),
        700038: Remedy(
            "client",
            "Send the Application (client) ID, which is a GUID. {app} is not one.",
        ),
        700016: Remedy(
            "client",
            "Use the client id of an app that is registered in {tenant}, or this app's own tenant. "
            "There is no {app}.",
        ),
        500011: Remedy(
            "API",
            "Use the App ID URI or client id of an API that is registered in {tenant}. There is no "
            "{resource}.",
        ),
        1002012: Remedy(
            "API",
            "Request one scope that ends in /.default, such as api://<client id of the API>/.default.",
        ),
        70011: Remedy(
            "API",
            "Request either .default or single permissions, not both, and separate them by spaces.",
        ),
        28000: Remedy(
            "API",
            "Request the permissions of one API at a time.",
        ),
        70003: Remedy(
            "request",
            "Use a grant type that Entra knows: client_credentials, authorization_code, "
            "refresh_token, device_code, or jwt-bearer. {grant} is not one.",
        ),
        900144: Remedy(
            "request",
            "Send the parameter {name} in the body, as application/x-www-form-urlencoded.",
        ),
        90002: Remedy(
            "tenant",
            "Use the id or domain of a tenant of this emulator. There is no {tenant}.",
        ),
        50049: Remedy(
            "request",
            "Send the URL of this authority as authorization_endpoint.",
        ),
        501051: Remedy(
            "assignment",
            'Give {name} an app role of {resource_name}, or turn off "Assignment required" of '
            "{resource_name}.",
            "assignments",
        ),
        65001: Remedy(
            "consent",
            "Sign in once and accept, or grant admin consent for {name}.",
            "permissions",
        ),
        53003: Remedy(
            "user",
            "A Conditional Access policy blocks the request. In the emulator a fault does this: "
            "clear it under Test conditions.",
        ),
        90055: Remedy(
            "request",
            "Wait as long as Retry-After says, then repeat. Keep tokens in a cache.",
        ),
        90033: Remedy(
            "request",
            "Repeat after a second or two. The error is temporary.",
        ),
    }
)


class _Known(dict[str, str]):
    """Values of the occasion, with general words for what is missing."""

    def __missing__(self, name: str) -> str:
        return _GENERIC.get(name, f"the {name}")


def remedy_text(number: int, facts: Mapping[str, str] | None = None) -> str:
    """Return what to do about an AADSTS error; '' for an unknown one.

    Args:
        number: The AADSTS number.
        facts: The values of the occasion: app, tenant, resource, scope, uri, ...
    """
    remedy = REMEDIES.get(number)
    return remedy.text.format_map(_Known(facts or {})).strip() if remedy else ""
