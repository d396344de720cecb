"""One app's token configuration, and its manifest: the JSON that Graph has of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._graph.access import Call
from entra_guard.emulator._graph.applications import change_application, with_graph_names
from entra_guard.emulator._graph.errors import GraphRequestError
from entra_guard.emulator._graph.objects import application_row
from entra_guard.emulator._http.messages import parse_json
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, find_app, render_app
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

_TOKENS: Final = "token-configuration"
_MANIFEST: Final = "manifest"
CLAIMS: Final = (
    ("acct", "0 for a member of the tenant, 1 for a guest"),
    ("email", "the user's mail address; do not authorize by it"),
    ("family_name", "the user's last name"),
    ("given_name", "the user's first name"),
    ("idtyp", "app for tokens of an app: distinguishes app and user tokens"),
    ("idtyp:include_user_token", "idtyp also in tokens of users"),
    ("ipaddr", "the address that the user signed in from"),
    ("upn", "the user principal name; it can change"),
    ("xms_cc", "that the client can handle a claims challenge"),
    ("aud:use_guid", "aud is always the client id, also in v1.0 tokens"),
)
_VERSIONS: Final = {"": None, "1": 1, "2": 2}


def show_tokens(visit: Visit) -> Response:
    """Show the version of the tokens, and the optional claims."""
    return _tokens_page(visit, find_app(visit), [])


def _tokens_page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    known = {name for name, _ in CLAIMS}
    more = [(name, "set by the manifest") for name in app.optional_claims if name not in known]
    return render_app(visit, app, _TOKENS, "app_tokens.html", errors=errors, claims=[*CLAIMS, *more])


def save_tokens(visit: Visit) -> Response:
    """Save version and claims."""
    app, version = find_app(visit), visit.text("version")
    ticked = visit.all("claim")
    try:
        visit.service.registrations.update_app(
            app,
            token_version=_VERSIONS.get(version),
            optional_claims=tuple(dict.fromkeys(ticked)),
            group_claims=visit.text("groups") == "1",
        )
    except RegistrationError as error:
        return _tokens_page(visit, app, [FieldError("version", with_graph_names(error))])
    return visit.redirect(address_of(app, _TOKENS), notice="Saved. New tokens have this form.")


def show_manifest(visit: Visit) -> Response:
    """Show the registration as Graph's JSON."""
    return _manifest_page(visit, find_app(visit), [])


def _manifest_page(visit: Visit, app: AppRegistration, errors: list[FieldError]) -> Response:
    text = json.dumps(application_row(visit.directory, app), indent=2, ensure_ascii=False)
    lines = visit.fields.get("manifest", text).count("\n") + 1
    return render_app(
        visit,
        app,
        _MANIFEST,
        "app_manifest.html",
        errors=errors,
        manifest=text,
        lines=max(12, min(lines, 40)),
    )


def save_manifest(visit: Visit) -> Response:
    """Change the registration to what the JSON says, as PATCH in Graph does."""
    app = find_app(visit)
    body, problem = _parse(visit.text("manifest"))
    if not problem:
        try:
            change_application(Call(visit.service, visit.request, {}, visit.tenant), app, body)
        except GraphRequestError as error:
            problem = str(error)
    if problem:
        return _manifest_page(visit, app, [FieldError("manifest", problem)])
    return visit.redirect(address_of(app, _MANIFEST), notice="The manifest is saved.")


def _parse(text: str) -> tuple[dict[str, Any], str]:
    """Return the JSON object, or what is wrong with it and where."""
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        return {}, f"Line {error.lineno}, column {error.colno}: {error.msg}."
    except ValueError as error:
        return {}, str(error)
    if not isinstance(content, dict):
        return {}, "The manifest must be a JSON object: {...}."
    return content, ""  # pyright: ignore[reportUnknownVariableType]


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}/{_TOKENS}", show_tokens),
    post(f"{LIST}/{{app}}/{_TOKENS}", save_tokens),
    get(f"{LIST}/{{app}}/{_MANIFEST}", show_manifest),
    post(f"{LIST}/{{app}}/{_MANIFEST}", save_manifest),
)
