"""The client credentials grant: a token for the client itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard.emulator._oauth.aadsts import EntraError
from entra_guard.emulator._oauth.clients import Client, authenticate
from entra_guard.emulator._oauth.scopes import DEFAULT, RESERVED
from entra_guard.emulator._store.directory import GRAPH, V2
from entra_guard.emulator._tokens.spec import TokenParties, audience_of, build_spec, signed

if TYPE_CHECKING:
    from entra_guard.emulator._oauth.token_request import TokenRequest
    from entra_guard.emulator._store.store import Store
    from entra_guard.emulator._tokens.claims import TokenSpec


def client_credentials(asked: TokenRequest) -> dict[str, Any]:
    """A token for the client itself."""
    if asked.segment in {"common", "consumers"}:
        raise EntraError(9001023)
    client = authenticate(asked.store, asked.tenant, asked.http, asked.form)
    name = asked.needed("scope") if asked.version == V2 else f"{asked.needed('resource')}/{DEFAULT}"
    resource = _default_resource(asked, name)
    parties = _parties(asked, client, resource)
    _check_assigned(asked.store, parties)
    spec = build_spec(asked.store, parties)
    answer = {"token_type": "Bearer", **lifetimes(spec), "access_token": signed(asked.store, spec)}
    return answer if asked.version == V2 else in_strings(answer, spec, resource)


def lifetimes(spec: TokenSpec) -> dict[str, Any]:
    """For how many seconds the token can be used: one less than it lives."""
    return {"expires_in": spec.lifetime - 1, "ext_expires_in": spec.lifetime - 1}


def in_strings(answer: dict[str, Any], spec: TokenSpec, resource: str) -> dict[str, Any]:
    """The answer as the v1.0 endpoint and managed identities give it: numbers as text, and the resource."""
    times = {"expires_on": spec.now + spec.lifetime, "not_before": spec.now - 300}
    texts = {name: str(value) for name, value in {**answer, **times}.items() if isinstance(value, int)}
    others = {name: value for name, value in answer.items() if name not in texts and name != "token_type"}
    return {"token_type": "Bearer", **texts, "resource": resource, **others}


def _default_resource(asked: TokenRequest, scope: str) -> str:
    """The one resource a client credentials request names, as `<resource>/.default`."""
    named = [s for s in scope.split() if s not in RESERVED]
    if not named or not all(s.endswith(f"/{DEFAULT}") or s == DEFAULT for s in named):
        raise EntraError(1002012, scope=scope)
    if len(set(named)) > 1:
        raise EntraError(28000, scope=scope)
    resource = GRAPH if named[0] == DEFAULT else named[0].removesuffix(f"/{DEFAULT}")
    if asked.version == V2:
        check_resource_parameter(asked, resource)
    return resource


def check_resource_parameter(asked: TokenRequest, resource: str) -> None:
    """At the v2.0 endpoint a `resource` (RFC 8707) must be, to the letter, a name of what the scopes name.

    Raises:
        EntraError: It is not.
    """
    wanted = asked.form.get("resource")
    api = asked.store.directory.resource(resource, asked.tenant.id)
    if wanted and (api is None or wanted not in api.names()):
        raise EntraError(9010010)


def _parties(asked: TokenRequest, client: Client, name: str) -> TokenParties:
    api = asked.resource(name)
    return TokenParties(
        base=asked.http.base,
        tenant=asked.tenant,
        client=client.app,
        resource=api,
        audience=audience_of(api, name),
        proof=client.proof,
        capabilities=asked.capabilities(),
    )


def _check_assigned(store: Store, parties: TokenParties) -> None:
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
