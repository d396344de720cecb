"""The emulator's one mutable place: the current state, its clock and its lock. Knows no HTTP."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ._directory import (
    AZURE,
    CONSUMERS,
    CONTOSO,
    FABRIKAM,
    GRAPH,
    TOKEN_EXCHANGE,
    AppRegistration,
    AppRole,
    Directory,
    Group,
    Scope,
    ServicePrincipal,
    Tenant,
    User,
    put,
)
from ._ids import Ids
from ._signing_keys import KeyRing, packaged_ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._faults import Fault

IN_PROCESS: Final = "http://entra.localhost"
"""Where an emulator is that has no socket: a loopback name, for `Emulator.transport`."""


@dataclass(frozen=True, slots=True)
class ClockSetting:
    """How the emulator's time differs from its clock's: by so many seconds, or it stands still."""

    offset: float = 0.0
    frozen_at: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """Everything that can change, as one value."""

    directory: Directory
    keys: KeyRing
    clock: ClockSetting = ClockSetting()
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state to come back to, see `Emulator.restore`."""

    state: State
    position: object


class World:
    """State, clock and identifiers, shared by the Python interface and by what answers requests.

    Args:
        seed: Makes every identifier and secret the same on every run.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, *, seed: int | None = None, clock: Callable[[], float] = time.time) -> None:
        self.lock: Final = threading.RLock()
        self._ids = Ids(seed)
        self._clock = clock
        self._state = State(directory=first_directory(), keys=packaged_ring())
        self._used_keys = 0
        self._first = self.snapshot()

    @property
    def ids(self) -> Ids:
        return self._ids

    @property
    def state(self) -> State:
        return self._state

    @property
    def directory(self) -> Directory:
        """What is registered now. It never changes; the next registration makes another."""
        return self._state.directory

    @property
    def url(self) -> str:
        """The base URL: the authority of a tenant is `{url}/{tenant id}`."""
        return IN_PROCESS

    def now(self) -> float:
        """The emulator's time, in seconds since 1970."""
        setting = self._state.clock
        return self._clock() + setting.offset if setting.frozen_at is None else setting.frozen_at

    def change(self, **parts: Any) -> None:
        """Replace parts of the state."""
        with self.lock:
            self._state = replace(self._state, **parts)

    def put(self, **entries: Any) -> None:
        """Add entries to the directory."""
        with self.lock:
            self.change(directory=put(self.directory, **entries))

    def freeze(self, at: float | None = None) -> None:
        """Stop the emulator's clock, now or at that time (seconds since 1970)."""
        self.change(clock=ClockSetting(frozen_at=self.now() if at is None else at))

    def advance(self, seconds: float) -> None:
        """Move the emulator's clock, frozen or running; a negative number moves it back."""
        now, setting = self.now(), self._state.clock
        frozen = setting.frozen_at is not None
        self.change(
            clock=ClockSetting(frozen_at=now + seconds)
            if frozen
            else replace(setting, offset=setting.offset + seconds)
        )

    def unfreeze(self) -> None:
        """Let the clock run again, from the true time."""
        self.change(clock=ClockSetting())

    def snapshot(self) -> Snapshot:
        """Remember everything as it is. Costs nothing: the state is one immutable value."""
        with self.lock:
            return Snapshot(self._state, self.ids.position())

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to how everything was."""
        with self.lock:
            self._state = snapshot.state
            self.ids.return_to(snapshot.position)
        self.faults_changed()

    def reset(self) -> None:
        """Go back to how everything was when the emulator was made."""
        self.restore(self._first)

    def faults_changed(self) -> None:
        """Called without the lock when faults came or went, for what must follow."""


def first_directory() -> Directory:
    """Contoso with its people, Fabrikam, and the tenant of personal accounts."""
    tenants = (
        Tenant(CONTOSO, "Contoso", "contoso.onmicrosoft.com", "EU"),
        Tenant(FABRIKAM, "Fabrikam", "fabrikam.onmicrosoft.com", "NA"),
        Tenant(CONSUMERS, "Microsoft Accounts", "live.com", "WW"),
    )
    users = (
        _person("a11ce", CONTOSO, "Alice Adams", "alice@contoso.onmicrosoft.com", job="Engineer"),
        _person("b0b", CONTOSO, "Bob Brown", "bob@contoso.onmicrosoft.com", job="Accountant"),
        _person("ca401", CONTOSO, "Carol Clark", "carol@fabrikam.onmicrosoft.com", home=FABRIKAM),
        _person("ca402", FABRIKAM, "Carol Clark", "carol@fabrikam.onmicrosoft.com"),
        _person("da5e", CONSUMERS, "Dave Davis", "dave@outlook.example"),
    )
    engineers = Group(_fixed("e55"), CONTOSO, "Engineers", (users[0].id,))
    directory = Directory(
        tenants={t.id: t for t in tenants},
        apps={app.client_id: app for app in FIRST_PARTY},
        users={u.id: u for u in users},
        groups={engineers.id: engineers},
    )
    for tenant in tenants:
        directory = with_first_party(directory, tenant)
    return directory


def with_first_party(directory: Directory, tenant: Tenant) -> Directory:
    """The directory with Microsoft's own APIs present in that tenant."""
    for number, app in enumerate(FIRST_PARTY):
        fixed = f"{tenant.id[:24]}{0xF1257000000 + number:012x}"
        directory = put(directory, principals=ServicePrincipal(fixed, app.client_id, tenant.id, app.name))
    return directory


