"""Where the commands write."""

from __future__ import annotations

import os
import sys

from rich.console import Console

# What is not a terminal has the width that COLUMNS says, else as much as the tables need.
console = Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else 200)
errors = Console(stderr=True)
