"""Issue tokens from Python: as the directory would, with other claims, by preset, or malformed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard.emulator._store.entries import CONSUMERS, AgentIdentity, AppRegistration, Tenant, User
from entra_guard.emulator._store.one_or_several import as_names
from entra_guard.emulator._store.signing_keys import SigningKey, generated_key, with_kid
from entra_guard.emulator._tokens.claims import TokenSpec, access_claims
from entra_guard.emulator._tokens.jws import Signer, compact, signer_of
from entra_guard.emulator._tokens.keyword_hints import suggest_keywords
from entra_guard.emulator._tokens.presets import Preset, TokenDraft, preset_named
from entra_guard.emulator._tokens.spec import (
    TokenParties,
    audience_of,
    build_spec,
    consented_scopes,
    header_of,
)
from entra_guard.emulator._tokens.workloads import PATH as WORKLOADS
from entra_guard.emulator._tokens.workloads import workload_token

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from entra_guard.emulator._directory.lookup import App, Lookup, Person

_NO_PRESET: Final = Preset("As the directory would issue it.")


class TokenIssuer:
    """Issue tokens and manage the signing keys. Usable without the emulator.

    Args:
        lookup: Finds apps, users and tenants; its store has the keys.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._store = lookup.store
        # Never reset, so that a restored emulator does not use an old key as a new one.
        self._used_keys = 0

    @suggest_keywords
    def issue_token(
        self,
        client: App | AgentIdentity,
        *,
        audience: App | None = None,
        roles: Iterable[str] | None = None,
        scopes: Iterable[str] | None = None,
        user: Person | None = None,
        version: Literal[1, 2] | None = None,
        preset: str | None = None,
        claims: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        lifetime: int | None = None,
        tenant: Tenant | str | None = None,
        base_url: str | None = None,
    ) -> str:
        """Issue an access token without a request to the token endpoint.

        Args:
            client: The app, or the agent identity, that presents the token.
            audience: The API it is for, registered or any string; by default the client itself.
            roles: App roles in the token; by default those assigned. They need not be registered.
            scopes: Delegated permissions in the token; by default those consented to, or else all scopes of
                the API. They make it a user's token (the first user's, if no user is named).
            user: The user it is for.
            version: 1 or 2; by default the version that the API registered.
            preset: A preset's name, see `PRESETS`.
            claims: Claims to replace; None removes a claim.
            headers: Header fields to replace; None removes a field.
            lifetime: Seconds from now until it expires.
            tenant: The tenant that issues it; by default the client's home tenant.
            base_url: The authority's base URL; by default the emulator's `url`.

        Raises:
            LookupError: The app, user, tenant or preset does not exist.
            ValueError: There is no such version.

        Example:
            >>> entra = Emulator()
            >>> api = entra.register_app("Orders", app_roles=["Orders.Read"])
            >>> token = entra.issue_token(api, roles=["Orders.Read"])
        """
        if version not in {None, 1, 2}:
            raise ValueError(f"version must be 1 or 2, got {version!r}.")
        store = self._store
        with store.lock:
            special = preset_named(preset) if preset else _NO_PRESET
            parties = self._parties(client, audience, tenant, base_url or store.base_url)
            person = self._user(user, parties, needed=scopes is not None or special.needs_user)
            parties = replace(parties, user=person, client_auth="0" if person else "1")
            spec = build_spec(
                store,
                parties,
                scopes=self._scopes(parties, scopes),
                roles=None if roles is None else as_names(roles),
                version=version or special.version,
                lifetime=lifetime,
            )
            return self._signed_draft(special.edit_spec(spec, store.ids), special, claims, headers)

    def _parties(
        self, client: App | AgentIdentity, audience: App | None, tenant: Tenant | str | None, base: str
    ) -> TokenParties:
        app = self._lookup.find_client(client)
        issuing = self._lookup.find_tenant(tenant or app.tenant_id)
        if isinstance(audience, str):
            known = self._store.directory.resource(audience, issuing.id)
            api = known or AppRegistration(audience, "", issuing.id, "Unregistered API", token_version=2)
            return TokenParties(base, issuing, app, api, audience_of(api, audience))
        api = app if audience is None else self._lookup.find_app(audience)
        return TokenParties(base, issuing, app, api, api.app_id_uri)

    def _user(self, user: Person | None, parties: TokenParties, *, needed: bool) -> User | None:
        if user is not None:
            return self._lookup.find_user(user, parties.tenant)
        return next(self._store.directory.users_in(parties.tenant.id), None) if needed else None

    def _scopes(self, parties: TokenParties, scopes: Iterable[str] | None) -> tuple[str, ...]:
        if scopes is not None:
            return as_names(scopes)
        if parties.user is None:
            return ()
        offered = tuple(scope.value for scope in parties.resource.scopes if scope.enabled)
        return consented_scopes(self._store, parties) or offered

    def _signed_draft(
        self,
        spec: TokenSpec,
        special: Preset,
        claims: Mapping[str, Any] | None,
        headers: Mapping[str, Any] | None,
    ) -> str:
        keys, ids = self._store.state.keys, self._store.ids
        key = keys.for_api(spec.resource_id, personal=spec.tenant_id == CONSUMERS)
        header = header_of(spec, key.kid, ids)
        draft = TokenDraft(spec, dict(header), access_claims(spec, ids), key, keys, ids)
        special.edit_token(draft)
        draft.header, draft.claims = _replaced(draft.header, headers), _replaced(draft.claims, claims)
        return draft.token()

    @property
    def workload_issuer(self) -> str:
        """An issuer other than Entra, for `add_federated_credential`: like a cluster's or a pipeline's."""
        return f"{self._store.base_url}{WORKLOADS}"

    def workload_token(
        self, subject: str, *, audience: str = "api://AzureADTokenExchange", lifetime: int = 3600
    ) -> str:
        """Issue a token of `workload_issuer`, as a cluster mounts it into a container.

        Args:
            subject: The subject, such as `system:serviceaccount:orders:api`.
            audience: The audience.
            lifetime: Seconds.
        """
        now = self._store.now()
        return workload_token(self.workload_issuer, subject, audience, now=now, lifetime=lifetime)

    def issue_raw(
        self,
        header: Mapping[str, Any] | bytes,
        payload: Mapping[str, Any] | bytes,
        *,
        key: SigningKey | Signer | None = None,
        algorithm: str = "RS256",
    ) -> str:
        """Sign exactly this header and payload, even if they are malformed.

        Args:
            header: A mapping, or bytes that are used as they are.
            payload: A mapping, or bytes that are used as they are.
            key: A key of the emulator, or any function from signing input to signature; by default the
                current signing key.
            algorithm: RS256 or PS256: how that key signs, whatever the header says.
        """
        if key is None or isinstance(key, SigningKey):
            return compact(header, payload, signer_of(key or self.signing_key, algorithm))
        return compact(header, payload, key)

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs the tokens of organisations now."""
        return self._store.state.keys.signing()

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """The published keys: the signing key first, those of other realms last."""
        return tuple(self._store.state.keys.published())

    def rotate_keys(self, *, overlap: bool = True, same_kid: bool = False) -> SigningKey:
        """Sign with a new key from now on.

        Args:
            overlap: Whether the old keys stay published.
            same_kid: Whether the new key takes the old key's kid, which no authority should do.
        """
        with self._store.lock:
            new = replace(self._next_key(), since=self._store.now())
            key = with_kid(new, self.signing_key.kid) if same_kid else new
            self._store.change(keys=self._store.state.keys.rotated(key, overlap=overlap))
            return key

    def withdraw_key(self, kid: str) -> None:
        """Remove a key from the documents. If it was the signing key, the next key signs.

        Raises:
            LookupError: No published key has that kid.
            ValueError: It is the last signing key.
        """
        with self._store.lock:
            if kid not in {key.kid for key in self.keys}:
                raise LookupError(f"No published key has the kid {kid}.")
            self._store.change(keys=self._store.state.keys.without(kid))

    def add_signing_key(self, app: App) -> SigningKey:
        """Give an API its own signing key, as claims mapping does.

        The key signs the API's tokens. Only key documents with `?appid=<client id>` contain it.
        """
        with self._store.lock:
            key, keys = replace(self._next_key(), realm="app"), self._store.state.keys
            apps = {**keys.apps, self._lookup.find_app(app).client_id: key}
            self._store.change(keys=replace(keys, apps=apps))
            return key

    def _next_key(self) -> SigningKey:
        self._used_keys += 1
        return generated_key(self._used_keys - 1)


def _replaced(values: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the values with changes applied; None removes a value."""
    merged = {**values, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}
