"""The frame of every portal page: tenants, chips, navigation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.durations import duration_words
from entra_guard.emulator._store.entries import CONSUMERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._portal.parts import PortalParts
    from entra_guard.emulator._store.entries import Tenant
    from entra_guard.emulator._store.store import Store

# The pages by group, as in the navigation. A page that is not in the table of pages is left out.
_NAVIGATION: Final = (
    ("", (("/", "Overview"),)),
    (
        "Directory",
        (
            ("/portal/apps", "App registrations"),
            ("/portal/users", "Users"),
            ("/portal/groups", "Groups"),
            ("/portal/identities", "Managed identities"),
        ),
    ),
    ("Tokens", (("/portal/token", "Get a token"), ("/portal/check", "Check a token"))),
    ("Watch", (("/portal/activity", "Activity"), ("/portal/conditions", "Test conditions"))),
    ("Help", (("/portal/connect", "Connect"), ("/portal/errors", "Error codes"))),
)
# What the tenant of personal accounts lacks: it has no administrators.
_ORGANIZATIONS_ONLY: Final = ("/portal/apps", "/portal/groups", "/portal/identities")


def is_for_organizations(address: str) -> bool:
    """Return whether the tenant of personal accounts has no such page."""
    return any(_is_below(address, only) for only in _ORGANIZATIONS_ONLY)


@dataclass(frozen=True, slots=True)
class NavigationLink:
    """One line of the navigation."""

    address: str
    label: str
    current: bool


def frame_context(parts: PortalParts, request: Request, tenant: Tenant) -> dict[str, Any]:
    """Return the values that `portal.html` and `components.html` use on every page."""
    store = parts.service.store

    def has_page(address: str) -> bool:
        return parts.has_page(address) and not (tenant.id == CONSUMERS and is_for_organizations(address))

    return {
        "base": request.base,
        "here": request.path,
        "tenant": tenant,
        "tenants": list(store.directory.tenants.values()),
        "form_token": store.form_token,
        "navigation": list(_navigation(has_page, request.path)),
        "has_page": has_page,
        "chips": list(_chips(parts)),
    }


def _navigation(has_page: Callable[[str], bool], here: str) -> Iterator[tuple[str, list[NavigationLink]]]:
    for group, links in _NAVIGATION:
        shown = [
            NavigationLink(address, label, _is_below(here, address))
            for address, label in links
            if has_page(address)
        ]
        if shown:
            yield group, shown


def _is_below(here: str, address: str) -> bool:
    return here == address or (address != "/" and here.startswith(f"{address}/"))


def _chips(parts: PortalParts) -> Iterator[tuple[str, str]]:
    """Yield what differs from normal on this emulator: text and the page that changes it."""
    conditions = "/portal/conditions" if parts.has_page("/portal/conditions") else "/"
    count = len(parts.service.store.state.faults)
    if count:
        yield f"{count} {'fault' if count == 1 else 'faults'} set", conditions
    clock = clock_words(parts.service.store)
    if clock:
        yield clock, conditions


def clock_words(store: Store) -> str:
    """Return how the emulator's clock differs from the real time; an empty string if it does not."""
    setting = store.state.clock
    if setting.frozen_at is not None:
        return "Clock frozen"
    shift = round(setting.offset)
    if not shift:
        return ""
    return f"Clock {'+' if shift > 0 else '-'}{duration_words(abs(shift))}"
