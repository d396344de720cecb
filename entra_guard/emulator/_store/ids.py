"""Random identifiers and secrets in the formats Entra uses."""

from __future__ import annotations

import random
import re
import uuid
from typing import Final

from entra_guard.emulator._store.encoding import base64url

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~"

# A GUID as Entra writes it, in any case: with hyphens, and without braces.
GUID_PATTERN: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_GUID: Final = re.compile(GUID_PATTERN)


def is_guid(text: str) -> bool:
    """Return whether a text is a GUID: 32 hexadecimal digits with four hyphens."""
    return _GUID.fullmatch(text) is not None


class Ids:
    """Generate identifiers: unpredictable, or the same on every run if a seed is given.

    Args:
        seed: Makes every identifier reproducible. Without it, the operating system's randomness is used.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seeded = None if seed is None else random.Random(seed)  # noqa: S311 (reproducible on request)
        self._random: random.Random = self._seeded or random.SystemRandom()

    def guid(self) -> str:
        return str(uuid.UUID(bytes=self.octets(16), version=4))

    def octets(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def text(self, octets: int) -> str:
        """Return this many random octets as unpadded base64url."""
        return base64url(self.octets(octets))

    def uti(self) -> str:
        """Return a token identifier: 22 characters."""
        return self.text(16)

    def secret(self) -> str:
        """Return a client secret: 40 characters, three of them `8Q~`, as in Entra."""
        letters = "".join(self._random.choices(_ALPHABET, k=37))
        return f"{letters[:3]}8Q~{letters[3:]}"

    def letters(self, count: int, alphabet: str) -> str:
        return "".join(self._random.choices(alphabet, k=count))

    def between(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def fraction(self) -> float:
        """Return a number from 0 to less than 1."""
        return self._random.random()

    def position(self) -> object:
        """Return the state of a seeded generator, for `restore_position`; None without a seed."""
        return self._seeded.getstate() if self._seeded else None

    def restore_position(self, position: object) -> None:
        if self._seeded and isinstance(position, tuple):
            self._seeded.setstate(position)  # pyright: ignore[reportUnknownArgumentType]
