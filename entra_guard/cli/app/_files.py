"""Files with secrets: made once, for this user only, and never where git would keep them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from entra_guard._escaping import escape
from entra_guard.cli.app._calls import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS: Final = 10
_NO_REPOSITORY: Final = 128


class NewFile:
    """A file that is made when the work begins and filled when it succeeds; removed if it fails.

    So a secret never exists without the place to store it, and no file is overwritten.

    Args:
        path: The file.
        secret: Whether it will hold a secret: then git must not track it.

    Raises:
        CommandError: The file exists, git would track it, or its folder cannot be written.
    """

    def __init__(self, path: Path, *, secret: bool = True) -> None:
        self.path: Final = path
        if secret:
            refuse_tracked(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._handle = os.open(path, flags, 0o600)
        except FileExistsError:
            raise CommandError(
                f"{escape(str(path))} exists already, and is not overwritten.",
                "file_exists",
                "Move it away, or name another file.",
            ) from None
        except OSError as error:
            raise CommandError(
                f"{escape(str(path))} cannot be written: {error.strerror}.",
                "not_writable",
                "Name another file.",
            ) from None
        self._written = False

    def write(self, content: bytes) -> None:
        """Write the content, and close the file."""
        with os.fdopen(self._handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._written = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if not self._written:
            os.close(self._handle)
            self.path.unlink(missing_ok=True)


def refuse_tracked(*paths: Path) -> None:
    """Check that git does not track these files, and would not with `git add .`.

    Raises:
        CommandError: It does or would, or it cannot be run in a repository. The error names all such files.
    """
    states = {path: _git_state(path) for path in paths}
    tracked = [path for path, state in states.items() if state == "tracked"]
    others = [path for path, state in states.items() if state == "not ignored"]
    if not tracked and not others:
        return
    done = [
        f"{verb} {_listed(found)}" for verb, found in (("tracks", tracked), ("would track", others)) if found
    ]
    names = {path: shlex.quote(escape(path.name)) for path in (*tracked, *others)}
    ignore = " && ".join(f"echo {name} >> .gitignore" for name in names.values())
    remove = f"git rm --cached {' '.join(names[path] for path in tracked)} && {ignore}"
    them, holds = ("them", "they will hold secrets") if len(names) > 1 else ("it", "it will hold a secret")
    raise CommandError(
        f"git {' and '.join(done)}, and {holds}.",
        "tracked_by_git",
        f"Remove {them} from git, and ignore {them}: {remove}"
        if tracked
        else f"Ignore {them}: {ignore}. Or name a file outside of the repository.",
    )


def _listed(paths: Sequence[Path]) -> str:
    return " and ".join(escape(str(path)) for path in paths)


def _git_state(path: Path) -> Literal["tracked", "not ignored", "ignored"]:
    """Return what git would do with a file; 'ignored' also outside of a repository."""
    # The folder may be a symbolic link into a repository.
    folder = path.parent.resolve()
    if any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        # Of this repository, whatever GIT_DIR names.
        environ: Mapping[str, str] = {n: v for n, v in os.environ.items() if not n.startswith("GIT_")}
    elif _is_in(folder, os.environ.get("GIT_WORK_TREE")):
        environ = os.environ
    else:
        return "ignored"
    if _git(folder, environ, "--literal-pathspecs", "ls-files", "--error-unmatch", "--", path.name) == 0:
        return "tracked"
    # check-ignore refuses that option. It reads a name as it is, unless it begins with a colon.
    ignored = _git(folder, environ, "check-ignore", "--quiet", "--", f"./{path.name}") == 0
    return "ignored" if ignored else "not ignored"


def _is_in(folder: Path, work_tree: str | None) -> bool:
    return bool(work_tree) and folder.is_relative_to(Path(work_tree or "").resolve())


def _git(folder: Path, environ: Mapping[str, str], *arguments: str) -> int:
    """Return the exit code of git; 128 if it cannot be run."""
    program = shutil.which("git")
    if program is None:
        return _NO_REPOSITORY
    command = [program, "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False, env=environ)  # noqa: S603  # no shell
    except (OSError, subprocess.TimeoutExpired):
        return _NO_REPOSITORY
    return done.returncode


def env_value(value: str) -> str:
    """Return a value as `.env` files and the shell write it.

    It is quoted only where it must be: docker's `--env-file` keeps quotes.

    Raises:
        CommandError: No quotes can express it.
    """
    # The shell replaces `~` at the start and after a colon.
    if all(c.isalnum() or c in "/:._~@+-=," for c in value) and ":~" not in f":{value}":
        return value
    if value.isprintable() and "'" not in value:
        return f"'{value}'"
    if value.isprintable() and not set(value) & set('"$`\\!'):
        return f'"{value}"'
    raise CommandError(
        f"{escape(value)} cannot be written into a .env file.",
        "unusable_name",
        "Name a file without control characters and without both kinds of quotes.",
    )


def as_env_file(variables: Mapping[str, str], comments: Mapping[str, str]) -> bytes:
    """Return variables in the format of `.env` files.

    Args:
        variables: Names and values.
        comments: A comment above the variable of that name.
    """
    lines: list[str] = []
    for name, value in variables.items():
        if name in comments:
            lines.append(f"# {comments[name]}")
        written = env_value(value)
        if written != value:
            lines.append("# The quotes are the shell's. docker's --env-file keeps them: remove them there.")
        lines.append(f"{name}={written}")
    return ("\n".join(lines) + "\n").encode()
