"""Run by the server's Python, outside any server: scikit-learn's own fits and answers.

    estimator_fit.py FOLDER PACKAGES

FOLDER has in.npz (rows, regression, classification, train) and cases.json (name, task, hyperparameters); PACKAGES has
pgml_engine, for its table of names. The first `train` rows are learned from, all are answered, into out.npz.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
sys.path.insert(0, sys.argv[2])
from pgml_engine.algorithms.scikit_learn import TABLE  # noqa: E402

warnings.simplefilter("ignore")
given = np.load(folder / "in.npz")
rows, train = given["rows"].astype(np.float64), int(given["train"])
answers = {}
for name, task, hyperparams in json.loads((folder / "cases.json").read_text()):
    module, kind = TABLE[name][task]
    estimator = getattr(importlib.import_module(f"sklearn.{module}"), kind)(**hyperparams)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    label = given[task].astype(np.float64 if task == "regression" else np.int64)
    answers[f"{name} {task}"] = np.float32(estimator.fit(rows[:train], label[:train]).predict(rows))
np.savez(folder / "out.npz", **answers)
