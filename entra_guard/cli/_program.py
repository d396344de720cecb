"""How this command was called, so that messages show commands that can be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

NAME: Final = "entra-guard"


def program_name(*, elsewhere: bool = False) -> str:
    """Return the command as it works when pasted: its name if the shell finds it, otherwise as typed.

    Args:
        elsewhere: For another terminal, which may have another folder and PATH.
    """
    typed = Path(sys.argv[0])
    if typed.stem != NAME or os.sep not in sys.argv[0]:
        return NAME
    if elsewhere:
        return shlex.quote(str(typed.absolute()))
    found = shutil.which(NAME)
    return NAME if found and Path(found).samefile(typed) else shlex.quote(sys.argv[0])
