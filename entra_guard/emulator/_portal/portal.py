"""The portal: the table of its pages, request security, and responses to addresses that do not exist."""

from __future__ import annotations

import contextlib
import difflib
from dataclasses import replace
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._http.form_guard import is_own_form
from entra_guard.emulator._http.html import STATIC, static_response
from entra_guard.emulator._http.messages import (
    Response,
    TooManyFieldsError,
    json_response,
)
from entra_guard.emulator._http.routing import path_pattern
from entra_guard.emulator._portal import overview
from entra_guard.emulator._portal.apps import (
    app_agents,
    app_assignments,
    app_authentication,
    app_credentials,
    app_exposure,
    app_list,
    app_manifest,
    app_overview,
    app_permissions,
)
from entra_guard.emulator._portal.directory import directory_files, identities, people
from entra_guard.emulator._portal.frame import is_for_organizations
from entra_guard.emulator._portal.help import connect, error_codes
from entra_guard.emulator._portal.parts import PortalParts
from entra_guard.emulator._portal.stash import Stash
from entra_guard.emulator._portal.tokens import check_token, get_token
from entra_guard.emulator._portal.visit import NotFoundError, PortalPage, Visit
from entra_guard.emulator._portal.watch import activity, conditions, sample_calls, sample_page
from entra_guard.emulator._portal.workbench import Workbench
from entra_guard.emulator._store.entries import CONSUMERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from entra_guard.emulator._activity.request_log import RequestLog
    from entra_guard.emulator._directory.service import DirectoryService
    from entra_guard.emulator._faults.injector import FaultInjector
    from entra_guard.emulator._http.delivery import Delivery
    from entra_guard.emulator._http.emulator_server import EmulatorServer
    from entra_guard.emulator._http.messages import Request
    from entra_guard.emulator._store.entries import Tenant
    from entra_guard.emulator._tokens.issuer import TokenIssuer

# Each group of pages adds its table here.
PAGES: Final[tuple[PortalPage, ...]] = (
    *overview.PAGES,
    *app_list.PAGES,  # before an app's own page: `new` is not an id
    *app_overview.PAGES,
    *app_authentication.PAGES,
    *app_credentials.PAGES,
    *app_permissions.PAGES,
    *app_exposure.PAGES,
    *app_assignments.PAGES,
    *app_manifest.PAGES,
    *people.PAGES,
    *identities.PAGES,
    *app_agents.PAGES,
    *get_token.PAGES,
    *check_token.PAGES,
    *activity.PAGES,
    *conditions.PAGES,
    *sample_calls.PAGES,
    *sample_page.PAGES,
    *connect.PAGES,
    *directory_files.PAGES,
    *error_codes.PAGES,
)
_ADDRESSES: Final = frozenset(p.path for p in PAGES if p.method == "GET" and "{" not in p.path)
_COOKIE: Final = "entra_emulator_tenant"
_FOREIGN: Final = (
    "This form did not come from an open page of this emulator. Open the page again and repeat the step."
)
_GONE: Final = "The tenant of this form does not exist any more. Open the page again and repeat the step."
_NOT_PERSONAL: Final = (
    "The tenant of personal Microsoft accounts has no administrators. An app for them is registered in an "
    "organization, for 'Personal Microsoft accounts only' or for both."
)


