"""Guard: verifies bearer tokens, and says why it refuses one. Knows no request and no framework.

The decision is synchronous and waits for nothing. If newer keys are needed, `verify` and `averify` differ in
how they wait for them. Cheap checks come before costly ones, and no token causes a request to the issuer
unless its issuer, tenant, audience and lifetime are acceptable.
"""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.arguments import (
    check_callables,
    check_count,
    check_flags,
    known_arguments,
    parameter_names,
)
from entra_guard._common.boundary import detach, public
from entra_guard._common.clock import wall_clock
from entra_guard._common.encoding import as_bytes
from entra_guard._common.http import new_client
from entra_guard._common.lazy_client import LazyClient
from entra_guard._common.shared import Shared
from entra_guard._common.telemetry import TELEMETRY
from entra_guard._guard.caller_checks import CallerChecks
from entra_guard._guard.combined_guard import CombinedGuard
from entra_guard._guard.decide import decider, is_cached
from entra_guard._guard.guard_arguments import (
    accepted_clients,
    accepted_tenants,
    check_http,
    check_types,
    checked_reasons_url,
)
from entra_guard._guard.settings_from_env import settings_from
from entra_guard._keys.app_specific_keys import app_id_of
from entra_guard._keys.authority import Authority
from entra_guard._keys.documents import Source
from entra_guard._keys.health import Health, health_of
from entra_guard._keys.manager import KeyManager
from entra_guard._keys.refresh_wait import verify_with_newer_keys, verify_with_newer_keys_async
from entra_guard._keys.settings import KeySettings
from entra_guard._validation.explain import Explanation, walk
from entra_guard.errors import AccessError, ConfigurationError
from entra_guard.policy import TOKEN_VERSIONS, Policy, Tenants, string_set
from entra_guard.principal import Principal

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    import httpx

    from entra_guard._common.agent import Agents
    from entra_guard._guard.caller_checks import Groups
    from entra_guard._guard.verifier import IssuerVerifier
    from entra_guard._validation.openid_claims import AnyClaims

_DEFAULT_CACHE_SIZE: Final = 200_000
_OF_POLICY: Final = frozenset(
    {"tenant", "audience", "allowed_clients", "token_versions", "leeway", "algorithms", "guests", "agents"}
)


