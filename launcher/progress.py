"""What a command tells while it works: plain lines, and on a terminal a line that moves."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table


class Progress:
    """Phases and their seconds. Phases may overlap, in threads of their own; so they do not add up to the total."""

    def __init__(self, console: Console, began: float | None = None) -> None:
        """`began`: the moment (as of `time.time`) from which the total counts, if earlier than now."""
        self.console = console
        self.began = began or time.time()
        self.seconds: dict[str, float] = {}
        self._active: list[str] = []
        self._lock = threading.Lock()
        self._status = console.status("") if console.is_terminal else None

    @property
    def total(self) -> float:
        return time.time() - self.began

    def say(self, text: str) -> None:
        self.console.print(f"{self.total:6.1f} s  {text}", highlight=False, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        self._show(name, True)
        try:
            yield
        finally:
            self._show(name, False)
            with self._lock:
                self.seconds[name] = self.seconds.get(name, 0) + time.monotonic() - start
        self.say(f"{name}: done in {self.seconds[name]:.1f} s")

    def _show(self, name: str, active: bool) -> None:
        with self._lock:
            (self._active.append if active else self._active.remove)(name)
            if not self._status:
                return
            if self._active:
                self._status.update(", ".join(self._active))
                self._status.start()
            else:
                self._status.stop()

    def close(self) -> None:
        if self._status:
            self._status.stop()

    def table(self) -> Table:
        table = Table(title="Phases", title_justify="left", caption="Phases overlap.", caption_justify="left")
        table.add_column("phase")
        table.add_column("seconds", justify="right")
        for name, seconds in self.seconds.items():
            table.add_row(name, f"{seconds:.1f}")
        table.add_row("total", f"{self.total:.1f}", style="bold")
        return table
