"""The estimators of scikit-learn by PostgresML's names, with its hyperparameters, rules and defaults.

They are stored by skops, whose reader builds only what it is told to trust: before it sees a file each of the types
named in that is compared with a list here.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from .. import libraries
from ..errors import BadData, NotSupported, PgmlError

# By task: the module below sklearn and the class.
TABLE: dict[str, dict[str, tuple[str, str]]] = {
    "ridge": {"regression": ("linear_model", "Ridge"), "classification": ("linear_model", "RidgeClassifier")},
    "lasso": {"regression": ("linear_model", "Lasso")},
    "elastic_net": {"regression": ("linear_model", "ElasticNet")},
    "least_angle": {"regression": ("linear_model", "Lars")},
    "lasso_least_angle": {"regression": ("linear_model", "LassoLars")},
    "orthogonal_matching_pursuit": {"regression": ("linear_model", "OrthogonalMatchingPursuit")},
    "bayesian_ridge": {"regression": ("linear_model", "BayesianRidge")},
    "automatic_relevance_determination": {"regression": ("linear_model", "ARDRegression")},
    "stochastic_gradient_descent": {
        "regression": ("linear_model", "SGDRegressor"),
        "classification": ("linear_model", "SGDClassifier"),
    },
    "perceptron": {"classification": ("linear_model", "Perceptron")},
    "passive_aggressive": {
        "regression": ("linear_model", "PassiveAggressiveRegressor"),
        "classification": ("linear_model", "PassiveAggressiveClassifier"),
    },
    "ransac": {"regression": ("linear_model", "RANSACRegressor")},
    "theil_sen": {"regression": ("linear_model", "TheilSenRegressor")},
    "huber": {"regression": ("linear_model", "HuberRegressor")},
    "quantile": {"regression": ("linear_model", "QuantileRegressor")},
    "kernel_ridge": {"regression": ("kernel_ridge", "KernelRidge")},
    "gaussian_process": {
        "regression": ("gaussian_process", "GaussianProcessRegressor"),
        "classification": ("gaussian_process", "GaussianProcessClassifier"),
    },
    "svm": {"regression": ("svm", "SVR"), "classification": ("svm", "SVC")},
    "nu_svm": {"regression": ("svm", "NuSVR"), "classification": ("svm", "NuSVC")},
    "linear_svm": {"regression": ("svm", "LinearSVR"), "classification": ("svm", "LinearSVC")},
    "ada_boost": {
        "regression": ("ensemble", "AdaBoostRegressor"),
        "classification": ("ensemble", "AdaBoostClassifier"),
    },
    "bagging": {"regression": ("ensemble", "BaggingRegressor"), "classification": ("ensemble", "BaggingClassifier")},
    "extra_trees": {
        "regression": ("ensemble", "ExtraTreesRegressor"),
        "classification": ("ensemble", "ExtraTreesClassifier"),
    },
    "random_forest": {
        "regression": ("ensemble", "RandomForestRegressor"),
        "classification": ("ensemble", "RandomForestClassifier"),
    },
    "gradient_boosting_trees": {
        "regression": ("ensemble", "GradientBoostingRegressor"),
        "classification": ("ensemble", "GradientBoostingClassifier"),
    },
    "hist_gradient_boosting": {
        "regression": ("ensemble", "HistGradientBoostingRegressor"),
        "classification": ("ensemble", "HistGradientBoostingClassifier"),
    },
    "knn": {
        "regression": ("neighbors", "KNeighborsRegressor"),
        "classification": ("neighbors", "KNeighborsClassifier"),
    },
}
# Of these a split of a tree takes rows without the value to one side.
TAKE_MISSING = ("extra_trees", "random_forest", "hist_gradient_boosting")

# One thread; a server's log is no place for a library's chatter; a folder on the server is nobody's business here.
NOT_OFFERED = ("n_jobs", "verbose", "verbose_interval", "memory", "copy_X", "copy_X_train")

# What stands in a file besides the estimators of TABLE. Each is data when it is read: none calls anything.
LOADERS = frozenset(
    ("DictNode", "JsonNode", "ListNode", "TupleNode", "NdArrayNode", "ObjectNode", "LossNode", "TreeNode", "TypeNode")
    + ("RandomStateNode", "RandomGeneratorNode", "SliceNode", "SetNode")
)
PARTS = frozenset(
    ["builtins." + name for name in ("dict", "str", "list", "tuple", "int", "float", "bool", "set", "slice")]
    + ["numpy." + name for name in ("ndarray", "bool", "float32", "float64")]
    + ["numpy." + name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")]
    + ["numpy.random.mtrand.RandomState", "numpy.random._generator.Generator"]
    + ["sklearn.tree._tree.Tree"]
    + ["sklearn.tree._classes." + kind + task for kind in ("DecisionTree", "ExtraTree") for task in
       ("Classifier", "Regressor")]
    + ["sklearn.dummy.DummyClassifier", "sklearn.dummy.DummyRegressor", "sklearn.linear_model._base.LinearRegression"]
    + ["sklearn.preprocessing._label.LabelBinarizer", "sklearn.preprocessing._label.LabelEncoder"]
    + ["sklearn.multiclass.OneVsRestClassifier", "sklearn.multiclass.OneVsOneClassifier"]
    + ["sklearn.multiclass._ConstantPredictor", "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace"]
    + ["sklearn.gaussian_process.kernels." + name for name in ("ConstantKernel", "Product", "RBF")]
    + ["sklearn.ensemble._hist_gradient_boosting.binning._BinMapper"]
    + ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
    + ["sklearn.neighbors._kd_tree.KDTree", "sklearn.neighbors._ball_tree.BallTree"]
    + ["sklearn.metrics._dist_metrics." + name + "Distance64" for name in ("Euclidean", "Manhattan", "Minkowski")]
    + ["sklearn.metrics._dist_metrics." + name + "Distance64" for name in ("Chebyshev", "Canberra", "BrayCurtis")]
    + ["sklearn.linear_model._sgd_fast." + name for name in ("Hinge", "SquaredHinge", "ModifiedHuber")]
    + ["sklearn.linear_model._sgd_fast." + name for name in ("EpsilonInsensitive", "SquaredEpsilonInsensitive")]
    + ["sklearn._loss.link." + name for name in ("Interval", "IdentityLink", "LogLink", "LogitLink", "HalfLogitLink")]
    + ["sklearn._loss.link.MultinomialLogit", "sklearn._loss.link.CloglogLink"]
    + ["sklearn._loss." + module + name for module, names in {
        "loss.": ("HalfSquaredError", "AbsoluteError", "PinballLoss", "HuberLoss", "HalfPoissonLoss", "HalfGammaLoss"),
        "_loss.Cy": ("HalfSquaredError", "AbsoluteError", "PinballLoss", "HuberLoss", "HalfPoissonLoss"),
    }.items() for name in names]
    + ["sklearn._loss.loss." + name for name in ("HalfBinomialLoss", "HalfMultinomialLoss", "ExponentialLoss")]
    + ["sklearn._loss._loss.Cy" + name for name in ("HalfBinomialLoss", "HalfMultinomialLoss", "ExponentialLoss")]
    + ["sklearn._loss._loss.CyHalfGammaLoss"]
)  # fmt: skip

# The part of a file that says what the others are.
SCHEMA = "schema.json"

# How often a fit looks whether it is to end, in seconds.
LISTENS_EVERY = 0.1


@dataclass(frozen=True)
class Settings:
    task: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class ScikitLearn:
    """One of TABLE, as an Algorithm."""

    name: str
    FILE: str = "estimator.skops"

    @property
    def MISSING(self) -> bool:  # noqa: N802
        return self.name in TAKE_MISSING

    def settings(self, task: str, hyperparams: dict[str, Any]) -> Settings:
        kind = self._kind(task)
        offered = {name: default for name, default in kind().get_params().items() if name not in NOT_OFFERED}
        parameters = {}
        for name, value in hyperparams.items():
            if name == "n_jobs":
                if value not in (None, 1):
                    raise PgmlError(
                        f'hyperparameter "n_jobs" of {self.name} must be at most 1, got {json.dumps(value)}'
                    )
                continue
            if name not in offered:
                raise PgmlError(
                    f'unknown hyperparameter "{name}" for {self.name}; known are: {", ".join(sorted(offered))}'
                )
            parameters[name] = _by_class(value) if name == "class_weight" and isinstance(value, dict) else value
        if "random_state" in offered:
            seed = parameters.setdefault("random_state", 0)
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
                raise PgmlError(
                    f'hyperparameter "random_state" of {self.name} must be a whole number from 0 to 2147483647, '
                    f"got {json.dumps(seed)}"
                )
        try:
            # The estimator's own rules; public only through a fit, which is too late to be told of a typing error.
            kind(**parameters)._validate_params()
        except (ValueError, TypeError) as error:
            raise PgmlError(f"hyperparameter of {self.name}: {error}") from None
        return Settings(task, parameters)

    def seed(self, settings: Settings) -> int:
        return settings.parameters.get("random_state", 0)

    def seeded(self, task: str) -> bool:
        return "random_state" in self._kind(task)().get_params()

    def fit(
        self,
        settings: Settings,
        features: np.ndarray,
        labels: np.ndarray,
        classes: int,
        cancel_point: Callable[[], None],
    ) -> bytes:
        model = self._fitted(settings, features, labels, classes, cancel_point)
        return _canonical(libraries.skops().dumps({"estimator": model, "classes": classes}))

    def trial(
        self,
        settings: Settings,
        features: np.ndarray,
        labels: np.ndarray,
        classes: int,
        cancel_point: Callable[[], None],
    ) -> Estimator | Classifier:
        """Fit for a search: writing and reading the file takes longer than many a fit does."""
        return self._estimator(self._fitted(settings, features, labels, classes, cancel_point), settings.task, classes)

    def _fitted(
        self,
        settings: Settings,
        features: np.ndarray,
        labels: np.ndarray,
        classes: int,
        cancel_point: Callable[[], None],
    ) -> Any:
        model = self._kind(settings.task)(**settings.parameters)
        targets = labels.astype(np.int64 if classes else np.float64)
        cancel_point()
        try:
            with warnings.catch_warnings(), _listening(cancel_point):
                # Not converged, or soon to be renamed: the metrics on the test rows tell whether it matters.
                warnings.simplefilter("ignore")
                model.fit(features.astype(np.float64), targets)
        except (ValueError, ArithmeticError) as error:
            raise PgmlError(f"{self.name}: {error}") from None
        return model

    def load(self, data: bytes, task: str) -> Estimator | Classifier:
        kind = self._kind(task)
        stored = _read(data, f"{kind.__module__}.{kind.__name__}")
        if type(stored["estimator"]) is not kind:
            raise BadData(f"the stored model is a {type(stored['estimator']).__name__}, not a {kind.__name__}")
        return self._estimator(stored["estimator"], task, int(stored["classes"]))

    def _estimator(self, model: Any, task: str, classes: int) -> Estimator | Classifier:
        return Classifier(self.name, model, classes) if task == "classification" else Estimator(model)

    def _kind(self, task: str) -> Any:
        found = TABLE[self.name].get(task)
        if found is None:
            raise NotSupported(f"{self.name} is for {' and '.join(TABLE[self.name])} only, not for {task}")
        libraries.one_thread()
        module = importlib.import_module(f"sklearn.{found[0]}")
        if not hasattr(module, found[1]):
            raise NotSupported(
                f"{self.name} needs sklearn.{found[0]}.{found[1]}, which this scikit-learn no longer has"
            )
        return getattr(module, found[1])


class Estimator:
    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict(features.astype(np.float64)), dtype=np.float64).reshape(len(features))


class Classifier(Estimator):
    def __init__(self, name: str, model: Any, classes: int) -> None:
        super().__init__(model)
        self.name, self.classes = name, classes

    def probabilities(self, features: np.ndarray) -> np.ndarray | None:
        """None when the algorithm has none, as a support vector machine."""
        if not hasattr(self.model, "predict_proba"):
            return None
        found = self.model.predict_proba(features.astype(np.float64))
        answer = np.zeros((len(features), self.classes))
        # A class that no training row has was not learned: its probability is 0.
        answer[:, self.model.classes_.astype(int)] = found
        return answer

    def scores(self, features: np.ndarray) -> np.ndarray | None:
        """Of two classes: higher is rather 1. None when there is no such number."""
        if not hasattr(self.model, "decision_function"):
            return None
        found = self.model.decision_function(features.astype(np.float64))
        return found if found.ndim == 1 else None

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        found = self.probabilities(features)
        if found is None:
            raise NotSupported(f"{self.name} has no probabilities; use pgml.predict")
        return found


def _by_class(weights: dict[str, Any]) -> dict[int, Any]:
    """JSON has no numbers as keys."""
    try:
        return {int(name): weight for name, weight in weights.items()}
    except ValueError:
        raise PgmlError(f'hyperparameter "class_weight" must be by class number, got {json.dumps(weights)}') from None


def _canonical(data: bytes) -> bytes:
    """The same bytes for the same estimator: skops numbers parts by where they lie in memory, and dates its files."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        contents = {name: archive.read(name) for name in archive.namelist() if name != SCHEMA}
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    for node in _nodes(schema):
        if isinstance(node.get("__id__"), int):
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if isinstance(node.get("file"), str):
            new = f"{len(names) + 1}{PurePosixPath(node['file']).suffix}"
            node["file"] = names.setdefault(node["file"], new)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for old, new in names.items():
            archive.writestr(zipfile.ZipInfo(new), contents[old])
        archive.writestr(zipfile.ZipInfo(SCHEMA), json.dumps(schema, indent=2))
    return written.getvalue()


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in it, outer ones first."""
    if isinstance(schema, dict):
        yield schema
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _nodes(value)


def _read(data: bytes, kind: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            schema = json.loads(archive.read(SCHEMA))
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise BadData("the stored model is not a file of skops") from None
    trusted = set()
    for loader, name in _types(schema):
        if loader not in LOADERS or (name not in PARTS and name != kind):
            raise BadData(f"the stored model holds a {name} ({loader}), which no {kind} holds: it is not read")
        trusted.add(name)
    return libraries.skops().loads(data, trusted=sorted(trusted))


def _types(schema: Any) -> Iterator[tuple[str, str]]:
    """What skops would build: how, and of which type."""
    if isinstance(schema, dict):
        if "__loader__" in schema or "__class__" in schema:
            yield str(schema.get("__loader__")), f"{schema.get('__module__')}.{schema.get('__class__')}"
        for value in schema.values():
            yield from _types(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _types(value)


@contextmanager
def _listening(cancel_point: Callable[[], None]) -> Iterator[None]:
    """A fit of scikit-learn has no rounds to hook into; it is a loop of Python calls, and between two of them there is
    room for a cancel. Within one long call, such as a support vector machine's, there is none."""
    last = time.monotonic()

    def listen(frame: Any, event: str, argument: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > LISTENS_EVERY:
            last = now
            cancel_point()

    before = sys.gettrace()
    sys.settrace(listen)
    try:
        yield
    finally:
        sys.settrace(before)
