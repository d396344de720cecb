"""`entra-guard keys`: save an authority's signing keys to a file, and show such a file."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._escaping import escape

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import httpx

    from entra_guard._keys.authority import Authority
    from entra_guard._keys.documents import Source
    from entra_guard._keys.snapshot_file import Saved
    from entra_guard._keys.state import Snapshot
    from entra_guard.cli._screen import Screen

_LABELS: Final = 12
_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@click.group()
def keys() -> None:
    """Save an authority's signing keys to a file, or show such a file.

    A guard with keys_file=FILE uses these keys when it starts during an outage or without a network. It
    reads the file again when it changes.
    """


@keys.command()
@click.option(
    "--tenant",
    metavar="ID",
    default="",
    envvar="ENTRA_GUARD_TENANT",
    help="Tenant id, verified domain, organizations, common or consumers.  [env: ENTRA_GUARD_TENANT]",
)
@click.option(
    "--authority",
    metavar="URL",
    default="public",
    envvar="ENTRA_GUARD_AUTHORITY",
    help="A cloud's name or an authority's URL.  [env: ENTRA_GUARD_AUTHORITY; default: public]",
)
@click.option("--openid", is_flag=True, help="The authority is an OpenID issuer without tenants.")
@click.option(
    "--app-specific-keys",
    "app_id",
    metavar="CLIENT_ID",
    default="",
    help="The API's client id, if it has its own signing key (claims mapping).",
)
@click.argument("file", type=_FILE, envvar="ENTRA_GUARD_KEYS_FILE")
@click.pass_obj
def pull(
    settings: dict[str, Any] | None, *, tenant: str, authority: str, openid: bool, app_id: str, file: Path
) -> None:
    """Fetch the keys now and save them to FILE.

    The keys pass the same checks as in a guard. FILE is replaced in one step, and only its owner can
    read and write it. Where a guard uses it, FILE must belong to the service's user or to root, must
    not be writable by others, and must be newer than the guard's max_stale (by default one day).

    \b
        entra-guard keys pull --tenant <id> keys.json
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard._keys import snapshot_file  # noqa: PLC0415  # --help stays fast
    from entra_guard._keys.fetch import fetch  # noqa: PLC0415

    source = _for_application(_source(tenant, authority, openid=openid), app_id)
    with _client(settings) as client:
        snapshot, documents = fetch(client, source, old=None, known=None, now=0.0)
    snapshot_file.write(file, source, documents, time.time())
    _show(file, snapshot_file.load(file), snapshot)


@keys.command()
@click.argument("file", type=_FILE, envvar="ENTRA_GUARD_KEYS_FILE")
def show(file: Path) -> None:
    """Show FILE's age, issuers and keys. Exits with 1 if a guard would not use it."""
    from entra_guard._keys import snapshot_file  # noqa: PLC0415
    from entra_guard._keys.documents import Documents, Source  # noqa: PLC0415
    from entra_guard._keys.fetch import accept  # noqa: PLC0415
    from entra_guard.policy import TOKEN_VERSIONS  # noqa: PLC0415

    saved = snapshot_file.load(file)
    source = Source(_saved_authority(saved), saved.tenant, TOKEN_VERSIONS, saved.app_id)
    documents = Documents(saved.v2, saved.v1, saved.keys)
    if not _show(file, saved, accept(documents, source, old=None, now=0.0, configured_at=0.0)):
        raise SystemExit(1)


def _saved_authority(saved: Saved) -> Authority:
    from entra_guard._keys.authority import Authority  # noqa: PLC0415

    url = saved.authority
    if saved.kind == "openid" and not url.partition("://")[2].partition("/")[0].endswith(".b2clogin.com"):
        return Authority.openid(url)
    given = {"b2c": Authority.b2c, "external": Authority.external}
    return given.get(saved.kind, Authority.named)(url)


