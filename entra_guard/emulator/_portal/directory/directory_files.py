"""Export the directory as JSON, and import one: the format of `entra-guard emulator --seed`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from entra_guard.emulator._directory.export import export_directory
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._directory.seed import apply_seed
from entra_guard.emulator._directory.seed_format import parse_seed
from entra_guard.emulator._http.messages import Response
from entra_guard.emulator._portal.help.connect import ADDRESS, render
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post

if TYPE_CHECKING:
    from entra_guard.emulator._portal.visit import Visit

EXPORT: Final = f"{ADDRESS}/directory.json"


def export(visit: Visit) -> Response:
    """Send the directory as a file. It has hashes of secrets, never their values."""
    text = json.dumps(export_directory(visit.directory), indent=2, ensure_ascii=False)
    headers = (
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Disposition", 'attachment; filename="entra-directory.json"'),
        ("X-Content-Type-Options", "nosniff"),
        ("Cache-Control", "no-store"),
    )
    return Response(200, text.encode(), headers)


def import_directory(visit: Visit) -> Response:
    """Replace the directory by a pasted one; on an error nothing changes."""
    text = visit.text("seed")
    if not text:
        return render(visit, [FieldError("seed", "Paste an export, or choose its file.")])
    try:
        apply_seed(visit.service, parse_seed(text.encode(), yaml=not text.startswith("{")))
    except RegistrationError as error:
        return render(visit, [FieldError("seed", str(error))])
    visit.parts.workbench.guards.forget()
    count = len(visit.directory.tenants)
    return visit.redirect("/", notice=f"The directory was imported: {count} tenants.")


PAGES: Final[tuple[PortalPage, ...]] = (get(EXPORT, export), post(f"{ADDRESS}/import", import_directory))
