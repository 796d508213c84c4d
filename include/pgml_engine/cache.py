"""The models that a session has loaded. Bounded: a pooled session lives for weeks and meets every client."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Model = TypeVar("Model")

MAX_MODELS = 64
MAX_BYTES = 256 * 1024 * 1024


class ModelCache(Generic[Model]):
    """Least recently used first out, by count and by the size of the stored models in bytes.

    The caller must have asked the database whether the present role may see the model: the cache does not know roles.
    """

    def __init__(self, max_models: int = MAX_MODELS, max_bytes: int = MAX_BYTES) -> None:
        self.max_models = max_models
        self.max_bytes = max_bytes
        self._held: OrderedDict[Hashable, tuple[Model, int]] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable, load: Callable[[], tuple[Model, int]]) -> Model:
        """The model under `key`; `load` returns it and the bytes it was stored in."""
        held = self._held.get(key)
        if held is not None:
            self._held.move_to_end(key)
            return held[0]
        model, size = load()
        self._held[key] = (model, size)
        self.held_bytes += size
        while len(self._held) > self.max_models or (self.held_bytes > self.max_bytes and len(self._held) > 1):
            _, (_, dropped) = self._held.popitem(last=False)
            self.held_bytes -= dropped
        return model
