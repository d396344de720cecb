"""Report what was done to an application: one line, or JSON."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from entra_guard.cli.app._options import print_json
from entra_guard.cli.app._rows import roles_of, scopes_of

if TYPE_CHECKING:
    from entra_guard.cli.app._calls import Row
    from entra_guard.cli.app._options import Session
    from entra_guard.cli.app._run import Runner


def new_guid() -> str:
    """Return a new GUID, for roles and scopes, whose ids the client chooses."""
    return str(uuid.uuid4())


def ids_of(row: Row, principal: Row | None, tenant_id: str) -> Row:
    """Return the ids of an application as JSON."""
    uris = list(row.get("identifierUris") or ())
    return {
        "displayName": row["displayName"],
        "clientId": row["appId"],
        "objectId": row["id"],
        "servicePrincipalId": (principal or {}).get("id"),
        "tenantId": tenant_id,
        "identifierUris": uris,
        "scope": f"{uris[0]}/.default" if uris else None,
        "uniqueName": row.get("uniqueName"),
        "appRoles": [{"value": r["value"], "id": r["id"]} for r in roles_of(row)],
        "scopes": [{"value": s["value"], "id": s["id"]} for s in scopes_of(row)],
    }


def report(session: Session, runner: Runner, what: str, row: Row, **more: Any) -> None:
    """Print what was done to an application, in one line; as JSON, its ids."""
    if session.as_json:
        print_json(
            {"displayName": row["displayName"], "clientId": row["appId"], "objectId": row["id"], **more}
        )
        return
    from entra_guard.cli._screen import Screen  # noqa: PLC0415
    from entra_guard.cli.app import _output as output  # noqa: PLC0415

    screen = Screen()
    output.done(screen, f"{what}: {row['displayName']} ({row['appId']})", runner.target)
    output.facts(screen, [(name.replace("_", " "), value) for name, value in more.items()])
