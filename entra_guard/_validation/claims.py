"""The claims of an access token, read with exact types. Judges nothing.

Names, types and order are those in which Entra writes them (Microsoft: "Access token claims
reference"). An ordinary token, read and written again, gives the same bytes: so no name stands in it
twice, and no other reader can read another meaning into it. Whatever differs from that, an optional
claim not listed here for one, is read once more by a stricter and slower parser, which can only refuse.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from entra_guard._common.strict_json import UNREADABLE, NotStrictJsonError, read_object
from entra_guard.errors import refusal

# From 1970 to the year 10000, in seconds: no lifetime lies elsewhere, whoever wrote it.
_IN_REASON: Final = msgspec.Meta(ge=0, le=253_402_300_800)
NumericDate = Annotated[int, _IN_REASON] | Annotated[float, _IN_REASON]
StringTuple = tuple[str, ...]


class Claims(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The claims of an access token; absent ones are empty. Most only pass through: few decide."""

    aud: str | StringTuple = ""
    iss: str = ""
    iat: NumericDate | None = None
    nbf: NumericDate | None = None
    exp: NumericDate | None = None
    acr: Any = None
    aio: Any = None
    amr: Any = None
    appid: str = ""
    appidacr: Any = None
    at_hash: Any = None
    azp: str = ""
    azpacr: Any = None
    c_hash: Any = None
    client_id: str = ""
    cnf: Any = None
    email: Any = None
    family_name: Any = None
    given_name: Any = None
    groups: Any = None
    idp: Any = None
    idtyp: str = ""
    ipaddr: Any = None
    name: Any = None
    nonce: Any = None
    oid: str = ""
    preferred_username: Any = None
    rh: Any = None
    roles: StringTuple = ()
    scope: str = ""
    scp: str = ""
    sid: Any = None
    sub: str = ""
    tid: str = ""
    unique_name: Any = None
    upn: Any = None
    uti: str = ""
    ver: str = ""
    wids: Any = None
    xms_cc: Any = None
    xms_ftd: Any = None

    @property
    def app_id(self) -> str:
        """The client application: 'azp' (v2.0), 'appid' (v1.0), else RFC 9068's 'client_id'."""
        if self.ver:
            return self.azp if self.ver == "2.0" else self.appid or self.azp
        return self.azp or self.client_id

    @property
    def scopes(self) -> tuple[str, ...]:
        """The delegated permissions; '/' alone stands for none (Microsoft: agent token claims).

        Tokens of issuers that are not Entra have no 'ver', and 'scope' (RFC 9068 section 2.2.3).
        """
        text = self.scp or ("" if self.ver else self.scope)
        return tuple(text.split()) if text != "/" else ()

    @property
    def is_app(self) -> bool:
        """Whether nobody is signed in: 'idtyp' says so, or no 'scp' and 'sub' equal to 'oid'."""
        if self.idtyp:
            return self.idtyp == "app"
        if self.ver:
            return not self.scp and self.sub == self.oid
        return self.sub in (self.client_id, self.azp)

    @property
    def is_id_token(self) -> bool:
        """Whether a claim is there that only ID tokens have (OpenID Connect Core sections 2 and 3.3.2.11)."""
        return not (self.nonce is None and self.at_hash is None and self.c_hash is None)

    def __repr__(self) -> str:
        return f"Claims(iss={self.iss!r}, aud={self.aud!r}, tid={self.tid!r}, app_id={self.app_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show no more than `repr` where rich prints; msgspec would show all."""
        return [("iss", self.iss), ("app_id", self.app_id)]


_TENANT_MISSPELT: Final = frozenset({"Tid", "tId", "tiD", "TId", "TiD", "tID", "TID"})
_decode = msgspec.json.Decoder(Claims).decode
write_claims = msgspec.json.Encoder().encode


def read_claims(payload: bytes) -> Claims:
    """Read the claims from a decoded payload.

    A name that stands in it twice is not noticed here: before anything is granted, `refuse_ambiguous`
    must have had its say.

    Raises:
        InvalidTokenError: invalid_claims: no JSON object, or a claim of another type than Entra gives it.
    """
    try:
        return _decode(payload)
    except UNREADABLE as error:
        why = str(error)
    raise refusal("invalid_claims", {"found": why})  # not inside: the other error may hold the payload


def refuse_ambiguous(payload: bytes) -> None:
    """Refuse a payload that another reader could read in another way.

    A payload equal to what `write_claims` makes of its claims is not ambiguous, and need not come here.

    Raises:
        InvalidTokenError: invalid_claims: a name stands in it twice, or 'tid' in two letter cases.
            Microsoft.IdentityModel refuses the latter too (IDX40011): two libraries could read two tenants.
    """
    try:
        names = read_object(payload).keys()
    except NotStrictJsonError as error:
        raise refusal("invalid_claims", {"found": str(error)}) from None
    if not names.isdisjoint(_TENANT_MISSPELT):
        raise refusal("invalid_claims", {"found": "'tid' in another letter case"})
