"""What the probes collect, as immutable values. The checks read nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entra_guard._guard.settings_from_env import PREFIX, VARIABLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard._keys.documents import Source
    from entra_guard._validation.issuer import Issuer
    from entra_guard._validation.jwks import KeySet
    from entra_guard._web.route_table import GuardedRoute
    from entra_guard.policy import Policy


def variables_of_settings() -> dict[str, str]:
    """Return the variable of each setting, by the setting's name in `Guard`."""
    return {variable.removeprefix(PREFIX).lower(): variable for variable in VARIABLES}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the guard.

    Attributes:
        name: The setting, as `Guard` names it.
        value: Its value as text; '' if it is not set.
        origin: Where the value comes from: '--tenant', 'ENTRA_GUARD_TENANT', a file, a guard, or 'default'.
    """

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class SettingsFacts:
    """The guard's settings.

    Attributes:
        settings: Each with its value and origin.
        error: Why a guard cannot be built with them; '' if it can.
        blamed: The setting that the error is about; '' if that is not known.
        policy: What the guard accepts; None if it cannot be built.
        source: Whose keys it needs; None if it cannot be built.
        own_client: Whether the guard has an HTTP client of the user's.
        other_errors: What is wrong with other settings, by their names.
        all_checked: Whether every setting was checked: after an error that names none, the others are not.
    """

    settings: tuple[Setting, ...]
    error: str = ""
    blamed: str = ""
    policy: Policy | None = None
    source: Source | None = None
    own_client: bool = False
    other_errors: Mapping[str, str] = field(default_factory=dict[str, str])
    all_checked: bool = True


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a host.

    Attributes:
        family: 'IPv4' or 'IPv6'.
        address: The address.
        error: Why it accepts no connection; '' if it does, or was not tried.
        no_route: Whether this host has no route to it.
    """

    family: str
    address: str
    error: str = ""
    no_route: bool = False


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """The TLS connection to the authority.

    Attributes:
        trust: Where the trusted certificates come from.
        version: Such as 'TLSv1.3'.
        issuer: Who issued the certificate that was presented.
        chain: The subjects of the certificates that were presented.
        ends: When the certificate ends, in seconds since the epoch.
        error: Why it is not trusted; '' if it is.
        strict_error: Why Python 3.13's strict rules refuse it; '' if they do not.
        strict_only: Whether these rules are the only reason for the error.
    """

    trust: str
    version: str = ""
    issuer: str = ""
    chain: tuple[str, ...] = ()
    ends: float | None = None
    error: str = ""
    strict_error: str = ""
    strict_only: bool = False


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """The way to the authority.

    Attributes:
        host: The host that is looked up: the authority's, or the proxy's if there is one.
        port: Its port.
        addresses: Its addresses; the first one of each family was tried.
        dns_error: Why the name does not resolve; '' if it does.
        proxy: Where the proxy comes from and its URL, without credentials; '' if there is none.
        proxy_error: Why the proxy cannot be used.
        tls: None if the authority speaks plain HTTP, or was not reached.
        dns_seconds: How long the slower of the queries for IPv4 and IPv6 took.
    """

    host: str
    port: int
    addresses: tuple[Address, ...] = ()
    dns_error: str = ""
    proxy: str = ""
    proxy_error: str = ""
    tls: TlsFacts | None = None
    dns_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """A document of the authority.

    Attributes:
        url: Where it was requested.
        document: The JSON; None if it did not arrive.
        error: Why not, as the authority said it; '' if it arrived.
        step: The step that failed, as in `FetchError`.
        code: The AADSTS code in the response; '' if there is none.
        offset: Seconds by which the authority's clock is ahead of this host's; None if it sent no date.
        seconds: How long the exchange took.
    """

    url: str
    document: Mapping[str, Any] | None = field(default=None, repr=False)
    error: str = ""
    step: str = ""
    code: str = ""
    offset: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class AuthorityFacts:
    """The authority's documents, and what the guard makes of them.

    Attributes:
        v2: The configuration of v2.0 tokens.
        v1: The configuration of v1.0 tokens; None if these are not accepted, or do not exist.
        issuer: The issuer in them; None if they were refused or did not arrive.
        refused: Why the configuration was refused.
        keys: The key set; None if it was not requested.
        key_set: The usable keys in it; None if it was refused.
        keys_refused: Why the key set was refused.
        key_starts: Since when each key's certificate is valid, in seconds since the epoch.
        own_kids: The key ids of the API's own signing keys; None if they were not requested.
    """

    v2: DocumentFacts
    v1: DocumentFacts | None = None
    issuer: Issuer | None = None
    refused: str = ""
    keys: DocumentFacts | None = None
    key_set: KeySet | None = None
    keys_refused: str = ""
    key_starts: tuple[float, ...] = ()
    own_kids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class KeysFileFacts:
    """The keys file.

    Attributes:
        path: Where it is.
        exists: Whether there is one.
        writable: Whether the guard can write it.
        error: Why the guard would not use it; '' if it would.
        age: Its age in seconds.
        max_age: The age in seconds from which the guard refuses it.
        count: How many keys it holds.
    """

    path: str
    exists: bool
    writable: bool
    error: str = ""
    age: float = 0.0
    max_age: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """A secret or certificate of a credential: its name, the days left, and why it failed."""

    name: str
    days_left: float | None = None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One credential of a chain, and what became of it: 'in use', 'not configured', 'failed', 'not tried'."""

    name: str
    outcome: str
    proofs: tuple[Proof, ...] = ()


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """The claims of the token in AZURE_FEDERATED_TOKEN_FILE that Entra compares."""

    issuer: str = ""
    subject: str = ""
    audience: str = ""
    ends: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class CredentialFacts:
    """The outbound credential and its dry run.

    Attributes:
        origin: Where it comes from.
        error: Why it cannot be built, or returned no token; '' if it did.
        hint: What to change, as the error says.
        scope: What the token was requested for; '' if none was requested.
        audience: The token's audience.
        roles: Its app roles.
        scopes: Its delegated permissions: a signed-in user's token has some.
        expires_in: Seconds until it ends.
        members: The credentials of the chain, or the one credential.
        client_id: The client's id; '' if it is not known.
        federated: The federated token on disk; None if there is none.
        for_groups: Whether the guard resolves groups with it.
    """

    origin: str
    error: str = ""
    hint: str = ""
    scope: str = ""
    audience: str = ""
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    expires_in: float = 0.0
    members: tuple[Member, ...] = ()
    client_id: str = ""
    federated: FederatedToken | None = None
    for_groups: bool = False


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """The Redis with shared tokens: where, why it cannot be used ('' if it can), and seconds for an entry."""

    where: str
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Holder:
    """A principal that holds app roles of the API: 'ServicePrincipal', 'User' or 'Group'."""

    kind: str
    name: str
    role_id: str


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration in Microsoft Graph, as Graph writes it.

    Attributes:
        application: The application object.
        principal: Its service principal in this tenant; None if there is none.
        federated: Its federated identity credentials.
        holders: Who holds its app roles.
    """

    application: Mapping[str, Any] = field(repr=False)
    principal: Mapping[str, Any] | None = field(default=None, repr=False)
    federated: tuple[Mapping[str, Any], ...] = ()
    holders: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphFacts:
    """What Microsoft Graph returned.

    Attributes:
        error: Why the registration was not read; '' if it was.
        status: The HTTP status of that error; 0 if there was no response.
        wanted: The registration that was looked up.
        api: The API's registration; None if it was not read or not found.
        client: The registration of the outbound credential, if that is another one.
    """

    error: str = ""
    status: int = 0
    wanted: str = ""
    api: Registration | None = None
    client: Registration | None = None


@dataclass(frozen=True, slots=True)
class AppFacts:
    """An application: where it was imported from, its routes, and its middleware.

    Attributes:
        name: Such as 'main:app'.
        routes: Its routes.
        middleware: The names of its middleware, from the outside to the inside.
        guards: Which of these are guards.
        mcp_url: The URL of the MCP endpoint that `protect` was given; '' if it is not an MCP server.
    """

    name: str
    routes: tuple[GuardedRoute, ...] = ()
    middleware: tuple[str, ...] = ()
    guards: tuple[int, ...] = ()
    mcp_url: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the checks read; a part is None where it was not collected.

    Attributes:
        now: Seconds since the epoch, by the guard's clock.
        offline: Whether no network was used.
        settings: The guard's settings.
        mcp_url: The URL of the MCP endpoint; '' if there is none.
    """

    now: float
    offline: bool
    settings: SettingsFacts
    mcp_url: str = ""
    network: NetworkFacts | None = None
    authority: AuthorityFacts | None = None
    keys_file: KeysFileFacts | None = None
    credential: CredentialFacts | None = None
    redis: RedisFacts | None = None
    graph: GraphFacts | None = None
    app: AppFacts | None = None
