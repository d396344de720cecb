"""Checks of the authority's documents, its keys, and the keys file. Pure."""

from __future__ import annotations

import shlex
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from entra_guard._keys.authority import cloud_of, host_of
from entra_guard._validation.issuer import TENANT_PLACEHOLDER
from entra_guard.cli._formatting import format_duration
from entra_guard.cli.doctor._commands import command
from entra_guard.cli.doctor._finding import Check, Finding, counted, failure, ok, skipped, warning
from entra_guard.policy import PERSONAL_TENANT

if TYPE_CHECKING:
    from entra_guard._keys.authority import Authority
    from entra_guard.cli.doctor._facts import AuthorityFacts, DocumentFacts, Facts, KeysFileFacts

# What each cloud's configuration says of itself (cloud_instance_name).
_CLOUD_NAMES: Final = {
    "public": "microsoftonline.com",
    "us-government": "microsoftonline.us",
    "china": "partner.microsoftonline.cn",
}
_V1_ISSUERS: Final = ("https://sts.windows.net", "https://sts.chinacloudapi.cn")
_TENANT_CODES: Final = frozenset({"AADSTS90002", "AADSTS900021", "AADSTS900023", "AADSTS90013"})
_CLOUD_CODES: Final = frozenset({"AADSTS90038", "AADSTS900382", "AADSTS900439", "AADSTS50049"})
_TENANT_FIX: Final = (
    "az account show --query tenantId",
    "Portal: Entra admin center > Overview > Tenant ID. Then set ENTRA_GUARD_TENANT.",
)
_CLOUD_FIX: Final = (
    "export ENTRA_GUARD_AUTHORITY=us-government  # or china, france, germany, singapore, public",
)
_RETRY_FIX: Final = (
    "Microsoft's status: https://status.cloud.microsoft. Cached keys and the keys file serve meanwhile.",
)
_NETWORK_FIX: Final = ("See 'network' above for the step that failed.",)
_NETWORK_STEPS: Final = frozenset({"dns", "connect", "proxy", "tls"})


def _tenant(facts: Facts) -> Finding | None:
    """Report whether the authority knows the tenant, by its answer to the request for the configuration."""
    authority, source = facts.authority, facts.settings.source
    if authority is None or source is None or not source.authority.is_entra:
        return None
    failed = _first_failed(authority)
    if failed is None:
        if authority.issuer is None:
            return skipped("there was no configuration that can be used")
        found = authority.issuer.tenant_id
        return ok(
            f"{source.tenant} exists{f', its id is {found}' if found not in ('', source.tenant) else ''}"
        )
    if failed.code in _TENANT_CODES:
        return failure(_without_status(failed.error), *_TENANT_FIX)
    if failed.code in _CLOUD_CODES:
        return failure(_without_status(failed.error), *_CLOUD_FIX)
    return skipped("there was no configuration")


def _configuration(facts: Facts) -> Finding | None:
    authority = facts.authority
    if authority is None:
        return None
    failed = _first_failed(authority)
    if failed is not None:
        return failure(f"{failed.step}: {failed.error} ({failed.url})", *_fix_of(failed))
    if authority.refused and not _about_issuer(authority.refused):
        return failure(f"refused: {authority.refused}", *_refused_fix(authority))
    versions = "v2.0 and v1.0" if authority.v1 else "v2.0"
    took = max(each.seconds for each in (authority.v2, authority.v1) if each is not None)
    return ok(f"{versions}, in {took * 1000:.0f} ms from {authority.v2.url}")


def _fix_of(failed: DocumentFacts) -> tuple[str, ...]:
    if failed.code in _TENANT_CODES | _CLOUD_CODES:
        return ("See 'tenant exists'.",)
    if failed.step == "client":
        return ("Correct the http_client that the guard was given.",)
    return _NETWORK_FIX if failed.step in _NETWORK_STEPS else _RETRY_FIX


def _issuer(facts: Facts, version: str) -> Finding | None:
    authority, policy, source = facts.authority, facts.settings.policy, facts.settings.source
    if authority is None or policy is None or source is None:
        return None
    issuer = authority.issuer
    if version == _about_issuer(authority.refused):
        return failure(authority.refused, *_refused_fix(authority))
    if issuer is None:
        return skipped("there was no configuration that can be used")
    if version == "2.0":
        return ok(issuer.v2)
    accepts_v1 = "1.0" in policy.token_versions and issuer.is_entra
    return _v1_issuer(issuer.v1, authority, source.authority) if accepts_v1 else None


def _v1_issuer(issuer: str, found: AuthorityFacts, authority: Authority) -> Finding:
    if not issuer:
        return ok("this authority issues no v1.0 tokens")
    if host_of(issuer) in authority.hosts(*_V1_ISSUERS):
        return ok(issuer)
    return warning(
        f"{issuer} is neither on the authority's host nor one of Microsoft's hosts", *_refused_fix(found)
    )


def _about_issuer(refused: str) -> str:
    """Return the version whose issuer a refusal is about; '' if it is about something else."""
    if refused.startswith("its v1.0 issuer"):
        return "1.0"
    return "2.0" if refused.startswith(("its issuer", "its access_token_issuer")) else ""


def _refused_fix(authority: AuthorityFacts) -> tuple[str, ...]:
    return (
        f"{command('curl', authority.v2.url)}  # compare issuer and jwks_uri with the authority",
        "Correct the authority; a proxy or a DNS entry that leads to another server has this effect too.",
    )


