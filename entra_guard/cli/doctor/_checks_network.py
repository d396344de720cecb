"""Checks of the way to the authority: DNS, connections, proxy, TLS and the clock. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from entra_guard._common.utc import DAY
from entra_guard._keys.authority import cloud_of
from entra_guard.cli._formatting import format_duration
from entra_guard.cli.doctor._commands import command
from entra_guard.cli.doctor._finding import Check, Finding, counted, failure, ok, skipped, warning

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Address, Facts, NetworkFacts, TlsFacts

_SOON: Final = 7 * DAY
_SHOWN: Final = 2
_SLOW_DNS: Final = 1.0
# Organizations that issue certificates for Microsoft's sign-in hosts.
_KNOWN_ISSUERS: Final = ("Microsoft", "DigiCert")
_CLOUDS_OF_KNOWN_ISSUERS: Final = ("public", "us-government", "china")
# The Date header has whole seconds, so that smaller differences are not measured.
_PRECISION: Final = 2.0
_STRICT_FIX: Final = (
    (
        "Reissue the CA's certificate with basicConstraints and keyUsage (critical) and "
        "subjectKeyIdentifier, and the server's with authorityKeyIdentifier (RFC 5280 section 4.2)."
    ),
    "Until then: context.verify_flags &= ~ssl.VERIFY_X509_STRICT, and Guard(..., ssl_context=context).",
)
_CLOCK_FIX: Final = (
    "timedatectl set-ntp true  # systemd; with chrony: chronyc makestep",
    "w32tm /resync  # Windows",
    "A container has its host's clock: correct it there.",
)


def _dns(facts: Facts) -> Finding | None:
    network = facts.network
    if network is None or not (network.addresses or network.dns_error):
        return None
    if network.dns_error:
        what = "proxy" if network.proxy else "authority"
        return failure(
            f"{network.host} does not resolve ({network.dns_error})",
            f"{command('getent', 'hosts', network.host)}  # compare with another host",
            f"Correct the name in the {what}, or this host's DNS servers in /etc/resolv.conf.",
            *_proxy_fix(network),
        )
    families = {row.family for row in network.addresses}
    shown = (_family(name, network.addresses) for name in ("IPv4", "IPv6") if name in families)
    missing = "".join(f"; no {name}" for name in ("IPv4", "IPv6") if name not in families)
    found = f"{network.host}: {', '.join(shown)}{missing}"
    if network.dns_seconds >= _SLOW_DNS:
        return warning(
            f"{found}; the resolver took {network.dns_seconds:.1f} s",
            f"time {command('getent', 'ahostsv4', network.host)}",
            f"time {command('getent', 'ahostsv6', network.host)}",
            "A resolver that does not respond to one kind of query delays each new connection.",
        )
    return ok(found)


def _proxy_fix(network: NetworkFacts) -> tuple[str, ...]:
    return () if network.proxy else ("export HTTPS_PROXY=http://<proxy>:<port>  # if this network needs one",)


def _family(name: str, addresses: tuple[Address, ...]) -> str:
    found = [row.address for row in addresses if row.family == name]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"{name} {' '.join(found[:_SHOWN])}{more}"


def _connection(facts: Facts) -> Finding | None:
    """Report for each address family whether its first address accepts a connection."""
    network = facts.network
    if network is None or not network.addresses:
        return None
    tried = {row.family: row for row in reversed(network.addresses)}
    failed = {family: row for family, row in tried.items() if row.error}
    words = "; ".join(f"{family}: {row.error} ({row.address})" for family, row in sorted(failed.items()))
    if len(failed) == len(tried):
        return failure(
            f"{network.host} port {network.port} accepts no connection. {words}",
            command("curl", "-v", "--connect-timeout", "3", f"telnet://{network.host}:{network.port}"),
            f"Allow egress to {network.host} port {network.port} in firewall, network policy and routes.",
            *_proxy_fix(network),
        )
    good = " and ".join(sorted(tried.keys() - failed.keys()))
    if all(row.no_route for row in failed.values()):
        no_route = f"; this host has no {' and '.join(sorted(failed))} route" if failed else ""
        return ok(f"{network.host} port {network.port} by {good}{no_route}")
    return warning(
        f"{network.host} port {network.port} by {good} only. {words}",
        "Allow egress for both address families, or remove the one that does not work from this host: "
        "connections that try it first lose time.",
    )


def _proxy(facts: Facts) -> Finding | None:
    network = facts.network
    if network is None:
        return None
    if facts.settings.own_client:
        return ok("the guard has its own http_client; DNS and connections are not checked")
    if not network.proxy:
        return ok("none: the connection is direct")
    error = network.proxy_error
    if not error and facts.authority is not None and facts.authority.v2.step == "proxy":
        error = facts.authority.v2.error
    if error:
        name = network.proxy.partition("=")[0]
        return failure(
            f"{network.proxy} cannot be used: {error}",
            f"Correct {name}, with user name and password if the proxy requires them.",
            "Or add the authority's host to NO_PROXY if it can be reached directly.",
        )
    return ok(network.proxy)


def _tls(facts: Facts) -> Finding | None:
    network = facts.network
    if network is None or urlsplit(_authority_url(facts)).scheme != "https":
        return None
    tls = network.tls
    if tls is None or not (tls.version or tls.error or tls.issuer):
        return skipped("there was no TLS connection")
    return replace(_tls_finding(facts, tls), details=tls.chain if len(tls.chain) > 1 else ())


def _tls_finding(facts: Facts, tls: TlsFacts) -> Finding:
    if tls.error:
        by = f"; the certificate was issued by {tls.issuer!r}" if tls.issuer else ""
        return failure(f"{tls.error}{by}. Trusted are {tls.trust}", *_trust_fix(tls))
    left = (tls.ends or 0.0) - facts.now
    found = f"{tls.version}, issued by {tls.issuer!r}, ends in {format_duration(left)}"
    if tls.ends is not None and left < _SOON:
        return warning(found, "The server's certificate must be renewed before it ends.")
    if _is_inspected(facts, tls):
        return warning(
            f"{found}. This is not an issuer of Microsoft's certificates: TLS is inspected on the way",
            "Exclude the authority's host from TLS inspection: the proxy can read client secrets and tokens.",
        )
    return ok(f"{found}; trusted are {tls.trust}")


def _trust_fix(tls: TlsFacts) -> tuple[str, ...]:
    if tls.strict_only:
        return _STRICT_FIX
    words = tls.error.lower()
    if "expired" in words or "not yet valid" in words:
        return ("Renew the server's certificate. If it is valid on other hosts, correct this host's clock.",)
    if "mismatch" in words or "doesn't match" in words:
        return ("Correct the host name in the authority, or the DNS entry that leads to another server.",)
    return (
        "export SSL_CERT_FILE=<PEM file with the CA's certificate>",
        "Or pass ssl_context= to the guard. With a TLS-inspecting proxy, the CA is that proxy's.",
    )


def _is_inspected(facts: Facts, tls: TlsFacts) -> bool:
    is_microsoft = cloud_of(_authority_url(facts)) in _CLOUDS_OF_KNOWN_ISSUERS
    return is_microsoft and not any(name in tls.issuer for name in _KNOWN_ISSUERS)


def _strict_tls(facts: Facts) -> Finding | None:
    """Check that the certificates also pass the strict rules (RFC 5280) of Python 3.13 and later."""
    tls = facts.network.tls if facts.network else None
    if tls is None or (not tls.version and not tls.error):
        return None
    if tls.strict_only:
        return failure(f"only the strict rules of Python 3.13 refuse it: {tls.strict_error}", *_STRICT_FIX)
    if tls.error:
        return skipped("the certificate is not trusted")
    if tls.strict_error:
        return warning(f"Python 3.13 and later will refuse this chain: {tls.strict_error}", *_STRICT_FIX)
    return ok("the chain also passes the strict rules of Python 3.13 and later")


def _clock(facts: Facts) -> Finding | None:
    authority, policy = facts.authority, facts.settings.policy
    if authority is None or policy is None:
        return None
    documents = (authority.keys, authority.v2, authority.v1)
    offset = next((each.offset for each in documents if each is not None and each.offset is not None), None)
    if offset is None:
        return skipped("no response had a date")
    direction = "ahead of" if offset < 0 else "behind"
    found = f"this host's clock is {format_duration(abs(offset))} {direction} the authority's"
    if abs(offset) >= max(policy.leeway, _PRECISION):
        return failure(f"{found}, more than the leeway of {policy.leeway:g} s", *_CLOCK_FIX)
    if abs(offset) >= max(policy.leeway / 2, _PRECISION):
        return warning(f"{found}, more than half of the leeway of {policy.leeway:g} s", *_CLOCK_FIX)
    return ok(f"within {counted(max(1, round(abs(offset))), 'second')} of the authority's clock")


def _authority_url(facts: Facts) -> str:
    return facts.settings.source.authority.url if facts.settings.source else ""


CHECKS: Final = (
    Check("network", "proxy", _proxy),
    Check("network", "DNS", _dns),
    Check("network", "connection", _connection),
    Check("network", "TLS", _tls),
    Check("network", "strict X.509", _strict_tls),
    Check("network", "clock", _clock),
)
