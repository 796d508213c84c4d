"""How sure an answer is, in a word: the risk level of a probability, the confidence of an estimate.

Probabilities are named by the limits of the model's spec. An estimate's confidence compares errors on the rows that its
model was judged on: high when the model's is at least a quarter below the simple rung's, medium when a model answers,
low when the simple rung does.
"""

from __future__ import annotations

from typing import Any

from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec
from include.foresight.rungs import BOOSTED, LINEAR

LOW, MEDIUM, HIGH = "low", "medium", "high"
MUCH_BETTER = 0.75
MODELS = (BOOSTED, LINEAR)


def scale(tx: Transaction, spec: ModelSpec, client_id: int, rung: str) -> dict[str, Any]:
    """{"limits": [[limit, word], ...], "else": word}: the word of the first limit that a value is below."""
    if spec.grades:
        *limited, last = spec.grades
        return {"limits": [[spec.grades[word], word] for word in limited], "else": last}
    return {"limits": [], "else": confidence(tx, spec, client_id, rung)}


def word(spec: ModelSpec, value: float, rung: str) -> str:
    """The grade of one answer, from what the replica alone knows."""
    if not spec.grades:
        return MEDIUM if rung in MODELS else LOW
    *limited, last = spec.grades
    return next((name for name in limited if value < spec.grades[name]), last)


def confidence(tx: Transaction, spec: ModelSpec, client_id: int, rung: str) -> str:
    if rung not in MODELS:
        return LOW
    row = tx.one("gates/errors_of_champion", {"client_id": client_id, "model": spec.model})
    if row is None or row["error"] is None or not row["simple"]:
        return MEDIUM
    return HIGH if row["error"] <= MUCH_BETTER * row["simple"] else MEDIUM
