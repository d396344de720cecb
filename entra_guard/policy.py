"""What an API accepts: tokens of which tenants, for which audience. Refuses settings that cannot work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from entra_guard._common.agent import Agents, check_agents
from entra_guard._common.arguments import check_flags, check_seconds
from entra_guard._common.audiences import IS_IT_SET, accepted_forms, check_audience
from entra_guard._common.guid import is_guid
from entra_guard._common.permission_names import non_empty_string
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    TenantFunction = Callable[[str], bool] | Callable[[str], Awaitable[bool]]

PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of all personal Microsoft accounts (Microsoft: access token claims reference)."""
_ANY_TENANT: Final = frozenset({"common", "organizations"})
TENANT_ALIASES: Final = _ANY_TENANT | {"consumers"}
"""Names of many tenants in the URLs of an authority."""
TOKEN_VERSIONS: Final = frozenset({"1.0", "2.0"})
ALGORITHMS: Final = frozenset({"RS256", "PS256"})
_MAX_LEEWAY: Final = 600.0
_MAX_KEEP: Final = 60.0
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tenants:
    """The tenants whose tokens an API accepts.

    Build one with `only`, `organizations`, `everyone`, `personal` (the account types of an Entra
    registration) or `where` (a rule of your own).

    Example:
        >>> Tenants.only("aaaabbbb-0000-cccc-1111-dddd2222eeee").alias
        'aaaabbbb-0000-cccc-1111-dddd2222eeee'
    """

    alias: str
    """Their name in the authority's URLs: a tenant, organizations, common or consumers."""
    ids: frozenset[str] = frozenset()
    """The accepted tenants, checked after the signature; empty accepts all that the alias means."""
    reason: str = ""
    """Why tokens of tenants that are not known today are accepted."""
    rule: TenantFunction | None = None
    """Decides about a tenant at run time: see `where`."""
    keep: float = 60.0
    """Seconds for which a result of the rule is cached."""
    timeout: float = 3.0
    """Seconds that the rule may take."""

    def __post_init__(self) -> None:
        if self.alias in _ANY_TENANT and not self.ids and not self.reason:
            raise ConfigurationError(_any_tenant(f"Tenants({self.alias!r})"))
        if self.alias in TENANT_ALIASES or not self.alias:
            return
        if self.alias != self.alias.lower() or not is_tenant_name(self.alias):
            raise ConfigurationError(
                f"Tenants({self.alias!r}) is not a tenant in lower case: use Tenants.only(...)"
            )

    @classmethod
    def only(cls, *tenants: str) -> Tenants:
        """Accept these tenants: one by id or verified domain, several by id."""
        names = {_tenant_name(tenant) for tenant in tenants}
        if not names:
            raise ConfigurationError("Tenants.only() needs at least one tenant id")
        if names == {PERSONAL_TENANT}:
            return cls.personal()
        if len(names) == 1:
            return cls(next(iter(names)))
        if domains := sorted(name for name in names if not is_guid(name)):
            raise ConfigurationError(
                f"several tenants must be given by id, not by domain: {', '.join(domains)}"
            )
        return cls("common" if PERSONAL_TENANT in names else "organizations", frozenset(names))

    @classmethod
    def organizations(cls, reason: str) -> Tenants:
        """Accept every organization's tenant; give the reason, for the next reader of the code."""
        return cls("organizations", reason=_why_open(reason, "organizations"))

    @classmethod
    def everyone(cls, reason: str) -> Tenants:
        """Accept every organization and personal accounts; give the reason."""
        return cls("common", reason=_why_open(reason, "everyone"))

    @classmethod
    def where(cls, rule: TenantFunction, reason: str, *, keep: float = 60.0, timeout: float = 3.0) -> Tenants:
        """Accept the organizations' tenants that a function accepts, for customers that come and go.

        The function receives the tenant id of a token whose signature, audience, lifetime and permissions
        were checked, and returns True or False. It runs once per tenant at a time: an async one in the task
        of the request, any other on a thread. Its result applies to all tokens of the tenant, also for
        cached ones, and ends after `keep` seconds. If it raises, or does not return in time, the request
        gets 503, whatever it returned before.

        Args:
            rule: Returns whether a tenant is accepted; may be async if the guard is used in an event loop.
            reason: Why tokens of tenants that are not known today are accepted.
            keep: Seconds for which a result is cached, True or False; at most 60.
            timeout: Seconds that a call may take, at most 60.

        Raises:
            ConfigurationError: A setting that cannot work.

        Example:
            >>> customers = {"aaaabbbb-0000-cccc-1111-dddd2222eeee"}
            >>> Tenants.where(customers.__contains__, "customers sign up by themselves").alias
            'organizations'
        """
        if not callable(rule):
            raise ConfigurationError(f"Tenants.where needs a function of a tenant id, got {rule!r}")
        check_seconds("keep", keep, most=_MAX_KEEP)
        check_seconds("timeout", timeout, least=0.001, most=_MAX_KEEP)
        reason = _why_open(reason, "where")
        return cls("organizations", reason=reason, rule=rule, keep=keep, timeout=timeout)

    @classmethod
    def personal(cls) -> Tenants:
        """Accept personal Microsoft accounts only."""
        return cls("consumers")


NO_TENANTS: Final = Tenants("")
"""For authorities whose tokens name no tenants: B2C, and any OpenID issuer."""


def is_tenant_name(name: str) -> bool:
    """Return whether a name in lower case is a tenant id or a domain."""
    return is_guid(name) or _DOMAIN.fullmatch(name) is not None


