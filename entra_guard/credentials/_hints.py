"""What to change, and where, for the refusals of Entra that people meet. Data only.

Microsoft's list: https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes. The
numbers choose words for people; no code branches on them, as Microsoft asks.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HINTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        7000215: (
            "The client secret is wrong: send the secret's Value, which is shown once when it is made, "
            "and not its Secret ID. Make a new one under App registrations > your app > Certificates & "
            "secrets, and check that it belongs to this client id."
        ),
        7000222: (
            "Every client secret of this app that matches has expired: make a new one under App "
            "registrations > your app > Certificates & secrets, or use a certificate or a federated "
            "credential, which you can rotate without downtime."
        ),
        700016: (
            "No app with this client id is in this tenant: check the client id and the tenant id for a "
            "mix-up. A multi-tenant app must first be consented to by an administrator of that tenant."
        ),
        700027: (
            "Entra does not know the certificate that signed: upload its public part under App "
            "registrations > your app > Certificates & secrets > Certificates, check that it has not "
            "expired, and that its thumbprint is the one shown there."
        ),
        500011: (
            "No API of that name is in this tenant: compare the scope with the Application ID URI under"
            " App registrations > the API > Expose an API (a last slash counts), and have an "
            "administrator consent to the API in this tenant if another tenant owns it."
        ),
        1002012: (
            "An app asks for all its permissions at once: write the scope as '<Application ID "
            "URI>/.default', for example 'api://<client id of the API>/.default'. Single permissions "
            "are granted under App registrations > your app > API permissions."
        ),
        70011: (
            "The scope is not one that Entra can read: an app on its own asks for '<Application ID "
            "URI>/.default', for one API at a time."
        ),
        90002: (
            "There is no such tenant in this cloud: check the tenant id (Entra admin center > "
            "Overview), and the authority if the tenant is in a national cloud."
        ),
        501051: (
            "The API lets only assigned apps in: assign your app one of its app roles (App "
            "registrations > your app > API permissions > Application permissions, then grant admin "
            "consent), or set 'Assignment required?' to No under Enterprise applications > the API > "
            "Properties."
        ),
        65001: (
            "Nobody has consented to this permission: an administrator grants it under App "
            "registrations > your app > API permissions > Grant admin consent."
        ),
        53003: (
            "A Conditional Access policy blocks this app: an administrator finds which one under Entra "
            "admin center > Sign-in logs > Service principal sign-ins, by the correlation id, and "
            "excludes the app or allows its network location."
        ),
        9010010: (
            "The 'resource' parameter names another API than the scope does: send the scope alone, or "
            "the resource exactly as the API's Application ID URI stands (no slash added)."
        ),
    }
)
