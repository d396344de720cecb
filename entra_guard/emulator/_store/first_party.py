"""Microsoft's own APIs, with Microsoft's published client ids and permission ids.

Source: https://learn.microsoft.com/en-us/graph/permissions-reference
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.emulator._store.entries import AZURE, GRAPH, TOKEN_EXCHANGE, AppRegistration, AppRole, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_VAULT: Final = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093"
STORAGE: Final = "e406a681-f3d4-42a8-90b6-c2b029497af1"

_GRAPH_ROLES: Final[Mapping[str, str]] = {
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.ReadWrite.All": "741f803b-c850-494e-b5df-cde7c675a1ca",
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "Directory.ReadWrite.All": "19dbc75e-c2e2-444c-a770-ec69d8559fc7",
    "Group.Read.All": "5b567255-7703-4780-807c-7be8301ae99b",
    "GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "Group.ReadWrite.All": "62a82d76-70ea-41e2-9197-370581804d09",
    "GroupMember.ReadWrite.All": "dbaae8cf-10b5-4b86-a4a1-f871c94c6695",
    "Organization.Read.All": "498476ce-e0fe-48b0-b801-37ba7e2685c6",
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "Application.ReadWrite.All": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
    "Application.ReadWrite.OwnedBy": "18a4783c-866b-4cc7-a460-3d5e5662c884",
    "AppRoleAssignment.ReadWrite.All": "06b708a9-e830-4db3-a914-8e69da51d44f",
    "Mail.Read": "810c84a8-4a9e-49e6-bf7d-12d183f40d01",
    "AgentIdentity.Create.All": "ad25cc1d-84d8-47df-a08e-b34c2e800819",
    "AgentIdUser.ReadWrite.IdentityParentedBy": "4aa6e624-eee0-40ab-bdd8-f9639038a614",
    "DelegatedPermissionGrant.ReadWrite.All": "8e8e4742-1d95-4f68-9d56-6ee75648c72a",
}
_GRAPH_SCOPES: Final[Mapping[str, str]] = {
    "User.Read": "e1fe6dd8-ba31-4d61-89e7-88639da4683d",
    "User.ReadBasic.All": "b340eb25-3456-403f-be2f-af7a0d370277",
    "User.Read.All": "a154be20-db9c-4678-8ab7-66f6cc099a59",
    "User.ReadWrite.All": "204e0828-b5ca-4ad8-b9f3-f32a958e7cc4",
    "Directory.Read.All": "06da0dbc-49e2-44d2-8312-53f166ab848a",
    "Group.Read.All": "5f8c59db-677d-491f-a6b8-5f174b11ec1d",
    "Directory.ReadWrite.All": "c5366453-9fb0-48a5-a156-24f0c49a4b84",
    "Group.ReadWrite.All": "4e46008b-f24c-477d-8fff-7bb4ec7aafe0",
    "GroupMember.ReadWrite.All": "f81125ac-d3b7-4573-a3b2-7099cc39df9e",
    "Mail.Read": "570282fd-fa5c-430d-a7fd-fc8dc98a9dca",
    "GroupMember.Read.All": "bc024368-1153-4739-b217-4326f2e966d0",
    "Organization.Read.All": "4908d5b9-3fb2-4b1e-9336-1888b7937185",
    "Application.Read.All": "c79f8feb-a9db-4090-85f9-90d820caa0eb",
    "Application.ReadWrite.All": "bdfbf15f-ee85-4955-8675-146e8e5296b5",
    "AppRoleAssignment.ReadWrite.All": "84bccea3-f856-4a8a-967b-dbe0a3d53a64",
    "DelegatedPermissionGrant.ReadWrite.All": "41ce6ca6-6826-4807-84f1-1c82854f7ee5",
    "openid": "37f7f235-527c-4136-accd-4a02d197296e",
    "profile": "14dad69e-099b-42c9-810b-d002981feec1",
    "email": "64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0",
    "offline_access": "7427e0e9-2fba-42fe-b0c0-848c9e6a8182",
}


def fixed_guid(suffix: str) -> str:
    """Return a GUID of the emulator's own that is the same on every run."""
    return f"00000000-0000-4000-8000-{suffix:0>12}"


def _azure_api(client_id: str, suffix: str, name: str, *uris: str) -> AppRegistration:
    """Return an Azure API with the delegated permission `user_impersonation`."""
    scopes = (Scope(fixed_guid("1d0"), "user_impersonation"),)
    object_id = fixed_guid(suffix)
    return AppRegistration(
        client_id, object_id, "", name, "AzureADMultipleOrgs", identifier_uris=uris, scopes=scopes
    )


# The ids of Azure's `user_impersonation` permissions are not Microsoft's.
FIRST_PARTY: Final = (
    AppRegistration(
        GRAPH,
        fixed_guid("64a94"),
        "",
        "Microsoft Graph",
        "AzureADMultipleOrgs",
        identifier_uris=("https://graph.microsoft.com",),
        app_roles=tuple(AppRole(id_, value, ("Application",), value) for value, id_ in _GRAPH_ROLES.items()),
        scopes=tuple(Scope(id_, value) for value, id_ in _GRAPH_SCOPES.items()),
    ),
    _azure_api(
        AZURE,
        "a2043",
        "Windows Azure Service Management API",
        "https://management.azure.com",
        "https://management.core.windows.net",
    ),
    AppRegistration(
        TOKEN_EXCHANGE,
        fixed_guid("70e5c"),
        "",
        "AAD Token Exchange",
        "AzureADMultipleOrgs",
        identifier_uris=("api://AzureADTokenExchange",),
        token_version=2,
    ),
    _azure_api(KEY_VAULT, "4ea17", "Azure Key Vault", "https://vault.azure.net"),
    _azure_api(STORAGE, "570a6", "Azure Storage", "https://storage.azure.com"),
)