def _tenant_name(tenant: object) -> str:
    name = tenant.strip().lower() if isinstance(tenant, str) else ""
    if name in TENANT_ALIASES:
        raise ConfigurationError(_any_tenant(f"tenant={name!r}"))
    if not is_tenant_name(name):
        hint = ". Use Tenants.only(...) for several" if isinstance(tenant, list | tuple | set) else ""
        raise ConfigurationError(
            "tenant must be a tenant id (a GUID) or a verified domain name such as contoso.com, "
            f"got {tenant!r:.100}{hint}"
        )
    return name


def _any_tenant(given: str) -> str:
    return (
        f"{given} accepts tokens from any tenant. Use Tenants.organizations(reason), "
        "Tenants.everyone(reason) or Tenants.personal() if intended"
    )


def _why_open(reason: str, kind: str) -> str:
    if not isinstance(reason, str) or not reason.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"Tenants.{kind} needs a reason: why are tokens of unknown tenants accepted?"
        )
    return reason


@dataclass(frozen=True, slots=True)
class Policy:
    """What an API accepts. Built by `Guard(...)`, or by hand for `Guard.from_policy`.

    Args:
        tenants: The tenants whose tokens are accepted.
        audiences: The API's client id and App ID URIs. A client id also means 'api://<client id>'.
        allowed_clients: Client ids of the only applications that may call; None for any. Entra's are GUIDs;
            those of another OpenID issuer have any form and are compared exactly.
        token_versions: '1.0', '2.0' or both, as the API's registration says.
        leeway: Seconds of clock difference allowed on both ends of a lifetime, at most 600.
        algorithms: 'RS256', 'PS256' or both.
        guests: False refuses guest users of the tenant, and users whose token does not say.
        agents: False refuses AI agents (Entra Agent ID), 'only' refuses all other callers. No route can
            accept what this refuses.

    Raises:
        ConfigurationError: A setting that cannot work, or that is empty.

    Example:
        >>> Policy(Tenants.personal(), frozenset({"api://orders"})).app_id_uri
        'api://orders'
    """

    tenants: Tenants
    audiences: frozenset[str]
    allowed_clients: frozenset[str] | None = None
    token_versions: frozenset[str] = TOKEN_VERSIONS
    leeway: float = 60.0
    algorithms: frozenset[str] = frozenset({"RS256"})
    guests: bool = True
    agents: Agents = True
    accepted: frozenset[str] = field(init=False, repr=False)
    """The audiences in all forms that a token may have."""

    def __post_init__(self) -> None:
        if not isinstance(self.tenants, Tenants):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"tenants must be a Tenants, got {self.tenants!r}: see Tenants.only")
        check_seconds("leeway", self.leeway, most=_MAX_LEEWAY)
        audiences = string_set("audience", self.audiences)
        is_entra = self.tenants != NO_TENANTS
        for name in audiences:
            check_audience(name, {self.tenants.alias, *self.tenants.ids}, is_entra=is_entra)
        set_ = object.__setattr__
        set_(self, "audiences", audiences)
        set_(self, "accepted", frozenset(form for name in audiences for form in accepted_forms(name)))
        set_(self, "token_versions", _choice("token_versions", self.token_versions, TOKEN_VERSIONS))
        set_(self, "algorithms", _choice("algorithms", self.algorithms, ALGORITHMS))
        if self.allowed_clients is not None:
            set_(self, "allowed_clients", _client_ids(self.allowed_clients, self.tenants))
        check_flags(guests=self.guests)
        check_agents(self.agents, (True, False, "only"))

    @property
    def app_id_uri(self) -> str:
        """The App ID URI in the names of this API's scopes; one with 'api://' if there are several."""
        name = min(self.audiences, key=lambda audience: (not audience.startswith("api://"), audience))
        return name if ":" in name else f"api://{name}"


def string_set(setting: str, values: str | Iterable[str]) -> frozenset[str]:
    """Return one string or several as a set.

    Raises:
        ConfigurationError: There is none, or one that cannot be meant.
    """
    if isinstance(values, bytes | Mapping) or (values is not None and not isinstance(values, Iterable)):  # pyright: ignore[reportUnnecessaryIsInstance, reportUnnecessaryComparison]
        raise ConfigurationError(f"{setting} must be a string or an iterable of strings, got {values!r}")
    if values is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise ConfigurationError(
            f"{setting} must be a string or an iterable of strings, got None. {IS_IT_SET}"
        )
    names = [values] if isinstance(values, str) else list(values)
    if not names:
        raise ConfigurationError(f"{setting} is empty: nothing would be accepted")
    for name in names:
        _check_string(setting, name)
    return frozenset(names)


def _check_string(setting: str, value: object) -> None:
    name = non_empty_string(setting, value)
    if name != name.strip():
        raise ConfigurationError(f"{setting} {name!r} has spaces around it: use {name.strip()!r}")
    if "*" in name:
        raise ConfigurationError(f"{setting} {name!r}: there are no wildcards. Give each value")


def _choice(setting: str, values: Iterable[str], known: frozenset[str]) -> frozenset[str]:
    names = string_set(setting, values)
    if unknown := names - known:
        raise ConfigurationError(f"{setting} must be of {sorted(known)}, got {sorted(unknown)}")
    return names


def _client_ids(values: Iterable[str], tenants: Tenants) -> frozenset[str]:
    if tenants == NO_TENANTS:
        return string_set("allowed_clients", values)
    return microsoft_client_ids(values)


def microsoft_client_ids(values: Iterable[str]) -> frozenset[str]:
    """Return client ids in lower case, as tokens of Entra and B2C have them.

    Raises:
        ConfigurationError: One is not a GUID.
    """
    names = frozenset(name.lower() for name in string_set("allowed_clients", values))
    if wrong := sorted(name for name in names if not is_guid(name)):
        raise ConfigurationError(f"allowed_clients must be client ids (GUIDs), got {wrong}")
    return names
