"""Find the managed identity endpoint of this host from its environment variables: one entry per kind. No I/O.

Microsoft: "How to use managed identities for Azure resources on an Azure VM to acquire an access token",
"How to use managed identities for App Service and Azure Functions" (also for Container Apps), "Authenticate
against Azure resources with Azure Arc-enabled servers".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMDS: Final = "http://169.254.169.254"
_IMDS_PATH: Final = "/metadata/identity/oauth2/token"


@dataclass(frozen=True, slots=True)
class IdentityHost:
    """One kind of host, and how its endpoint is requested.

    Attributes:
        name: In words.
        url: The endpoint.
        api_version: The version of its API.
        headers: What proves that the caller runs on the host.
        resource_id: What it calls an identity's resource id.
        key_file: Whether the caller must prove that it can read a file on the host.
        no_response: What it means when the endpoint does not respond.
        assumed: No variable names the host; it is the remaining kind.
        unsupported: Why no token can be requested on this host; empty if it can.
    """

    name: str
    url: str
    api_version: str
    headers: Mapping[str, str] = field(repr=False)
    resource_id: str
    key_file: bool = False
    no_response: str = "Is a managed identity enabled for this host?"
    assumed: bool = False
    unsupported: str = ""

    def request_url(self, resource: str, identity: Mapping[str, str]) -> str:
        """Return the URL to GET.

        Args:
            resource: What the token is for, without '/.default'.
            identity: One of client_id, object_id and resource_id, or nothing for the host's own identity.
        """
        names = {"resource_id": self.resource_id}
        which = {names.get(name, name): value for name, value in identity.items()}
        return f"{self.url}?{urlencode({'api-version': self.api_version, 'resource': resource, **which})}"


def identity_host(environ: Mapping[str, str]) -> IdentityHost:
    """Return the kind of host, checked in the order of Microsoft's own libraries.

    A host of an unsupported kind is returned as such, so that a chain can be built on every host.
    """
    endpoint, header = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if environ.get("IDENTITY_SERVER_THUMBPRINT"):
        return _unsupported("Service Fabric", "IDENTITY_SERVER_THUMBPRINT")
    if endpoint and header:
        headers = {"x-identity-header": header, "metadata": "true"}
        return IdentityHost("App Service or Container Apps", endpoint, "2019-08-01", headers, "mi_res_id")
    if endpoint and environ.get("IMDS_ENDPOINT"):
        headers = {"metadata": "true"}
        return IdentityHost("Azure Arc", endpoint, "2020-06-01", headers, "msi_res_id", key_file=True)
    if environ.get("MSI_ENDPOINT"):
        name = "Azure Machine Learning" if environ.get("MSI_SECRET") else "Cloud Shell"
        return _unsupported(name, "MSI_ENDPOINT")
    base = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _IMDS).rstrip("/")
    return IdentityHost(
        "virtual machine (IMDS)",
        f"{base}{_IMDS_PATH}",
        "2018-02-01",
        {"metadata": "true"},
        "msi_res_id",
        no_response="This is not a host of Azure, or its metadata service cannot be reached from here.",
        assumed=True,
    )


def _unsupported(name: str, variable: str) -> IdentityHost:
    return IdentityHost(
        name,
        "",
        "",
        {},
        "",
        unsupported=(
            f"{variable} is set, as on {name}, whose managed identities are not supported here. Add "
            "azure.identity.ManagedIdentityCredential() to the chain"
        ),
    )
