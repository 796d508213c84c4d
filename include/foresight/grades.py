"""How sure an answer is, in a word: the risk level of a probability, the confidence of an estimate.

Probabilities are named by the limits of the model's spec. An estimate's confidence compares errors on the rows that its
model was judged on: high when the model's is at least a quarter below the simple rung's, medium when a model answers,
low when the simple rung does.
"""

from __future__ import annotations

from typing import Any

from include.foresight.database import Transaction
from include.foresight.model_specs import ModelSpec

LOW, MEDIUM, HIGH = "low", "medium", "high"
MUCH_BETTER = 0.75


def scale(tx: Transaction, spec: ModelSpec, client_id: int, rung: str) -> dict[str, Any]:
    """{"limits": [[limit, word], ...], "else": word}: the word of the first limit that a value is below."""
    if spec.grades:
        *limited, last = spec.grades
        return {"limits": [[spec.grades[word], word] for word in limited], "else": last}
    return {"limits": [], "else": confidence(tx, spec, client_id, rung)}


def confidence(tx: Transaction, spec: ModelSpec, client_id: int, rung: str) -> str:
    if rung not in ("boosted", "linear"):
        return LOW
    row = tx.one("gates/errors_of_champion", {"client_id": client_id, "model": spec.model})
    if row is None or row["error"] is None or not row["simple"]:
        return MEDIUM
    return HIGH if row["error"] <= MUCH_BETTER * row["simple"] else MEDIUM
