"""Random-looking identifiers in the shapes Entra uses. Knows nothing of what they identify."""

from __future__ import annotations

import base64
import random
import uuid
from typing import Final

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~"


class Ids:
    """A source of identifiers: unpredictable, or the same on every run when it is given a seed.

    Args:
        seed: Makes every identifier reproducible. Without one the operating system's randomness is used.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._seeded = None if seed is None else random.Random(seed)  # noqa: S311 (reproducible on request)
        self._random: random.Random = self._seeded or random.SystemRandom()

    def guid(self) -> str:
        return str(uuid.UUID(bytes=self.octets(16), version=4))

    def octets(self, count: int) -> bytes:
        return self._random.randbytes(count)

    def text(self, octets: int) -> str:
        """Base64url of so many random octets, unpadded."""
        return base64.urlsafe_b64encode(self.octets(octets)).rstrip(b"=").decode()

    def uti(self) -> str:
        """A token's own identifier: 22 characters."""
        return self.text(16)

    def secret(self) -> str:
        """A client secret: 40 characters, of which three are `8Q~`, as in Entra."""
        letters = "".join(self._random.choices(_LETTERS, k=37))
        return f"{letters[:3]}8Q~{letters[3:]}"

    def letters(self, count: int, alphabet: str) -> str:
        return "".join(self._random.choices(alphabet, k=count))

    def between(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def fraction(self) -> float:
        """A number from 0 to below 1."""
        return self._random.random()

    def position(self) -> object:
        """Where a seeded source stands, to come back to; nothing for an unpredictable one."""
        return self._seeded.getstate() if self._seeded else None

    def return_to(self, position: object) -> None:
        if self._seeded and isinstance(position, tuple):
            self._seeded.setstate(position)  # pyright: ignore[reportUnknownArgumentType]
