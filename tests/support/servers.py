"""Throw-away PostgreSQL servers for tests: the launcher's own."""

from __future__ import annotations

from launcher.throwaway import CARELESS, Servers, free_port

__all__ = ["CARELESS", "Servers", "free_port"]
