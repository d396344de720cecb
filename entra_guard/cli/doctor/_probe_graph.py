"""Read the registration of the API, and of the outbound client, from Microsoft Graph. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.audiences import plain
from entra_guard._common.guid import is_guid
from entra_guard._common.http import is_loopback
from entra_guard._keys.authority import cloud_of
from entra_guard.cli.doctor._facts import GraphFacts, Holder, Registration
from entra_guard.errors import EntraGuardError
from entra_guard.graph import GraphClient, GraphError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import httpx

    from entra_guard._keys.authority import Authority

_NOT_FOUND: Final = 404
_MOST_HOLDERS: Final = 500


def graph_client(credential: Any, authority: Authority, http_client: httpx.Client | None) -> GraphClient:
    """Return a client of the cloud's Graph; an emulator serves Graph on its own address.

    Raises:
        ConfigurationError: The cloud's Graph is not known.
    """
    if is_loopback(authority.url):
        return GraphClient(credential, base_url=authority.url, http_client=http_client, tries=2)
    # An External ID tenant's Graph is the public cloud's.
    cloud = cloud_of(authority.url) or "public"
    return GraphClient(credential, cloud=cloud, http_client=http_client, tries=2)


def probe_graph(graph: GraphClient, audiences: Iterable[str], client_id: str) -> GraphFacts:
    """Read the registrations.

    Args:
        graph: Reads them.
        audiences: The audiences of the guard: they name the API.
        client_id: The client id of the outbound credential; '' if there is none.
    """
    names = _names_of_api(audiences)
    wanted = " or ".join(names)
    try:
        application = next((found for name in names if (found := _find(graph, name))), None)
        if application is None:
            return GraphFacts(wanted=wanted, client=_client(graph, client_id, ""))
        api = _registration(graph, application, with_holders=True)
        return GraphFacts(wanted=wanted, api=api, client=_client(graph, client_id, str(application["appId"])))
    except GraphError as error:
        return GraphFacts(str(error), error.status, wanted)
    except EntraGuardError as error:
        return GraphFacts(str(error), 0, wanted)
    except (TypeError, AttributeError, LookupError, ValueError) as error:
        return GraphFacts(f"a response has an unexpected form ({type(error).__name__})", 0, wanted)


def _names_of_api(audiences: Iterable[str]) -> list[str]:
    """Return the client ids among the audiences, or else the App ID URIs."""
    names = sorted(audiences)
    return [plain(name) for name in names if is_guid(plain(name))] or names


def _find(graph: GraphClient, name: str) -> Mapping[str, Any] | None:
    """Return the application with a client id or an App ID URI."""
    if not is_guid(name):
        value = name.replace("'", "''")
        rows = graph.iterate("/applications", {"$filter": f"identifierUris/any(uri:uri eq '{value}')"})
        return next(iter(rows), None)
    found: Mapping[str, Any] | None = _found(graph, f"/applications(appId='{name}')")
    return found


def _found(graph: GraphClient, path: str) -> Any:
    """Return an object, or None if there is none."""
    try:
        return graph.get(path)
    except GraphError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def _client(graph: GraphClient, client_id: str, api_id: str) -> Registration | None:
    """Return the registration of the outbound client, if it is another one than the API's."""
    if not client_id or client_id == api_id:
        return None
    application = _find(graph, client_id)
    return None if application is None else _registration(graph, application, with_holders=False)


def _registration(graph: GraphClient, application: Mapping[str, Any], *, with_holders: bool) -> Registration:
    app_id = str(application["appId"])
    federated = tuple(graph.iterate(f"/applications/{application['id']}/federatedIdentityCredentials"))
    principal = _found(graph, f"/servicePrincipals(appId='{app_id}')")
    holders: tuple[Holder, ...] = ()
    if principal is not None and with_holders:
        holders = tuple(_holders(graph, str(principal["id"])))
    return Registration(application, principal, federated, holders)


def _holders(graph: GraphClient, principal_id: str) -> Iterable[Holder]:
    """Yield who holds app roles. Names of people are not kept."""
    rows = graph.iterate(f"/servicePrincipals/{principal_id}/appRoleAssignedTo")
    for number, row in enumerate(rows):
        if number >= _MOST_HOLDERS:
            return
        kind = str(row.get("principalType") or "")
        name = str(row.get("principalDisplayName") or "") if kind == "ServicePrincipal" else ""
        yield Holder(kind, name, str(row.get("appRoleId") or ""))
