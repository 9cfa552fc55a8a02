"""`python -m labctl.hardware DIRECTORY`; started by `labctl run`, never by hand."""

from __future__ import annotations

import sys
from pathlib import Path

from labctl.hardware.conduct import main

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
