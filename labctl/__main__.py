"""`python -m labctl`."""

from __future__ import annotations

import sys

from labctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