class Guard(Shared):
    """Verifies bearer tokens of Microsoft Entra ID.

    Args:
        tenant: A tenant id, a verified domain, or `Tenants` for more than one.
        audience: The API's client id, or its App ID URIs; a client id also means 'api://<client id>'.
        allowed_clients: Client ids of the only applications that may call; such clients need no role.
        token_versions: '1.0', '2.0' or both.
        leeway: Seconds of clock difference allowed, at most 600.
        algorithms: 'RS256'; add 'PS256' if the issuer signs with it.
        guests: False refuses guest users of the tenant, and users whose token does not say whether they are
            guests: add the optional claim 'acct' in the API's registration.
        agents: False refuses AI agents (Entra Agent ID), 'only' refuses all other callers. No route can
            accept what this refuses.
        authority: A cloud ('public', 'us-government', 'china', 'france', 'germany', 'singapore') or
            the URL of an authority: External ID, a B2C policy, the emulator; or `Authority.openid(url)`.
        keys: How signing keys are cached and refreshed.
        app_specific_keys: The API has its own signing key (claims mapping): True takes the client id from
            `audience`, or give the client id.
        keys_file: A snapshot of the keys on disk: for restarts in an outage, and hosts without egress.
        http_client: Any `httpx.Client`: a private CA, a proxy or a test transport is one argument. Its
            connections are not for forks: build the guard after the fork, or leave the client to it.
        ssl_context: For the client that the guard makes itself.
        proxy: URL of a proxy, for the client that the guard makes itself.
        cache_size: The maximum number of verified tokens to cache. The default takes about 115 MiB when it is
            full of ordinary tokens, and never more than 440 MiB: those with very many roles share 49 MiB.
        strict_startup: Fetch the keys now, and raise if that fails.
        trace_users: Put a hash of the user on the span of a request ('user.hash'), if there is a tracer.
        groups: Resolves groups that a token cannot carry: an `entra_guard.graph.GroupResolver`.
        reasons_url: A page with a section for each reason, such as docs/reasons.md of this project or a wiki:
            the log line of a refusal ends with a link to '<reasons_url>#<reason>'.
        clock: Returns seconds since the epoch.
        monotonic: Returns seconds that only increase.

    Raises:
        ConfigurationError: A setting that cannot work.
        FetchError: With `strict_startup`, the keys could not be fetched.

    Example:
        >>> guard = Guard(tenant="aaaabbbb-0000-cccc-1111-dddd2222eeee",
        ...               audience="11112222-bbbb-3333-cccc-4444dddd5555")
        >>> sorted(guard.policy.token_versions)
        ['1.0', '2.0']
    """

    @public
    @known_arguments()
    def __init__(
        self,
        *,
        tenant: str | Tenants = "",
        audience: str | Iterable[str],
        allowed_clients: Iterable[str] | None = None,
        token_versions: str | Iterable[str] = TOKEN_VERSIONS,
        leeway: float = 60.0,
        algorithms: str | Iterable[str] = ("RS256",),
        guests: bool = True,
        agents: Agents = True,
        authority: str | Authority = "public",
        keys: KeySettings | None = None,
        app_specific_keys: bool | str = False,
        keys_file: str | Path | None = None,
        http_client: httpx.Client | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        cache_size: int = _DEFAULT_CACHE_SIZE,
        strict_startup: bool = False,
        trace_users: bool = False,
        groups: Groups | None = None,
        reasons_url: str = "",
        clock: Callable[[], float] = wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        where = authority if isinstance(authority, Authority) else Authority.named(authority)
        self.policy: Final = Policy(
            accepted_tenants(tenant, where),
            string_set("audience", audience),
            accepted_clients(allowed_clients, where),
            string_set("token_versions", token_versions),
            leeway,
            string_set("algorithms", algorithms),
            guests,
            agents,
        )
        check_http(http_client, ssl_context, proxy)
        check_types(keys, keys_file, groups)
        check_count("cache_size", cache_size)
        check_flags(strict_startup=strict_startup, trace_users=trace_users)
        check_callables(clock=clock, monotonic=monotonic)
        app_id = app_id_of(app_specific_keys, self.policy, where)
        self.authority: Final = where
        self.reasons_url: Final = checked_reasons_url(reasons_url)
        self.trace_users: Final = trace_users
        self._clock = clock
        self._monotonic = monotonic
        client = LazyClient(http_client, partial(new_client, ssl_context=ssl_context, proxy=proxy))
        client.warm_up()
        self._key_manager = KeyManager(
            Source(where, self.policy.tenants.alias, self.policy.token_versions, app_id),
            keys or KeySettings(),
            cache_size=cache_size,
            client=client,
            monotonic=monotonic,
            wall=clock,
            keys_file=Path(keys_file) if keys_file else None,
        )
        self._decide = decider(self.policy, self._key_manager, where.rules, clock)
        self._caller_checks = CallerChecks(
            self.policy.tenants, groups, is_entra=where.is_entra, monotonic=monotonic
        )
        # Whether a verified token needs no more checks: what the path of a cached token looks at.
        self._is_complete = not self._caller_checks.are_needed
        if strict_startup:
            self._key_manager.load_now()

    @classmethod
    @public
    @known_arguments(*(name for name in parameter_names(__init__) if name not in _OF_POLICY))
    def from_policy(cls, policy: Policy, **settings: Any) -> Guard:
        """Build a guard from a policy, with the same settings for authority, keys and HTTP as `Guard`.

        Example:
            >>> policy = Policy(Tenants.only("contoso.com"), frozenset({"api://orders"}), leeway=5)
            >>> Guard.from_policy(policy, authority="us-government").policy.leeway
            5
        """
        if not isinstance(policy, Policy):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"policy must be a Policy, got {type(policy).__name__}")
        return cls(
            tenant=policy.tenants,
            audience=policy.audiences,
            allowed_clients=policy.allowed_clients,
            token_versions=policy.token_versions,
            leeway=policy.leeway,
            algorithms=policy.algorithms,
            guests=policy.guests,
            agents=policy.agents,
            **settings,
        )

    @classmethod
    @public
    @known_arguments(*parameter_names(__init__))
    def from_env(cls, environ: Mapping[str, str] | None = None, **settings: Any) -> Guard:
        """Build a guard from environment variables.

        ENTRA_GUARD_TENANT (else AZURE_TENANT_ID), ENTRA_GUARD_AUDIENCE, and where set
        ENTRA_GUARD_ALLOWED_CLIENTS, ENTRA_GUARD_TOKEN_VERSIONS, ENTRA_GUARD_AUTHORITY (else
        AZURE_AUTHORITY_HOST), ENTRA_GUARD_LEEWAY (seconds), ENTRA_GUARD_APP_SPECIFIC_KEYS (true, false or
        a client id), ENTRA_GUARD_KEYS_FILE, ENTRA_GUARD_GUESTS and ENTRA_GUARD_TRACE_USERS (true or false),
        ENTRA_GUARD_AGENTS (true, false or only) and ENTRA_GUARD_REASONS_URL. Lists are separated by spaces or
        commas. AZURE_CLIENT_ID is never taken for the audience: on many hosts it is the workload's own
        identity.

        Args:
            environ: The variables; None reads those of the process.
            settings: Any argument of `Guard`; these win over variables.

        Raises:
            ConfigurationError: A needed variable is missing, or cannot work.

        Example:
            >>> environ = {"ENTRA_GUARD_TENANT": "contoso.com", "ENTRA_GUARD_AUDIENCE": "api://orders"}
            >>> sorted(Guard.from_env(environ).policy.audiences)
            ['api://orders']
        """
        found = settings_from(os.environ if environ is None else environ, settings)
        return cls(**(found | settings))

    # --- deciding ------------------------------------------------------------------------------------

    def verify(self, token: str | bytes) -> Principal:
        """Verify a token, and return the caller.

        Args:
            token: The compact JWS, without 'Bearer'.

        Raises:
            InvalidTokenError: The token is not accepted.
            InsufficientPermissionError: The token is valid, but has no permission for this API.
            KeysUnavailableError: The token cannot be verified now.

        Example:
            >>> from entra_guard.testing import Entra
            >>> entra = Entra()
            >>> entra.guard().verify(entra.token(roles=["Orders.Read"])).roles
            ('Orders.Read',)
        """
        try:
            if TELEMETRY.metrics is not None:
                return self._verify_recorded(token)
            raw = token if isinstance(token, bytes) else as_bytes(token)
            decided = self._decide(raw)
            if type(decided) is not Principal:
                decided = verify_with_newer_keys(self._key_manager, self._decide, raw, decided)
            return decided if self._is_complete else self._caller_checks.complete(decided)
        except BaseException as error:
            token = raw = b""  # this frame may stay in the traceback
            detach(error)
            raise

    async def averify(self, token: str | bytes) -> Principal:
        """Do what `verify` does in a task of asyncio or trio, without blocking its event loop."""
        try:
            if TELEMETRY.metrics is not None:
                return await self._verify_recorded_async(token)
            raw = token if isinstance(token, bytes) else as_bytes(token)
            decided = self._decide(raw)
            if type(decided) is not Principal:
                decided = await verify_with_newer_keys_async(self._key_manager, self._decide, raw, decided)
            return decided if self._is_complete else await self._caller_checks.complete_async(decided)
        except BaseException as error:
            token = raw = b""  # this frame may stay in the traceback
            detach(error)
            raise

    @public
    def explain(self, token: str | bytes) -> Explanation:
        """Check a token against the whole checklist, past the first failure; never raise for a bad token.

        Example:
            >>> from entra_guard.testing import Entra
            >>> entra = Entra()
            >>> entra.guard().explain(entra.token(preset="expired")).reason
            'expired'
        """
        raw, reason, facts, principal = as_bytes(token), "", dict[str, object](), None
        checks = self._caller_checks
        try:
            principal = verify_with_newer_keys(self._key_manager, self._decide, raw, self._decide(raw))
            if not checks.need_event_loop:
                checks.complete(principal)
        except AccessError as error:
            reason, facts = error.reason, error.facts
        steps = walk(raw, self.policy, self._key_manager.active_keys, self._clock(), self.authority.rules)
        return Explanation(reason, facts, (*steps, *checks.steps(principal, reason, facts)))

    def __repr__(self) -> str:
        policy = self.policy
        return (
            f"Guard(tenant={sorted(policy.tenants.ids) or policy.tenants.alias!r}, "
            f"audience={sorted(policy.audiences)}, authority={self.authority.url!r})"
        )

    def health(self) -> Health:
        """Return the health of the keys, for readiness probes; the first call starts the refresh."""
        now = self._monotonic()
        if now >= self._key_manager.next_due:
            self._key_manager.run_due_tasks(now)
        return health_of(self._key_manager.state, now)

    @property
    def needs_event_loop(self) -> bool:
        """Whether only `averify` works: the rule of `Tenants.where` is async."""
        return self._caller_checks.need_event_loop

    def seconds_left(self, principal: Principal) -> float:
        """Return for how many seconds a caller's token is still accepted; negative once it is not."""
        return principal.verified.valid_until - self._clock()

    @public
    def revoke(self, object_id: str, *, since: float | datetime | None = None) -> None:
        """Refuse the tokens of a caller that were issued before a time, cached ones too, from now on.

        For webhooks and events of continuous access evaluation: a user was disabled, or a password changed.
        Open WebSockets and event streams of the caller end. A client that takes claims challenges is sent
        one for a newer token.

        **It holds for this process**, and is forgotten when the process ends: call it in every process.
        At most 10,000 callers are remembered; with more, every caller's older tokens are refused.

        Args:
            object_id: The user's or application's object id ('oid'); for issuers other than Entra also 'sub'.
            since: Seconds since the epoch, or a datetime with a time zone; by default now. Entra dates tokens
                up to five minutes back, so that a new token can be refused for that long.

        Raises:
            ConfigurationError: An argument is not valid.

        Example:
            >>> guard = Guard(tenant="contoso.com", audience="api://orders")
            >>> guard.revoke("22223333-cccc-4444-dddd-5555eeee6666")
        """
        self._is_complete = False  # first, so that no request misses it
        self._caller_checks.revocations.add(object_id, since, self._clock())

    def is_revoked(self, principal: Principal) -> bool:
        """Return whether a caller's token was issued before the time that `revoke` was called with."""
        return not self._is_complete and self._caller_checks.revocations.is_revoked(principal)

    def watch(self, principal: Principal, end: Callable[[], object]) -> AbstractContextManager[None]:
        """Return a context in which `end` is called, on any thread, if the caller is revoked."""
        return self._caller_checks.revocations.watch(principal, end)

    def __or__(self, other: IssuerVerifier | CombinedGuard) -> CombinedGuard:
        """Combine guards of several issuers: the token's own issuer selects the guard that decides.

        Example:
            >>> partners = Guard(authority=Authority.openid("https://partners.example"), audience="api://orders")
            >>> combined = guard | partners
        """
        return CombinedGuard(self) | other

    def issues(self, claims: AnyClaims) -> bool | None:
        """Return whether unverified claims name this guard's issuer; None while that is not known."""
        keys = self._key_manager.active_keys
        return None if keys is None else claims.iss == keys.issuer.of_token(claims.ver, claims.tid)

    # --- metrics -------------------------------------------------------------------------------------

    def _verify_recorded(self, token: str | bytes) -> Principal:
        """Do what `verify` does, and record how long it took."""
        with TELEMETRY.validation(is_cached=is_cached(self._key_manager.active_keys, token)):
            raw = as_bytes(token)
            principal = verify_with_newer_keys(self._key_manager, self._decide, raw, self._decide(raw))
            return self._caller_checks.complete(principal)

    async def _verify_recorded_async(self, token: str | bytes) -> Principal:
        with TELEMETRY.validation(is_cached=is_cached(self._key_manager.active_keys, token)):
            raw = as_bytes(token)
            decided = self._decide(raw)
            principal = await verify_with_newer_keys_async(self._key_manager, self._decide, raw, decided)
            return await self._caller_checks.complete_async(principal)
