"""Where a command works: on a running emulator, or in a tenant that `--tenant` names. Never both."""

from __future__ import annotations

import json
import os
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from entra_guard._common.guid import is_guid
from entra_guard._common.json_values import as_object
from entra_guard._escaping import escape
from entra_guard.cli.app._calls import DEFAULT_URL, CommandError
from entra_guard.cli.app._find import GRAPH
from entra_guard.errors import EntraGuardError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from entra_guard.credentials import AccessToken
    from entra_guard.graph import GraphClient

PUBLIC_AUTHORITY: Final = "https://login.microsoftonline.com"
ROLES: Final = (
    *(
        "Application.ReadWrite.All",
        "AppRoleAssignment.ReadWrite.All",
        "DelegatedPermissionGrant.ReadWrite.All",
    ),
    *("User.ReadWrite.All", "Group.ReadWrite.All", "Directory.Read.All"),
)
_SECRET: Final = "ENTRA_EMULATOR_SECRET"  # noqa: S105  # the name of a variable
_SECONDS: Final = 5.0
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>(?P<name>[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:]{2,39}\])(?::[0-9]{1,5})?)/?"
)
# Who sends the requests, in the emulator's activity. The id is not an application's in any tenant.
_OWN_NAME: Final = "entra-guard"
_OWN_ID: Final = "e4712a00-c11e-4c11-8c11-e4712a6a11d0"


@dataclass(frozen=True, slots=True)
class Where:
    """What the options say.

    Attributes:
        tenant: A tenant id or domain; with `emulator`, one of its tenants.
        emulator: The emulator's URL.
        cloud: 'public', 'us-government' or 'china'.
        credential: 'environment', 'azure-cli' or 'managed-identity'; '' for the first two in turn.
    """

    tenant: str = ""
    emulator: str = ""
    cloud: str = "public"
    credential: str = ""

    @property
    def is_tenant(self) -> bool:
        """Whether the target is a real tenant."""
        return bool(self.tenant) and not self.emulator


@dataclass(frozen=True, slots=True)
class Target:
    """A tenant and the client that reaches its Graph.

    Attributes:
        real: Whether it is a real tenant: changes of consequence need confirmation there.
        name: For messages.
        tenant_id: Its GUID, or the name that was given where it is not known yet.
        authority: The base URL of its authority, without a tenant.
        graph: The client; None if there is no login (a dry run).
        graph_url: The base URL of Graph, with the version.
        control_url: The emulator's URL; '' for a real tenant.
    """

    real: bool
    name: str
    tenant_id: str
    authority: str
    graph: GraphClient | None
    graph_url: str
    control_url: str = ""


def resolve(where: Where, environ: Mapping[str, str] = os.environ, *, dry_run: bool = False) -> Target:
    """Return the target. A dry run needs neither an emulator nor a login.

    Raises:
        CommandError: There is no emulator, no such tenant, or no login.
    """
    if where.is_tenant:
        return _real_tenant(where, environ, dry_run=dry_run)
    url = where.emulator or environ.get("ENTRA_EMULATOR_URL") or DEFAULT_URL
    try:
        return _emulator(url.rstrip("/"), where.tenant)
    except CommandError as error:
        if dry_run and error.code == "not_running":
            return Target(
                False,
                "the emulator",
                where.tenant or "<tenant id>",
                url,
                None,
                f"{url}/v1.0",
                control_url=url,
            )
        raise


def _emulator(url: str, tenant: str) -> Target:
    from entra_guard.graph import GraphClient  # noqa: PLC0415  # so that --help stays fast

    check_local(url)
    state = control(url, "GET", "state")
    tenants: list[dict[str, str]] = list(state.get("tenants", ()))
    if not tenants:
        raise _not_running(url, "the program there is not an entra-guard emulator")
    wanted = tenant.lower()
    found = next(
        (t for t in tenants if not wanted or wanted in {t["id"], t["domain"], t["name"].lower()}), None
    )
    if found is None:
        known = ", ".join(f"{t['name']} ({t['id']})" for t in tenants)
        raise CommandError(
            f"The emulator has no tenant {escape(tenant)!r}.", "AADSTS90002", f"It has: {known}."
        )
    graph = GraphClient(_EmulatorCredential(url, found["id"]), base_url=url)
    name = f"{found['name']} on the emulator at {url}"
    return Target(False, name, found["id"], url, graph, f"{url}/v1.0", control_url=url)


def check_local(url: str) -> None:
    """Check that an emulator's URL is on this machine, or that there is the secret of one elsewhere.

    Raises:
        CommandError: It is neither.
    """
    from entra_guard.emulator._http.messages import is_loopback  # noqa: PLC0415  # so that --help stays fast

    # Not by urlsplit, which takes more for a host than other programs do: `evil.example\\@localhost`.
    found = _URL.fullmatch(url)
    elsewhere = (
        found is not None
        and found["scheme"] == "https"
        and bool(os.environ.get(_SECRET))
        and not _is_microsofts(found["name"].lower())
    )
    if found is None or not (is_loopback(found["host"]) or elsewhere):
        raise CommandError(
            f"{escape(url)} is not the URL of an emulator on this machine.",
            "not_local",
            "Use http://127.0.0.1:<port>, or --tenant for a real tenant. "
            f"For an emulator in another container, use https, and set {_SECRET}.",
        )


def _is_microsofts(host: str) -> bool:
    from entra_guard._keys.authority import CLOUDS  # noqa: PLC0415

    graph = {urlsplit(cloud.graph).hostname for cloud in CLOUDS.values()}
    return host in graph or any(host in cloud.hosts for cloud in CLOUDS.values())


