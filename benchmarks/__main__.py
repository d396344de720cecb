"""`python -m benchmarks`: all tables about validation, in one run of about a minute."""

from __future__ import annotations

import importlib.util
import platform

from benchmarks import request, validation


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}")
    validation.main()
    request.main()
    if all(importlib.util.find_spec(name) for name in ("joserfc", "authlib", "fastapi_azure_auth")):
        from benchmarks import peers

        peers.main()
    else:
        print('\nThe peers are not installed: pip install "entra-guard[peers]"')


if __name__ == "__main__":
    main()
