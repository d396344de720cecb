"""The options with which `entra-guard app` works in the tenant of a guard, or on its emulator. Pure."""

from __future__ import annotations

from entra_guard._common.guid import is_guid
from entra_guard._common.http import is_loopback
from entra_guard._keys.authority import cloud_of

_DEFAULT_CLOUD = "public"
_ANY_TENANT = "<tenant id>"


def target_options(authority: str, tenant: str) -> tuple[str, ...]:
    """Return '--tenant' with the tenant, and '--emulator' or '--cloud' where these are needed.

    Args:
        authority: The base URL of the guard's authority.
        tenant: The guard's tenant: an id, a domain, or another name that is not one tenant.
    """
    name = tenant if is_guid(tenant) or "." in tenant else _ANY_TENANT
    if is_loopback(authority):
        return ("--emulator", authority, "--tenant", name)
    cloud = cloud_of(authority)
    return ("--tenant", name, *(("--cloud", cloud) if cloud not in ("", _DEFAULT_CLOUD) else ()))
