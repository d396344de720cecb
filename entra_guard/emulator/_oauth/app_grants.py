"""The client credentials grant: a token for the client itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.emulator._oauth.clients import Client, authenticate
from entra_guard.emulator._oauth.errors import EntraError
from entra_guard.emulator._oauth.scopes import DEFAULT, RESERVED
from entra_guard.emulator._store.entries import GRAPH, TOKEN_EXCHANGE, V2
from entra_guard.emulator._tokens.spec import TokenParties, audience_of, build_spec, sign_spec

if TYPE_CHECKING:
    from entra_guard.emulator._oauth.token_request import TokenRequest
    from entra_guard.emulator._store.store import Store
    from entra_guard.emulator._tokens.claims import TokenSpec


def client_credentials(request: TokenRequest) -> dict[str, Any]:
    """Return a token for the client itself."""
    if request.segment in {"common", "consumers"}:
        raise EntraError(9001023)
    store = request.store
    client = authenticate(store, request.tenant, request.http, request.form)
    v2 = request.version == V2
    scope = request.required("scope") if v2 else f"{request.required('resource')}/{DEFAULT}"
    resource = _requested_resource(request, scope)
    parties = _token_parties(request, client, resource)
    _check_assignment(store, parties)
    spec = build_spec(store, parties)
    content = {"token_type": "Bearer", **lifetimes(spec), "access_token": sign_spec(store, spec)}
    return content if v2 else with_string_values(content, spec, resource)


def lifetimes(spec: TokenSpec) -> dict[str, Any]:
    """Return how many seconds the token is valid: one less than its lifetime, as in Entra."""
    return {"expires_in": spec.lifetime - 1, "ext_expires_in": spec.lifetime - 1}


def with_string_values(content: dict[str, Any], spec: TokenSpec, resource: str) -> dict[str, Any]:
    """Return the response of v1.0 and of managed identities: numbers as strings, and the resource."""
    times = {"expires_on": spec.now + spec.lifetime, "not_before": spec.issued}
    numbers = {name: str(value) for name, value in {**content, **times}.items() if isinstance(value, int)}
    others = {name: value for name, value in content.items() if name not in numbers and name != "token_type"}
    return {"token_type": "Bearer", **numbers, "resource": resource, **others}


def _requested_resource(request: TokenRequest, scope: str) -> str:
    """Return the one resource that a client credentials request names as `<resource>/.default`."""
    named = [s for s in scope.split() if s not in RESERVED]
    if not named or not all(s.endswith(f"/{DEFAULT}") or s == DEFAULT for s in named):
        raise EntraError(1002012, scope=scope)
    if len(set(named)) > 1:
        raise EntraError(28000, scope=scope)
    resource = GRAPH if named[0] == DEFAULT else named[0].removesuffix(f"/{DEFAULT}")
    if request.version == V2:
        check_resource_parameter(request, resource)
    return resource


def check_resource_parameter(request: TokenRequest, resource: str) -> None:
    """Check the `resource` parameter (RFC 8707) of a v2.0 request: it must name the API of the scopes.

    Raises:
        EntraError: It names another API.
    """
    wanted = request.form.get("resource")
    api = request.store.directory.resource(resource, request.tenant.id)
    if wanted and (api is None or wanted not in api.names()):
        raise EntraError(9010010)


def _token_parties(request: TokenRequest, client: Client, resource: str) -> TokenParties:
    api = request.resource(resource)
    return TokenParties(
        base=request.http.base,
        tenant=request.tenant,
        client=client.app,
        resource=api,
        audience=audience_of(api, resource),
        client_auth=client.auth,
        capabilities=request.capabilities(),
        fmi_path=request.form.get("fmi_path", "") if api.client_id == TOKEN_EXCHANGE else "",
        requested=request.claims_request(),
    )


def _check_assignment(store: Store, parties: TokenParties) -> None:
    """Refuse clients without a role if the API requires assignment."""
    target = store.directory.principal_of(parties.resource.client_id, parties.tenant.id)
    client = store.directory.principal_of(parties.client.client_id, parties.tenant.id)
    if target is None or client is None or not target.assignment_required:
        return
    if not store.directory.roles_of(frozenset({client.id}), target.id):
        raise EntraError(
            501051,
            app=parties.client.client_id,
            name=parties.client.name,
            resource=parties.resource.client_id,
            resource_name=parties.resource.name,
        )