def _cloud(facts: Facts) -> Finding | None:
    """Compare the cloud of the configuration with the one of the authority."""
    authority, source = facts.authority, facts.settings.source
    if authority is None or authority.issuer is None or source is None or not authority.issuer.cloud:
        return None
    found = authority.issuer.cloud
    name = cloud_of(source.authority.url)
    expected = _CLOUD_NAMES.get(name, found)
    if found != expected:
        right = next((cloud for cloud, known in _CLOUD_NAMES.items() if known == found), "<cloud>")
        return failure(
            f"the tenant is in the cloud {found}, and the authority is the one of {expected}",
            f"export ENTRA_GUARD_AUTHORITY={right}",
        )
    return ok(f"{found}{f' ({name})' if name else ''}")


def _keys(facts: Facts) -> Finding | None:
    authority = facts.authority
    if authority is None:
        return None
    if authority.keys is None:
        return skipped("there was no configuration that can be used")
    if authority.keys.document is None:
        keys = authority.keys
        return failure(f"{keys.step}: {keys.error} ({keys.url})", *_RETRY_FIX)
    if authority.key_set is None:
        return failure(
            f"the key set was refused: {authority.keys_refused}",
            f"{command('curl', authority.keys.url)}  # compare with the same command on another host",
        )
    found = f"{_counted_keys(authority)}{_age(authority.key_starts, facts.now)}"
    if faults := authority.key_set.faults:
        return warning(
            f"{found}; not usable: {'; '.join(faults)}",
            "Tokens that are signed with these keys get 503. Report it to the issuer's operator.",
        )
    return ok(found)


def _own_keys(facts: Facts) -> Finding | None:
    """Check for an API's own signing key (claims mapping), which the tenant's key set does not list."""
    authority, source = facts.authority, facts.settings.source
    if authority is None or source is None:
        return None
    if source.app_id:
        return ok(f"the keys of {source.app_id} are used")
    if authority.own_kids is None:
        return None
    if not authority.own_kids:
        return ok("the API has no signing key of its own")
    kids = ", ".join(authority.own_kids)
    return failure(
        f"the API has its own signing key ({kids}), which this guard does not fetch: its tokens are refused "
        "with unknown_key",
        "export ENTRA_GUARD_APP_SPECIFIC_KEYS=true",
        "Or Guard(..., app_specific_keys=True).",
    )


def _counted_keys(authority: AuthorityFacts) -> str:
    """Return how many keys there are, for which issuers, and in which clouds."""
    keys = authority.key_set.by_kid.values() if authority.key_set else ()
    own = authority.issuer.v2 if authority.issuer else ""
    issuers = Counter(_issuer_words(key.origin.issuer, own) for key in keys)
    clouds = sorted({key.origin.cloud for key in keys} - {""})
    shown = f"; in {', '.join(clouds)}" if clouds else ""
    words = ", ".join(f"{number} of {issuer}" for issuer, number in issuers.most_common())
    return f"{counted(len(keys), 'key')}: {words}{shown}"


def _issuer_words(issuer: str, own: str) -> str:
    if issuer in ("", own):
        return "this issuer"
    if TENANT_PLACEHOLDER in issuer:
        return "every tenant"
    return "personal accounts" if PERSONAL_TENANT in issuer else issuer


def _age(starts: tuple[float, ...], now: float) -> str:
    if not starts:
        return ""
    newest, oldest = (format_duration(max(0.0, now - start)) for start in (max(starts), min(starts)))
    return f"; made {newest} ago" if newest == oldest else f"; made {newest} to {oldest} ago"


def _keys_file(facts: Facts) -> Finding | None:
    file = facts.keys_file
    if file is None:
        return _no_keys_file(facts)
    pull = command("entra-guard", "keys", "pull", file.path)
    if file.error:
        return failure(file.error, pull, f"chmod 600 {shlex.quote(file.path)}")
    if not file.writable:
        folder = shlex.quote(str(PurePath(file.path).parent))
        return warning(
            f"{file.path}: the guard cannot update it: no such folder, or this user cannot write there",
            f"sudo install -d -o $(id -u) {folder}",
        )
    return _existing_keys_file(file, pull) if file.exists else _missing_keys_file(facts, file, pull)


def _existing_keys_file(file: KeysFileFacts, pull: str) -> Finding:
    found = f"{file.path}: {counted(file.count, 'key')}, {format_duration(file.age)} old"
    if file.age > file.max_age / 2:
        return warning(f"{found}; refused when {format_duration(file.max_age)} old", pull)
    return ok(found)


def _missing_keys_file(facts: Facts, file: KeysFileFacts, pull: str) -> Finding:
    if facts.offline:
        return failure(f"{file.path} does not exist, and the guard has no other keys offline", pull)
    return ok(f"{file.path} does not exist yet; the guard writes it after its first fetch")


def _no_keys_file(facts: Facts) -> Finding | None:
    if not facts.offline or facts.settings.policy is None:
        return None
    return warning(
        "none: without a network this guard has no keys, and responds with 503",
        "entra-guard keys pull keys.json  # on a host with a network",
        "export ENTRA_GUARD_KEYS_FILE=keys.json",
    )


def _first_failed(authority: AuthorityFacts) -> DocumentFacts | None:
    documents = (authority.v2, authority.v1)
    return next((each for each in documents if each is not None and each.document is None), None)


def _without_status(text: str) -> str:
    return text.partition(": ")[2] or text


CHECKS: Final = (
    Check("authority", "tenant exists", _tenant),
    Check("authority", "configuration", _configuration),
    Check("authority", "issuer, v2.0", lambda facts: _issuer(facts, "2.0")),
    Check("authority", "issuer, v1.0", lambda facts: _issuer(facts, "1.0")),
    Check("authority", "cloud", _cloud),
    Check("authority", "keys", _keys),
    Check("authority", "app-specific keys", _own_keys),
    Check("authority", "keys file", _keys_file),
)
