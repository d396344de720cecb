"""Reasons with which nothing is decided (503): something that the guard needs is not available."""

from __future__ import annotations

from typing import Final

from entra_guard.cli.reason_guides._guide import Guide

OUTAGES: Final[dict[str, Guide]] = {
    "groups_unavailable": Guide(
        causes=(
            "Microsoft Graph does not respond, or limits the requests.",
            "The resolver's application lacks GroupMember.Read.All, or its secret has expired.",
        ),
        see=("'detail' in the log line says what failed.", "$ entra-guard doctor"),
        commands=(
            "entra-guard app permission add <resolver> graph --role GroupMember.Read.All",
            "entra-guard app grant <resolver>",
        ),
        portal="App registrations > the resolver's application > API permissions > Microsoft Graph > "
        "Application permissions: GroupMember.Read.All. Then 'Grant admin consent'.",
        az=("az ad app permission admin-consent --id <resolver>",),
        facts={"detail": "http: status 403"},
    ),
    "tenants_unavailable": Guide(
        causes=("The rule of Tenants.where raised an error, or did not return in time.",),
        see=("The log of entra_guard.tenants has the error of the rule.",),
        otherwise="Fix the rule, or what it depends on, such as a database.",
    ),
    "keys_unavailable": Guide(
        causes=(
            "The host cannot reach Entra: DNS, proxy, firewall, a TLS inspection with its own certificate.",
            "The tenant does not exist, or is of another cloud.",
            "The keys file is missing, too old, or not readable.",
        ),
        see=("'step' and 'detail' in the log line say what failed.", "$ entra-guard doctor"),
        commands=("entra-guard keys pull --tenant {tenant} keys.json",),
        settings=("ENTRA_GUARD_KEYS_FILE=keys.json",),
        otherwise="Open egress to the hosts of docs/operations.md, set proxy= or ssl_context=, or use a keys file.",
        facts={"step": "dns", "detail": "login.microsoftonline.com has no address"},
    ),
}
