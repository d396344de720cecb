"""The claims of Entra's access tokens, read with exact types. Decides nothing.

Names, types and order are those in which Entra writes them (Microsoft: "Access token claims
reference"). An ordinary token, read and written again, gives the same bytes: so no name is in it twice,
and another reader cannot read another meaning into it. Any other payload, for example one with an
optional claim that is not listed here, is read once more by a stricter, slower parser, which can only refuse.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from entra_guard._common.guid import find_guid
from entra_guard._common.strict_json import UNREADABLE, NotStrictJsonError, read_object
from entra_guard.errors import refusal
from entra_guard.policy import PERSONAL_TENANT

# From 1970 to the year 10000, in seconds.
_IN_REASON: Final = msgspec.Meta(ge=0, le=253_402_300_800)
NumericDate = Annotated[int, _IN_REASON] | Annotated[float, _IN_REASON]
StringTuple = tuple[str, ...]
# The value of a NumericDate that the token does not have: before every time, and never read from a token.
ABSENT: Final = -1


class Claims(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The claims of an access token; absent ones are empty. Few of them decide."""

    aud: str | StringTuple = ""
    iss: str = ""
    iat: NumericDate = ABSENT
    nbf: NumericDate = ABSENT
    exp: NumericDate = ABSENT
    acct: Any = None
    acr: Any = None
    acrs: Any = None
    aio: Any = None
    amr: Any = None
    appid: str = ""
    appidacr: Any = None
    at_hash: Any = None
    azp: str = ""
    azpacr: Any = None
    c_hash: Any = None
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
    scp: str = ""
    sid: Any = None
    sub: str = ""
    tid: str = ""
    unique_name: Any = None
    upn: Any = None
    uti: str = ""
    ver: str = ""
    wids: Any = None
    xms_act_fct: Any = None
    xms_cc: Any = None
    xms_ftd: Any = None
    xms_idrel: Any = None
    xms_par_app_azp: Any = None
    xms_sub_fct: Any = None
    xms_tnt_fct: Any = None

    @property
    def is_guest(self) -> bool | None:
        """Whether the user is a guest of the tenant; None if the token does not say.

        'acct' is 0 for members and 1 for guests (an optional claim). 'idp' names the tenant that the
        user signed in to, where it is another one. (Microsoft: "Access token claims reference".)
        """
        if self.is_app or self.tid == PERSONAL_TENANT:
            return False
        if self.acct is not None:
            return {"0": False, "1": True}.get(str(self.acct))
        if not isinstance(self.idp, str) or not self.idp:
            return None
        return find_guid(self.idp.lower()) != self.tid

    @property
    def app_id(self) -> str:
        """The client application: 'azp' in v2.0 tokens, 'appid' in v1.0 tokens."""
        return self.azp if self.ver == "2.0" else self.appid or self.azp

    @property
    def scopes(self) -> tuple[str, ...]:
        """The delegated permissions, split at spaces (RFC 6749 section 3.3).

        '/' alone means none (Microsoft: agent token claims).
        """
        scp = self.scp
        if " " not in scp:
            return (scp,) if scp and scp != "/" else ()
        return tuple([scope for scope in scp.split(" ") if scope])

    @property
    def is_app(self) -> bool:
        """Whether the token is app-only: by 'idtyp', else by an absent 'scp' and a 'sub' equal to 'oid'."""
        if self.idtyp:
            return self.idtyp == "app"
        return not self.scp and self.sub == self.oid

    def __repr__(self) -> str:
        return f"Claims(iss={self.iss!r}, aud={self.aud!r}, tid={self.tid!r}, app_id={self.app_id!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Show only what `repr` shows where rich prints; msgspec would show all claims."""
        return [("iss", self.iss), ("app_id", self.app_id)]


_TENANT_MISSPELT: Final = frozenset({"Tid", "tId", "tiD", "TId", "TiD", "tID", "TID"})
_decode = msgspec.json.Decoder(Claims).decode
write_claims = msgspec.json.Encoder().encode


def read_claims(payload: bytes) -> Claims:
    """Read the claims from a decoded payload.

    Does not detect duplicate names; call `refuse_ambiguous` before accepting the token.

    Raises:
        InvalidTokenError: invalid_claims: not a JSON object, or a claim of another type than Entra's.
    """
    try:
        return _decode(payload)
    except UNREADABLE as error:
        why = str(error)
    raise refusal("invalid_claims", {"found": why})  # not inside: the other error may hold the payload


def refuse_ambiguous(payload: bytes) -> None:
    """Refuse a payload that another reader could read in another way.

    A payload that equals what `write_claims` makes of its claims is not ambiguous and needs no check.

    Raises:
        InvalidTokenError: invalid_claims: a name is in it twice, or 'tid' in two letter cases.
            Microsoft.IdentityModel refuses the latter too (IDX40011): two libraries could read two tenants.
    """
    try:
        names = read_object(payload).keys()
    except NotStrictJsonError as error:
        raise refusal("invalid_claims", {"found": str(error)}) from None
    if not names.isdisjoint(_TENANT_MISSPELT):
        raise refusal("invalid_claims", {"found": "'tid' in another letter case"})
