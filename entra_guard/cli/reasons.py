"""`entra-guard reasons` and `entra-guard checklist`: the code's own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from entra_guard._escaping import escape
from entra_guard.cli._formatting import did_you_mean, format_times_in, format_value
from entra_guard.cli._program import program_name
from entra_guard.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from entra_guard._validation.checklist import Case, Check
    from entra_guard.cli._screen import Screen

_COLUMNS: Final = ("check", "expected", "found in a valid token")
_EXAMPLE: Final = (
    "Example values: a token with the role Orders.Read, issued at 11:55:00 and checked at 12:00:00. "
    "<tenant id> and similar names are ids of your registration."
)
_SAME: Final = "the same"
_NOON: Final = 1_767_268_800.0
_TENANT: Final = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
_API: Final = "11112222-bbbb-3333-cccc-4444dddd5555"
_CLIENT: Final = "00001111-aaaa-2222-bbbb-3333cccc4444"
_OBJECT: Final = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb"
_NAMES: Final = {_TENANT: "tenant id", _API: "the API's client id", _CLIENT: "the caller's client id"}

_AS_MARKDOWN = click.option("--markdown", is_flag=True, help="Print a Markdown table.")


@click.command()
@click.argument("code", nargs=-1, metavar="[REASON]...")
@_AS_MARKDOWN
def reasons(code: tuple[str, ...], *, markdown: bool) -> None:
    """List every reason for a refusal by its status, with the client's text.

    With a REASON such as wrong_audience, show all about that one, as 'reason' does.
    """
    codes = [known_reason(name) for name in code]
    if markdown:
        click.echo(reasons_markdown(codes or REASONS))
        return
    from entra_guard.cli._reason_output import show_list, show_reason  # noqa: PLC0415  # so that --help stays fast
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    screen = Screen()
    if not codes:
        show_list(screen)
    for name in codes:
        show_reason(screen, name)


@click.command()
@click.argument("code", metavar="REASON")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
def reason(code: str, *, as_json: bool) -> None:
    """Show all about one reason for a refusal: causes, how to see them, and fixes.

    \b
        entra-guard reason wrong_audience
    """  # noqa: D301  # click wants the character, not the letters
    name = known_reason(code)
    from entra_guard.cli._reason_output import reason_json, show_reason  # noqa: PLC0415
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    if as_json:
        click.echo(reason_json(name))
    else:
        show_reason(Screen(), name)


def known_reason(name: str) -> str:
    """Return the name of a reason, also from a whole word of a log line such as 'wrong_audience:'.

    Raises:
        click.UsageError: There is no such reason.
    """
    code = name.strip(" :,;.").lower().replace("-", "_")
    if code not in REASONS:
        hint = did_you_mean(code, REASONS)
        raise click.UsageError(
            f"there is no reason {escape(name)!r}.{hint} '{program_name()} reasons' lists all."
        )
    return code


def reasons_markdown(codes: Iterable[str] = REASONS) -> str:
    """Return the reasons as a Markdown table."""
    rows = (
        (f"`{code}`", str(REASONS[code].status), REASONS[code].client, REASONS[code].fix) for code in codes
    )
    return _markdown(("reason", "status", "text for the client", "fix"), rows)


@click.command()
@_AS_MARKDOWN
def checklist(*, markdown: bool) -> None:
    """List what a token's claims are checked for, in order, with an example.

    The format, the header's algorithm and the claims' types are checked first. The signature is checked
    before the key's issuer.
    """
    if markdown:
        click.echo(checklist_markdown())
        return
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    show_checklist(Screen())


def show_checklist(screen: Screen) -> None:
    """Show the checklist on a terminal."""
    from rich.text import Text  # noqa: PLC0415

    from entra_guard.cli._screen import QUIET, TwoValues  # noqa: PLC0415

    rows = checklist_rows()
    width = max(len(name) for name, _expected, _found in rows)
    screen.text(_EXAMPLE, QUIET)
    screen.blank_line()
    columns = ("expected (example)", "found, if different (example)")
    head = TwoValues(Text(f"{_COLUMNS[0]:{width}}  ", QUIET), *columns, QUIET)
    screen.two_columns(
        head,
        [TwoValues(Text(f"{n:{width}}  "), left, "" if right == _SAME else right) for n, left, right in rows],
    )


def checklist_markdown() -> str:
    """Return the checklist as a Markdown table."""
    return _markdown(_COLUMNS, checklist_rows())


def checklist_rows() -> list[tuple[str, str, str]]:
    """Return each check with the expected and the found value of a valid token."""
    from entra_guard._validation.checklist import POST_SIGNATURE_CHECKS, PRE_SIGNATURE_CHECKS  # noqa: PLC0415

    signature = ("signature", "valid, by the key that the header names", "valid")
    return [*map(_check_row, PRE_SIGNATURE_CHECKS), signature, *map(_check_row, POST_SIGNATURE_CHECKS)]


def _check_row(check: Check) -> tuple[str, str, str]:
    case = _example()
    expected, found = (
        _with_names(format_times_in(text))
        for text in (format_value(check.expected(case), " or "), format_value(check.found(case)))
    )
    return check.name, expected, _SAME if found == expected else found


def _with_names(text: str) -> str:
    """Replace ids by their names in the admin center."""
    for guid, name in _NAMES.items():
        text = text.replace(guid, f"<{name}>")
    return text


def _example() -> Case:
    """Return a valid token of a daemon, in the tenant of Microsoft's examples."""
    from entra_guard import Policy, Tenants  # noqa: PLC0415
    from entra_guard._validation.checklist import Case  # noqa: PLC0415
    from entra_guard._validation.claims import Claims  # noqa: PLC0415
    from entra_guard._validation.issuer import Issuer  # noqa: PLC0415
    from entra_guard._validation.jwks import KeyOrigin  # noqa: PLC0415

    issuer = f"https://login.microsoftonline.com/{_TENANT}/v2.0"
    claims = Claims(
        aud=_API,
        iss=issuer,
        tid=_TENANT,
        ver="2.0",
        iat=_NOON - 300,
        nbf=_NOON - 300,
        exp=_NOON + 3600,
        oid=_OBJECT,
        sub=_OBJECT,
        azp=_CLIENT,
        roles=("Orders.Read",),
    )
    policy = Policy(Tenants.only(_TENANT), frozenset({_API}))
    cloud = "microsoftonline.com"
    ours = Issuer(issuer, cloud=cloud, tenant_id=_TENANT)
    return Case(policy, ours, claims, KeyOrigin(issuer, cloud), _NOON)


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(_escape_cell, line))} |" for line in lines)


def _escape_cell(text: str) -> str:
    """Escape a cell, so that Markdown does not read HTML, a cell border or a link."""
    if "://login" in text:
        return f"`{text}`"
    return text.replace("|", r"\|").replace("<", r"\<")
