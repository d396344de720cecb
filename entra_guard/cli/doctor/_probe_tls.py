"""Probe a TLS connection: who issued the certificate, and whether Python's strict rules accept it."""

from __future__ import annotations

import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from entra_guard._common.http import errors_by_step, new_client
from entra_guard.cli.doctor._facts import TlsFacts
from entra_guard.cli.doctor._guard_parts import route_of
from entra_guard.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Generator

    import httpx

    from entra_guard._common.proxies import ProxyRoute

_FILES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def probe_tls(client: httpx.Client, url: str) -> TlsFacts:
    """Connect as the guard does, and look at the certificate, whether it is trusted or not."""
    proxy, context = route_of(client, url)
    trust = _trust(context)
    found, error = _handshake(client, url)
    if found is None and not error:
        return TlsFacts(trust)  # there was no response: more attempts would only take time
    if error and context is not None:
        found = found or _presented(url, proxy)
    strict = lenient = ""
    if context is not None:
        with _strict(context, on=True):
            strict = _handshake(client, url)[1]
        if error:
            with _strict(context, on=False):
                lenient = _handshake(client, url)[1]
    version, chain = found or ("", [])
    leaf = chain[0] if chain else None
    return TlsFacts(
        trust,
        version,
        _name(leaf.issuer) if leaf else "",
        tuple(_name(certificate.subject) for certificate in chain),
        leaf.not_valid_after_utc.timestamp() if leaf else None,
        error,
        "" if lenient else strict,
        bool(error) and context is not None and not lenient,
    )


def _trust(context: ssl.SSLContext | None) -> str:
    if context is None:
        return "the http_client's certificates"
    named = next((f"{name}={os.environ[name]}" for name in _FILES if os.environ.get(name)), "")
    from entra_guard._common.trust import default_context  # noqa: PLC0415  # reads the trusted certificates

    return (named or "certifi's certificates") if context is default_context() else "the guard's ssl_context"


def _handshake(client: httpx.Client, url: str) -> tuple[tuple[str, list[x509.Certificate]] | None, str]:
    """Return the TLS version and the chain of a connection, and why the handshake failed."""
    try:
        with errors_by_step(url) as trace:
            request = client.build_request(
                "HEAD", url, headers={"connection": "close"}, extensions={"trace": trace}
            )
            response = client.send(request, stream=True, follow_redirects=False)
            try:
                stream: Any = response.extensions.get("network_stream")
                tls = stream.get_extra_info("ssl_object") if stream else None
                return (None if tls is None else (tls.version() or "", _chain(tls))), ""
            finally:
                response.close()
    except FetchError as error:
        return None, error.detail if error.step == "tls" else ""
    except Exception:  # noqa: BLE001  # of the user's transport; the request for the configuration reports it
        return None, ""


def _presented(url: str, proxy: ProxyRoute | None) -> tuple[str, list[x509.Certificate]] | None:
    """Return what a server presents that is not trusted. Nothing but a request without secrets is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with new_client(ssl_context=context, proxy=proxy.url if proxy else None, direct=True) as client:
        return _handshake(client, url)[0]


@contextmanager
def _strict(context: ssl.SSLContext, *, on: bool) -> Generator[None]:
    """Switch VERIFY_X509_STRICT, which Python 3.13 has on by default, and back."""
    before = context.verify_flags
    context.verify_flags = before | ssl.VERIFY_X509_STRICT if on else before & ~ssl.VERIFY_X509_STRICT
    try:
        yield
    finally:
        context.verify_flags = before


def _chain(tls: Any) -> list[x509.Certificate]:
    """Return the certificates that were presented; before Python 3.13 by the object below."""
    source = next(
        (each for each in (tls, getattr(tls, "_sslobj", None)) if hasattr(each, "get_unverified_chain")), None
    )
    if source is None:
        listed = [tls.getpeercert(binary_form=True)]
    else:
        # Python 3.13 returns bytes; the object below returns certificates of its own.
        listed = [
            each if isinstance(each, bytes) else ssl.PEM_cert_to_DER_cert(each.public_bytes())
            for each in source.get_unverified_chain() or ()
        ]
    return [x509.load_der_x509_certificate(each) for each in listed if each]


def _name(name: x509.Name) -> str:
    """Return the common name, and the organization if there is one."""
    common = [str(each.value) for each in name.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organization = [str(each.value) for each in name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    shown = ", ".join([*common, *organization][:2])
    return shown or name.rfc4514_string() or "no name"
