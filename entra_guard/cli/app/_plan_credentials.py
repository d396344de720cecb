"""Plans that add and remove credentials of an application. Do no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError, GraphCall, Plan, Question, Row
from entra_guard.cli.app._find import find_app
from entra_guard.cli.app._plan_apps import change_app
from entra_guard.cli.app._rows import certificate_row, graph_time, rows_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def add_secret(app: Row, name: str, expires: float, *, confirm: bool = True) -> Plan[Row]:
    """Add a client secret to an application, after a question; the response has the value.

    Args:
        app: The application.
        name: A name to show.
        expires: When it ends, in seconds since 1970.
        confirm: Whether to yield a question; False if the caller has yielded one.
    """
    if confirm:
        yield Question(f"Add a client secret to {escape(str(app['displayName']))} ({app['appId']})?")
    made = yield GraphCall(
        "Add a client secret",
        "POST",
        f"/applications/{app['id']}/addPassword",
        {"passwordCredential": {"displayName": name, "endDateTime": graph_time(expires)}},
        assumed={"secretText": "<secret>", "keyId": "<secret id>", "endDateTime": graph_time(expires)},
        settles=True,
    )
    return made  # type: ignore[no-any-return]


def remove_secret(ref: str, key_id: str, *, by_name: bool) -> Plan[Row]:
    """Remove a client secret, after a question.

    Raises:
        CommandError: The application has no such secret.
    """
    app = yield from find_app(ref, by_name=by_name)
    secrets: list[Row] = rows_in(app, "passwordCredentials")
    if "passwordCredentials" in app and not any(secret.get("keyId") == key_id for secret in secrets):
        raise _unknown_id(app, "client secret", "Use the id of a secret, not its value", secrets)
    yield Question(f"Remove the client secret {escape(key_id)} of {escape(str(app['displayName']))}?")
    path = f"/applications/{app['id']}/removePassword"
    yield GraphCall("Remove the client secret", "POST", path, {"keyId": key_id})
    return app


def add_certificate(app: Row, der: bytes, name: str, *, settles: bool = False) -> Plan[None]:
    """Add a certificate to those that an application has."""
    present: list[Row] = [dict(row) for row in rows_in(app, "keyCredentials")]
    body = {"keyCredentials": [*present, certificate_row(der, name)]}
    yield change_app(app, "Register the certificate", body, settles=settles)


def remove_certificate(ref: str, key_id: str, *, by_name: bool) -> Plan[Row]:
    """Remove a certificate, after a question.

    Raises:
        CommandError: The application has no such certificate.
    """
    app = yield from find_app(ref, by_name=by_name)
    present = rows_in(app, "keyCredentials")
    kept = [row for row in present if row.get("keyId") != key_id]
    if len(kept) == len(present) and not str(app["id"]).startswith("<"):
        raise _unknown_id(app, "certificate", "Use the id of a certificate", present)
    yield Question(f"Remove the certificate {escape(key_id)} of {escape(str(app['displayName']))}?")
    yield change_app(app, "Keep the other certificates", {"keyCredentials": kept})
    return app


def add_federated(
    ref: str, issuer: str, subject: str, name: str, audience: str, *, by_name: bool
) -> Plan[tuple[Row, Row]]:
    """Accept the tokens of another issuer as a credential; returns the application and the credential."""
    app = yield from find_app(ref, by_name=by_name)
    body: Row = {"name": name, "issuer": issuer, "subject": subject, "audiences": [audience]}
    path = f"/applications/{app['id']}/federatedIdentityCredentials"
    assumed: Any = {"id": "<id>", **body}
    made = yield GraphCall("Add a federated credential", "POST", path, body, assumed=assumed)
    return app, made


def new_secret(ref: str, name: str, expires: float, *, by_name: bool) -> Plan[tuple[Row, Row]]:
    """Find an application and add a secret; returns both."""
    app = yield from find_app(ref, by_name=by_name)
    made = yield from add_secret(app, name, expires)
    return app, made


def new_certificate(ref: str, make: Callable[[Row], bytes], name: str, *, by_name: bool) -> Plan[Row]:
    """Find an application and add the certificate that `make` returns for it."""
    app = yield from find_app(ref, by_name=by_name)
    yield from add_certificate(app, make(app), name)
    return app


def _unknown_id(app: Row, kind: str, remedy: str, present: Sequence[Row]) -> CommandError:
    known = ", ".join(str(row["keyId"]) for row in present) or "none"
    name = escape(str(app["displayName"]))
    return CommandError(
        f"{name} has no {kind} of that id.", "Request_ResourceNotFound", f"{remedy}: {known}."
    )