def _source(tenant: str, authority: str, *, openid: bool) -> Source:
    from entra_guard._keys.authority import Authority  # noqa: PLC0415
    from entra_guard._keys.documents import Source  # noqa: PLC0415
    from entra_guard.policy import TOKEN_VERSIONS, Tenants  # noqa: PLC0415

    where = Authority.openid(authority) if openid else Authority.named(authority)
    tenant = tenant or where.tenant
    where.check_tenant(tenant.lower())
    if not where.is_entra or tenant in {"organizations", "common", "consumers"}:
        return Source(where, tenant, TOKEN_VERSIONS)
    if not tenant:
        raise click.UsageError("no tenant: use --tenant, or set ENTRA_GUARD_TENANT.")
    return Source(where, Tenants.only(tenant).alias, TOKEN_VERSIONS)


def _for_application(source: Source, app_id: str) -> Source:
    """Return the source of an application's own keys, as a guard with `app_specific_keys` has it."""
    if not app_id:
        return source
    from entra_guard._keys.app_specific_keys import app_id_of  # noqa: PLC0415
    from entra_guard.policy import NO_TENANTS, Policy, Tenants  # noqa: PLC0415

    reason = "only keys are fetched: no token is accepted"
    tenants = Tenants(source.tenant, reason=reason) if source.authority.is_entra else NO_TENANTS
    return replace(source, app_id=app_id_of(app_id, Policy(tenants, frozenset({app_id})), source.authority))


def _client(settings: dict[str, Any] | None) -> AbstractContextManager[httpx.Client]:
    from contextlib import nullcontext  # noqa: PLC0415

    from entra_guard._common.http import new_client  # noqa: PLC0415

    given = (settings or {}).get("http_client")
    return nullcontext(given) if given else new_client()


def _show(file: Path, saved: Saved, snapshot: Snapshot) -> bool:
    """Show a file, and return whether a guard with default settings would use it."""
    from entra_guard._keys.settings import KeySettings  # noqa: PLC0415
    from entra_guard._keys.snapshot_file import CLOCKS_DIFFER  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    screen = Screen()
    age, allowed = time.time() - saved.fetched_at, KeySettings().max_stale
    issuer = snapshot.issuer
    screen.name_values(
        [
            ("file", str(file)),
            ("application", escape(saved.app_id)),
            ("age", _duration(age)),
            ("cloud", escape(issuer.cloud)),
        ],
        labels=_LABELS,
    )
    # URLs are longer than most terminals; not wrapped, so that they can be copied.
    authority = f"{saved.authority}/{saved.tenant}".rstrip("/")
    for name, url in (("authority", authority), ("issuer", issuer.v2), ("issuer, v1.0", issuer.v1)):
        if url:
            screen.verbatim(f"{name:{_LABELS}}  {escape(url)}", indent=2)
    _show_keys(screen, snapshot)
    for skipped in (*snapshot.keys.faults, *snapshot.keys.skipped):
        screen.text(f"skipped {skipped}", indent=2)
    fault = ""
    if age >= allowed:
        fault = f"Older than {_duration(allowed)}: a guard uses it only with a longer max_stale."
    elif age < -CLOCKS_DIFFER:
        fault = f"Written {_duration(-age)} in the future: no guard uses it. Check this host's clock."
    if fault:
        screen.blank_line()
        screen.text(fault, indent=2)
    return not fault


def _show_keys(screen: Screen, snapshot: Snapshot) -> None:
    """Show the keys as a table; as blocks where a column would be cut or an id broken."""
    rows = [
        (escape(kid), escape(key.origin.cloud), escape(key.origin.issuer))
        for kid, key in sorted(snapshot.keys.by_kid.items())
    ]
    columns = ("kid", "cloud", "signs for the issuer")
    widest = sum(max(map(len, column)) + 2 for column in zip(columns, *rows, strict=True)) + 2
    screen.blank_line()
    if not screen.is_narrow and widest <= screen.console.width:
        screen.table(columns, rows)
        return
    for kid, cloud, issuer in rows:
        screen.verbatim(f"key {kid}", "bold", indent=2)
        screen.verbatim(f"signs for  {issuer}", indent=4)
        if cloud:
            screen.verbatim(f"cloud      {cloud}", indent=4)


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{seconds:.0f} seconds"
    hours, days = minutes // 60, minutes // (24 * 60)
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} minutes"
