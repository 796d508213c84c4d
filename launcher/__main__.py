from __future__ import annotations

import signal

# Until the commands are imported and take it over, Ctrl-C just ends: there is nothing to undo and no trace to show.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from launcher.cli import main  # noqa: E402

main()