class Portal:
    """Respond to requests for the portal's pages.

    Args:
        service: The directory.
        issuer: Tokens and signing keys.
        injector: Faults.
        log: The requests that reached the emulator.
        server: The sockets.
        respond: Responds to requests of clients, for the guards and the token requests of pages.
    """

    def __init__(
        self,
        service: DirectoryService,
        issuer: TokenIssuer,
        injector: FaultInjector,
        log: RequestLog,
        *,
        server: EmulatorServer,
        respond: Callable[[Request], Delivery],
    ) -> None:
        self._store = service.store
        workbench = Workbench(service, issuer, log, respond)
        self._parts = PortalParts(service, issuer, injector, log, Stash(), _ADDRESSES, workbench, server)

    def respond(self, request: Request) -> Response:
        """Respond to a request. Never raises, whatever a client sends."""
        if not self._store.is_own(request.host):
            text = "The emulator serves this machine only: use 127.0.0.1 or localhost as host."
            return json_response({"error": text}, 421)
        if request.path.startswith(STATIC) and request.method in {"GET", "HEAD"}:
            static = static_response(request.path.removeprefix(STATIC))
            if static is not None:
                return static
        try:
            fields = request.form() if request.method == "POST" else request.parameters()
        except TooManyFieldsError as error:
            return json_response({"error": str(error)}, 400)
        visit = self._visit(request, fields)
        response = self._respond_as_page(visit)
        chosen = request.parameters().get("tenant") if request.method == "GET" else None
        return _remember_tenant(response, visit.tenant) if chosen == visit.tenant.id else response

    def _visit(self, request: Request, fields: Mapping[str, str]) -> Visit:
        key = fields.get("once", "") if request.method == "GET" else ""
        once = (self._parts.stash.take(key) if key else None) or ("", None)
        return Visit(self._parts, request, self._tenant(request, fields), {}, fields, once)

    def _tenant(self, request: Request, fields: Mapping[str, str]) -> Tenant:
        """Return the tenant of the form or the address; otherwise the one chosen last, or the first."""
        wanted = fields.get("form_tenant") if request.method == "POST" else fields.get("tenant")
        known = self._store.directory.tenants
        for name in (wanted, _cookie(request)):
            if name and name in known:
                return known[name]
        return next(iter(known.values()))

    def _respond_as_page(self, visit: Visit) -> Response:
        request = visit.request
        method = "GET" if request.method == "HEAD" else request.method
        if visit.tenant.id == CONSUMERS and is_for_organizations(request.path):
            return not_found(visit, _NOT_PERSONAL, *self._organization_page(request.path))
        found = next(((p, m) for p in PAGES if (m := _matches(p, method, request.path))), None)
        if found is None:
            return not_found(visit, f"The portal has no page {request.method} {request.path}.")
        entry, match = found
        refused = self._refuse_form(visit) if entry.method == "POST" else None
        if refused is not None:
            return refused
        visit = replace(visit, path=match.groupdict())
        lock = self._store.lock if entry.locked else contextlib.nullcontext()
        try:
            with lock:
                return entry.handle(visit)
        except NotFoundError as error:
            return not_found(visit, str(error), error.address, error.label)
        except (RegistrationError, LookupError) as error:
            return _refused(visit, str(error.args[0] if error.args else error), 400)

    def _refuse_form(self, visit: Visit) -> Response | None:
        if not is_own_form(visit.request, visit.fields, self._store.form_token):
            return _refused(visit, _FOREIGN, 403)
        tenants = self._store.directory.tenants
        return None if visit.fields.get("form_tenant") in {None, *tenants} else _refused(visit, _GONE, 400)

    def _organization_page(self, path: str) -> tuple[str, str]:
        """Return the address of a page in the first organization, and the words of the link to it."""
        tenants = self._store.directory.tenants.values()
        organization = next((tenant for tenant in tenants if tenant.id != CONSUMERS), None)
        if organization is None or path not in _ADDRESSES:
            return "/", "Overview"
        return f"{path}?tenant={organization.id}", f"this page in {organization.name}"


def _matches(page: PortalPage, method: str, path: str) -> Any:
    return path_pattern(page.path).fullmatch(path) if page.method == method else None


def _cookie(request: Request) -> str:
    with contextlib.suppress(CookieError):
        cookie = SimpleCookie(request.header("cookie") or "").get(_COOKIE)
        return cookie.value if cookie else ""
    return ""


def _remember_tenant(response: Response, tenant: Tenant) -> Response:
    # Only which tenant is shown: a form names its own tenant.
    cookie = f"{_COOKIE}={tenant.id}; Path=/; HttpOnly; SameSite=Strict"
    return response.with_headers(("Set-Cookie", cookie))


def _wants_html(request: Request) -> bool:
    return "text/html" in (request.header("accept") or "")


def not_found(visit: Visit, text: str, address: str = "", label: str = "") -> Response:
    """Respond to an address that does not exist: a page for browsers, JSON for programs."""
    if not _wants_html(visit.request):
        return json_response({"error": text}, 404)
    nearest = address or nearest_address(visit.request.path)
    return visit.render(
        "missing.html",
        title="There is nothing at this address",
        status=404,
        text=text,
        address=nearest,
        label=label or nearest,
    )


def nearest_address(path: str) -> str:
    """Return the address of a page that is most like a path."""
    inside = path if path.lower().startswith("/portal") else f"/portal{path}"
    return next(iter(difflib.get_close_matches(inside.lower(), _ADDRESSES, 1, 0.5)), "/")


def _refused(visit: Visit, text: str, status: int) -> Response:
    if not _wants_html(visit.request):
        return json_response({"error": text}, status)
    return visit.render("refused.html", title="Nothing was changed", status=status, text=text)
