"""`python -m labctl.guard LOG`; started by a run, never by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from labctl.guard.process import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
