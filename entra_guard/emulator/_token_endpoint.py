"""The token endpoint, v1.0 and v2.0: from a form to tokens, grant by grant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ._aadsts import EntraError
from ._clients import Client, authenticate
from ._directory import GRAPH, V2, AppRegistration, Tenant
from ._orders import Parties, audience_of, order, signed
from ._wire import Request, Response, json_response

if TYPE_CHECKING:
    from ._world import World

UNCACHED: Final = (("Cache-Control", "no-store, no-cache"), ("Pragma", "no-cache"))
_RESERVED: Final = frozenset({"openid", "profile", "email", "offline_access"})
_DEFAULT: Final = "/.default"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token request that named a grant and a tenant."""

    world: World
    http: Request
    segment: str
    tenant: Tenant
    version: int
    form: dict[str, str]

    def needed(self, name: str) -> str:
        """A parameter that must be there.

        Raises:
            EntraError: It is not.
        """
        value = self.form.get(name, "")
        if not value:
            raise EntraError(900144, name=name)
        return value


Grant = Callable[[TokenRequest], dict[str, Any]]


def answer_token_request(world: World, request: Request, segment: str, version: int) -> Response:
    """Answer a POST to the token endpoint.

    Raises:
        EntraError: It is refused.
    """
    form = _form(request)
    asked = TokenRequest(world, request, segment, tenant_of(world, segment, form), version, form)
    name = asked.needed("grant_type")
    grant = GRANTS.get(name)
    if grant is None:
        raise EntraError(70003, grant=name)
    return json_response(grant(asked), 200, *UNCACHED)


def _form(request: Request) -> dict[str, str]:
    try:
        return request.form()
    except ValueError:
        raise EntraError(900144, name="grant_type") from None


def tenant_of(world: World, segment: str, form: Mapping[str, str]) -> Tenant:
    """The tenant of the URL; behind an alias, that of the client or of personal accounts.

    Raises:
        EntraError: There is no such tenant.
    """
    known = world.directory.tenant("live.com" if segment == "consumers" else segment)
    if known is None and segment in {"common", "organizations"}:
        app = world.directory.apps.get(form.get("client_id", ""))
        known = world.directory.tenant(app.tenant_id if app else "") or next(
            iter(world.directory.tenants.values())
        )
    if known is None:
        raise EntraError(90002, tenant=segment)
    return known


def client_credentials(asked: TokenRequest) -> dict[str, Any]:
    """A token for the client itself."""
    if asked.segment in {"common", "consumers"}:
        raise EntraError(9001023)
    client = authenticate(asked.world, asked.tenant, asked.http, asked.form)
    name = asked.needed("resource") if asked.version == 1 else _default_resource(asked)
    parties = _app_parties(asked, client, name)
    _check_assigned(asked.world, parties)
    decided = order(asked.world, parties)
    token = signed(asked.world, decided)
    expiry = {"expires_in": decided.lifetime - 1, "ext_expires_in": decided.lifetime - 1}
    answer = {"token_type": "Bearer", **expiry, "access_token": token}
    if asked.version == V2:
        return answer
    times = {"expires_on": decided.now + decided.lifetime, "not_before": decided.now - 300}
    strings = {name: str(value) for name, value in {**expiry, **times}.items()}
    return {"token_type": "Bearer", **strings, "resource": name, "access_token": token}


def _default_resource(asked: TokenRequest) -> str:
    """The one resource a client credentials request names, as `<resource>/.default`."""
    scope = asked.needed("scope")
    named = [s for s in scope.split() if s not in _RESERVED]
    if not named or not all(s.endswith(_DEFAULT) or s == ".default" for s in named):
        raise EntraError(1002012, scope=scope)
    if len(set(named)) > 1:
        raise EntraError(28000, scope=scope)
    resource = named[0].removesuffix(_DEFAULT)
    resource = GRAPH if resource == ".default" else resource
    _check_resource_parameter(asked, resource)
    return resource


def _check_resource_parameter(asked: TokenRequest, resource: str) -> None:
    """At the v2.0 endpoint a `resource` (RFC 8707) must be, to the letter, a name of what the scopes name."""
    wanted = asked.form.get("resource")
    api = asked.world.directory.resource(resource, asked.tenant.id)
    if wanted and (api is None or wanted not in api.names()):
        raise EntraError(9010010)


def _app_parties(asked: TokenRequest, client: Client, name: str) -> Parties:
    api = resource_of(asked, name)
    tenant, base = asked.tenant, asked.http.base
    return Parties(base, tenant, client.app, api, audience_of(api, name), client.proof)


def resource_of(asked: TokenRequest, name: str) -> AppRegistration:
    """The API of that name in this tenant.

    Raises:
        EntraError: There is none.
    """
    api = asked.world.directory.resource(name, asked.tenant.id)
    if api is None:
        raise EntraError(500011, resource=name, tenant=asked.tenant.name)
    return api


def _check_assigned(world: World, parties: Parties) -> None:
    target = world.directory.principal_of(parties.resource.client_id, parties.tenant.id)
    client = world.directory.principal_of(parties.client.client_id, parties.tenant.id)
    if target is None or client is None or not target.assignment_required:
        return
    if not world.directory.roles_of(frozenset({client.id}), target.id):
        raise EntraError(
            501051,
            app=parties.client.client_id,
            name=parties.client.name,
            resource=parties.resource.client_id,
            resource_name=parties.resource.name,
        )


GRANTS: Final[dict[str, Grant]] = {"client_credentials": client_credentials}
