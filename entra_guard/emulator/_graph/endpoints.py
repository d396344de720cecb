"""Microsoft Graph v1.0: the table of endpoints with their permissions, and batch requests."""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from entra_guard.emulator._graph import agents, people, principals
from entra_guard.emulator._graph import applications as apps
from entra_guard.emulator._graph import people_changes as changes
from entra_guard.emulator._graph.access import (
    Call,
    authenticate,
    authorize,
    graph_error_response,
    graph_json,
)
from entra_guard.emulator._graph.errors import GraphRequestError, bad_request
from entra_guard.emulator._graph.odata import list_in, object_in
from entra_guard.emulator._graph.paths import PREFIX, USER_INFO
from entra_guard.emulator._http.routing import path_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._http.messages import Request, Response

Found = re.Match[str]
MAX_BATCH: Final = 20
_NOT_EMULATED: Final = frozenset(
    (
        *(
            "messages",
            "mailfolders",
            "sendmail",
            "events",
            "calendar",
            "calendars",
            "calendarview",
            "contacts",
        ),
        *("drive", "drives", "sites", "teams", "chats", "onenote", "planner", "photo", "manager", "devices"),
        *("directreports", "auditlogs", "subscriptions", "security"),
    )
)
_ME: Final = ("User.Read", *people.PROFILES)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of Graph.

    Attributes:
        roles: An app needs one of these.
        scopes: A user needs one of these.
        status: The status of a successful response.
    """

    method: str
    path: str
    handle: Callable[[Call, Found], Any]
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    status: int = 200

    @property
    def full_path(self) -> str:
        return self.path if self.path == USER_INFO else f"{PREFIX}{self.path}"


def _reading(path: str, handle: Callable[[Call, Found], Any], roles: tuple[str, ...], *more: str) -> Endpoint:
    """Return a GET endpoint: the same permissions for apps and users, and more for users."""
    return Endpoint("GET", path, handle, roles, (*roles, *more))


def _writing(
    method: str, path: str, handle: Callable[[Call, Found], Any], permissions: tuple[str, ...], status: int
) -> Endpoint:
    return Endpoint(method, path, handle, permissions, permissions, status)


def _application_paths(suffix: str = "") -> tuple[str, ...]:
    """Return the paths of an application: by object id, by client id and by unique name."""
    keys = ("/{id}", "(appId='{id}')", "(uniqueName='{id}')")
    return tuple(f"/applications{key}{suffix}" for key in keys)


def _principal_paths(suffix: str = "") -> tuple[str, str]:
    """Return the paths of a service principal: by id and by client id."""
    return (f"/servicePrincipals/{{id}}{suffix}", f"/servicePrincipals(appId='{{id}}'){suffix}")


def _people_endpoints() -> Iterable[Endpoint]:
    yield _reading("/users", people.users, people.USERS, "User.ReadBasic.All")
    yield _reading("/users/$count", people.users_count, people.USERS, "User.ReadBasic.All")
    yield _writing("POST", "/users", changes.create_user, changes.USERS, 201)
    yield _writing("PATCH", "/users/{id}", changes.change_user, changes.USERS, 204)
    yield _writing("DELETE", "/users/{id}", changes.delete_user, changes.USERS, 204)
    yield _reading("/users/{id}", people.user, people.USERS, "User.ReadBasic.All")
    yield _reading("/users/{id}/memberOf", people.groups_of_user, people.GROUPS)
    objects = (*people.GROUPS, "User.Read.All")
    yield _writing("POST", "/users/{id}/getMemberObjects", people.member_objects_of_user, objects, 200)
    yield _writing("POST", "/users/{id}/getMemberGroups", people.member_objects_of_user, objects, 200)
    # Apps pass the permission check, so that they get the error that only users have a `me`.
    every = tuple(dict.fromkeys((*_ME, *people.GROUPS, *apps.READ, *people.ORGANIZATION)))
    own_groups = ("User.Read", *people.GROUPS)
    yield Endpoint("GET", "/me", people.me, every, _ME)
    yield Endpoint("GET", "/me/memberOf", people.my_groups, every, own_groups)
    yield Endpoint("POST", "/me/getMemberObjects", people.my_member_objects, every, own_groups)
    yield _reading("/groups", people.groups, people.GROUPS)
    yield _reading("/groups/$count", people.groups_count, people.GROUPS)
    yield _writing("POST", "/groups", changes.create_group, changes.GROUPS, 201)
    yield _writing("PATCH", "/groups/{id}", changes.change_group, changes.GROUPS, 204)
    yield _writing("DELETE", "/groups/{id}", changes.delete_group, changes.GROUPS, 204)
    yield _writing("POST", "/groups/{id}/members/$ref", changes.add_member, changes.MEMBERS, 204)
    members = "/groups/{id}/members/{member}/$ref"
    yield _writing("DELETE", members, changes.remove_member, changes.MEMBERS, 204)
    yield _reading("/groups/{id}", people.group, people.GROUPS)
    yield _reading("/groups/{id}/members", people.group_members, people.GROUPS)
    yield _reading("/organization", people.organization, people.ORGANIZATION, "User.Read")
    yield Endpoint("GET", USER_INFO, people.user_info, every, ("openid", "profile", "email", *_ME))


def _application_endpoints() -> Iterable[Endpoint]:
    yield _reading("/applications", apps.applications, apps.READ)
    yield _writing("POST", "/applications", apps.create, apps.WRITE, 201)
    yield _reading("/applications/$count", apps.applications_count, apps.READ)
    for path in _application_paths():
        yield _reading(path, apps.application, apps.READ)
        change = apps.create_or_change if "uniqueName" in path else apps.change
        yield _writing("PATCH", path, change, apps.WRITE, 204)
        yield _writing("DELETE", path, apps.delete, apps.WRITE, 204)
    actions = (
        ("addPassword", apps.add_password, 200),
        ("removePassword", apps.remove_password, 204),
        ("addKey", apps.add_key, 200),
        ("removeKey", apps.remove_key, 204),
    )
    for name, handle, status in actions:
        for path in _application_paths(f"/{name}"):
            yield _writing("POST", path, handle, apps.WRITE, status)
    for path in _application_paths("/federatedIdentityCredentials"):
        yield _reading(path, apps.federated, apps.READ)
        yield _writing("POST", path, apps.add_federated, apps.WRITE, 201)
        yield _writing("DELETE", f"{path}/{{credential}}", apps.remove_federated, apps.WRITE, 204)


def _principal_endpoints() -> Iterable[Endpoint]:
    yield _reading("/servicePrincipals", principals.principals, apps.READ)
    yield _writing("POST", "/servicePrincipals", principals.create_principal, apps.WRITE, 201)
    yield _reading("/servicePrincipals/$count", principals.principals_count, apps.READ)
    for path in _principal_paths():
        yield _reading(path, principals.principal, apps.READ)
        yield _writing("PATCH", path, principals.change_principal, apps.WRITE, 204)
        yield _writing("DELETE", path, principals.delete_principal, apps.WRITE, 204)
    for path in _principal_paths("/appRoleAssignedTo"):
        yield _reading(path, principals.assigned_to, apps.READ)
        yield _writing("POST", path, principals.assign, principals.ASSIGN, 201)
        yield _writing("DELETE", f"{path}/{{assignment}}", principals.unassign, principals.ASSIGN, 204)
    for path in _principal_paths("/appRoleAssignments"):
        yield _reading(path, principals.assignments, apps.READ)
        yield _writing("POST", path, principals.assign, principals.ASSIGN, 201)
    for path in _principal_paths("/oauth2PermissionGrants"):
        yield _reading(path, principals.grants_of, principals.GRANTS)
    yield _reading("/oauth2PermissionGrants", principals.grants, principals.GRANTS)
    yield _writing("POST", "/oauth2PermissionGrants", principals.create_grant, principals.GRANT, 201)
    yield _writing("PATCH", "/oauth2PermissionGrants/{id}", principals.change_grant, principals.GRANT, 204)
    holders = (*principals.ASSIGN, "Directory.Read.All", "Directory.ReadWrite.All")
    yield _reading("/users/{id}/appRoleAssignments", principals.assignments_of_user, holders)
    yield _reading("/groups/{id}/appRoleAssignments", principals.assignments_of_group, holders)
    yield _writing("DELETE", "/oauth2PermissionGrants/{id}", principals.delete_grant, principals.GRANT, 204)


def _agent_endpoints() -> Iterable[Endpoint]:
    blueprint, graph = "microsoft.graph.agentIdentityBlueprint", "/servicePrincipals/microsoft.graph"
    yield _writing("POST", f"/applications/{blueprint}", agents.create_blueprint, apps.WRITE, 201)
    principal = f"{graph}.agentIdentityBlueprintPrincipal"
    yield _writing("POST", principal, agents.create_blueprint_principal, apps.WRITE, 201)
    yield _writing("POST", f"{graph}.agentIdentity", agents.create_agent, agents.CREATE, 201)
    yield _writing("POST", "/users/microsoft.graph.agentUser", agents.create_user, agents.CREATE_USER, 201)


@functools.cache
def all_endpoints() -> tuple[Endpoint, ...]:
    return (
        *_people_endpoints(),
        *_application_endpoints(),
        *_principal_endpoints(),
        *_agent_endpoints(),
    )


def graph_response(service: DirectoryService, request: Request) -> Response:
    """Respond to a request to Graph."""
    try:
        if (request.method, request.path) == ("POST", f"{PREFIX}/$batch"):
            return graph_json(service.store, request, _run_batch(service, request))
        return _dispatch(service, request)
    except GraphRequestError as error:
        return graph_error_response(service.store, request, error)


def _dispatch(service: DirectoryService, request: Request) -> Response:
    of_method = (e for e in all_endpoints() if e.method == request.method)
    matches = ((e, path_pattern(e.full_path).fullmatch(request.path)) for e in of_method)
    endpoint, found = next(((e, m) for e, m in matches if m), (None, None))
    if endpoint is None or found is None:
        authenticate(service, request)
        raise _missing_endpoint(request.path)
    call = authorize(service, request, endpoint.roles, endpoint.scopes)
    return graph_json(service.store, request, endpoint.handle(call, found), endpoint.status)


def _missing_endpoint(path: str) -> GraphRequestError:
    """Return the error for what is not there: another method, a part of Graph left out, or no such path."""
    if any(path_pattern(endpoint.full_path).fullmatch(path) for endpoint in all_endpoints()):
        words = "Specified HTTP method is not allowed for the request target."
        return GraphRequestError(405, "Request_BadRequest", words)
    segments = path.removeprefix(PREFIX).strip("/").split("/")
    if _NOT_EMULATED.intersection(map(str.lower, segments)):
        words = (
            f"The emulator has no '{path.removeprefix(PREFIX)}': it has no mail, calendars, files or chats. "
            "It serves applications, servicePrincipals, users, groups, organization and me."
        )
        return GraphRequestError(501, "notImplemented", words)
    return GraphRequestError(400, "BadRequest", f"Resource not found for the segment '{segments[-1]}'.")


def _run_batch(service: DirectoryService, request: Request) -> Any:
    """Run up to twenty requests."""
    parts = list_in(authenticate(service, request).body(), "requests")
    if not 1 <= len(parts) <= MAX_BATCH:
        raise bad_request(f"A batch has 1 to {MAX_BATCH} requests.")
    return {"responses": [_run_part(service, request, part) for part in parts]}


def _run_part(service: DirectoryService, request: Request, part: Any) -> dict[str, Any]:
    if not isinstance(part, dict) or not {"id", "method", "url"} <= set(part):  # pyright: ignore[reportUnknownArgumentType]
        raise bad_request("Each request of a batch has id, method and url.")
    response = graph_response(service, _single_request(request, part))  # pyright: ignore[reportUnknownArgumentType]
    headers = {name: value for name, value in response.headers if name in {"Content-Type", "Retry-After"}}
    body = _batch_body(response)
    return {"id": str(part["id"]), "status": response.status, "headers": headers, "body": body}  # pyright: ignore[reportUnknownArgumentType]


def _single_request(request: Request, part: dict[str, Any]) -> Request:
    path, _, query = str(part["url"]).partition("?")
    if path.strip("/").lower() == "$batch":
        raise bad_request("A batch within a batch is not supported.")
    own = {name.lower(): str(value) for name, value in object_in(part, "headers").items()}
    return replace(
        request,
        method=str(part["method"]).upper(),
        path=f"{PREFIX}/{unquote(path.lstrip('/'))}",
        query=query,
        headers={**request.headers, **own},
        body=json.dumps(part["body"]).encode() if "body" in part else b"",
    )


def _batch_body(response: Response) -> Any:
    """Return a body as JSON; other content as base64."""
    try:
        return json.loads(response.body) if response.body else None
    except ValueError:
        return base64.b64encode(response.body).decode()
