"""Run by the server's Python, outside any server: the libraries' own fits and answers on the same float32 rows.

    library_fit.py IN.npz OUT.npz

IN has `rows` (n x features) and `number`, `label` (n); the first `train` rows are learned from, all are answered.
"""

from __future__ import annotations

import sys

import lightgbm
import numpy as np
import xgboost
from sklearn import linear_model

given = np.load(sys.argv[1])
rows, train = given["rows"], int(given["train"])
answers = {}

for task, target in (("regression", given["number"]), ("classification", given["label"])):
    fit_rows, fit_target = rows[:train], target[:train]

    tree = {"max_depth": 4, "eta": 0.2, "subsample": 0.8, "nthread": 1, "seed": 0}
    kind = (
        {"objective": "reg:squarederror"} if task == "regression" else {"objective": "multi:softprob", "num_class": 2}
    )
    booster = xgboost.train(tree | kind, xgboost.DMatrix(fit_rows, label=fit_target, nthread=1), 30)
    answers[f"xgboost {task}"] = booster.predict(xgboost.DMatrix(rows, nthread=1))

    leaves = {"num_leaves": 15, "learning_rate": 0.1, "verbosity": -1, "num_threads": 1, "seed": 0}
    leaves |= {
        "objective": "regression" if task == "regression" else "binary",
        "deterministic": True,
        "force_row_wise": True,
    }
    forest = lightgbm.train(leaves, lightgbm.Dataset(fit_rows, label=fit_target), 30)
    answers[f"lightgbm {task}"] = forest.predict(rows)

    if task == "regression":
        line = linear_model.LinearRegression().fit(fit_rows.astype(float), fit_target)
        answers[f"linear {task}"] = line.predict(rows.astype(float))
    else:
        line = linear_model.LogisticRegression(solver="newton-cholesky").fit(fit_rows.astype(float), fit_target)
        answers[f"linear {task}"] = line.predict_proba(rows.astype(float))

np.savez(sys.argv[2], **answers)
