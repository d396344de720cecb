"""The page Test conditions: clock, signing keys, faults, and the sample API that shows their effect."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.choices import apis, chosen_api, chosen_client, own_apps, users
from entra_guard.emulator._portal.durations import DAY
from entra_guard.emulator._portal.frame import clock_words
from entra_guard.emulator._portal.tokens.conditions_of_tokens import condition_groups
from entra_guard.emulator._portal.visit import PortalPage, get, post, whole_number
from entra_guard.emulator._portal.watch.fault_form import FAULT_GROUPS, parse_fault, words_of_fault
from entra_guard.emulator._portal.watch.sample_api import write_role
from entra_guard.emulator._store.faults import TARGETS

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.signing_keys import SigningKey

ADDRESS: Final = "/portal/conditions"
_TITLE: Final = "Test conditions"
_STEPS: Final = ((300, "+5 min"), (3600, "+1 h"), (DAY, "+1 day"), (90 * DAY, "+90 days"))
_REALMS: Final = {
    "organizations": "tokens of organizations",
    "consumers": "personal accounts",
    "us-government": "another cloud",
}


def show(visit: Visit) -> Response:
    """Show the state of clock, keys and faults, and the last requests to the sample API."""
    return visit.render("test_conditions.html", title=_TITLE, **_state(visit))


def _state(visit: Visit) -> dict[str, Any]:
    parts, store = visit.parts, visit.service.store
    api = chosen_api(visit)
    client = chosen_client(visit, api)
    signing = parts.issuer.signing_key.kid
    shift = clock_words(store)
    return {
        "time_now": dt.datetime.fromtimestamp(visit.now(), dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "shift": shift,
        "clock_steps": _STEPS,
        "keys": [_key_facts(key, signing) for key in parts.issuer.keys],
        "faults": [(fault.number, words_of_fault(fault)) for fault in parts.injector.faults],
        "changed": bool(shift or parts.injector.faults),
        "targets": [(name, _TARGET_WORDS[name]) for name in TARGETS],
        "fault_groups": FAULT_GROUPS,
        "apis": [(app.client_id, app.name) for app in apis(visit)],
        "clients": [(app.client_id, app.name) for app in own_apps(visit)],
        "users": [("", "The app itself"), *((user.id, user.display_name) for user in users(visit))],
        "write_role": write_role(api) if api else "",
        "api": api,
        "client": client,
        "condition_groups": condition_groups(),
        "attempts": list(parts.workbench.attempts),
        "last": parts.workbench.last,
        "at": _time_of_day,
    }


def _key_facts(key: SigningKey, signing: str) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "realm": _REALMS.get(key.realm, key.realm),
        "signs": key.kid == signing,
        "since": f"since {_time_of_day(key.since)}" if key.since else "since the start",
        "removable": key.realm == "organizations",
    }


def _time_of_day(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%H:%M:%S")


_TARGET_WORDS: Final = {
    "configuration": "Metadata (openid-configuration)",
    "keys": "Signing keys (JWKS)",
    "token": "Token endpoint",
    "graph": "Microsoft Graph",
    "identity": "Managed identity endpoints",
    "all": "Everything except these pages",
}


def move_clock(visit: Visit) -> Response:
    """Move the clock by one of the steps, or back to the real time."""
    store = visit.service.store
    steps = {str(seconds): (seconds, label) for seconds, label in _STEPS}
    chosen = steps.get(visit.text("seconds"))
    if chosen is None:
        store.unfreeze()
        return visit.redirect(ADDRESS, notice="The clock shows the real time.")
    store.advance(chosen[0])
    return visit.redirect(ADDRESS, notice=f"The clock was moved: {chosen[1]}.")


def rotate_keys(visit: Visit) -> Response:
    """Sign with a new key; with `unpublished`, the key documents stay as they are."""
    if visit.text("how") == "unpublished":
        visit.parts.injector.fail("keys", "stale")
        key = visit.parts.issuer.rotate_keys()
        return visit.redirect(ADDRESS, notice=f"{key.kid} signs now, and is not published: a fault was set.")
    key = visit.parts.issuer.rotate_keys()
    return visit.redirect(ADDRESS, notice=f"{key.kid} signs now. The old keys stay published.")


def withdraw_key(visit: Visit) -> Response:
    """Remove a key from the documents."""
    kid = visit.text("kid")
    try:
        visit.parts.issuer.withdraw_key(kid)
    except ValueError:
        raise LookupError(f"{kid} is the last signing key. Rotate first, then withdraw it.") from None
    return visit.redirect(ADDRESS, notice=f"{kid} was withdrawn.")


def set_fault(visit: Visit) -> Response:
    """Set a fault, or show what is wrong in the form."""
    parsed = parse_fault(visit.fields)
    if isinstance(parsed, list):
        return visit.render("test_conditions.html", title=_TITLE, errors=parsed, **_state(visit))
    fault = visit.parts.injector.fail(parsed.target, parsed.how, **parsed.options)
    return visit.redirect(ADDRESS, notice=f"Set: {words_of_fault(fault)}.")


def clear_fault(visit: Visit) -> Response:
    """Clear one fault."""
    visit.parts.injector.remove_fault(whole_number(visit.text("number"), 0))
    return visit.redirect(ADDRESS, notice="The fault was cleared.")


def back_to_normal(visit: Visit) -> Response:
    """Clear all faults, and show the real time again."""
    visit.parts.injector.clear_faults()
    visit.service.store.unfreeze()
    return visit.redirect(ADDRESS, notice="All normal: no faults, the real time. Rotated keys stay.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(ADDRESS, show),
    post(f"{ADDRESS}/clock", move_clock),
    post(f"{ADDRESS}/keys/rotate", rotate_keys),
    post(f"{ADDRESS}/keys/withdraw", withdraw_key),
    post(f"{ADDRESS}/faults", set_fault, locked=False),
    post(f"{ADDRESS}/faults/clear", clear_fault, locked=False),
    post(f"{ADDRESS}/normal", back_to_normal, locked=False),
)
