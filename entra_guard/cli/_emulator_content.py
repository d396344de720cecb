"""What a started emulator contains: the state of the last run, a seed, or the samples."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError
from entra_guard.emulator._directory.rules import RegistrationError
from entra_guard.emulator._directory.samples import SECRET
from entra_guard.emulator._public_gate import check_public, sample_secret

if TYPE_CHECKING:
    from entra_guard.emulator import Emulator, Samples
    from entra_guard.emulator._store.state_file import StateKeeper
    from entra_guard.emulator._store.store import State

_YAML: frozenset[str] = frozenset({".yaml", ".yml"})


@dataclass(slots=True)
class Content:
    """The content, and where it is kept.

    Attributes:
        samples: The samples; None if a seed or a state has others.
        origin: Where the content is from, for the start screen.
        identity: Whether there is a managed identity.
    """

    entra: Emulator
    samples: Samples | None
    origin: str
    keeper: StateKeeper | None = None
    _failed: bool = False

    @property
    def identity(self) -> bool:
        return bool(self.entra.directory.identities)

    def save_first(self) -> None:
        """Save the state at the start.

        Raises:
            CommandError: The file cannot be written.
        """
        if self.keeper is not None:
            try:
                self.keeper.save(self.entra.store.state)
            except OSError as error:
                raise CommandError(
                    f"The state file cannot be written: {error.strerror}.",
                    "not_writable",
                    "Name another file.",
                ) from None

    def save(self) -> None:
        """Save the state if it changed. A full disk is reported once; the emulator continues."""
        if self.keeper is None:
            return
        from entra_guard.emulator._store.state_file import StateFileError  # noqa: PLC0415  # only with --state

        problem = ""
        try:
            self.keeper.save(self.entra.store.state)
        except OSError as error:
            problem = f"{error.strerror}. Free the disk."
        except StateFileError as error:
            problem = f"{error}. Stop one of the two, and start this one with another file."
        if problem and not self._failed:
            click.echo(f"Error: the state cannot be saved: {problem}", err=True)
        self._failed = bool(problem)


def shared_secret(host: str | None, file: Path | None) -> str:
    """Return the shared secret of an emulator for other containers; '' for one on loopback.

    Raises:
        CommandError: The host name or the secret cannot be used.
    """
    if host is None:
        return ""
    try:
        secret = file.read_text().strip() if file else os.environ.get("ENTRA_EMULATOR_SECRET", "")
        check_public(host, secret)
    except OSError as error:
        what, remedy = (
            f"{escape(str(file))} cannot be read: {error.strerror}.",
            "Name the file of the secret.",
        )
    except ValueError as error:
        what, remedy = escape(str(error)), "Use --secret-file FILE, or set ENTRA_EMULATOR_SECRET."
    else:
        return secret
    raise CommandError(what, "unusable_host", remedy)


def prepare(
    entra: Emulator,
    *,
    state: Path | None,
    seed: str | Path | None,
    identity: str | None,
    secret: str = "",
) -> Content:
    """Fill an emulator before it starts.

    With a shared secret, other machines reach it: no application keeps the samples' usual secret, which is
    the same in every emulator.

    Raises:
        CommandError: A file cannot be used.
    """
    state = _target(state) if state else None
    saved, apps = _saved(state) if state else None, entra.directory_service.samples
    value = sample_secret(secret) if secret else SECRET
    if saved is not None:
        entra.store.load(saved)
        if secret:
            apps.remove_known_secret()
        samples, origin = apps.find_samples(secret_value=value), f"the last run ({state})"
    elif seed is not None:
        _apply(entra, Path(seed))
        if secret:
            apps.remove_known_secret()
        samples, origin = None, str(seed)
    else:
        samples, origin = apps.add_samples(secret_value=value), "the samples"
    if identity and all(i.name != identity for i in entra.directory.identities.values()):
        _add_identity(entra, identity)
    entra.store.mark_start()
    return Content(entra, samples, origin, _keeper(state, saved) if state else None)


def write_certificate(entra: Emulator, file: Path) -> None:
    """Write the certificate that clients must trust.

    Raises:
        CommandError: The file cannot be written.
    """
    try:
        file.write_bytes(entra.ca_bundle.read_bytes())
    except OSError as error:
        raise CommandError(
            f"{escape(str(file))} cannot be written: {error.strerror}.",
            "not_writable",
            "Name another file with --ca-file.",
        ) from None


def _target(state: Path) -> Path:
    """Return the file that a link leads to: the file is replaced, and the link stays one."""
    try:
        return state.resolve()
    except (OSError, RuntimeError):  # a link to itself: RuntimeError until Python 3.12
        raise CommandError(
            f"{escape(str(state))} is a link that leads nowhere.", "unusable_state", "Name another file."
        ) from None


def _add_identity(entra: Emulator, name: str) -> None:
    try:
        entra.add_managed_identity(name, system_assigned=True)
    except RegistrationError as error:
        raise CommandError(
            f"--identity {escape(name)!r} cannot be added: {error}",
            "unusable_identity",
            "Give it the name of the machine that it belongs to.",
        ) from None


def _keeper(path: Path, saved: State | None) -> StateKeeper:
    from entra_guard.emulator._store.state_file import StateKeeper  # noqa: PLC0415  # only where it is used

    _check_folder(path)
    return StateKeeper(path, saved)


def _saved(path: Path) -> State | None:
    # Only with --state: starting without it stays fast.
    from entra_guard.emulator._store.state_file import StateFileError, read_state  # noqa: PLC0415

    try:
        return read_state(path)
    except StateFileError as error:
        raise CommandError(
            f"{escape(str(path))} cannot be used: {escape(str(error), longest=500)}.",
            "unusable_state",
            "Name another file, or move this one away to start without it.",
        ) from None


def _check_folder(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise CommandError(
            f"{escape(str(path))} cannot be written: its folder does not exist.",
            "not_writable",
            f"Make it: mkdir -p {escape(str(path.absolute().parent))}",
        )


def _apply(entra: Emulator, path: Path) -> None:
    from entra_guard.emulator._directory.seed import apply_seed  # noqa: PLC0415  # only where it is used
    from entra_guard.emulator._directory.seed_format import parse_seed  # noqa: PLC0415

    try:
        content = path.read_bytes()
    except OSError as error:
        hint = "An integer is --random-seed now." if str(path).isdigit() else "Name a YAML or JSON file."
        raise CommandError(
            f"The seed {escape(str(path))} cannot be read: {error.strerror}.", "unusable_seed", hint
        ) from None
    try:
        apply_seed(entra.directory_service, parse_seed(content, yaml=path.suffix in _YAML))
    except RegistrationError as error:
        raise CommandError(
            f"The seed {escape(str(path))} cannot be used.", "unusable_seed", escape(str(error), longest=1000)
        ) from None
