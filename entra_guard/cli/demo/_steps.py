"""What the demos have in common: count results that are not as expected, and show statuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.text import Text

if TYPE_CHECKING:
    import httpx

    from entra_guard.cli._screen import Screen

_LABELS: Final = 23


@dataclass(slots=True, kw_only=True)
class Steps:
    """The steps of a demo.

    Attributes:
        screen: The output.
        checks: Results compared with the expected ones.
        failures: Results that differ.
    """

    screen: Screen
    checks: int = 0
    failures: int = 0

    def summarize(self, seconds: float, checked: str) -> None:
        """Print the summary.

        Args:
            seconds: How long the demo took.
            checked: What was compared.
        """
        self.screen.blank_line()
        if self.failures:
            wrong = f"{self.failures} of {self.checks} checks of {checked} failed: see above."
            self.screen.text(wrong, "bold red")
            return
        self.screen.text(f"All {self.checks} checks of {checked} passed, in {seconds:.1f} s.", "bold green")

    def show_registration(self, name: str, *rows: tuple[str, str | Text]) -> None:
        """Print an app registration: its name, and what an administrator sees of it."""
        self.screen.name_values([("Name", Text(name, "bold")), *rows], labels=_LABELS)

    def show_status(self, response: httpx.Response) -> None:
        """Print the status of a response."""
        style = "bold green" if response.is_success else "bold red"
        self.screen.text(f"{response.status_code} {response.reason_phrase}", style, indent=2)

    def check(self, what: str, expected: object, found: object) -> bool:
        """Compare a result with the expected one."""
        self.checks += 1
        if found == expected:
            return True
        self.failures += 1
        wrong = f"UNEXPECTED: {what}: expected {expected}, found {found}"
        self.screen.text(wrong, "bold red", indent=2)
        return False
