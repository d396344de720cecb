"""Map Entra's AADSTS error numbers to a hint: what to change, and where. Data only.

Source: Microsoft, "Microsoft Entra authentication and authorization error codes" (reference-error-codes). The
numbers select words for people; no code branches on them, as Microsoft advises.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECRETS: Final = "App registrations > your app > Certificates & secrets"
_FEDERATED: Final = f"{_SECRETS} > Federated credentials"

_CLIENT: Final = {
    7000215: (
        "The client secret is wrong: send the secret's Value, which the portal shows once when it is created, "
        f"and not its Secret ID. Create a new secret under {_SECRETS} and check that it belongs to this "
        "client id."
    ),
    7000218: (
        "The request carried no proof of the app: Entra expects a client secret or a client assertion. If the "
        "app is a public client, register a confidential client (platform 'Web') for server code."
    ),
    7000222: (
        f"The client secret has expired: create a new one under {_SECRETS}, or use a certificate or a "
        "federated credential. Give the credential the old and the new secret while you rotate."
    ),
    7000229: (
        "The app has no service principal in this tenant: an administrator creates it with "
        "'az ad sp create --id <client id>' or by consenting to the app. Check the tenant id for a mix-up."
    ),
    7000112: "The app is disabled: an administrator enables it under Enterprise applications > your app > Properties.",
    70001: "The app is disabled or not in this tenant: check the client id and the tenant id for a mix-up.",
    700016: (
        "The tenant has no app with this client id: check the client id and the tenant id for a mix-up. An "
        "administrator of the tenant must first consent to a multi-tenant app."
    ),
    700021: "The assertion names another client id than the request: build it for this credential's client_id.",
    700022: "The scopes belong to several APIs: request a token for one API at a time.",
    700023: (
        "The assertion was made for another audience: sign it for this tenant's token endpoint, "
        "https://login.microsoftonline.com/<tenant id>/oauth2/v2.0/token."
    ),
    700024: (
        "The assertion is outside its lifetime: check this host's clock, and that the federated token or the "
        "assertion is fetched for each request and not kept."
    ),
    700025: (
        "The app is registered as a public client and sent a secret or an assertion: register it as a "
        "confidential client, or set 'Allow public client flows' to No under Authentication."
    ),
    700027: (
        "Entra does not know the certificate that signed: upload its public part under "
        f"{_SECRETS} > Certificates, check that it has not expired, and that the portal shows the same "
        "thumbprint."
    ),
    700030: (
        "The certificate's subject name is not one that the app trusts: compare it with "
        "trustedCertificateSubjects in the app's manifest, and set send_certificate_chain=True."
    ),
    700038: "The client id is not the id of an app: copy the Application (client) ID, not the object id.",
    50012: (
        "Entra does not accept the certificate: compare its thumbprint with the one under "
        f"{_SECRETS} > Certificates, and its subject with the app's trusted subject names."
    ),
}
_FEDERATION: Final = {
    70021: (
        "No federated credential of the app matches the token: compare its issuer, subject and audience, "
        f"letter by letter, with {_FEDERATED}. A new one needs a few minutes to take effect."
    ),
    700211: (
        "No federated credential of the app has this issuer: compare the token's 'iss' with the Issuer under "
        f"{_FEDERATED} (a last slash counts)."
    ),
    700212: (
        "No federated credential of the app has this audience: request the token for "
        f"'api://AzureADTokenExchange', or write its 'aud' into the Audience under {_FEDERATED}."
    ),
    700213: (
        "No federated credential of the app has this subject: compare the token's 'sub' with the Subject "
        f"identifier under {_FEDERATED}; upper and lower case count. For Kubernetes it is "
        "'system:serviceaccount:<namespace>:<service account>', for GitHub "
        "'repo:<owner>/<repository>:<environment or ref>'."
    ),
    50027: "The token that was sent as proof is not one that Entra accepts: check its issuer, audience and lifetime.",
    5002738: "The assertion is signed with an algorithm that Entra does not accept: sign with RS256 or PS256.",
}
_ON_BEHALF_OF: Final = {
    50013: (
        "Entra does not accept the user's token: pass the access token exactly as the API received it, still "
        "valid, and issued by this tenant for this API."
    ),
    500131: (
        "The user's token was issued for another app: on-behalf-of needs an access token whose 'aud' is this "
        "API's own client id, not one for Microsoft Graph and not an ID token."
    ),
    500133: "The user's token has expired: have the client send a new one before the API exchanges it.",
    240002: "An ID token was sent as the user's token: have the client send an access token for this API.",
    7000114: (
        "The app may not act on behalf of users: the user's token must be issued to a client for this API, and "
        "the API must be a confidential client."
    ),
    50076: "The user must pass multifactor authentication: return the 'claims' of this error to the client.",
    50079: "The user must register for multifactor authentication: return the 'claims' of this error to the client.",
    50158: "The user must pass another check of Conditional Access: return the 'claims' of this error to the client.",
    50105: "The user is not assigned to the app: assign the user under Enterprise applications > the API.",
    50173: "The user's sign-in was revoked: have the client sign the user in again.",
    65001: (
        "No consent has been granted for this permission: an administrator grants it under App registrations > "
        "your app > API permissions > Grant admin consent."
    ),
}
_RESOURCE: Final = {
    28000: "The scopes belong to several APIs: request a token for one API at a time.",
    500011: (
        "The tenant has no API of that name: compare the scope with the Application ID URI under App "
        "registrations > the API > Expose an API (a last slash counts). If another tenant owns the API, an "
        "administrator must consent to it in this tenant."
    ),
    500014: (
        "The API is disabled in this tenant: an administrator enables it under Enterprise applications > the "
        "API > Properties."
    ),
    50001: "The tenant has no API of that name: compare the scope with the API's Application ID URI.",
    1002012: (
        "An app requests all its permissions at once: write the scope as '<Application ID URI>/.default', for "
        "example 'api://<client id of the API>/.default'. Single permissions are granted under App "
        "registrations > your app > API permissions."
    ),
    70011: (
        "Entra cannot read the scope: an app without a user requests '<Application ID URI>/.default', for one "
        "API at a time."
    ),
    501051: (
        "The API admits assigned apps only: assign one of the API's app roles to your app (App registrations > "
        "your app > API permissions > Application permissions, then grant admin consent), or set 'Assignment "
        "required?' to No under Enterprise applications > the API > Properties."
    ),
    650057: (
        "The API is not among the app's permissions: add it under App registrations > your app > API "
        "permissions, and grant admin consent."
    ),
    9010010: (
        "The 'resource' parameter names another API than the scope: send the scope alone, or the resource "
        "exactly as the API's Application ID URI (no slash added)."
    ),
}
_TENANT: Final = {
    90002: (
        "This cloud has no such tenant: check the tenant id (Entra admin center > Overview), and the authority "
        "if the tenant is in a national cloud."
    ),
    900382: "The app and the API are in different clouds: set authority= to the cloud of the tenant.",
    900432: "The app and the API are in different clouds: set authority= to the cloud of the tenant.",
    9001023: "An app gets its tokens from one tenant: give the tenant's id, not 'common' or 'consumers'.",
    50194: "The app is registered for one tenant: give that tenant's id, not 'common'.",
    53003: (
        "A Conditional Access policy blocks this app: an administrator finds which one under Entra admin "
        "center > Sign-in logs > Service principal sign-ins, by the correlation id, and excludes the app or "
        "allows its network location."
    ),
}
HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {**_CLIENT, **_FEDERATION, **_ON_BEHALF_OF, **_RESOURCE, **_TENANT}
)
