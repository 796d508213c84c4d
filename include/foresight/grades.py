"""How sure an answer is, in a word: the risk level of a probability, the confidence of an estimate.

Probabilities are named by the limits of the model's spec. The confidence of an estimate compares how wide its 80 %
range is with how wide the client's own last labels lie (the shortest part that holds 80 % of them, which is the range
of somebody who knows nothing else): high below half of that, medium below four fifths, else low, and low while too few
labels are known to tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.foresight.model_specs import ModelSpec

LOW, MEDIUM, HIGH = "low", "medium", "high"
CONFIDENCE = {HIGH: 0.5, MEDIUM: 0.8}


def scale(spec: ModelSpec) -> dict[str, Any]:
    """{"of": what is looked at, "limits": [[limit, word], ...], "else": word}: the word of the first limit that it is
    below. `of` is the value, or `share` of its ranges."""
    if spec.grades:
        *limited, last = spec.grades
        return {"of": "value", "limits": [[spec.grades[word], word] for word in limited], "else": last}
    return {"of": "share", "limits": [[limit, word] for word, limit in CONFIDENCE.items()], "else": LOW}


def word(spec: ModelSpec, value: float, ranges: Mapping[str, float] | None) -> str:
    """The grade of one answer."""
    stated = scale(spec)
    looked_at = value if stated["of"] == "value" else (ranges or {}).get("share")
    if looked_at is None:
        return stated["else"]
    return next((word for limit, word in stated["limits"] if looked_at < limit), stated["else"])
