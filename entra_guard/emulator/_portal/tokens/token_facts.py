"""What is in a token: its claims with their meaning, or what a text looks like that is not a token."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from entra_guard.emulator._portal.durations import relative_words
from entra_guard.emulator._portal.shortening import shortened
from entra_guard.emulator._store.encoding import decode_base64
from entra_guard.emulator._store.ids import GUID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_TIMES: Final = frozenset({"iat", "nbf", "exp", "auth_time", "xms_tcdt"})
_LONGEST: Final = 400
_JWT_PARTS: Final = 3
_JWE_PARTS: Final = 5
_GUID: Final = re.compile(GUID_PATTERN)

MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "aud": "Audience: the API that the token is for. An API accepts only its own.",
        "iss": "Issuer: the tenant that issued the token, with the token's version.",
        "iat": "Issued at.",
        "nbf": "Not valid before.",
        "exp": "Expires: the API refuses the token after this time.",
        "auth_time": "When the user signed in.",
        "azp": "Authorized party: the client that requested the token.",
        "appid": "The client that requested the token (v1.0 name of azp).",
        "azpacr": "How the client proved who it is: 0 not at all, 1 secret, 2 certificate or assertion.",
        "appidacr": "How the client proved who it is: 0 not at all, 1 secret, 2 certificate (v1.0 name).",
        "oid": "Object ID of the user, or of the client's service principal. Use it with tid as a key.",
        "sub": "Subject: the user for this API only; equal to oid in an app's token.",
        "tid": "Tenant of the user or app. Check it before you trust anything else in the token.",
        "roles": "App roles that an administrator assigned to the caller. Permissions of apps are here.",
        "scp": "Scopes: what the user lets the client do. Only users' tokens have it.",
        "groups": "Object IDs of the user's groups.",
        "hasgroups": "The user has groups, but they are not listed here: request them from Graph.",
        "_claim_names": "Claims that are too large for the token: here, the user's groups.",
        "_claim_sources": "Where to request these claims.",
        "wids": "Template ids of the caller's directory roles.",
        "ver": "Version of the token: 1.0 or 2.0, as the API registered (requestedAccessTokenVersion).",
        "idtyp": "Type of the caller: app or user. It is an optional claim.",
        "acct": "Account: 0 member, 1 guest. It is an optional claim.",
        "name": "The user's display name: for people, not for decisions.",
        "preferred_username": "The user's name at sign-in. It can change: never use it as a key.",
        "upn": "User principal name. It can change: never use it as a key.",
        "unique_name": "The user's name in v1.0 tokens. It is not unique: never use it as a key.",
        "given_name": "The user's first name.",
        "family_name": "The user's last name.",
        "email": "The user's mail address. It can be chosen freely: never use it as a key.",
        "idp": "The identity provider, if it is not the issuer: the guest's own tenant.",
        "ipaddr": "The address from which the user signed in.",
        "sid": "Id of the session, for sign-out.",
        "acr": "Authentication context class: 1 if the user signed in.",
        "amr": "How the user signed in: pwd, mfa, ...",
        "acrs": "Authentication contexts that the user satisfied (step-up).",
        "nonce": "Ties an ID token to the sign-in request.",
        "xms_cc": "Capabilities of the client: cp1 means that it handles claims challenges (CAE).",
        "xms_tcdt": "When the tenant was created.",
        "xms_mirid": "The Azure resource of a managed identity.",
        "app_displayname": "Name of the client.",
        "cnf": "Confirmation: the token is bound to a key, and worthless without it.",
        "uti": "Token id: find the token in Entra's sign-in log with it.",
        "aio": "For Entra's own use.",
        "rh": "For Entra's own use.",
        "xms_ftd": "For Entra's own use.",
        "xms_idrel": "What the subject is to the tenant: 1 a member, 5 a guest, 7 a service principal.",
        "xms_act_fct": "What the client is: 11 marks an AI agent's identity.",
        "xms_sub_fct": "What the subject is: 13 marks an AI agent's own user account.",
        "xms_par_app_azp": "The blueprint that an AI agent was created from.",
        "tenant_region_scope": "Region of the tenant.",
        "alg": "How the token is signed. Entra signs with RS256.",
        "typ": "Type: JWT.",
        "kid": "Which of the issuer's keys signed the token.",
        "x5t": "Thumbprint of the key's certificate; only in v1.0 tokens.",
    }
)


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim for people: value on one line, meaning, and whose id or which time it is."""

    name: str
    value: str
    meaning: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DecodedToken:
    """Header and claims of a token, not verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    def as_json(self) -> str:
        """Return header and claims as indented JSON; a value of thousands of characters is shortened."""
        shown = ({n: shortened(v) for n, v in part.items()} for part in (self.header, self.claims))
        parts = (json.dumps(part, indent=2, ensure_ascii=False) for part in shown)
        return "\n.\n".join(parts)


def decode_token(text: str) -> DecodedToken | None:
    """Decode a token without verifying it; None if it is not a JWT."""
    parts = text.strip().split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        header, claims = (json.loads(decode_base64(part)) for part in parts[:2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    return DecodedToken(header, claims)  # pyright: ignore[reportUnknownArgumentType]


def claim_rows(claims: Mapping[str, Any], now: float, names: Mapping[str, str]) -> Iterator[ClaimRow]:
    """Return the claims for people.

    Args:
        claims: The claims of a token, or its header.
        now: The emulator's time, in seconds since 1970.
        names: Names of apps, users, tenants and groups, by id.
    """
    for name, value in claims.items():
        meaning = MEANINGS.get(name, "An additional claim.")
        if name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool):
            yield ClaimRow(name, str(value), meaning, _time_words(value, now))
        else:
            yield ClaimRow(name, _one_line(value), meaning, _known_names(value, names))


def _time_words(seconds: float, now: float) -> str:
    try:
        at = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "not a time"
    return f"{relative_words(seconds - now)} ({at})"


def _one_line(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):  # pyright: ignore[reportUnknownVariableType]
        text = ", ".join(value)  # pyright: ignore[reportUnknownArgumentType]
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def _known_names(value: Any, names: Mapping[str, str]) -> str:
    """Return the names behind the ids in a value, such as the tenant in the issuer."""
    texts = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
    ids = (found.lower() for text in texts if isinstance(text, str) for found in _GUID.findall(text))  # pyright: ignore[reportUnknownVariableType]
    known = dict.fromkeys(names[found] for found in ids if found in names)
    return ", ".join(list(known)[:5])


def shape_of(text: str) -> str:
    """Return what a text looks like that is not a JWT, and what to send instead."""
    stripped = text.strip()
    if not stripped:
        return "There is no text. Paste an access token."
    found = next((words for words in _SHAPES if words[0](stripped)), None)
    return found[1] if found else _OPAQUE


def _is_json(text: str) -> bool:
    return text[:1] == "{"


def _is_cut_off(text: str) -> bool:
    parts = text.split(".")
    return text.startswith("eyJ") and len(parts) in {1, 2}


def _has_broken_part(text: str) -> bool:
    return text.startswith("eyJ") and text.count(".") == _JWT_PARTS - 1


_OPAQUE: Final = (
    "This is an opaque text: not three parts with dots between them. It may be a refresh token, an "
    "authorization code, or a token for an API of personal accounts, which only Microsoft can read. Send "
    "the access_token of the response."
)
_SHAPES: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (
        lambda text: text.lower().startswith(("bearer ", "authorization:")),
        "The word Bearer was left in front. Paste only what follows it.",
    ),
    (
        lambda text: text[:1] in {'"', "'"} and text[-1:] == text[:1],
        "The token is in quotes. Paste it without them.",
    ),
    (
        _is_json,
        "This is JSON, such as the response of the token endpoint. Paste only the value of access_token.",
    ),
    (
        lambda text: text.lower() in {"null", "undefined", "none", "[object object]"},
        "The client has no token yet, and sent the word instead.",
    ),
    (
        lambda text: text.startswith("-----BEGIN"),
        "This is a certificate or a key in PEM format, not a token. Do not paste private keys.",
    ),
    (
        lambda text: text.count(".") == _JWE_PARTS - 1,
        "The token is encrypted (five parts). Remove the token encryption key from the API's registration.",
    ),
    (
        lambda text: len(text.split()) > 1,
        "There is white space inside. A token is one word: it was probably broken into lines by copying.",
    ),
    (_is_cut_off, "The token was cut off: it begins like a JWT, but has fewer than three parts."),
    (
        _has_broken_part,
        "It looks like a JWT, but its header or claims cannot be decoded: a part was changed or cut off.",
    ),
    (
        lambda text: text.startswith(("0.A", "1.A", "M.C")),
        "This looks like an authorization code or a refresh token. Redeem it at the token endpoint.",
    ),
)
