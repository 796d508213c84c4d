"""Run by the server's Python, outside any server: what the libraries themselves answer to test_differential's cases.

    differential_fit.py IN.json OUT.json

IN is a list of cases, each with `rows` and `labels` (numbers), `train` (how many of the rows are learned from), `task`,
`classes`, `algorithm` and `settings`. OUT has per case the values, or of a classification the chances, per row.
"""

from __future__ import annotations

import json
import sys
import warnings

import lightgbm
import numpy as np
import xgboost
from sklearn import linear_model


def xgboost_answers(case: dict, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    settings = dict(case["settings"])
    rounds = settings.pop("n_estimators")
    kind = {"objective": "reg:squarederror"}
    if case["task"] == "classification":
        kind = {"objective": "multi:softprob", "num_class": case["classes"]}
    learned = xgboost.DMatrix(rows[: case["train"]], label=labels[: case["train"]], nthread=1)
    booster = xgboost.train({**settings, **kind, "seed": 0, "nthread": 1}, learned, rounds)
    return booster.predict(xgboost.DMatrix(rows, nthread=1))


def lightgbm_answers(case: dict, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    settings = dict(case["settings"])
    rounds = settings.pop("num_iterations")
    kind = {"objective": "regression"}
    if case["task"] == "classification":
        kind = {"objective": "binary"} if case["classes"] == 2 else {"objective": "multiclass"}
        kind |= {} if case["classes"] == 2 else {"num_class": case["classes"]}
    same = {"deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1, "seed": 0}
    parameters = {**settings, **kind, **same}
    data = lightgbm.Dataset(rows[: case["train"]], label=labels[: case["train"]], params=parameters)
    return lightgbm.train(parameters, data, rounds).predict(rows)


def linear_answers(case: dict, rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    learned, targets = rows[: case["train"]].astype(float), labels[: case["train"]].astype(float)
    if case["task"] == "regression":
        return linear_model.LinearRegression(**case["settings"]).fit(learned, targets).predict(rows.astype(float))
    model = linear_model.LogisticRegression(solver="newton-cholesky", **case["settings"]).fit(learned, targets)
    return model.predict_proba(rows.astype(float))


warnings.simplefilter("ignore")
answers = []
for one in json.load(open(sys.argv[1])):
    matrix, target = np.array(one["rows"], dtype=np.float32), np.array(one["labels"], dtype=np.float32)
    found = {"xgboost": xgboost_answers, "lightgbm": lightgbm_answers, "linear": linear_answers}[one["algorithm"]](
        one, matrix, target
    )
    answers.append(np.asarray(found, dtype=np.float32).astype(float).tolist())
json.dump(answers, open(sys.argv[2], "w"))
