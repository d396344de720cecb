"""Any token, from Python: as the directory would issue it, with other claims, by preset, or made up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from entra_guard.emulator._directory.managed_identities import Azure
from entra_guard.emulator._store.directory import CONSUMERS, AppRegistration, Tenant, User
from entra_guard.emulator._store.signing_keys import SigningKey, generated_key, with_kid
from entra_guard.emulator._tokens.claims import TokenSpec, access_claims
from entra_guard.emulator._tokens.jws import Signer, compact, signer_of
from entra_guard.emulator._tokens.keyword_hints import suggest_keywords
from entra_guard.emulator._tokens.presets import Draft, Preset, preset
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

    from entra_guard.emulator._directory.lookup import App, Person


_NO_PRESET = Preset("As the directory would issue it.")


class Issuer(Azure):
    """Tokens and keys, at will."""

    @suggest_keywords
    def issue_token(
        self,
        client: App,
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
        """Issue an access token without asking the token endpoint.

        Args:
            client: The app that presents the token.
            audience: The API it is for, a registered one or any text; by default the client itself.
            roles: App roles to state; by default those assigned. Need not be registered.
            scopes: Delegated permissions to state. Makes it a user's token (alice's, if no user is named);
                by default those consented to, or else all the API offers.
            user: The user it is for.
            version: 1 or 2; by default what the API registered.
            preset: One word for something special, see `PRESETS`.
            claims: Laid over the claims; a value of None takes the claim away.
            headers: The same for the header.
            lifetime: Seconds from now until it expires.
            tenant: The tenant that issues it; by default the client's home.
            base_url: The authority's base URL; by default `url`.

        Raises:
            LookupError: An app, user, tenant or preset that does not exist.

        Example:
            >>> entra = Emulator()
            >>> api = entra.register_app("Orders", app_roles=["Orders.Read"])
            >>> token = entra.issue_token(api, roles=["Orders.Read"])
        """
        with self.lock:
            special = _special(preset)
            parties = self._parties(client, audience, tenant, base_url or self.url)
            person = self._person(user, parties, asked=scopes is not None or special.needs_user)
            parties = replace(parties, user=person, proof="0" if person else "1")
            asked = special.edit_spec(
                build_spec(
                    self,
                    parties,
                    scopes=self._scopes(parties, scopes),
                    roles=None if roles is None else tuple(roles),
                    version=version or special.version,
                    lifetime=lifetime,
                ),
                self.ids,
            )
            return self._drafted(asked, special, claims or {}, headers or {})

    def _parties(
        self, client: App, audience: App | None, tenant: Tenant | str | None, base: str
    ) -> TokenParties:
        asking = self.find_app(client)
        where = self.find_tenant(tenant or asking.tenant_id)
        if isinstance(audience, str):
            known = self.directory.resource(audience, where.id)
            api = known or AppRegistration(
                audience, "", where.id, "an API nobody registered", token_version=2
            )
            return TokenParties(base, where, asking, api, audience_of(api, audience))
        api = self.find_app(audience or asking)
        return TokenParties(base, where, asking, api, api.app_id_uri)

    def _person(self, user: Person | None, parties: TokenParties, *, asked: bool) -> User | None:
        if user is not None:
            return self.find_user(user, parties.tenant)
        return next(self.directory.users_in(parties.tenant.id), None) if asked else None

    def _scopes(self, parties: TokenParties, scopes: Iterable[str] | None) -> tuple[str, ...]:
        if scopes is not None:
            return tuple(scopes)
        if parties.user is None:
            return ()
        return consented_scopes(self, parties) or tuple(s.value for s in parties.resource.scopes if s.enabled)

    def _drafted(
        self, asked: TokenSpec, special: Preset, claims: Mapping[str, Any], headers: Mapping[str, Any]
    ) -> str:
        keys = self.state.keys
        key = keys.for_api(asked.resource_id, personal=asked.tenant_id == CONSUMERS)
        header = header_of(asked, key.kid, self.ids)
        draft = Draft(asked, dict(header), access_claims(asked, self.ids), key, keys, self.ids)
        special.edit_token(draft)
        draft.header, draft.claims = _laid_over(draft.header, headers), _laid_over(draft.claims, claims)
        return draft.token()

    @property
    def workload_issuer(self) -> str:
        """An issuer that is not Entra, for `add_federated_credential`: as a cluster's or a pipeline's is."""
        return f"{self.url}{WORKLOADS}"

    def workload_token(
        self, subject: str, *, audience: str = "api://AzureADTokenExchange", lifetime: int = 3600
    ) -> str:
        """A token of `workload_issuer`, as a cluster mounts it into a container.

        Args:
            subject: Whose it is, such as `system:serviceaccount:orders:api`.
            audience: Whom it is for.
            lifetime: Seconds.
        """
        return workload_token(self.workload_issuer, subject, audience, now=self.now(), lifetime=lifetime)

    def issue_raw(
        self,
        header: Mapping[str, Any] | bytes,
        payload: Mapping[str, Any] | bytes,
        *,
        key: SigningKey | Signer | None = None,
        algorithm: str = "RS256",
    ) -> str:
        """Sign exactly this header and payload, however malformed.

        Args:
            header: A mapping, or bytes taken as they are.
            payload: The same.
            key: A key of the emulator, or any function from signing input to signature; by default the key
                that signs now.
            algorithm: How that key signs: RS256 or PS256, whatever the header says.
        """
        if key is None or isinstance(key, SigningKey):
            return compact(header, payload, signer_of(key or self.signing_key, algorithm))
        return compact(header, payload, key)

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs organisations' tokens now."""
        return self.state.keys.signing()

    @property
    def keys(self) -> tuple[SigningKey, ...]:
        """The keys the documents show now: the signing one first, those of other realms last."""
        return tuple(self.state.keys.published())

    def rotate_keys(self, *, overlap: bool = True, same_kid: bool = False) -> SigningKey:
        """Sign with a new key from now on.

        Args:
            overlap: Whether the old keys stay published.
            same_kid: Whether the new key takes the old one's kid, which no authority should ever do.
        """
        with self.lock:
            new = generated_key(self._used_keys)
            self._used_keys += 1
            key = with_kid(new, self.signing_key.kid) if same_kid else new
            self.change(keys=self.state.keys.rotated(key, overlap=overlap))
            return key

    def withdraw_key(self, kid: str) -> None:
        """Take a key out of the documents. If it was signing, the next one takes over.

        Raises:
            LookupError: No published key has that kid.
            ValueError: It is the last one.
        """
        with self.lock:
            if kid not in {key.kid for key in self.keys}:
                raise LookupError(f"No published key has the kid {kid}.")
            self.change(keys=self.state.keys.without(kid))

    def add_signing_key(self, app: App) -> SigningKey:
        """Give an API a signing key of its own, as claims mapping does.

        Its tokens are then signed by that key, which only documents asked with `?appid=<client id>` show.
        """
        with self.lock:
            key = replace(generated_key(self._used_keys), realm="app")
            self._used_keys += 1
            keys = self.state.keys
            self.change(keys=replace(keys, apps={**keys.apps, self.find_app(app).client_id: key}))
            return key


def _special(word: str | None) -> Preset:
    return preset(word) if word else _NO_PRESET


def _laid_over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**under, **over}.items() if value is not None}
