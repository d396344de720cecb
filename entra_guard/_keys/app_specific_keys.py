"""Read the setting `app_specific_keys`: whose own signing keys a guard fetches. Fetches nothing.

An application with claims mapping can have its own signing key. Entra lists it only in the configuration
with `?appid=<client id>` (Microsoft: "Access tokens: token signing keys").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from entra_guard._common.guid import is_guid
from entra_guard.errors import ConfigurationError
from entra_guard.policy import TENANT_ALIASES

if TYPE_CHECKING:
    from entra_guard._keys.authority import Authority
    from entra_guard.policy import Policy

_APP_ID_URI: Final = re.compile(r"api://(?:[^/]+/)*([0-9a-f-]{36})(?:/.*)?", re.IGNORECASE | re.ASCII)
_NAME: Final = "app_specific_keys"


def app_id_of(setting: bool | str, policy: Policy, authority: Authority) -> str:
    """Return the client id whose keys to fetch; '' for the tenant's keys.

    Args:
        setting: False, True for the client id in the audience, or a client id.
        policy: What the API accepts.
        authority: Where the keys are.

    Raises:
        ConfigurationError: The setting cannot work.

    Example:
        >>> policy = Policy(Tenants.only("contoso.com"), frozenset({"11112222-bbbb-3333-cccc-4444dddd5555"}))
        >>> app_id_of(True, policy, Authority.named("public"))
        '11112222-bbbb-3333-cccc-4444dddd5555'
    """
    if setting is False:
        return ""
    if setting is not True and not (isinstance(setting, str) and is_guid(setting.lower())):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"{_NAME} must be True, False or the API's client id, got {setting!r}")
    if authority.kind not in {"entra", "external"}:
        raise ConfigurationError(f"omit {_NAME}: only Entra has keys of one application")
    if policy.tenants.alias in TENANT_ALIASES:
        raise ConfigurationError(
            f"{_NAME} needs one tenant: such a key belongs to the application in that tenant. "
            "Build one guard per tenant and combine them with |"
        )
    return setting.lower() if isinstance(setting, str) else _client_id_in(policy.audiences)


def _client_id_in(audiences: frozenset[str]) -> str:
    """Return the one client id that audiences name, as it is or in 'api://<client id>'."""
    named = {name: _APP_ID_URI.fullmatch(name) for name in audiences}
    found = {uri[1].lower() if uri else name.lower() for name, uri in named.items()}
    ids = sorted(filter(is_guid, found))
    if len(ids) != 1:
        what = f"{len(ids)} client ids" if ids else "no client id"
        raise ConfigurationError(
            f"{_NAME}=True takes the client id from the audience, which has {what}: {sorted(audiences)}. "
            f"Use {_NAME}='<client id of the API>'"
        )
    return ids[0]
