"""For random relations and settings, predictions through SQL are the library's own on the same float32 matrix."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest

# How a column is made of a random number in SQL: every type that is a number, and sizes from small to large.
COLUMNS = (
    "(random() * 10)::float8",
    "(random() * 1000000)::float8",
    "(random() - 0.5)::real",
    "(random() * 100)::int",
    "(random() * 5)::smallint",
    "(random() * 1e9)::bigint",
    "(random() * 10)::numeric(8, 3)",
    "random() > 0.7",
    "1.5::float8",
)
SETTINGS = {
    "xgboost": {
        "n_estimators": (1, 5, 20),
        "max_depth": (1, 3, 6),
        "eta": (0.05, 0.3, 1),
        "subsample": (0.5, 1),
        "colsample_bytree": (0.6, 1),
        "lambda": (0, 1, 10),
        "min_child_weight": (0, 1, 5),
        "max_bin": (8, 64, 256),
        "grow_policy": ("depthwise", "lossguide"),
    },
    "lightgbm": {
        "num_iterations": (1, 5, 20),
        "num_leaves": (2, 7, 31),
        "learning_rate": (0.05, 0.1, 1),
        "min_data_in_leaf": (1, 5, 20),
        "feature_fraction": (0.5, 1),
        "bagging_fraction": (0.5, 1),
        "bagging_freq": (0, 1),
        "lambda_l2": (0, 1),
    },
    "linear": {"fit_intercept": (True, False)},
}
FIT = Path(__file__).parent / "differential_fit.py"


def case(warm, seed: int) -> dict:
    """A relation public.differential of random shape, and what is asked of it."""
    chance = random.Random(seed)
    task, algorithm = chance.choice(("regression", "classification")), chance.choice(list(SETTINGS))
    rows, classes = chance.randrange(60, 400), chance.choice((2, 3, 5)) if task == "classification" else 0
    columns = [chance.choice(COLUMNS) for _ in range(chance.randrange(1, 7))]
    # With a filter, what is missing is the library's to judge; a line has no way to.
    gaps = algorithm != "linear" and chance.random() < 0.5
    holed = [f"case when random() > 0.2 then {one} end" if gaps and chance.random() < 0.7 else one for one in columns]
    listed = ", ".join(f"{column} as x{place}" for place, column in enumerate(holed))
    names = [f"x{place}" for place in range(len(columns))]
    numbers = " + ".join(
        f"coalesce({name}::int, 0)" if "> 0.7" in column else f"coalesce({name}, 0)"
        for name, column in zip(names, columns, strict=True)
    )
    label = f"({numbers})::float8 + random()" if task == "regression" else f"(i % {classes})"
    warm.execute("drop table if exists public.differential cascade")
    warm.execute(f"select setseed({chance.random()})")
    warm.execute(
        f"create table public.differential as select {', '.join(names)}, {label} as y "
        f"from (select i, {listed} from generate_series(0, {rows - 1}) as i) as r order by i"
    )
    settings = {
        name: chance.choice(values)
        for name, values in SETTINGS[algorithm].items()
        if name.startswith("n") or chance.random() < 0.7
    }
    settings.setdefault("n_estimators" if algorithm == "xgboost" else "num_iterations", 5)
    if algorithm == "linear":
        settings = {name: value for name, value in settings.items() if name in SETTINGS["linear"]}
    told = {"task": task, "algorithm": algorithm, "settings": settings, "classes": classes, "seed": seed}
    return told | {"filter": "y is not null" if gaps else None}


def through_sql(warm, wanted: dict) -> np.ndarray:
    """Train and ask; notes in the case what the library is to be given."""
    name = f"differential {wanted['seed']}"
    tested = 25
    warm.execute(
        "select pgml.train(%s, %s, 'differential', 'y', %s::pgml.algorithm, %s, test_size => %s::real, "
        "test_sampling => 'last', filter => %s)",
        [name, wanted["task"], wanted["algorithm"], json.dumps(wanted["settings"]), tested, wanted["filter"]],
    )
    read = warm.execute("select * from public.differential", prepare=False)
    table = np.array([[np.nan if value is None else float(value) for value in row] for row in read])
    wanted |= {"rows": table[:, :-1].tolist(), "labels": table[:, -1].tolist(), "train": len(table) - tested}
    flat = table[:, :-1].astype(np.float32).astype(float).ravel().tolist()
    if wanted["task"] == "regression":
        rows = warm.execute("select pgml.predict_batch(%s, %s::real[])", [name, flat]).fetchall()
        answers = np.array([row[0] for row in rows])
    else:
        found = warm.execute("select pgml.predict_proba(%s, %s::real[])", [name, flat]).fetchone()[0]
        answers = np.array(found).reshape(len(table), -1)
        chosen = [row[0] for row in warm.execute("select pgml.predict_batch(%s, %s::real[])", [name, flat])]
        chances = np.column_stack([1 - answers, answers]) if answers.shape[1] == 1 else answers
        # The likeliest class; of equals, and of what a real cannot tell apart, any.
        taken = chances[np.arange(len(table)), np.array(chosen, dtype=int)]
        assert (taken >= chances.max(axis=1) - 1e-6).all(), wanted["seed"]
    single = warm.execute("select pgml.predict(%s, %s::real[])", [name, flat[: table.shape[1] - 1]]).fetchone()[0]
    assert single == (answers[0] if wanted["task"] == "regression" else chosen[0])
    return answers


def compared(warm, engine_venv: Path, folder: Path, seeds) -> int:
    cases, ours = [], []
    for seed in seeds:
        wanted = case(warm, seed)
        ours.append(through_sql(warm, wanted))
        cases.append(wanted)
    (folder / "in.json").write_text(json.dumps(cases))
    subprocess.run(
        [engine_venv / "bin" / "python", FIT, folder / "in.json", folder / "out.json"],
        env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    theirs = json.loads((folder / "out.json").read_text())
    for wanted, mine, library in zip(cases, ours, theirs, strict=True):
        told = {key: wanted[key] for key in ("seed", "task", "algorithm", "settings", "classes", "filter")}
        # Of a real PostgreSQL shows as many digits as tell it apart.
        mine, library = mine.astype(np.float32), np.array(library, dtype=np.float32).reshape(mine.shape)
        # Trees are compared to the last bit; sums of a line may be added in another order.
        close = (
            {"rtol": 2e-5, "atol": 1e-5 * (1 + np.abs(library).max())}
            if wanted["algorithm"] == "linear"
            else {"rtol": 0, "atol": 0}
        )
        np.testing.assert_allclose(mine, library, err_msg=str(told), **close)
    return len(cases)


def test_random_trainings_answer_as_the_library_does(warm, engine_venv, tmp_path):
    assert compared(warm, engine_venv, tmp_path, range(24)) == 24


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_many_random_trainings_answer_as_the_library_does(warm, engine_venv, tmp_path, part):
    assert compared(warm, engine_venv, tmp_path, range(1000 + 60 * part, 1060 + 60 * part)) == 60
