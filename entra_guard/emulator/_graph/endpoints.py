"""Microsoft Graph v1.0, as much of it as identity work needs: the table of what it answers and to whom."""

from __future__ import annotations

import base64
import functools
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from entra_guard.emulator._graph import applications as apps
from entra_guard.emulator._graph import people, principals
from entra_guard.emulator._graph.access import Call, admit, authenticated, graph_json, graph_refusal
from entra_guard.emulator._graph.odata import GraphError, bad_request, list_in, object_in
from entra_guard.emulator._http.paths import path_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from entra_guard.emulator._directory.app_credentials import AppCredentials
    from entra_guard.emulator._http.messages import Request, Response

Found = re.Match[str]
PREFIX: Final = "/v1.0"
USER_INFO: Final = "/oidc/userinfo"
MOST_IN_BATCH: Final = 20
_ME: Final = ("User.Read", *people.PROFILES)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One thing Graph answers.

    Attributes:
        roles: Any of these lets an app in.
        scopes: Any of these lets a user in.
        status: What success is answered with.
    """

    method: str
    path: str
    answer: Callable[[Call, Found], Any]
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    status: int = 200

    @property
    def full_path(self) -> str:
        return self.path if self.path == USER_INFO else f"{PREFIX}{self.path}"


def _reading(path: str, answer: Callable[[Call, Found], Any], roles: tuple[str, ...], *more: str) -> Endpoint:
    """A GET; the same permissions for apps and users, and some more for users."""
    return Endpoint("GET", path, answer, roles, (*roles, *more))


def _writing(
    method: str, path: str, answer: Callable[[Call, Found], Any], permissions: tuple[str, ...], status: int
) -> Endpoint:
    return Endpoint(method, path, answer, permissions, permissions, status)


def _apps(suffix: str = "") -> tuple[str, str]:
    """An application, by its object id or by its client id."""
    return (f"/applications/{{id}}{suffix}", f"/applications(appId='{{id}}'){suffix}")


def _principals(suffix: str = "") -> tuple[str, str]:
    """A service principal, by its id or by its app's."""
    return (f"/servicePrincipals/{{id}}{suffix}", f"/servicePrincipals(appId='{{id}}'){suffix}")


def _table() -> Iterable[Endpoint]:
    """Every endpoint."""
    yield _reading("/users", people.users, people.USERS, "User.ReadBasic.All")
    yield _reading("/users/{id}", people.user, people.USERS, "User.ReadBasic.All")
    yield _reading("/users/{id}/memberOf", people.groups_of_user, people.GROUPS)
    objects = (*people.GROUPS, "User.Read.All")
    yield _writing("POST", "/users/{id}/getMemberObjects", people.member_objects_of_user, objects, 200)
    yield _writing("POST", "/users/{id}/getMemberGroups", people.member_objects_of_user, objects, 200)
    # An app is let in here to be told that only users have a `me`.
    every = tuple(dict.fromkeys((*_ME, *people.GROUPS, *apps.READ, *people.ORGANIZATION)))
    yield Endpoint("GET", "/me", people.me, every, _ME)
    yield Endpoint("GET", "/me/memberOf", people.my_groups, every, ("User.Read", *people.GROUPS))
    yield Endpoint(
        "POST", "/me/getMemberObjects", people.my_member_objects, every, ("User.Read", *people.GROUPS)
    )
    yield _reading("/groups", people.groups, people.GROUPS)
    yield _reading("/groups/{id}", people.group, people.GROUPS)
    yield _reading("/groups/{id}/members", people.group_members, people.GROUPS)
    yield _reading("/organization", people.organization, people.ORGANIZATION, "User.Read")
    yield Endpoint("GET", USER_INFO, people.user_info, every, ("openid", "profile", "email", *_ME))
    yield from _application_table()
    yield from _principal_table()


def _application_table() -> Iterable[Endpoint]:
    yield _reading("/applications", apps.applications, apps.READ)
    yield _writing("POST", "/applications", apps.create, apps.WRITE, 201)
    for path in _apps():
        yield _reading(path, apps.application, apps.READ)
        yield _writing("PATCH", path, apps.change, apps.WRITE, 204)
        yield _writing("DELETE", path, apps.delete, apps.WRITE, 204)
    actions = (
        ("addPassword", apps.add_password, 200),
        ("removePassword", apps.remove_password, 204),
        ("addKey", apps.add_key, 200),
        ("removeKey", apps.remove_key, 204),
    )
    for name, answer, status in actions:
        for path in _apps(f"/{name}"):
            yield _writing("POST", path, answer, apps.WRITE, status)
    for path in _apps("/federatedIdentityCredentials"):
        yield _reading(path, apps.federated, apps.READ)
        yield _writing("POST", path, apps.add_federated, apps.WRITE, 201)
        yield _writing("DELETE", f"{path}/{{credential}}", apps.remove_federated, apps.WRITE, 204)


