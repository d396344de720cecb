"""Import an object that a user names as `module:object`, from the current folder too."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, Final

import click

from entra_guard._escaping import escape
from entra_guard.errors import ConfigurationError

_LONGEST: Final = 1000
_VARIABLE: Final = re.compile(r"'[A-Z][A-Z0-9_]{1,60}'")


def import_object(name: str, option: str) -> Any:
    """Return the object that 'module:object' names; the object may have dots in it.

    'module:create_app()' calls a function without arguments, as for an application factory.

    Args:
        name: Such as 'orders.main:guard'.
        option: The option or argument with this name, for the error.

    Raises:
        click.UsageError: The module or object does not exist, or importing it failed.
    """
    module, separator, path = name.partition(":")
    if not (separator and module and path):
        raise click.UsageError(f"{option} must be module:object, such as 'main:app', got {name!r}.")
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does
    try:
        with redirect_stdout(sys.stderr):  # what the module prints must not be among JSON
            found: Any = import_module(module)
    except ModuleNotFoundError as error:
        missing = f"The module {error.name!r} is not installed, and is not in this folder."
        raise click.UsageError(f"{option} {name}: {missing}") from None
    except (Exception, SystemExit) as error:
        raise click.UsageError(f"{option} {name}: {_failed(f'importing {module}', error, module)}") from error
    for part in path.removesuffix("()").split("."):
        if not hasattr(found, part):
            raise click.UsageError(f"{option} {name}: {module} has no {path!r}.{_usual_name(found, module)}")
        found = getattr(found, part)
    if not path.endswith("()"):
        return found
    try:
        with redirect_stdout(sys.stderr):
            return found()
    except (Exception, SystemExit) as error:
        raise click.UsageError(f"{option} {name}: {_failed(f'calling {path}', error, module)}") from error


def _usual_name(found: Any, module: str) -> str:
    """Return a sentence with the usual name of an application that a module has; '' if it has none."""
    names = [name for name in ("app", "application", "create_app", "make_app") if hasattr(found, name)]
    if not names:
        return ""
    is_factory = names[0].endswith("_app")
    return f" Do you mean {module}:{names[0]}{'()' if is_factory else ''}?"


def _failed(step: str, error: BaseException, module: str) -> str:
    """Say what failed; only of our own errors with the text, as others may quote a secret setting."""
    if isinstance(error, ConfigurationError):
        return f"{step} raised ConfigurationError: {escape(str(error), longest=_LONGEST)}"
    if isinstance(error, SystemExit):
        return f"{step} ended the program: it must not call sys.exit()"
    if isinstance(error, KeyError) and _VARIABLE.fullmatch(str(error)):
        return f"{step} raised KeyError: {error}. Is the environment variable set?"
    return f"{step} raised {type(error).__name__}. To see more, run: python -c 'import {module}'"
