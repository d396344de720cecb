"""Name the flow that a request belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_GRANT: Final[Mapping[str, str]] = {
    "urn:ietf:params:oauth:grant-type:device_code": "device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer": "on_behalf_of",
    "client_credentials": "client_credentials",
    "authorization_code": "authorization_code",
    "refresh_token": "refresh_token",
    "device_code": "device_code",
}
_BY_TARGET: Final[Mapping[str, str]] = {
    "configuration": "metadata",
    "keys": "keys",
    "instance": "discovery",
    "authorize": "sign_in",
    "graph": "graph",
    "identity": "managed_identity",
    "nothing": "unknown",
}
_BY_PAGE: Final[Mapping[str, str]] = {
    "logout": "sign_out",
    "adminconsent": "admin_consent",
    "devicelogin": "device_sign_in",
}


def flow_of(target: str, path: str, form: Mapping[str, str]) -> str:
    """Return the name of the flow that a request belongs to.

    Args:
        target: What faults refer to: `token`, `keys`, ...
        path: The request's path.
        form: The fields of its body.
    """
    page = path.rstrip("/").rpartition("/")[2].lower()
    if target != "token":
        return _BY_TARGET.get(target) or _BY_PAGE.get(page, target)
    if page == "devicecode":
        return "device_code_start"
    return _BY_GRANT.get(form.get("grant_type", ""), "token")
