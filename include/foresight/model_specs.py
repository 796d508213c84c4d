"""What a model is: sql/features/<model>.toml and .sql. Data only; a further model is two such files."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from include.foresight.errors import ConfigurationError, UnknownModel

FEATURES = Path(__file__).resolve().parents[2] / "sql" / "features"

TASKS = ("regression", "classification")
ENTITIES = ("issue", "pull_request")
TARGETS = ("identity", "log1p")
MEASURES = ("mae", "median_absolute_log_error", "auc")


@dataclass(frozen=True)
class ModelSpec:
    """`settings` are parameters of the feature SQL; `bounds` limit a metric (from below where more of it is better);
    `grades` name probabilities: each word holds below its limit, in rising order. `simple_name` says to people what the
    simple rung is. `spread`: how far labels usually lie from the prior, a standard deviation on the scale of the
    target, for ranges before any label is known. `residual`: hyperparameters in addition, where the algorithm learns
    what the simple rung leaves; empty: it never does. `accepted`: features that are known to grow after their moment,
    with no better source."""

    model: str
    title: str
    project_name: str
    version: int
    task: str
    entity: str
    unit: str
    algorithm: str
    measure: str
    prior: float
    test_size: float
    min_train_rows: int
    min_test_rows: int
    simple_name: str = "the recent distribution"
    target: str = "identity"
    spread: float = 1.0
    fit_seconds: float = 600.0
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    residual: Mapping[str, Any] = field(default_factory=dict)
    accepted: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    bounds: Mapping[str, float] = field(default_factory=dict)
    grades: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._among("task", TASKS)
        self._among("entity", ENTITIES)
        self._among("target", TARGETS)
        self._among("measure", MEASURES)
        if not 0 < self.test_size < 1:
            raise self._wrong("test_size", "between 0 and 1", self.test_size)
        if not self.spread > 0:
            raise self._wrong("spread", "more than 0", self.spread)
        if self.min_train_rows < 2 or self.min_test_rows < 2:
            # pgml takes a test_size of 1 for the whole, not for one row.
            raise self._wrong(
                "min_train_rows and min_test_rows", "2 or more", (self.min_train_rows, self.min_test_rows)
            )
        if self.residual and self.task != "regression":
            raise self._wrong("residual", "absent unless the task is regression", dict(self.residual))
        if list(self.grades.values()) != sorted(self.grades.values()):
            raise self._wrong("grades", "limits in rising order", dict(self.grades))

    def _among(self, name: str, allowed: tuple[str, ...]) -> None:
        if getattr(self, name) not in allowed:
            raise self._wrong(name, f"one of {', '.join(allowed)}", getattr(self, name))

    def _wrong(self, name: str, rule: str, value: Any) -> ConfigurationError:
        return ConfigurationError(f"model '{self.model}': {name} must be {rule}, got {value!r}")

    @property
    def feature_sql(self) -> str:
        return (FEATURES / f"{self.model}.sql").read_text(encoding="utf-8")

    @property
    def digest(self) -> str:
        """Tells one state of the spec from another: data, SQL and what the client overrides."""
        stated = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(f"{stated}\0{self.feature_sql}".encode()).hexdigest()[:16]

    def for_client(self, overrides: Mapping[str, Any]) -> ModelSpec:
        """The spec with a client's own settings and bounds: {"<model>": {"settings": {...}, "bounds": {...}}}."""
        own = overrides.get(self.model, {})
        if not isinstance(own, Mapping) or not all(isinstance(part, Mapping) for part in own.values()):
            raise self._wrong("a client's overrides", 'objects like {"settings": {...}}', own)
        unknown = set(own) - {"settings", "bounds"}
        for part in ("settings", "bounds"):
            unknown |= set(own.get(part, {})) - set(getattr(self, part))
        if unknown:
            raise ConfigurationError(
                f"model '{self.model}': a client overrides {', '.join(sorted(unknown))}, which the spec does not have"
            )
        for name, value in ((name, value) for part in own.values() for name, value in part.items()):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise self._wrong(f"a client's {name}", "a number", value)
        return replace(
            self,
            settings={**self.settings, **own.get("settings", {})},
            bounds={**self.bounds, **own.get("bounds", {})},
        )


def names() -> tuple[str, ...]:
    """Every model that is specified."""
    return tuple(sorted(path.stem for path in FEATURES.glob("*.toml")))


@cache
def read(model: str) -> ModelSpec:
    path = FEATURES / f"{model}.toml"
    if model not in names():
        raise UnknownModel(f"there is no model '{model}': there are {', '.join(names())}")
    stated = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(stated) - set(ModelSpec.__dataclass_fields__) - {"model"}
    if unknown:
        raise ConfigurationError(f"{path.name}: unknown keys {', '.join(sorted(unknown))}")
    try:
        return ModelSpec(model=model, **stated)
    except TypeError as error:
        raise ConfigurationError(f"{path.name}: {error}") from None


def chosen(wanted: tuple[str, ...] | None, overrides: Mapping[str, Any]) -> list[ModelSpec]:
    """The specs of these models, or of all, as the client has them. What overrides say of `checks` is theirs."""
    unknown = sorted(set(overrides) - {*names(), "checks"})
    if unknown:
        known = ", ".join(names())
        raise ConfigurationError(f"a client overrides '{unknown[0]}': there are the models {known}, and checks")
    return [read(model).for_client(overrides) for model in (wanted or names())]
