"""Plans that find an application, an API or a service principal. Several matches stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.guid import is_guid
from entra_guard._escaping import escape
from entra_guard.cli.app._calls import UNIQUE_NAME, CommandError, GraphCall, Plan, Row, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

GRAPH: Final = "00000003-0000-0000-c000-000000000000"
# Names for Microsoft's own APIs.
WELL_KNOWN: Final = {"graph": GRAPH, "microsoft graph": GRAPH, "https://graph.microsoft.com": GRAPH}
_LIST: Final = "Use its client id. 'entra-guard app list' shows the client ids."


def find_app(ref: str, *, by_name: bool) -> Plan[Row]:
    """Return the application of a client id, object id, App ID URI or unique name.

    Args:
        ref: One of these.
        by_name: Whether a display name counts too. Anybody may use the same one, so not in a real tenant.

    Raises:
        CommandError: There is none, or there are several.
    """
    found = yield from _existing_app(ref)
    if found is None and by_name:
        rows = yield _search("Find the application by its name", f"displayName eq {quoted(ref)}")
        found = only(rows, ref)
    if found is None:
        raise CommandError(f"There is no application {escape(ref)!r}.", "Request_ResourceNotFound", _LIST)
    return found


def _existing_app(ref: str) -> Plan[Row | None]:
    if is_guid(ref):
        found = yield _get_app(f"(appId='{ref}')", _assumed_existing(appId=ref))
        if found is None:
            found = yield _get_app(f"/{ref}", _assumed_existing(id=ref))
        return found  # type: ignore[no-any-return]
    if "://" in ref or ref.startswith("urn:"):
        rows = yield app_with_uri(ref)
        return only(rows, ref)
    if UNIQUE_NAME.fullmatch(ref):
        found = yield app_with_unique_name(ref, _assumed_existing(uniqueName=ref))
        return found  # type: ignore[no-any-return]
    return None


def app_with_unique_name(name: str, assumed: Row | None = None) -> GraphCall:
    """Return the request for an application by its unique name; None if there is none."""
    return _get_app(f"(uniqueName='{name}')", assumed, "Find the application by its unique name")


def app_with_uri(uri: str, assumed: Sequence[Row] | None = None) -> GraphCall:
    """Return the request for the applications with that App ID URI."""
    query = f"identifierUris/any(x:x eq {quoted(uri)})"
    rows = [_assumed_existing(identifierUris=[uri])] if assumed is None else list(assumed)
    return _search("Find the application by its App ID URI", query, rows)


def _get_app(key: str, assumed: Row | None, purpose: str = "Find the application") -> GraphCall:
    return GraphCall(purpose, "GET", f"/applications{key}", assumed=assumed, optional=True)


def _search(purpose: str, query: str, assumed: Sequence[Row] = ()) -> GraphCall:
    rows = assumed or [_assumed_existing()]
    return GraphCall(purpose, "GET", "/applications", params={"$filter": query}, assumed=rows, pages=True)


def only(rows: Sequence[Row], ref: str) -> Row | None:
    """Return the only row, or None.

    Raises:
        CommandError: There are several.
    """
    if len(rows) > 1:
        known = ", ".join(str(row["appId"]) for row in rows)
        raise CommandError(
            f"{len(rows)} applications are called {escape(ref)!r}.",
            "several_matches",
            f"Use one of: {known}.",
        )
    return rows[0] if rows else None


def assumed_app(**known: Any) -> Row:
    """Return the application that `--dry-run` assumes where it cannot read."""
    lists: Row = {"identifierUris": [], "keyCredentials": [], "requiredResourceAccess": []}
    roles: Row = {"api": {"oauth2PermissionScopes": []}, "appRoles": []}
    platforms: Row = {name: {"redirectUris": []} for name in ("web", "spa", "publicClient")}
    ids = {"id": "<object id>", "appId": "<client id>", "displayName": "<name>"}
    return {**ids, **lists, **roles, **platforms, **known}


def _assumed_existing(**known: Any) -> Row:
    """Return an assumed application that was there before: it needs something already."""
    needed = {"id": "<permission id>", "type": "Role"}
    access = [{"resourceAppId": "<client id of an API>", "resourceAccess": [needed]}]
    return {**assumed_app(), "requiredResourceAccess": access, **known}


def find_api(ref: str, *, by_name: bool) -> Plan[Row]:
    """Return the service principal of an API, which may be of another organisation, such as Graph.

    Raises:
        CommandError: There is none.
    """
    app_id = WELL_KNOWN.get(ref.lower(), ref)
    if "://" in app_id:
        rows = yield _principals_named(app_id)
        found = only(rows, ref)
        if found is not None:
            return found
    if not is_guid(app_id):
        app = yield from find_app(ref, by_name=by_name)
        app_id = str(app["appId"])
    return (yield from principal_of(app_id))


def _principals_named(uri: str) -> GraphCall:
    query = {"$filter": f"servicePrincipalNames/any(x:x eq {quoted(uri)})"}
    assumed = [assumed_principal("<client id of the API>")]
    return GraphCall("Find the API", "GET", "/servicePrincipals", params=query, assumed=assumed, pages=True)


def existing_principal(app_id: str, assumed: Row | None = None) -> GraphCall:
    """Return the request for an app's service principal; None if the app is not in the tenant."""
    path = f"/servicePrincipals(appId='{app_id}')"
    return GraphCall("Find the service principal", "GET", path, assumed=assumed, optional=True)


def principal_of(app_id: str) -> Plan[Row]:
    """Return an app's service principal, which is the app in this tenant; create it if it is missing."""
    found = yield existing_principal(app_id, assumed_principal(app_id))
    if found is None:
        found = yield create_principal(app_id)
    return found  # type: ignore[no-any-return]


def create_principal(app_id: str) -> GraphCall:
    """Return the request that adds an app to the tenant."""
    return GraphCall(
        "Create the service principal: the app in this tenant",
        "POST",
        "/servicePrincipals",
        {"appId": app_id},
        assumed=assumed_principal(app_id),
        settles=True,
    )


def assumed_principal(app_id: str) -> Row:
    """Return the service principal that `--dry-run` assumes where it cannot read."""
    return {
        "id": f"<service principal of {app_id.strip('<>')}>",
        "appId": app_id,
        "displayName": "<name>",
        "appRoles": [],
        "oauth2PermissionScopes": [],
    }
