"""What an API accepts: whose tokens, for which audience. Settings that cannot work are refused here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Final

from entra_guard._common.guid import is_guid
from entra_guard.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    TenantFunction = Callable[[str], bool] | Callable[[str], Awaitable[bool]]

PERSONAL_TENANT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of all personal Microsoft accounts (Microsoft: access token claims reference)."""
GRAPH_AUDIENCES: Final = frozenset(
    {
        "00000003-0000-0000-c000-000000000000",
        "https://graph.microsoft.com",
        "https://graph.microsoft.com/",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
    }
)
TOKEN_VERSIONS: Final = frozenset({"1.0", "2.0"})
_ALGORITHMS: Final = frozenset({"RS256", "PS256"})
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
    """Seconds for which an answer of the rule is kept."""
    timeout: float = 3.0
    """Seconds that the rule may take."""

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
        of the request, any other on a thread. Its answer holds for all tokens of the tenant, also for
        cached ones, and ends after `keep` seconds. If it raises, or does not return in time, the request
        gets 503, whatever it returned before.

        Args:
            rule: Returns whether a tenant is accepted; may be async if the guard is used in an event loop.
            reason: Why tokens of tenants that are not known today are accepted.
            keep: Seconds for which an answer is kept, True or False; at most 60.
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
        for name, value, least in (("keep", keep, 0.0), ("timeout", timeout, 0.001)):
            if not is_seconds(value) or not least <= value <= _MAX_KEEP:
                raise ConfigurationError(f"{name} must be seconds, at most {_MAX_KEEP:g}, got {value!r}")
        reason = _why_open(reason, "where")
        return cls("organizations", reason=reason, rule=rule, keep=keep, timeout=timeout)

    @classmethod
    def personal(cls) -> Tenants:
        """Accept personal Microsoft accounts only."""
        return cls("consumers")


NO_TENANTS: Final = Tenants("")
"""For authorities whose tokens name no tenants: B2C, and any OpenID issuer."""


def flag(setting: str, value: object) -> bool:
    """Return a setting that must be True or False.

    Raises:
        ConfigurationError: It is something else, such as the text 'false'.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{setting} must be True or False, got {value!r}")
    return value


def is_seconds(value: object) -> bool:
    """Return whether a setting is a finite number, as seconds are."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def is_tenant_name(name: str) -> bool:
    """Return whether a name in lower case is a tenant id or a domain."""
    return is_guid(name) or _DOMAIN.fullmatch(name) is not None


def _tenant_name(tenant: str) -> str:
    name = tenant.strip().lower() if isinstance(tenant, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance]
    if name in {"common", "organizations", "consumers"}:
        raise ConfigurationError(
            f"tenant={name!r} accepts tokens from any tenant. Use Tenants.organizations(reason), "
            "Tenants.everyone(reason) or Tenants.personal() if intended"
        )
    if not is_tenant_name(name):
        raise ConfigurationError(
            "tenant must be a tenant id (a GUID) or a verified domain name such as contoso.com"
        )
    return name


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
        tenants: Whose tokens.
        audiences: The API's client id and App ID URIs. A client id also stands for 'api://<client id>'.
        allowed_clients: Client ids of the only applications that may call; None for any. Entra's are GUIDs;
            those of another OpenID issuer have any form and are compared exactly.
        token_versions: '1.0', '2.0' or both, as the API's registration says.
        leeway: Seconds of clock difference allowed on both ends of a lifetime, at most 600.
        algorithms: 'RS256', and 'PS256' where asked for.
        guests: False refuses guest users of the tenant, and users whose token does not say.

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
    accepted: frozenset[str] = field(init=False, repr=False)
    """All spellings of the audiences that a token may carry."""

    def __post_init__(self) -> None:
        audiences = string_set("audience", self.audiences)
        if graph := {name for name in audiences if _plain(name) in map(_plain, GRAPH_AUDIENCES)}:
            raise ConfigurationError(
                f"audience {min(graph)!r} is Microsoft Graph, whose tokens only Graph can check: "
                "name this API's client id, and let clients request 'api://<client id>/.default'"
            )
        set_ = object.__setattr__
        set_(self, "audiences", audiences)
        set_(self, "accepted", frozenset(spelling for name in audiences for spelling in _spellings(name)))
        set_(self, "token_versions", _choice("token_versions", self.token_versions, TOKEN_VERSIONS))
        set_(self, "algorithms", _choice("algorithms", self.algorithms, _ALGORITHMS))
        if self.allowed_clients is not None:
            set_(self, "allowed_clients", _client_ids(self.allowed_clients, self.tenants))
        flag("guests", self.guests)
        if not is_seconds(self.leeway) or not 0 <= self.leeway <= _MAX_LEEWAY:
            raise ConfigurationError(
                f"leeway must be seconds, from 0 to {_MAX_LEEWAY:.0f}, got {self.leeway!r}"
            )

    @property
    def app_id_uri(self) -> str:
        """The App ID URI by which clients name this API's scopes: 'api://...', where there is a choice."""
        name = min(self.audiences, key=lambda audience: (not audience.startswith("api://"), audience))
        return name if ":" in name else f"api://{name}"


def _plain(audience: str) -> str:
    return audience.lower().removeprefix("api://").rstrip("/")


def string_set(setting: str, values: str | Iterable[str]) -> frozenset[str]:
    """Take one text or several as a set.

    Raises:
        ConfigurationError: There is none, or one that cannot be meant.
    """
    try:
        names = frozenset([values] if isinstance(values, str) else values)
    except TypeError:
        raise ConfigurationError(f"{setting} is a text or several texts") from None
    if not names:
        raise ConfigurationError(f"{setting} is empty: nothing would be accepted")
    for name in names:
        if not isinstance(name, str) or not name.strip() or name != name.strip() or "*" in name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"{setting} must be non-empty texts without spaces around and wildcards")
    return names


def _choice(setting: str, values: Iterable[str], known: frozenset[str]) -> frozenset[str]:
    names = string_set(setting, values)
    if unknown := names - known:
        raise ConfigurationError(f"{setting} knows {sorted(known)}, not {sorted(unknown)}")
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
        raise ConfigurationError(f"allowed_clients holds client ids (GUIDs), not {wrong}")
    return names


def _spellings(audience: str) -> set[str]:
    """An audience as tokens may spell it: v1.0 tokens carry any App ID URI, with or without a last slash."""
    client_id = _plain(audience)
    if is_guid(client_id):
        return {audience, client_id, f"api://{client_id}", f"api://{client_id}/"}
    if ":" not in audience:
        return {audience}
    return {audience, audience.removesuffix("/"), f"{audience.removesuffix('/')}/"}
