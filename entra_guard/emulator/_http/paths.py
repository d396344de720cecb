"""Path templates: `{name}` stands for one segment, `{name*}` for all that follows."""

from __future__ import annotations

import functools
import re


@functools.cache
def path_pattern(path: str) -> re.Pattern[str]:
    """The template as a regular expression."""
    escaped = re.sub(r"\\{(\w+)\\\*\\}", r"(?P<\1>.+)", re.escape(path))
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", escaped))
