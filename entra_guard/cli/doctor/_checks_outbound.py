"""Checks of the outbound credential, its proofs, and Redis. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entra_guard.cli._formatting import format_duration
from entra_guard.cli.doctor._commands import app_command, command
from entra_guard.cli.doctor._finding import Check, Finding, failure, ok, skipped, warning

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Facts, Member, Proof

SOON_DAYS: Final = 30.0
# App roles of Microsoft Graph, of which the GroupResolver's application needs one each.
_READ_GROUPS: Final = (
    *("GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All"),
    *("Directory.Read.All", "Directory.ReadWrite.All"),
)
_READ_USERS: Final = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")


def _chain(facts: Facts) -> Finding | None:
    """Report which credential of a chain is used."""
    credential = facts.credential
    if credential is None or len(credential.members) < 2:  # noqa: PLR2004
        return None
    words = "; ".join(f"{each.name} {each.outcome}" for each in credential.members)
    outcomes = {each.outcome for each in credential.members}
    if outcomes == {"not configured"}:
        return failure(
            f"none of the chain is configured here: {words}",
            "Set AZURE_TENANT_ID, AZURE_CLIENT_ID and a secret, certificate or federated token file, or "
            "run on a host with a managed identity.",
        )
    if "failed" in outcomes:
        return failure(
            f"{words}; the chain does not continue after a failure", "See 'token' for what to change."
        )
    return ok(words)


def _token(facts: Facts) -> Finding | None:
    credential = facts.credential
    if credential is None:
        return None
    if credential.error:
        which = f" with {_used(credential.members)}" if _used(credential.members) else ""
        hint = credential.hint or "entra-guard token --scope <scope>  # shows the same request alone"
        return failure(f"no token{which}: {credential.error}", hint)
    if facts.offline:
        return skipped("offline")
    what = f"for {credential.audience}" if credential.audience else "that only its API can read"
    granted = f"roles {' '.join(credential.roles)}" if credential.roles else "without app roles"
    granted = f"scopes {' '.join(credential.scopes)}" if credential.scopes else granted
    return ok(
        f"{_used(credential.members)} got a token {what}, {granted}, which ends in "
        f"{format_duration(credential.expires_in)}"
    )


def _used(members: tuple[Member, ...]) -> str:
    return next((each.name for each in members if each.outcome in ("in use", "failed")), "")


def _proofs(facts: Facts) -> Finding | None:
    """Report how long the secrets and certificates of the credential are valid."""
    if facts.credential is None:
        return None
    proofs = [proof for each in facts.credential.members for proof in each.proofs if proof.name != "proof"]
    if not proofs:
        return None
    words = "; ".join(map(_proof_words, proofs))
    ended = [proof for proof in proofs if proof.days_left is not None and proof.days_left <= 0]
    soon = [proof for proof in proofs if proof.days_left is not None and proof.days_left < SOON_DAYS]
    fix = renewal(facts, facts.credential.client_id, "certificate" if "certificate" in words else "secret")
    if ended:
        return failure(words, *fix)
    if soon or any(proof.failed for proof in proofs):
        return warning(words, *fix)
    return ok(words)


def _proof_words(proof: Proof) -> str:
    failed = f", refused ({proof.failed})" if proof.failed else ""
    if proof.days_left is None:
        return f"{proof.name}: its end is known to Entra only{failed}"
    if proof.days_left <= 0:
        return f"{proof.name}: ended {-proof.days_left:.0f} days ago{failed}"
    return f"{proof.name}: ends in {proof.days_left:.0f} days{failed}"


def renewal(facts: Facts, client_id: str, kind: str) -> tuple[str, ...]:
    """Return how to renew a secret or certificate: by our command line, by az, and in the portal."""
    app = client_id or "<client id>"
    if kind == "certificate":
        ours = app_command(facts, "certificate", "add", app, "--new", "new.pem")
        az = command("az", "ad", "app", "credential", "reset", "--id", app, "--append", "--cert", "@new.pem")
    else:
        ours = app_command(facts, "secret", "add", app)
        az = command(
            "az", "ad", "app", "credential", "reset", "--id", app, "--append", "--display-name", "new"
        )
    return ours, az, "Portal: App registrations > the app > Certificates & secrets"


def _groups(facts: Facts) -> Finding | None:
    """Check the permission to read the groups of callers, if the guard has a GroupResolver."""
    credential = facts.credential
    if credential is None or not credential.for_groups:
        return None
    if facts.offline or credential.error:
        return skipped("offline" if facts.offline else "there was no token")
    missing = [names[0] for names in (_READ_GROUPS, _READ_USERS) if not {*credential.roles} & {*names}]
    if not missing:
        return ok(f"the guard's GroupResolver may read them ({' '.join(credential.roles)})")
    client = credential.client_id or "<client id>"
    roles = [word for name in missing for word in ("--role", name)]
    return failure(
        f"the guard's GroupResolver lacks {' and '.join(missing)}: callers with many groups get 503",
        app_command(facts, "permission", "add", client, "graph", *roles),
        app_command(facts, "grant", client, "graph"),
        "Portal: App registrations > the app > API permissions > Microsoft Graph > Application permissions",
    )


def _federated_token(facts: Facts) -> Finding | None:
    token = facts.credential.federated if facts.credential else None
    if token is None:
        return None
    if token.error:
        return failure(
            token.error,
            "Kubernetes: label the pod azure.workload.identity/use: 'true' and annotate its service account.",
        )
    shown = f"issuer {token.issuer}, subject {token.subject}, audience {token.audience}"
    left = None if token.ends is None else token.ends - facts.now
    if left is not None and left <= 0:
        return failure(
            f"{shown}; it ended {format_duration(-left)} ago",
            "The platform must replace the file: check the volume and the workload identity webhook.",
        )
    return ok(shown if left is None else f"{shown}, ends in {format_duration(left)}")


def _redis(facts: Facts) -> Finding | None:
    redis = facts.redis
    if redis is None:
        return None
    if redis.error:
        return failure(
            f"{redis.where}: {redis.error}",
            "redis-cli -u <URL> ping  # then check password and ACL: SET, GET, DEL, PTTL, EVAL",
            "Tokens are requested without Redis meanwhile, once in each process.",
        )
    return ok(f"{redis.where}: an entry was written, read and deleted in {redis.seconds * 1000:.0f} ms")


CHECKS: Final = (
    Check("outbound", "chain", _chain),
    Check("outbound", "token", _token),
    Check("outbound", "secret, certificate", _proofs),
    Check("outbound", "groups", _groups),
    Check("outbound", "federated token", _federated_token),
    Check("outbound", "Redis", _redis),
)
