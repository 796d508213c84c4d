"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# The first call of a function may import a library for half a second: that is no fault of the function's.
settings.register_profile("foresight", deadline=None)
settings.load_profile("foresight")
