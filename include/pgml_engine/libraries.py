"""Imports of the heavy libraries: late, because the first call of every session pays for them, and with one thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from .errors import NotSupported

# Optional friends of xgboost and lightgbm that we never hand them: half a second of imports when they are installed.
UNWANTED = ("sklearn", "pandas", "pyarrow", "dask")

# Threads of two sessions on the same cores spin against each other and fall to a fifth of one session's speed. The
# libraries are told so at every call; this is for the pools that they read from the environment when they are loaded.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """An import of one of `names` fails within the block, also when it has been imported before."""
    real = {name: sys.modules.get(name) for name in names}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in real.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def one_thread() -> None:
    """Before a library is imported: for those that the importing function does not come from here."""
    for variable in ONE_THREAD:
        os.environ[variable] = "1"


def xgboost() -> ModuleType:
    module = sys.modules.get("xgboost")
    if module is None:
        one_thread()
        with _without(UNWANTED):
            import xgboost as module
        module.set_config(verbosity=0)
    return module


def lightgbm() -> ModuleType:
    module = sys.modules.get("lightgbm")
    if module is None:
        one_thread()
        with _without(UNWANTED):
            import lightgbm as module
    return module


def linear_models() -> ModuleType:
    one_thread()
    from sklearn import linear_model

    return linear_model


def skops() -> ModuleType:
    one_thread()
    from skops import io

    return io


def catboost() -> ModuleType:
    one_thread()
    try:
        import catboost as module
    except ImportError:
        raise NotSupported(
            "algorithm catboost needs the Python package catboost, which this server does not have",
            hint="Install catboost into the Python environment of the database server.",
        ) from None
    return module
