"""The page Error codes: every AADSTS code and every reason of the guard, with what to do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._oauth.aadsts import AADSTS
from entra_guard.emulator._oauth.remedies import remedy_text
from entra_guard.emulator._portal.visit import NotFoundError, PortalPage, get, post, whole_number
from entra_guard.emulator._portal.watch.sample_calls import CAUSES as REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.emulator._activity.request_log import Exchange
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit

ADDRESS: Final = "/portal/errors"
_TITLE: Final = "Error codes"
# Which condition of a token causes which reason of the guard.
CAUSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "token_too_large": "huge",
        "algorithm_not_allowed": "alg-none",
        "token_for_graph": "graph-token",
        "unknown_key": "unknown-kid",
        "bad_signature": "forged",
        "key_of_other_issuer": "kid-of-consumer-key",
        "key_of_other_cloud": "gov-cloud-key",
        "expired": "expired",
        "not_yet_valid": "not-yet-valid",
        "wrong_issuer": "wrong-iss",
        "wrong_tenant": "other-tenant",
        "personal_account": "msa-user",
        "wrong_audience": "wrong-aud",
        "id_token": "id-token-as-access-token",
        "invalid_claims": "duplicate-tid-case",
        "proof_of_possession_required": "mtls-bound",
        "no_permissions": "no-roles",
    }
)


@dataclass(frozen=True, slots=True)
class Card:
    """One code.

    Attributes:
        code: AADSTS50011, or the name of a reason.
        error: The OAuth error; '' for a reason.
        status: The HTTP status.
        meaning: What happened.
        remedy: What to do.
        cause: How the page can cause it: `fault`, `condition`, `request`, or ''.
        by: The code, the condition of a token, or the request that causes it.
    """

    code: str
    error: str
    status: int
    meaning: str
    remedy: str
    cause: str = ""
    by: str = ""


def entra_cards() -> list[Card]:
    """Return a card for every AADSTS code, ordered by number."""
    return [_entra_card(number) for number in sorted(AADSTS)]


def _entra_card(number: int) -> Card:
    row = AADSTS[number]
    values: defaultdict[str, str] = defaultdict(lambda: "…")
    meaning = row.text.format_map(values)
    return Card(
        f"AADSTS{number}", row.error, row.status, meaning, remedy_text(number), "fault", f"AADSTS{number}"
    )


def guard_cards() -> list[Card]:
    """Return a card for every reason of the guard, in the order of its checks."""
    from entra_guard.reasons import REASONS  # noqa: PLC0415 (needed only on this page)

    return [
        Card(
            reason.name,
            "",
            reason.status,
            reason.explanation,
            reason.fix,
            *_cause_of(reason.name),
        )
        for reason in REASONS.values()
    ]


def _cause_of(reason: str) -> tuple[str, str]:
    """Return how a reason is caused: a condition of a token or a request to the sample API, and which."""
    if reason in CAUSES:
        return "condition", CAUSES[reason]
    return ("request", REQUESTS[reason]) if reason in REQUESTS else ("", "")


def show(visit: Visit) -> Response:
    """Show the cards of Entra or of the guard, filtered by the text in the address."""
    of_guard = visit.text("of") == "guard"
    cards = guard_cards() if of_guard else entra_cards()
    wanted = visit.text("q").lower()
    found = [card for card in cards if wanted in _searched(card)]
    other = sum(wanted in _searched(card) for card in (entra_cards() if of_guard else guard_cards()))
    return visit.render(
        "error_codes.html",
        title=_TITLE,
        filter_label="Filter codes",
        of_guard=of_guard,
        cards=found,
        other=other,
    )


def _searched(card: Card) -> str:
    return f"{card.code} {card.error} {card.status} {card.meaning} {card.remedy}".lower()


def one(visit: Visit) -> Response:
    """Show one card; with `request` in the address, the values of that occasion."""
    code = visit.path["code"]
    known = {card.code.lower(): card for card in (*entra_cards(), *guard_cards())}
    wanted = f"aadsts{code}" if code.isdecimal() else code.lower()
    card = known.get(wanted)
    if card is None:
        raise NotFoundError(f"There is no error {code} here.", ADDRESS, _TITLE)
    crumbs, occasion = [(ADDRESS, _TITLE)], _occasion(visit, card)
    return visit.render("error_code.html", title=card.code, crumbs=crumbs, card=card, occasion=occasion)


def _occasion(visit: Visit, card: Card) -> Exchange | None:
    """Return the request with that error: the one in the address, or the last one."""
    number, log = visit.text("request"), visit.parts.log.exchanges
    found = [exchange for exchange in log if f"AADSTS{exchange.code}" == card.code]
    named = (exchange for exchange in found if str(exchange.number) == number)
    return next(named, None) or next(iter(found[::-1]), None)


def cause(visit: Visit) -> Response:
    """Let the next request to the token endpoint fail with an AADSTS code."""
    code = visit.text("code")
    if whole_number(code.removeprefix("AADSTS"), 0) not in AADSTS or not code.startswith("AADSTS"):
        raise LookupError(f"{code} is not an error of the token endpoint.")
    visit.parts.injector.fail_next("token", code)
    return visit.redirect(f"{ADDRESS}/{code}", notice=f"The next request to the token endpoint gets {code}.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(ADDRESS, show),
    post(f"{ADDRESS}/cause", cause, locked=False),
    get(f"{ADDRESS}/{{code}}", one),
)
