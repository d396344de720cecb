"""The page Connect: endpoints, environment variables, code, certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from entra_guard.emulator._http.messages import Response
from entra_guard.emulator._portal.bases import certificate_file
from entra_guard.emulator._portal.choices import apis, chosen_api, chosen_client, own_apps
from entra_guard.emulator._portal.code.code_facts import code_facts
from entra_guard.emulator._portal.code.snippets import client_tabs, environment, guard_tabs, trust
from entra_guard.emulator._portal.visit import FieldError, NotFoundError, PortalPage, get

if TYPE_CHECKING:
    from entra_guard.emulator._portal.visit import Visit

ADDRESS: Final = "/portal/connect"
CERTIFICATE: Final = f"{ADDRESS}/entra-emulator.pem"


def show(visit: Visit) -> Response:
    """Show how to connect to this emulator."""
    return render(visit, [])


def render(visit: Visit, errors: list[FieldError]) -> Response:
    """Render the page, with the mistakes of an import."""
    api = chosen_api(visit)
    client = chosen_client(visit, api)
    facts = code_facts(visit, api, client)
    return visit.render(
        "connect.html",
        title="Connect",
        errors=errors,
        endpoints=endpoints(facts.base, visit.tenant.id),
        https_base=facts.https_base,
        environment=environment(facts),
        guard_tabs=guard_tabs(facts),
        client_tabs=client_tabs(facts),
        apis=[(app.client_id, app.name) for app in apis(visit)],
        clients=[(app.client_id, app.name) for app in own_apps(visit)],
        api=api,
        client=client,
        certificate=_certificate_facts(visit),
        certificate_address=CERTIFICATE,
        trust=trust(facts.ca_bundle) if facts.ca_bundle else [],
    )


def endpoints(base: str, tenant_id: str) -> list[tuple[str, str]]:
    """Return name and URL of each endpoint, as on the panel Endpoints of an app in Azure."""
    tenant = f"{base}/{tenant_id}"
    return [
        ("OpenID Connect metadata document", f"{tenant}/v2.0/.well-known/openid-configuration"),
        ("OAuth 2.0 token endpoint (v2)", f"{tenant}/oauth2/v2.0/token"),
        ("OAuth 2.0 authorization endpoint (v2)", f"{tenant}/oauth2/v2.0/authorize"),
        ("Device code endpoint (v2)", f"{tenant}/oauth2/v2.0/devicecode"),
        ("Sign-out endpoint", f"{tenant}/oauth2/v2.0/logout"),
        ("Signing keys (JWKS)", f"{tenant}/discovery/v2.0/keys"),
        ("Issuer (v2)", f"{tenant}/v2.0"),
        ("OpenID Connect metadata document (v1)", f"{tenant}/.well-known/openid-configuration"),
        ("OAuth 2.0 token endpoint (v1)", f"{tenant}/oauth2/token"),
        ("Microsoft Graph", f"{base}/v1.0"),
        ("Managed identity (IMDS)", f"{base}/metadata/identity/oauth2/token"),
    ]


def _certificate_facts(visit: Visit) -> dict[str, Any] | None:
    path = certificate_file(visit.parts.server)
    if path is None:
        return None
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    return {"fingerprint": fingerprint, "ends": certificate.not_valid_after_utc.strftime("%Y-%m-%d")}


def download_certificate(visit: Visit) -> Response:
    """Send the certificate of the emulator's authority, which has no private key in it."""
    path = certificate_file(visit.parts.server)
    if path is None:
        raise NotFoundError("https is not served: start the emulator with https.", ADDRESS, "Connect")
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    headers = (
        ("Content-Type", "application/x-pem-file"),
        ("Content-Disposition", 'attachment; filename="entra-emulator.pem"'),
    )
    return Response(200, certificate.public_bytes(Encoding.PEM), headers)


PAGES: Final[tuple[PortalPage, ...]] = (get(ADDRESS, show), get(CERTIFICATE, download_certificate))
