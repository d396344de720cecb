"""One app's client secrets, certificates and federated credentials."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._directory.credentials import Secret
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._portal.apps.app_frame import LIST, address_of, ends_words, find_app, render_app
from entra_guard.emulator._portal.durations import DAY
from entra_guard.emulator._portal.visit import FieldError, PortalPage, get, post
from entra_guard.emulator._store.encoding import thumbprint

if TYPE_CHECKING:
    from entra_guard.emulator._http.messages import Response
    from entra_guard.emulator._portal.visit import Visit
    from entra_guard.emulator._store.entries import AppRegistration

_SECTION: Final = "credentials"
LIFETIMES: Final = (
    ("180", "180 days (recommended)"),
    ("90", "90 days"),
    ("365", "365 days (12 months)"),
    ("730", "730 days (24 months)"),
)
AUDIENCE: Final = "api://AzureADTokenExchange"


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """A secret or a certificate in a table."""

    key_id: str
    description: str
    expires: str
    ended: bool
    when: str
    mark: str


def show(visit: Visit) -> Response:
    """Show what the app can prove its identity with; a new secret's value at the first visit only."""
    return _page(visit, find_app(visit), [])


def _page(visit: Visit, app: AppRegistration, errors: list[FieldError], chosen: int = 0) -> Response:
    held, now = visit.directory.credentials_of(app.client_id), visit.now()
    new = visit.once[1]
    tab = {"certificates": 2, "federated": 3}.get(visit.text("tab"), 1)
    return render_app(
        visit,
        app,
        _SECTION,
        "app_credentials.html",
        errors=errors,
        new=new if isinstance(new, Secret) else None,
        environment=_environment(visit, app, new) if isinstance(new, Secret) else "",
        certificate=new if isinstance(new, dict) else None,
        secrets=[_row(visit, s, s.expires, now, f"{s.hint}…") for s in held.secrets],
        certificates=[
            _row(visit, c, c.expires, now, thumbprint(c.der).hex().upper()) for c in held.certificates
        ],
        federated=held.federated,
        lifetimes=LIFETIMES,
        audience=AUDIENCE,
        chosen=chosen or tab,
    )


def _row(visit: Visit, entry: Any, expires: float, now: float, mark: str) -> CredentialRow:
    when = ends_words(expires, now)
    return CredentialRow(entry.key_id, entry.description, visit.date(expires), expires <= now, when, mark)


def _environment(visit: Visit, app: AppRegistration, secret: Secret) -> str:
    return "\n".join(
        (
            f"AZURE_AUTHORITY_HOST={visit.request.base}",
            f"AZURE_TENANT_ID={app.tenant_id}",
            f"AZURE_CLIENT_ID={app.client_id}",
            f"AZURE_CLIENT_SECRET={secret.value}",
        )
    )


def _tab(app: AppRegistration, name: str) -> str:
    return f"{address_of(app, _SECTION)}?tab={name}"


def add_secret(visit: Visit) -> Response:
    """Add a client secret. The next page shows its value, once."""
    app, days = find_app(visit), visit.text("lifetime")
    if days not in dict(LIFETIMES):
        return _page(visit, app, [FieldError("lifetime", "Choose 90, 180, 365 or 730 days.")])
    try:
        secret = visit.service.credentials.add_secret(
            app, description=visit.text("description"), expires_in=int(days) * DAY
        )
    except RegistrationError as error:
        return _page(visit, app, [FieldError("description", str(error))])
    return visit.redirect(address_of(app, _SECTION), once=secret)


def remove_secret(visit: Visit) -> Response:
    """Remove a client secret."""
    app = find_app(visit)
    visit.service.credentials.remove_secret(app, visit.text("key_id"))
    return visit.redirect(address_of(app, _SECTION), notice="The secret is removed.")


def add_certificate(visit: Visit) -> Response:
    """Register a certificate from its PEM text, or generate one; its key is shown once."""
    app, pem = find_app(visit), visit.text("certificate")
    description = visit.text("certificate_description")
    address = _tab(app, "certificates")
    if visit.text("generate"):
        made = visit.service.credentials.new_certificate(app, description=description or "generated")
        return visit.redirect(address, once={"thumbprint": made.thumbprint, "pem": made.pem.decode()})
    try:
        visit.service.credentials.add_certificate(app, pem, description=description)
    except ValueError as error:
        return _page(visit, app, [FieldError("certificate", str(error))], 2)
    return visit.redirect(address, notice="The certificate is registered.")


def remove_certificate(visit: Visit) -> Response:
    """Remove a certificate."""
    app = find_app(visit)
    visit.service.credentials.remove_certificate(app, visit.text("key_id"))
    return visit.redirect(_tab(app, "certificates"), notice="The certificate is removed.")


def add_federated(visit: Visit) -> Response:
    """Accept another issuer's tokens as a credential."""
    app = find_app(visit)
    issuer, subject, name = visit.text("issuer"), visit.text("subject"), visit.text("federated_name")
    add, audience = visit.service.credentials.add_federated_credential, visit.text("audience") or AUDIENCE
    try:
        add(app, issuer, subject, audience, name=name)
    except RegistrationError as error:
        wrong = "federated_name" if "name" in str(error) else "issuer"
        return _page(visit, app, [FieldError(wrong, str(error))], 3)
    return visit.redirect(_tab(app, "federated"), notice="The federated credential is added.")


def remove_federated(visit: Visit) -> Response:
    """Remove a federated credential."""
    app, wanted = find_app(visit), visit.text("key_id")
    held = visit.directory.credentials_of(app.client_id)
    kept = tuple(c for c in held.federated if c.id != wanted)
    visit.service.credentials.set_credentials(app, replace(held, federated=kept))
    return visit.redirect(_tab(app, "federated"), notice="The federated credential is removed.")


PAGES: Final[tuple[PortalPage, ...]] = (
    get(f"{LIST}/{{app}}/{_SECTION}", show),
    post(f"{LIST}/{{app}}/{_SECTION}/secret", add_secret),
    post(f"{LIST}/{{app}}/{_SECTION}/secret/remove", remove_secret),
    post(f"{LIST}/{{app}}/{_SECTION}/certificate", add_certificate),
    post(f"{LIST}/{{app}}/{_SECTION}/certificate/remove", remove_certificate),
    post(f"{LIST}/{{app}}/{_SECTION}/federated", add_federated),
    post(f"{LIST}/{{app}}/{_SECTION}/federated/remove", remove_federated),
)
