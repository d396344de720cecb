"""Replace ids and names in a report, so that it can be pasted in public.

The same id gets the same label within a report. Labels of two reports cannot be compared: each report has
a random key.
"""

from __future__ import annotations

import hmac
import os
import re
from typing import TYPE_CHECKING, Any, Final

from entra_guard._common.audiences import GRAPH_AUDIENCES
from entra_guard._escaping import escape
from entra_guard.cli._formatting import format_value

if TYPE_CHECKING:
    from collections.abc import Iterable

_GUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_EMAIL: Final = r"[\w.+#-]+@[\w-]+(?:\.[\w-]+)+"
_HOST: Final = r"(?<=://)[^\s/'\",)\]]+"
_ADDRESS: Final = r"\b\d{1,3}(?:\.\d{1,3}){3}\b"
_ADDRESS6: Final = (
    r"(?<![\w:])(?:[0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F:]*|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){4,7}[0-9a-fA-F]{1,4}"
)
_FILE: Final = r"(?<![\w:/.-])(?:/[\w. -]*\w){2,}|\b[A-Z]:\\[^\s'\"]+"
_FOUND: Final = re.compile(f"{_GUID}|{_EMAIL}|{_HOST}|{_ADDRESS}|{_ADDRESS6}|{_FILE}")
_PART: Final = re.compile(r"[^\s/:,'\"]+")
_KEPT_PARTS: Final = frozenset({"http", "https", "api", "urn", "v1.0", "v2.0", "none"})
_BARE_HOST: Final = re.compile(r"\b(?:[\w-]+\.)+[A-Za-z]{2,}\b")
_PUBLIC: Final = GRAPH_AUDIENCES | {
    "9188040d-6c67-4c5b-b112-36a304b66dad",
    "00000002-0000-0000-c000-000000000000",
}
_MICROSOFT: Final = (
    *("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn"),
    *("sts.windows.net", "graph.microsoft.com", "graph.microsoft.us", "management.azure.com"),
    *("vault.azure.net", "entra.microsoft.com", "127.0.0.1", "localhost", "sts.chinacloudapi.cn"),
)
_SHORTEST: Final = 4
_LABEL: Final = re.compile(r"id-[0-9a-f]{8}")
# An address, an account of a domain, a GUID, and a GUID without hyphens.
_LOOKS_PERSONAL: Final = re.compile(rf"@|\\|{_GUID}|(?<![0-9a-fA-F])[0-9a-fA-F]{{32}}(?![0-9a-fA-F])")


def looks_personal(text: str) -> bool:
    """Return whether a name has the form of an address, an account of a domain, or an id in it."""
    return _LOOKS_PERSONAL.search(text) is not None


def is_public_host(host: str) -> bool:
    """Return whether a host, perhaps with a port, is Microsoft's or this machine: it identifies no tenant."""
    return host.lower().partition(":")[0] in _MICROSOFT


def _pattern(value: str) -> str:
    """Return what finds a value; a short one only as a whole word."""
    return re.escape(value) if len(value) >= _SHORTEST else rf"(?<![\w-]){re.escape(value)}(?![\w-])"


def parts_of(value: str) -> set[str]:
    """Return what may identify in an id: of an http URL the parts, so that its form stays; else the whole."""
    scheme, _, rest = value.partition("://")
    if not rest or not scheme.lower().startswith("http"):
        return {rest or value}
    return {part for part in rest.split("/") if part not in _KEPT_PARTS and not is_public_host(part)}


class Redactor:
    """Replaces ids, hosts, addresses, files and given values by labels.

    Args:
        sensitive: Values that are ids in another form, such as a pairwise subject or a key id.
    """

    def __init__(self, sensitive: Iterable[str] = ()) -> None:
        self._key = os.urandom(16)
        values = {value for value in sensitive if value and value.lower() not in _PUBLIC}
        # Longer ones first, as one may be a part of another.
        known = "|".join(map(_pattern, sorted(values, key=len, reverse=True)))
        self._known = re.compile(known, re.IGNORECASE) if known else None

    def text(self, text: str) -> str:
        """Return a text with labels."""
        if self._known is not None:
            text = self._known.sub(lambda match: self._label(match[0]), text)
        return _FOUND.sub(lambda match: self._replaced(match[0]), text)

    def value(self, value: Any) -> Any:
        """Return an id of any form with labels for all that may identify: of a URL its scheme stays."""
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return _PART.sub(lambda match: self._part(match[0]), self.text(str(value)))

    def _part(self, found: str) -> str:
        return found if found in _KEPT_PARTS else self._replaced(found)

    def prose(self, text: str) -> str:
        """Return a server's or the system's text with labels, also for hosts without a scheme."""
        return _BARE_HOST.sub(lambda match: self._replaced(match[0]), self.text(text))

    def deep(self, value: Any) -> Any:
        """Return lists, mappings and texts with labels; numbers as they are."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(name)): self.deep(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if isinstance(value, list | tuple):
            return [self.deep(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        return value

    def _replaced(self, found: str) -> str:
        bare = found.lower()
        if bare in _PUBLIC or is_public_host(bare) or _LABEL.fullmatch(bare):
            return found
        return self._label(found)

    @staticmethod
    def forms(value: str) -> set[str]:
        """Return how a report may show a value: escaped, or only its beginning."""
        return {value, format_value(value), format_value(value).strip('"'), escape(value)}

    def _label(self, value: str) -> str:
        if re.fullmatch(_GUID, value):
            value = value.lower()
        return f"id-{hmac.digest(self._key, value.encode(), 'sha256').hex()[:8]}"
