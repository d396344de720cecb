"""The plan of `app setup`: an API with a role and a scope, a daemon with a credential, and consent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import Question
from entra_guard.cli.app._plan_apps import AppSpec, register
from entra_guard.cli.app._plan_credentials import add_certificate, add_secret
from entra_guard.cli.app._plan_permissions import Permission, add_permissions, grant
from entra_guard.cli.app._rows import roles_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from entra_guard.cli.app._calls import Plan, Row


@dataclass(frozen=True, slots=True)
class Pair:
    """What `app setup` made: the API, the client, and the client's secret if it has one."""

    api: Row
    client: Row
    reused: bool
    secret: Row | None = None


@dataclass(frozen=True, slots=True)
class PairSpec:
    """The pair to make.

    Attributes:
        name: Of the API; the client is '<name> client'.
        certificate: The certificate of the client, as DER; None for a secret.
        expires: When the secret ends, in seconds since 1970.
    """

    name: str
    roles: Sequence[str]
    scopes: Sequence[str]
    certificate: bytes | None
    expires: float

    @property
    def key(self) -> str:
        """The beginning of both unique names."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:100] or "app"


def setup(spec: PairSpec, new_guid: Callable[[], str]) -> Plan[Pair]:
    """Register the pair, or complete the one that an earlier run made, and consent."""
    # One question, before the first change: a pair that is half made is of no use.
    proof = "secret" if spec.certificate is None else "certificate"
    granted = ", ".join(spec.roles)
    yield Question(
        f"Register {escape(spec.name)} and {escape(spec.name)} client, grant {escape(granted)} to the client "
        f"for the whole tenant, and add a client {proof}?"
    )
    api = yield from register(
        AppSpec(spec.name, api=True, roles=spec.roles, scopes=spec.scopes, unique_name=f"{spec.key}-api"),
        new_guid,
    )
    client = yield from register(AppSpec(f"{spec.name} client", unique_name=f"{spec.key}-client"), new_guid)
    roles = {role["value"]: role for role in roles_of(api.app)}
    needed = [Permission(str(roles[value]["id"]), "Role", value) for value in spec.roles if value in roles]
    changed = yield from add_permissions(client.app, api.principal, needed)
    if needed:
        # A service principal that was created a moment ago does not list its roles yet.
        offers = {**api.principal, "appRoles": roles_of(api.app)}
        yield from grant(
            changed, only_api=str(api.app["appId"]), known=(offers, client.principal), confirm=False
        )
    secret: Any = None
    if spec.certificate is None:
        secret = yield from add_secret(changed, "entra-guard app setup", spec.expires, confirm=False)
    else:
        yield from add_certificate(changed, spec.certificate, "entra-guard app setup", settles=True)
    return Pair(api.app, changed, api.reused and client.reused, secret)
