"""The bare library, for benchmarks.engine: run by the Python of the server's environment, arrays ready, one thread.

    library.py FOLDER

FOLDER has rows_<n>.npy: n x (features + 1), float32, the label last. A line {"what": "train" | "predict", "rows": n,
"n_estimators": k} on standard input is answered with {"seconds": s}. As pgml.train does by default, three quarters of
the rows are learned from.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from pathlib import Path

import numpy as np
import xgboost

PARAMETERS = {"objective": "reg:squarederror", "nthread": 1, "seed": 0}


@functools.cache
def arrays(rows: int) -> tuple[np.ndarray, np.ndarray]:
    values = np.load(Path(sys.argv[1]) / f"rows_{rows}.npy")
    return np.ascontiguousarray(values[:, :-1]), np.ascontiguousarray(values[:, -1])


def train(rows: int, rounds: int) -> xgboost.Booster:
    features, labels = arrays(rows)
    learned = rows - round(rows / 4)
    data = xgboost.DMatrix(features[:learned], label=labels[:learned], nthread=1)
    return xgboost.train(PARAMETERS, data, rounds)


booster = functools.cache(train)

for line in sys.stdin:
    wanted = json.loads(line)
    rows, rounds = wanted["rows"], wanted["n_estimators"]
    features, _ = arrays(rows)
    if wanted["what"] == "predict":
        model = booster(rows, rounds)
        started = time.perf_counter()
        model.inplace_predict(features)
    else:
        started = time.perf_counter()
        train(rows, rounds)
    print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)
