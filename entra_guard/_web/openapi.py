"""What a guard asks, written into an OpenAPI document: its security scheme, and the scopes of operations.

Entra knows a scope by its full name ('api://<client id>/Orders.Read'), routes by its last part. In the
document the full name stands in both places, as the OpenAPI Specification has it ("Security
Requirement Object") and as Swagger UI needs it to offer the scopes of one operation. Knows no framework.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

from entra_guard._combined_guard import CombinedGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from entra_guard._verifier import IssuerVerifier

Document = dict[str, Any]

_PROBLEM: Final[Document] = {"content": {"application/problem+json": {"schema": {"type": "object"}}}}
_REFUSALS: Final[Document] = {
    "401": {"description": "There is no token, or it is not accepted."} | _PROBLEM,
    "403": {"description": "The token does not permit this."} | _PROBLEM,
}


def first_of(guard: IssuerVerifier | CombinedGuard) -> IssuerVerifier:
    """The guard whose issuer a page can log in to: the first one, where several are combined."""
    return guard.guards[0] if isinstance(guard, CombinedGuard) else guard


def scheme_of(
    guard: IssuerVerifier | CombinedGuard, scopes: Iterable[str] = (), description: str = ""
) -> Document:
    """Write the security scheme: an authorization code with PKCE, or where the issuer's metadata is.

    Args:
        guard: Whose authority people log in to.
        scopes: What the API offers, named as in tokens; without any, all that was consented to.
        description: For readers.
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
    """Name a scope as Entra's authorize endpoint wants it."""
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
    """Write a guard into a copy of a document.

    Args:
        document: As the framework made it.
        guard: The guard.
        name: The name of its security scheme.
        scopes: Offered in addition to those that operations ask for.
        is_public: Tells which paths need no token.
        everywhere: Whether a guard stands before every other operation, whatever the document says.
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
