"""The page Activity: what clients requested, newest first, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from entra_guard._escaping import shorten
from entra_guard.emulator._activity.access_line import access_line, time_of_day
from entra_guard.emulator._http.html import fragment
from entra_guard.emulator._http.messages import Response
from entra_guard.emulator._portal.code.curl_command import curl_command
from entra_guard.emulator._portal.visit import NotFoundError, PortalPage, get, post, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from entra_guard.emulator._activity.request_log import Exchange
    from entra_guard.emulator._portal.visit import Visit

ADDRESS: Final = "/portal/activity"
PAGE_SIZE: Final = 50
_FILTERS: Final = ("show", "app", "flow")


def show(visit: Visit) -> Response:
    """Show the newest exchanges, and the filters."""
    everything = visit.parts.log.exchanges
    found = list(newest_first(visit, everything))
    before = whole_number(visit.text("before"), 0)
    shown = [e for e in found if not before or e.number < before]
    return visit.render(
        "activity.html",
        title="Activity",
        records=[row_of(exchange) for exchange in shown[:PAGE_SIZE]],
        older=shown[PAGE_SIZE - 1].number if len(shown) > PAGE_SIZE else 0,
        live=not before,
        last=everything[-1].number if everything else 0,
        total=len(everything),
        matching=len(found),
        filters={name: visit.text(name) for name in _FILTERS},
        query_string=_query(visit),
        apps=_options((e.client_id, e.client) for e in everything),
        flows=_options((e.flow, e.flow) for e in everything),
        curl=f"curl {visit.request.base}/{visit.tenant.id}/v2.0/.well-known/openid-configuration",
    )


def new_rows(visit: Visit) -> Response:
    """Return the rows after a number, for the page's script; 204 if there are none."""
    since = whole_number(visit.text("after"), 0)
    everything = visit.parts.log.exchanges
    newer = [e for e in newest_first(visit, everything) if e.number > since][:PAGE_SIZE]
    last = str(everything[-1].number if everything else since)
    if not newer:
        return Response(204, b"", (("X-Last", last), ("Cache-Control", "no-store")))
    response = fragment("activity_rows.html", records=[row_of(exchange) for exchange in newer])
    return response.with_headers(("X-Last", last), ("X-Count", str(len(newer))))


def one(visit: Visit) -> Response:
    """Show one exchange with all its details."""
    exchange = _exchange(visit)
    title = f"{exchange.flow}: {exchange.result}"
    crumbs = [(ADDRESS, "Activity")]
    return visit.render(
        "activity_one.html", title=title, crumbs=crumbs, record=row_of(exchange), **_details(exchange)
    )


def details(visit: Visit) -> Response:
    """Return the details of one exchange, for the row that the page's script opens."""
    return fragment("activity_details.html", has_errors=True, **_details(_exchange(visit)))


def as_text(visit: Visit) -> Response:
    """Return the exchanges as text, one per line, oldest first."""
    lines = [
        access_line(exchange) for exchange in reversed(list(newest_first(visit, visit.parts.log.exchanges)))
    ]
    headers = (
        ("Content-Type", "text/plain; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    )
    return Response(200, "\n".join([*lines, ""]).encode(), headers)


def clear(visit: Visit) -> Response:
    """Forget the exchanges."""
    visit.parts.log.clear_exchanges()
    return visit.redirect(ADDRESS, notice="The activity was cleared.")


def newest_first(visit: Visit, exchanges: Iterable[Exchange]) -> Iterable[Exchange]:
    """Return the exchanges that the filters let through, newest first."""
    refused, app, flow = visit.text("show") == "refused", visit.text("app"), visit.text("flow")
    for exchange in reversed(list(exchanges)):
        wanted = (not refused or exchange.outcome == "refused") and app in {"", exchange.client_id}
        if wanted and flow in {"", exchange.flow}:
            yield exchange


def row_of(exchange: Exchange) -> dict[str, Any]:
    """Return an exchange as the macro `log_row` shows it. Of Graph's many requests, it shows which."""
    is_call = exchange.flow == "graph" and exchange.client != ""
    return {
        "number": exchange.number,
        "time": time_of_day(exchange.at),
        "ok": exchange.outcome != "refused",
        "waiting": exchange.outcome == "waiting",
        "flow": exchange.flow.replace("_", " "),
        "client": exchange.client or _request(exchange),
        "api": f"{exchange.api} {_request(exchange)}" if is_call else exchange.api,
        "user": exchange.user,
        "result": exchange.result,
        "ms": f"{exchange.milliseconds:.0f}",
    }


def _request(exchange: Exchange) -> str:
    return shorten(f"{exchange.method} {exchange.path}", 44)


def _details(exchange: Exchange) -> dict[str, Any]:
    return {"exchange": exchange, "curl": curl_command(exchange)}


def _exchange(visit: Visit) -> Exchange:
    number = visit.path["number"]
    wanted = whole_number(number, -1)
    found = next((e for e in visit.parts.log.exchanges if e.number == wanted), None)
    if found is None:
        raise NotFoundError(f"Request {number} is not kept: the last 500 are.", ADDRESS, "Activity")
    return found


def _query(visit: Visit) -> str:
    return urlencode({name: visit.text(name) for name in _FILTERS if visit.text(name)})


def _options(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted({pair for pair in pairs if pair[0]}, key=lambda pair: pair[1])


PAGES: Final[tuple[PortalPage, ...]] = (
    get(ADDRESS, show),
    get(f"{ADDRESS}/rows", new_rows),
    get(f"{ADDRESS}/text", as_text),
    post(f"{ADDRESS}/clear", clear),
    get(f"{ADDRESS}/{{number}}", one),
    get(f"{ADDRESS}/{{number}}/details", details),
)
