"""How this command was called, for telling people to call it again. Calls nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

NAME: Final = "entra-guard"


def program_name(*, elsewhere: bool = False) -> str:
    """Write the command as it works when pasted: its name where the shell finds it, else as it was typed.

    Args:
        elsewhere: In another terminal, whose folder and PATH may be others.
    """
    typed = Path(sys.argv[0])
    if typed.stem != NAME or os.sep not in sys.argv[0]:
        return NAME
    if elsewhere:
        return shlex.quote(str(typed.absolute()))
    found = shutil.which(NAME)
    return NAME if found and Path(found).samefile(typed) else shlex.quote(sys.argv[0])
