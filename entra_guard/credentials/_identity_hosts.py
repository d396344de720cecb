"""Where code on Azure finds its managed identity: one entry per kind of host, from the environment. No I/O.

Microsoft: "How to use managed identities for Azure resources on an Azure VM to acquire an access token",
"How to use managed identities for App Service and Azure Functions" (Container Apps alike), "Authenticate
against Azure resources with Azure Arc-enabled servers".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_IMDS: Final = "http://169.254.169.254"
_IMDS_PATH: Final = "/metadata/identity/oauth2/token"


@dataclass(frozen=True, slots=True)
class IdentityHost:
    """One kind of host, and how it is asked.

    Attributes:
        name: In words.
        url: The endpoint.
        api_version: Which version of it is spoken.
        headers: What proves that the caller runs there.
        resource_id: What it calls an identity's resource id.
        key_file: Whether it wants to see that a file on the host can be read.
        absent: What it means when nobody answers.
        assumed: Nothing says that this is such a host; it is what remains.
    """

    name: str
    url: str
    api_version: str
    headers: Mapping[str, str] = field(repr=False)
    resource_id: str
    key_file: bool = False
    absent: str = "Is a managed identity switched on for this host?"
    assumed: bool = False

    def question(self, resource: str, identity: Mapping[str, str]) -> str:
        """The URL to GET.

        Args:
            resource: What the token is for, without '/.default'.
            identity: One of client_id, object_id and resource_id, or nothing for the host's own identity.
        """
        names = {"resource_id": self.resource_id}
        which = {names.get(name, name): value for name, value in identity.items()}
        return f"{self.url}?{urlencode({'api-version': self.api_version, 'resource': resource, **which})}"


def identity_host(environ: Mapping[str, str]) -> IdentityHost:
    """Tell which host this is, in the order that Microsoft's own libraries look.

    Raises:
        ConfigurationError: It is one whose endpoint is not spoken here.
    """
    endpoint, header = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if environ.get("IDENTITY_SERVER_THUMBPRINT"):
        raise ConfigurationError(
            "managed identities of Service Fabric are not supported; use azure-identity's"
        )
    if endpoint and header:
        headers = {"x-identity-header": header, "metadata": "true"}
        return IdentityHost("App Service or Container Apps", endpoint, "2019-08-01", headers, "mi_res_id")
    if endpoint and environ.get("IMDS_ENDPOINT"):
        headers = {"metadata": "true"}
        return IdentityHost("Azure Arc", endpoint, "2020-06-01", headers, "msi_res_id", key_file=True)
    if environ.get("MSI_ENDPOINT"):
        raise ConfigurationError(
            "MSI_ENDPOINT is set, as in Cloud Shell and Azure Machine Learning, whose managed identities are "
            "not supported; use azure-identity's"
        )
    base = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST", _IMDS).rstrip("/")
    return IdentityHost(
        "virtual machine (IMDS)",
        f"{base}{_IMDS_PATH}",
        "2018-02-01",
        {"metadata": "true"},
        "msi_res_id",
        absent="This is no host of Azure, or its metadata service cannot be reached from here.",
        assumed=True,
    )
