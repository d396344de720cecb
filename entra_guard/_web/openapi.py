"""Add a guard to an OpenAPI document: its security scheme, and the scopes of each operation.

Entra names a scope in full ('api://<client id>/Orders.Read'); tokens and routes name its last part. The
document has the full name in the scheme and in the operations, as the OpenAPI Specification requires
("Security Requirement Object") and as Swagger UI needs it to request the right scopes. Imports no framework.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from entra_guard._guard.combined_guard import guards_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from entra_guard._guard.combined_guard import CombinedGuard
    from entra_guard._guard.verifier import IssuerVerifier

Document = dict[str, Any]

_PROBLEM: Final[Document] = {"content": {"application/problem+json": {"schema": {"type": "object"}}}}
_REFUSALS: Final[Document] = {
    "401": {"description": "The request has no token, or the token is not valid."} | _PROBLEM,
    "403": {"description": "The token does not have the required permission."} | _PROBLEM,
}


def first_of(guard: IssuerVerifier | CombinedGuard) -> IssuerVerifier:
    """Return the guard whose issuer a page can sign in to: the first of a combined guard."""
    return guards_of(guard)[0]


def scheme_of(
    guard: IssuerVerifier | CombinedGuard, scopes: Iterable[str] = (), description: str = ""
) -> Document:
    """Return the security scheme: the authorization code flow, or the URL of the issuer's metadata.

    Args:
        guard: The guard whose authority people sign in to.
        scopes: The API's scopes, named as in tokens; without any, '.default' is offered.
        description: Shown to readers of the document.
    """
    guard = first_of(guard)
    authority, tenant = guard.authority, guard.policy.tenants.alias
    common = {"description": description or "An access token of Microsoft Entra ID."}
    if not authority.is_entra:
        url = authority.configuration_urls("", frozenset())["2.0"]
        return {"type": "openIdConnect", "openIdConnectUrl": url} | common
    base = f"{authority.url}/{tenant}/oauth2/v2.0"
    names = {full_name(guard, scope): scope for scope in scopes or (".default",)}
    flow = {"authorizationUrl": f"{base}/authorize", "tokenUrl": f"{base}/token", "scopes": names}
    return {"type": "oauth2", "flows": {"authorizationCode": flow}} | common


def full_name(guard: IssuerVerifier | CombinedGuard, scope: str) -> str:
    """Return the full name of a scope, as Entra's authorize endpoint expects it."""
    return f"{first_of(guard).policy.app_id_uri}/{scope}"


def add_security(
    document: Document,
    guard: IssuerVerifier | CombinedGuard,
    name: str,
    *,
    scopes: Iterable[str],
    is_public: Callable[[str], bool],
    everywhere: bool,
) -> Document:
    """Return a copy of a document with the guard's security scheme and requirements.

    Args:
        document: The document that the framework generated.
        guard: The guard.
        name: The name of its security scheme.
        scopes: Offered in addition to those that operations require.
        is_public: Returns whether a path needs no token.
        everywhere: Whether all operations that are not public need a token, as behind the middleware.
    """
    document = deepcopy(document)
    offered = dict.fromkeys(scopes)
    for path, operation in _operations(document):
        if everywhere and not is_public(path):
            alternatives: list[Document] = operation.get("security") or [{}]
            operation["security"] = [{name: []} | needed_together for needed_together in alternatives]
        for need in operation.get("security", []):
            if name in need:
                offered |= dict.fromkeys(need[name])
                need[name] = [full_name(guard, scope) for scope in need[name]]
                operation["responses"] = _REFUSALS | operation.get("responses", {})
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    description = schemes.get(name, {}).get("description", "")
    schemes[name] = scheme_of(guard, offered, description)
    return document


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, item in document.get("paths", {}).items():
        for method in {"get", "put", "post", "delete", "options", "head", "patch", "trace"} & item.keys():
            yield path, item[method]
