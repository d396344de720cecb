"""Checks of what ends or must match in registrations: secrets, certificates, federated credentials. Pure."""

from __future__ import annotations

import datetime as dt
import json
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from entra_guard._common.audiences import EXCHANGE_AUDIENCE, EXCHANGE_AUDIENCES
from entra_guard._common.utc import DAY
from entra_guard.cli.doctor._checks_outbound import SOON_DAYS, renewal
from entra_guard.cli.doctor._commands import app_command, command
from entra_guard.cli.doctor._finding import Check, Finding, counted, failure, ok, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from entra_guard.cli.doctor._facts import Facts, FederatedToken, Registration

Which = Literal["api", "client"]

_EXCHANGES: Final = frozenset({EXCHANGE_AUDIENCE, *EXCHANGE_AUDIENCES.values()})
_MEMBERS: Final = {"secret": "passwordCredentials", "certificate": "keyCredentials"}


def _registration(facts: Facts, which: Which) -> Registration | None:
    return getattr(facts.graph, which, None) if facts.graph else None


def _ending(which: Which, kind: str, facts: Facts) -> Finding | None:
    """Report the secrets or certificates that have ended or are about to."""
    registration = _registration(facts, which)
    if registration is None:
        return None
    rows = registration.application.get(_MEMBERS[kind]) or ()
    if not rows:
        return ok("none")
    left = sorted((_days_left(row, facts.now), _label(row)) for row in rows)
    words = "; ".join(f"{label} {_when(days)}" for days, label in left)
    fix = renewal(facts, str(registration.application.get("appId")), kind)
    if all(days <= 0 for days, _ in left):
        return failure(words, *fix)
    valid = [days for days, _ in left if days > 0]
    if max(valid) < SOON_DAYS:
        return warning(words, *fix)
    ended = len(left) - len(valid)
    return ok(f"{words}{f'; {counted(ended, kind)} can be removed' if ended else ''}")


def _days_left(row: Mapping[str, Any], now: float) -> float:
    text = str(row.get("endDateTime") or "")
    try:
        ends = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (ends.replace(tzinfo=ends.tzinfo or dt.UTC).timestamp() - now) / DAY


def _label(row: Mapping[str, Any]) -> str:
    """Return the beginning of the id that the portal shows. A description may be a person's name."""
    return f"id {str(row.get('keyId'))[:8]}"


def _when(days: float) -> str:
    return f"ended {-days:.0f} days ago" if days <= 0 else f"ends in {days:.0f} days"


def _federated(which: Which, facts: Facts) -> Finding | None:
    """Compare the federated credentials with the audience that Entra expects, and with the token on disk."""
    registration = _registration(facts, which)
    if registration is None:
        return None
    rows = registration.federated
    app_id = str(registration.application.get("appId"))
    wrong = [row for row in rows if not {*map(str, row.get("audiences") or ())} & _EXCHANGES]
    words = "; ".join(f"{row.get('name')}: {row.get('issuer')}, {row.get('subject')}" for row in rows)
    token = facts.credential.federated if facts.credential else None
    if token is not None and not token.error and facts.credential and facts.credential.client_id == app_id:
        return _compared(facts, token, rows, app_id)
    if wrong:
        names = ", ".join(f"{row.get('name')} ({', '.join(row.get('audiences') or ())})" for row in wrong)
        return warning(
            f"the audience is not {EXCHANGE_AUDIENCE}: {names}",
            "Correct the audience, unless the issuer writes this one into its tokens on purpose.",
            f"az ad app federated-credential list --id {app_id}",
        )
    return ok(words or "none")


def _compared(
    facts: Facts, token: FederatedToken, rows: tuple[Mapping[str, Any], ...], app_id: str
) -> Finding:
    """Return whether a federated credential accepts the token on disk."""
    if match := next((row for row in rows if _mismatch(token, row) == ""), None):
        return ok(f"{match.get('name')} matches the token on disk")
    near = min(rows, key=lambda row: len(_mismatch(token, row)), default=None)
    why = f"; {near.get('name')} differs in {_mismatch(token, near)}" if near else ""
    wanted = {
        "name": "workload",
        "issuer": token.issuer,
        "subject": token.subject,
        "audiences": [token.audience],
    }
    proof = ("--issuer", token.issuer, "--subject", token.subject, "--audience", token.audience)
    az = ("az", "ad", "app", "federated-credential", "create", "--id", app_id, "--parameters")
    return failure(
        f"none matches the token on disk (issuer {token.issuer}, subject {token.subject}, audience "
        f"{token.audience}){why}. Entra refuses it with AADSTS700213",
        app_command(facts, "federated", "add", app_id, *proof),
        command(*az, json.dumps(wanted)),
        "Portal: App registrations > the app > Certificates & secrets > Federated credentials",
    )


def _mismatch(token: FederatedToken, row: Mapping[str, Any]) -> str:
    """Return what differs, letter by letter; '' if the credential matches."""
    differs = {
        "issuer": token.issuer != row.get("issuer"),
        "subject": token.subject != row.get("subject"),
        "audience": token.audience not in (row.get("audiences") or ()),
    }
    return " and ".join(name for name, is_different in differs.items() if is_different)


def _checks(which: Which, section: str) -> tuple[Check, ...]:
    return (
        Check(section, "secrets", partial(_ending, which, "secret")),
        Check(section, "certificates", partial(_ending, which, "certificate")),
        Check(section, "federated credentials", partial(_federated, which)),
    )


def _client(facts: Facts) -> Finding | None:
    registration = _registration(facts, "client")
    if registration is None:
        return None
    application = registration.application
    return ok(f"{application.get('displayName')}, client id {application.get('appId')}")


CHECKS: Final = (
    *_checks("api", "registration"),
    Check("outbound client's registration", "registration", _client),
    *_checks("client", "outbound client's registration"),
)
