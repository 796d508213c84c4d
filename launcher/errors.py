from __future__ import annotations


class LauncherError(Exception):
    """Something a user can act on; the message says what to do. Shown without a traceback."""
