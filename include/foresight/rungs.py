"""The rungs of the ladder, best first; every answer says which one gave it."""

from __future__ import annotations

# The specified algorithm; a linear model; the client's own recent distribution; a constant, without any label.
BOOSTED, LINEAR, RECENT, PRIOR = "boosted", "linear", "recent", "prior"
