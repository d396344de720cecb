"""Every check of `doctor`, in the order of the report."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from entra_guard._common.http import is_loopback
from entra_guard.cli.doctor import (
    _checks_app,
    _checks_authority,
    _checks_expiry,
    _checks_mcp,
    _checks_network,
    _checks_outbound,
    _checks_registration,
    _checks_settings,
)
from entra_guard.cli.doctor._finding import failure

if TYPE_CHECKING:
    from entra_guard.cli.doctor._facts import Facts
    from entra_guard.cli.doctor._finding import Check, Finding

_AZ: Final = re.compile(r"(?:^|\()az ")
CHECKS: Final[tuple[Check, ...]] = (
    *_checks_settings.CHECKS,
    *_checks_mcp.CHECKS,
    *_checks_network.CHECKS,
    *_checks_authority.CHECKS,
    *_checks_outbound.CHECKS,
    *_checks_registration.CHECKS,
    *_checks_expiry.CHECKS,
    *_checks_app.CHECKS,
)


class Line(NamedTuple):
    """One line of the report: a check and its finding."""

    section: str
    name: str
    finding: Finding


def run_checks(facts: Facts, label: str = "") -> list[Line]:
    """Return the findings of all checks that apply.

    Args:
        facts: What was collected.
        label: Added to each section, where there are several guards.
    """
    lines = ((check, _run(check, facts)) for check in CHECKS)
    return [
        Line(f"{check.section}{label}", check.name, finding)
        for check, finding in lines
        if finding is not None
    ]


def _run(check: Check, facts: Facts) -> Finding | None:
    """Return a check's finding; a response of an unexpected form must not end the report."""
    try:
        return _without_az(check.run(facts), facts)
    except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError) as error:
        return failure(
            f"a response has an unexpected form ({type(error).__name__})",
            "Report it with the output of --json: https://github.com/entra-guard/entra-guard/issues",
        )


def _without_az(finding: Finding | None, facts: Facts) -> Finding | None:
    """Return a finding; for an emulator without `az`, which changes a real tenant, if another way is left."""
    source = facts.settings.source
    if finding is None or source is None or not is_loopback(source.authority.url):
        return finding
    kept = tuple(line for line in finding.fix if not _AZ.search(line))
    return replace(finding, fix=kept or finding.fix)