def _principal_table() -> Iterable[Endpoint]:
    yield _reading("/servicePrincipals", principals.principals, apps.READ)
    yield _writing("POST", "/servicePrincipals", principals.create_principal, apps.WRITE, 201)
    for path in _principals():
        yield _reading(path, principals.principal, apps.READ)
        yield _writing("DELETE", path, principals.delete_principal, apps.WRITE, 204)
    for path in _principals("/appRoleAssignedTo"):
        yield _reading(path, principals.assigned_to, apps.READ)
        yield _writing("POST", path, principals.assign, principals.ASSIGN, 201)
        yield _writing("DELETE", f"{path}/{{assignment}}", principals.unassign, principals.ASSIGN, 204)
    for path in _principals("/appRoleAssignments"):
        yield _reading(path, principals.assignments, apps.READ)
        yield _writing("POST", path, principals.assign, principals.ASSIGN, 201)
    for path in _principals("/oauth2PermissionGrants"):
        yield _reading(path, principals.grants_of, principals.GRANTS)
    yield _reading("/oauth2PermissionGrants", principals.grants, principals.GRANTS)
    yield _writing("POST", "/oauth2PermissionGrants", principals.create_grant, principals.GRANT, 201)
    yield _writing("DELETE", "/oauth2PermissionGrants/{id}", principals.delete_grant, principals.GRANT, 204)


@functools.cache
def _endpoints() -> tuple[Endpoint, ...]:
    return tuple(_table())


def graph(store: AppCredentials, request: Request) -> Response:
    """Answer one request to Graph."""
    try:
        if (request.method, request.path) == ("POST", f"{PREFIX}/$batch"):
            return graph_json(store, request, _batch(store, request))
        return _dispatch(store, request)
    except GraphError as problem:
        return graph_refusal(store, request, problem)


def _dispatch(store: AppCredentials, request: Request) -> Response:
    of_method = (e for e in _endpoints() if e.method == request.method)
    matches = ((e, path_pattern(e.full_path).fullmatch(request.path)) for e in of_method)
    endpoint, found = next(((e, m) for e, m in matches if m), (None, None))
    if endpoint is None or found is None:
        authenticated(store, request)
        segment = request.path.rpartition("/")[2]
        raise GraphError(400, "BadRequest", f"Resource not found for the segment '{segment}'.")
    call = admit(store, request, endpoint.roles, endpoint.scopes)
    return graph_json(store, request, endpoint.answer(call, found), endpoint.status)


def _batch(store: AppCredentials, request: Request) -> Any:
    """Up to twenty requests in one."""
    parts = list_in(authenticated(store, request).body(), "requests")
    if not 1 <= len(parts) <= MOST_IN_BATCH:
        raise bad_request(f"A batch has 1 to {MOST_IN_BATCH} requests.")
    return {"responses": [_part(store, request, part) for part in parts]}


def _part(store: AppCredentials, request: Request, part: Any) -> dict[str, Any]:
    if not isinstance(part, dict) or not {"id", "method", "url"} <= set(part):  # pyright: ignore[reportUnknownArgumentType]
        raise bad_request("Each request of a batch has id, method and url.")
    single = _single(request, part)  # pyright: ignore[reportUnknownArgumentType]
    response = graph(store, single)
    headers = {name: value for name, value in response.headers if name in {"Content-Type", "Retry-After"}}
    return {"id": str(part["id"]), "status": response.status, "headers": headers, "body": _body(response)}  # pyright: ignore[reportUnknownArgumentType]


def _single(request: Request, part: dict[str, Any]) -> Request:
    path, _, query = str(part["url"]).partition("?")
    if path.strip("/") == "$batch":
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


def _body(response: Response) -> Any:
    try:
        return json.loads(response.body) if response.body else None
    except ValueError:
        return base64.b64encode(response.body).decode()
