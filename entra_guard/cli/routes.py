"""`entra-guard routes`: list the routes of an application with what each requires."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from entra_guard._escaping import escape
from entra_guard._web.found_routes import methods_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from entra_guard._web.route_table import GuardedRoute
    from entra_guard.cli._screen import Screen

_REFUSED: Final = 1
_LEAST_ROOM: Final = 28
_LEAST_PARAMETERS: Final = 2  # WSGI's environ and start_response; ASGI has three
_NAMES: Final = {"token": "any valid token", "open": "OPEN", "public": "public", "optional": "OPTIONAL"} | {
    "partly public": "PARTLY PUBLIC",
    "unclear": "UNCLEAR",
    "broken": "BROKEN",
}


@click.command()
@click.argument("app", metavar="MODULE:APP")
@click.option("--fail-on-public", is_flag=True, help="Exit with 1 if a route needs no token.")
@click.option(
    "--allow",
    metavar="PATH",
    multiple=True,
    help="A path that may be open, as shown here, or '/static/*'; repeatable.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for other programs.")
def routes(app: str, *, fail_on_public: bool, allow: tuple[str, ...], as_json: bool) -> None:
    """List every route of an application with what it requires, and which are public.

    MODULE:APP is a Starlette, FastAPI, Flask, Quart, Django or Litestar application, as for a server:
    'main:app', or 'main:create_app()' for a factory. The module is imported; no request is sent.
    Mounted applications, WebSockets and middleware around the application are included.

    \b
        entra-guard routes main:app --fail-on-public --allow /healthz

    Exits with 1 if --fail-on-public finds a route that needs no token and is not allowed, a route
    whose @requires has no effect, or no route at all.
    """  # noqa: D301  # click wants the character, not the letters
    from entra_guard._web.route_allowance import checked_allowance, not_allowed, unused  # noqa: PLC0415
    from entra_guard._web.route_table import inspect_app  # noqa: PLC0415

    allowed = checked_allowance(allow)
    found, outside = inspect_app(_application(app))
    refused = not_allowed(found, allowed)
    if as_json:
        rows = [asdict(route) | {"allowed": route not in refused} for route in found]
        click.echo(json.dumps(rows, indent=2))
    else:
        failed = refused if fail_on_public else [route for route in refused if route.access != "public"]
        _show(app, found, failed, outside)
        for path in unused(found, allowed):
            click.echo(f"--allow {escape(path)}: no open route has this path.")
    if fail_on_public and (refused or not found):
        raise SystemExit(_REFUSED)


def _application(name: str) -> Any:
    """Return the application of that name.

    Raises:
        click.UsageError: It is not one, such as a factory that was not called.
    """
    from entra_guard._web.adapter_arguments import check_app  # noqa: PLC0415
    from entra_guard.cli._import_object import import_object  # noqa: PLC0415

    found = import_object(name, "MODULE:APP")
    check_app(found)
    if inspect.isclass(found):
        raise click.UsageError(f"{name} is a class. Name an application: an instance of it.")
    if inspect.isfunction(found) and len(inspect.signature(found).parameters) < _LEAST_PARAMETERS:
        raise click.UsageError(f"{name} is a function. If it makes the application, write '{name}()'.")
    return found


def _show(
    app: str, found: Sequence[GuardedRoute], failed: Sequence[GuardedRoute], outside: Sequence[str]
) -> None:
    from entra_guard.cli._screen import Screen  # noqa: PLC0415

    screen = Screen()
    if not found:
        screen.text(f"{app} has no routes.")
        return
    _show_table(screen, found, failed)
    screen.blank_line()
    screen.text(_summary(found))
    if any(route.access == "open" and not route.problem for route in found):
        screen.text("OPEN: no guard runs before the route. Add one, or allow the path with --allow.")
    for route in found:
        if route.problem:
            screen.blank_line()
            screen.text(f"{methods_text(route.methods)} {_visible(route.path)}", "bold")
            screen.text(f"{route.problem[:1].upper()}{route.problem[1:]}.", indent=2)
            screen.text(route.endpoint, "dim", indent=2)
    if outside:
        screen.blank_line()
        screen.text("Outside of the guard", "bold")
        screen.text("What these respond to by themselves needs no token, and is not listed:", indent=2)
        for name in outside:
            screen.text(name, indent=2)


def _show_table(screen: Screen, found: Sequence[GuardedRoute], failed: Sequence[GuardedRoute]) -> None:
    """Show one line for each route; on a terminal that is too narrow for the paths, two."""
    from rich.text import Text  # noqa: PLC0415

    rows = [
        (_mark(screen, route, failed), methods_text(route.methods), _visible(route.path), _requires(route))
        for route in found
    ]
    widest = max(len(path) + len(method) for _mark_, method, path, _needed in rows)
    if screen.plain or screen.console.width - widest - screen.mark_width >= _LEAST_ROOM:
        screen.table(("", "method", "path", "requires"), rows, indent=0)
        return
    for mark, method, path, needed in rows:
        screen.render(Text.assemble(mark, f"{method} {path}"))
        screen.render(needed, indent=screen.mark_width + 2)


def _visible(path: str) -> str:
    """Return a path for a terminal; letters of every language stay, as '--allow' takes them."""
    return path if path.isprintable() else escape(path)


def _mark(screen: Screen, route: GuardedRoute, failed: Sequence[GuardedRoute]) -> Text:
    return screen.mark("fail" if route in failed else "pass" if route.needs_token else "open")


def _requires(route: GuardedRoute) -> str | Text:
    from rich.text import Text  # noqa: PLC0415

    needed = "; ".join(route.requires)
    if route.access == "token":
        return needed or _NAMES["token"]
    style = "dim" if route.access == "public" else "bold red"
    return Text.assemble((_NAMES[route.access], style), f" {needed}" if needed else "")


def _summary(found: Sequence[GuardedRoute]) -> str:
    closed = sum(route.needs_token for route in found)
    broken = sum(route.access == "broken" for route in found)
    open_ = len(found) - closed - broken
    parts = [f"{closed} {'needs' if closed == 1 else 'need'} a token"]
    parts += [f"{open_} {'does' if open_ == 1 else 'do'} not"] if open_ else []
    parts += [f"{broken} cannot work"] if broken else []
    return f"{len(found)} route{'' if len(found) == 1 else 's'}: {', '.join(parts)}."
