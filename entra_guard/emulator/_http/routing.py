"""Path templates, compiled by Starlette: `{name}` is one segment, `{name:path}` the rest of the path."""

from __future__ import annotations

import functools
import re

from starlette.routing import compile_path


@functools.cache
def path_pattern(template: str) -> re.Pattern[str]:
    """Compile a template. Letter case does not matter, as in Entra and Graph."""
    pattern, _format, _convertors = compile_path(template)
    return re.compile(pattern.pattern, re.IGNORECASE)