def control(url: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Send a request to the emulator's control API.

    Raises:
        CommandError: There is no emulator, or it refuses.
    """
    import httpx  # noqa: PLC0415

    secret = os.environ.get(_SECRET) if url.startswith("https:") else None
    login = ("emulator", secret) if secret else None
    try:
        with httpx.Client(trust_env=False, timeout=_SECONDS, verify=_trust(url), auth=login) as client:
            response = client.request(method, f"{url}/_emu/{path}", json=body)
    except httpx.HTTPError:
        raise _not_running(url, "there is no emulator") from None
    content = _content(response)
    if response.is_success:
        return content
    if "error" not in content:
        raise _not_running(url, "the program there is not an entra-guard emulator")
    raise CommandError(
        "The emulator refuses the request.", f"HTTP {response.status_code}", escape(str(content["error"]))
    )


def _trust(url: str) -> ssl.SSLContext | bool:
    """Return the authority of SSL_CERT_FILE beside the public ones. Plain http needs none."""
    if not url.startswith("https:"):
        return False
    context = ssl.create_default_context()
    file = os.environ.get("SSL_CERT_FILE")
    if file and Path(file).is_file():
        context.load_verify_locations(cafile=file)
    return context


def _content(response: httpx.Response) -> dict[str, Any]:
    try:
        return as_object(json.loads(response.content))
    except ValueError:
        return {}


def _not_running(url: str, why: str) -> CommandError:
    return CommandError(
        f"No emulator responds at {escape(url)}: {why}.",
        "not_running",
        "Start one with 'entra-guard emulator' in another terminal, or name a real tenant with --tenant.",
    )


class _EmulatorCredential:
    """Tokens of an administrator of one tenant of the emulator, from its control API."""

    def __init__(self, url: str, tenant_id: str) -> None:
        self._url = url
        self._tenant_id = tenant_id

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        from entra_guard.credentials import AccessToken  # noqa: PLC0415

        request: dict[str, Any] = {
            "client": GRAPH,
            "audience": GRAPH,
            "roles": list(ROLES),
            "tenant": self._tenant_id,
        }
        request |= {"claims": {"appid": _OWN_ID, "app_displayname": _OWN_NAME}, "base_url": self._url}
        token = str(control(self._url, "POST", "token", request)["access_token"])
        # The emulator's clock may be shifted: the token counts as fresh for as long as a command runs.
        now = time.time()
        return AccessToken(token, expires_on=int(now) + 3600, refresh_on=now + 3000)


def _real_tenant(where: Where, environ: Mapping[str, str], *, dry_run: bool) -> Target:
    from entra_guard._keys.authority import CLOUDS  # noqa: PLC0415
    from entra_guard.graph import GraphClient  # noqa: PLC0415

    cloud = CLOUDS[where.cloud]
    graph_url = f"{cloud.graph}/v1.0"
    try:
        credential = _credential(where, environ, cloud.graph)
        token = credential.get_token(f"{cloud.graph}/.default").token
    except (CommandError, EntraGuardError) as error:
        # Only a missing login: an ambiguous target is refused in a dry run, too.
        if dry_run and getattr(error, "code", "no_credential") == "no_credential":
            return Target(True, where.tenant, where.tenant, cloud.authority, None, graph_url)
        raise
    tenant_id = _tenant_of(token, where.tenant)
    graph = GraphClient(credential, cloud=where.cloud)
    return Target(True, f"{where.tenant} as {credential!r}", tenant_id, cloud.authority, graph, graph_url)


def _credential(where: Where, environ: Mapping[str, str], graph: str) -> Any:
    from entra_guard.cli.app._azure_cli import AzureCliCredential  # noqa: PLC0415
    from entra_guard.credentials import EnvironmentCredential, ManagedIdentityCredential  # noqa: PLC0415
    from entra_guard.credentials._environment import PROOF_VARIABLES  # noqa: PLC0415

    host = environ.get("AZURE_AUTHORITY_HOST", "")
    described = where.credential == "environment" or any(environ.get(name) for name in PROOF_VARIABLES)
    if described and where.credential in {"", "environment"}:
        if host and _is_local(host):
            raise CommandError(
                f"AZURE_AUTHORITY_HOST={escape(host)} is an emulator, but --tenant names a real tenant.",
                "ambiguous_target",
                "Leave out --tenant to use the emulator, or unset the AZURE_ variables.",
            )
        return EnvironmentCredential({**environ, "AZURE_TENANT_ID": where.tenant})
    if where.credential == "managed-identity":
        return ManagedIdentityCredential(environ.get("AZURE_CLIENT_ID") or None)
    return AzureCliCredential(where.tenant, graph)


def _is_local(url: str) -> bool:
    from entra_guard._common.http import is_loopback  # noqa: PLC0415

    return is_loopback(url if "://" in url else f"https://{url}")


def _tenant_of(token: str, wanted: str) -> str:
    """Return the tenant that a token is of.

    Raises:
        CommandError: It is not the tenant that was named.
    """
    import jwt  # noqa: PLC0415

    try:
        found = str(jwt.decode(token, options={"verify_signature": False}).get("tid", ""))
    except jwt.InvalidTokenError:
        found = ""
    if is_guid(wanted) and found and found.lower() != wanted.lower():
        raise CommandError(
            f"The login is for the tenant {escape(found)}, not for {wanted}.",
            "wrong_tenant",
            f"Log in to that tenant: az login --tenant {wanted}",
        )
    return found or wanted
