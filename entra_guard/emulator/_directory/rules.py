"""Entra's rules for app registrations, by account type. Pure checks.

Source: https://learn.microsoft.com/en-us/entra/identity-platform/supported-accounts-validation
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from entra_guard._escaping import shorten
from entra_guard.emulator._http.messages import MAX_PORT, split_url
from entra_guard.emulator._store.entries import (
    PERSONAL_ACCOUNTS,
    V2,
    AppRegistration,
    FederatedCredential,
    Tenant,
)
from entra_guard.emulator._store.ids import is_guid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entra_guard.emulator._store.entries import AppRole, Scope

MAX_PERSONAL_SECRETS: Final = 2
MAX_FEDERATED: Final = 20
_MAX_SCOPES: Final = 100
_MAX_URIS: Final = 50
_MAX_URI_LENGTH: Final = 120
_ACCOUNTS: Final = ("AzureADMyOrg", "AzureADMultipleOrgs", *sorted(PERSONAL_ACCOUNTS))
MAX_NAME: Final = 256  # Graph's own limit
_MAX_REDIRECT_LENGTH: Final = 256
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII | re.IGNORECASE)
_VISIBLE: Final = re.compile(r"[!-~]+")
_AUTHORITY: Final = re.compile(
    r"//(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?=[/?]|$)", re.ASCII | re.IGNORECASE
)
_UNSAFE_SCHEMES: Final = frozenset({"javascript", "data", "file", "vbscript", "about", "blob", "view-source"})
# Graph's characters for the values of app roles and scopes; no quotes, backslashes and spaces among them.
# https://learn.microsoft.com/en-us/graph/api/resources/approle#properties
_VALUE: Final = re.compile(r"(?!\.)[A-Za-z0-9:!#$%&'()*+,\-./;=?@\[\]^_`{|}~]{1,120}")
_URI: Final = re.compile(r"[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]{1,255}")  # RFC 3986
# https://learn.microsoft.com/en-us/graph/api/resources/user#properties (userPrincipalName)
_USER_NAME: Final = re.compile(r"(?=.{3,113}\Z)[A-Za-z0-9'._!#^~-]*[A-Za-z0-9'_!#^~-]@[A-Za-z0-9.-]+")
_NOT_IN_USER_NAMES: Final = re.compile(r"[^a-z0-9'_-]+")


class RegistrationError(ValueError):
    """Entra would refuse the registration. The message names the rule and how to satisfy it."""

    def __init__(self, message: str) -> None:
        super().__init__(shorten(message))


class EnabledPermissionError(RegistrationError):
    """An app role or scope would disappear that is still enabled."""


def check_removed(before: AppRegistration, after: AppRegistration) -> None:
    """Check that a change removes only app roles and scopes that are disabled. Other changes are free.

    Raises:
        EnabledPermissionError: An enabled one is missing afterwards, or has another id.
    """
    kept = {role.id for role in after.app_roles} | {scope.id for scope in after.scopes}
    enabled = {role.id for role in before.app_roles if role.enabled}
    enabled |= {scope.id for scope in before.scopes if scope.enabled}
    if enabled - kept:
        raise EnabledPermissionError(
            "Permission (scope or role) cannot be deleted or updated unless disabled first."
        )


def check(app: AppRegistration, tenant: Tenant) -> None:
    """Check a registration against Entra's rules.

    Raises:
        RegistrationError: A rule is violated.
    """
    if app.accounts not in _ACCOUNTS:
        raise RegistrationError(f"accounts={app.accounts!r} is not valid: use one of {', '.join(_ACCOUNTS)}.")
    if type(app.token_version) not in {int, type(None)} or app.token_version not in {None, 1, 2}:
        raise RegistrationError(
            f"token_version={app.token_version!r} is not valid: use 1, 2 or None (which means 1)."
        )
    personal = app.accounts in PERSONAL_ACCOUNTS
    _check_name(app, personal=personal)
    _check_roles(app, personal=personal)
    _check_scopes(app, personal=personal)
    _check_uris(app, tenant, personal=personal)
    _check_redirect_uris(app)
    _check_authorized_clients(app)
    if personal and app.token_version != V2:
        raise RegistrationError(f"{app.accounts} apps receive v2.0 tokens only: use token_version=2.")


def check_name(name: str) -> None:
    """Check the display name of a user, group, agent or managed identity.

    Raises:
        RegistrationError: It is empty, white space only, or too long.
    """
    if not name.strip():
        raise RegistrationError("The name is empty: enter one.")
    if len(name) > MAX_NAME:
        raise RegistrationError(f"The name may have at most {MAX_NAME} characters, got {len(name)}.")


def check_user_name(upn: str) -> None:
    """Check a user principal name: ASCII letters, digits and `'.-_!#^~` before the @.

    Raises:
        RegistrationError: Entra does not accept it.
    """
    if not _USER_NAME.fullmatch(upn):
        raise RegistrationError(
            f"The user name {upn!r} is not valid: use ASCII letters, digits and '.-_!#^~ before the @, not a "
            "dot at the end, and at most 113 characters."
        )


def user_name_from(display_name: str) -> str:
    """Return a user name, without a domain, made from a display name; '' if it has no Latin letters."""
    plain = unicodedata.normalize("NFKD", display_name).encode("ascii", "ignore").decode().lower()
    return _NOT_IN_USER_NAMES.sub(".", plain).strip(".")[:60].rstrip(".")


def check_redirect_uri(uri: str, platform: str) -> None:
    """Check a redirect URI. One that a browser (WHATWG URL standard) reads differently is refused.

    Source: https://learn.microsoft.com/en-us/entra/identity-platform/reply-url

    Args:
        uri: The redirect URI.
        platform: `web`, `spa` or `public` (mobile and desktop).

    Raises:
        RegistrationError: A rule is violated.
    """
    problem = _redirect_problem(uri, platform)
    if problem:
        raise RegistrationError(f"Redirect URI {uri!r} is not valid: {problem}.")


def _redirect_problem(uri: str, platform: str) -> str:
    scheme, colon, rest = uri.partition(":")
    scheme = scheme.lower()
    if not colon or not _SCHEME.fullmatch(scheme):
        return "begin with https://, or with http://localhost for this machine"
    problem = _text_problem(uri)
    if problem or scheme in {"http", "https"}:
        return problem or _web_problem(scheme, rest)
    if platform != "public":
        return "only mobile and desktop apps may use a scheme of their own; use https://"
    return "this scheme runs or opens a document" if scheme in _UNSAFE_SCHEMES else ""


def _text_problem(uri: str) -> str:
    if len(uri) > _MAX_REDIRECT_LENGTH:
        return f"use at most {_MAX_REDIRECT_LENGTH} characters, it has {len(uri)}"
    if "#" in uri or "*" in uri:
        return f"it must not contain {'a fragment (#)' if '#' in uri else 'a wildcard (*)'}"
    if not _VISIBLE.fullmatch(uri) or "\\" in uri:
        return "use ASCII characters only, without spaces and backslashes"
    return ""


def _web_problem(scheme: str, rest: str) -> str:
    found = _AUTHORITY.match(rest)
    if found is None or int(found["port"] or 0) > MAX_PORT:
        return "write it as https://host/path, without a user name"
    local = found["host"].lower() in {"localhost", "127.0.0.1"}
    return "" if scheme == "https" or local else "http is allowed only for localhost; use https://"


def check_secret_count(app: AppRegistration, present: int) -> None:
    """Check the number of secrets: at most two for apps with personal accounts.

    Raises:
        RegistrationError: The app has two secrets already.
    """
    if app.accounts in PERSONAL_ACCOUNTS and present >= MAX_PERSONAL_SECRETS:
        raise RegistrationError(f"{app.accounts} apps may have two client secrets: remove one first.")


def check_federated(
    app: AppRegistration, new: FederatedCredential, present: Sequence[FederatedCredential]
) -> None:
    """Check a federated credential: at most twenty, each with a different issuer and subject.

    Raises:
        RegistrationError: A rule is violated.
    """
    if len(present) >= MAX_FEDERATED:
        raise RegistrationError(
            f"{app.name} already has {MAX_FEDERATED} federated credentials, the maximum: remove one first."
        )
    if not 3 <= len(new.name) <= 120 or len(new.description) > 600:  # noqa: PLR2004 (Graph's own limits)
        raise RegistrationError(
            "A federated credential's name must have 3 to 120 characters, its description at most 600."
        )
    if not (new.issuer and new.subject and new.audience):
        raise RegistrationError("A federated credential needs issuer, subject and audience.")
    if any((f.issuer, f.subject) == (new.issuer, new.subject) for f in present):
        raise RegistrationError(
            f"{app.name} already has a federated credential for {new.issuer} and {new.subject}."
        )


def _check_name(app: AppRegistration, *, personal: bool) -> None:
    longest = 90 if personal else 120
    if not (app.name.strip() and len(app.name) <= longest):
        raise RegistrationError(
            f"The name of an app with accounts={app.accounts!r} must have 1 to {longest} characters, "
            f"not only white space, got {len(app.name)}."
        )


def _check_roles(app: AppRegistration, *, personal: bool) -> None:
    if personal and app.app_roles:
        raise RegistrationError(f"{app.accounts} apps cannot have app roles: omit app_roles.")
    for role in app.app_roles:
        if not _VALUE.fullmatch(role.value):
            raise RegistrationError(
                f"App role {role.value!r} is not valid: use up to 120 ASCII characters, no spaces, "
                "no quotes, no leading dot."
            )
        if not role.allowed_member_types or not {"User", "Application"}.issuperset(role.allowed_member_types):
            raise RegistrationError(
                f"App role {role.value!r}: allowed_member_types must be User, Application or both."
            )
    _check_unique("App role", [role.value for role in app.app_roles])
    _check_ids("App role", app.app_roles)


def _check_scopes(app: AppRegistration, *, personal: bool) -> None:
    longest = 40 if personal else 120
    if personal and len(app.scopes) > _MAX_SCOPES:
        raise RegistrationError(
            f"{app.accounts} apps may have at most {_MAX_SCOPES} scopes, got {len(app.scopes)}."
        )
    for scope in app.scopes:
        if len(scope.value) > longest or not _VALUE.fullmatch(scope.value):
            raise RegistrationError(
                f"Scope {scope.value!r} is not valid: use 1 to {longest} characters (ASCII, no spaces, "
                "no quotes, no leading dot)."
            )
    _check_unique("Scope", [scope.value for scope in app.scopes])
    _check_ids("Scope", app.scopes)


def _check_ids(what: str, permissions: Sequence[AppRole | Scope]) -> None:
    for permission in permissions:
        if not is_guid(permission.id):
            raise RegistrationError(
                f"{what} {permission.value!r}: the id {permission.id!r} is not a GUID. Use str(uuid.uuid4())."
            )
    _check_unique(f"{what} id", [permission.id.lower() for permission in permissions])


def _check_unique(what: str, values: list[str]) -> None:
    twice = next((v for v in values if values.count(v) > 1), None)
    if twice is not None:
        raise RegistrationError(f"{what} {twice!r} is defined twice: remove one.")


def _check_uris(app: AppRegistration, tenant: Tenant, *, personal: bool) -> None:
    if personal and len(app.identifier_uris) > _MAX_URIS:
        raise RegistrationError(
            f"{app.accounts} apps may have {_MAX_URIS} App ID URIs, got {len(app.identifier_uris)}."
        )
    for uri in app.identifier_uris:
        parts = split_url(uri)
        if not parts.scheme or not _URI.fullmatch(uri):
            raise RegistrationError(
                f"App ID URI {uri!r} is not a URI: use api://{app.client_id} or https://..."
            )
        if personal and (
            len(uri) > _MAX_URI_LENGTH or parts.scheme == "urn" or parts.query or parts.fragment
        ):
            raise RegistrationError(
                f"App ID URI {uri!r} is not valid: use up to {_MAX_URI_LENGTH} characters, no urn:, no query."
            )
        if (
            app.accounts == "AzureADMyOrg"
            and app.token_version != V2
            and not _is_own_host(parts.netloc, app, tenant)
        ):
            raise RegistrationError(
                f"HostNameNotOnVerifiedDomain: App ID URI {uri!r} must be api://{app.client_id}, or use the "
                f"verified domain {tenant.domain}, or the app must receive v2.0 tokens (token_version=2)."
            )


def _check_redirect_uris(app: AppRegistration) -> None:
    platforms = {"web": app.redirect_uris, "spa": app.spa_redirect_uris, "public": app.public_redirect_uris}
    for platform, uris in platforms.items():
        for uri in uris:
            check_redirect_uri(uri, platform)
        _check_unique("Redirect URI", list(uris))


def _check_authorized_clients(app: AppRegistration) -> None:
    known = {scope.id for scope in app.scopes}
    for client in app.authorized_clients:
        unknown = [scope_id for scope_id in client.scope_ids if scope_id not in known]
        if unknown or not client.scope_ids:
            problem = f"{app.name} has no scope with the id {unknown[0]}" if unknown else "no scope is named"
            raise RegistrationError(
                f"Authorized client {client.client_id!r}: {problem}. Remove the client, or choose a scope."
            )
    _check_unique("Authorized client", [client.client_id for client in app.authorized_clients])


def _is_own_host(host: str, app: AppRegistration, tenant: Tenant) -> bool:
    ours = host in {app.client_id, tenant.id, tenant.domain}
    return ours or host.endswith(f".{tenant.domain}")