def _person(
    word: str, tenant_id: str, name: str, mail: str, *, job: str | None = None, home: str | None = None
) -> User:
    given, _, surname = name.partition(" ")
    upn = f"{mail.replace('@', '_')}#EXT#@contoso.onmicrosoft.com" if home else mail
    return User(_fixed(word), tenant_id, upn, name, given, surname, mail, job, home or tenant_id)


def _fixed(word: str) -> str:
    return f"00000000-0000-4000-8000-{word:0>12}"


def _roles(*values: str) -> tuple[AppRole, ...]:
    return tuple(AppRole(_fixed(f"{n + 1:x}a0"), v, ("Application",), v) for n, v in enumerate(values))


def _scopes(*values: str) -> tuple[Scope, ...]:
    return tuple(Scope(_fixed(f"{n + 1:x}d0"), v) for n, v in enumerate(values))


_GRAPH_ROLES: Final = (
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "Group.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Application.Read.All",
    "Application.ReadWrite.All",
    "Application.ReadWrite.OwnedBy",
    "AppRoleAssignment.ReadWrite.All",
    "DelegatedPermissionGrant.ReadWrite.All",
)
_GRAPH_SCOPES: Final = (
    "User.Read",
    "User.ReadBasic.All",
    "User.Read.All",
    "Directory.Read.All",
    "Group.Read.All",
    "GroupMember.Read.All",
    "Organization.Read.All",
    "Application.Read.All",
    "Application.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "openid",
    "profile",
    "email",
    "offline_access",
)
FIRST_PARTY: Final = (
    AppRegistration(
        GRAPH,
        _fixed("64a94"),
        "",
        "Microsoft Graph",
        "AzureADMultipleOrgs",
        identifier_uris=("https://graph.microsoft.com",),
        app_roles=_roles(*_GRAPH_ROLES),
        scopes=_scopes(*_GRAPH_SCOPES),
    ),
    AppRegistration(
        AZURE,
        _fixed("a2043"),
        "",
        "Windows Azure Service Management API",
        "AzureADMultipleOrgs",
        identifier_uris=("https://management.azure.com", "https://management.core.windows.net"),
        scopes=_scopes("user_impersonation"),
    ),
    AppRegistration(
        TOKEN_EXCHANGE,
        _fixed("70e5c"),
        "",
        "AAD Token Exchange",
        "AzureADMultipleOrgs",
        identifier_uris=("api://AzureADTokenExchange",),
        token_version=2,
    ),
)
"""Microsoft's own APIs. Their real ids, except for the roles' and scopes'."""
