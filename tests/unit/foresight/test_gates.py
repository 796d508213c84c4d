"""The gate's rules, as pure functions of labels and answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from include.foresight import gates, model_specs
from include.foresight.gates import DEMOTE, KEEP, MARGIN, PROMOTE, Judged, Verdict, judge, metrics

# As they are, but for the number of rows: the rules are easier to see on few.
COMPLEXITY, REWORK, TRAJECTORY = (
    replace(model_specs.read(model), min_test_rows=2) for model in ("complexity", "rework", "trajectory")
)

points = some.floats(0.5, 21)
seconds = some.floats(1, 1e9)
probabilities = some.floats(0, 1)
classes = some.integers(0, 1).map(float)
served = some.sampled_from([None, "boosted", "linear", "recent"])


@some.composite
def judged(draw, *, champion: bool | None = None):
    """A spec and rows of its kind."""
    spec, label, answer = draw(
        some.sampled_from(
            [(COMPLEXITY, points, points), (TRAJECTORY, seconds, seconds), (REWORK, classes, probabilities)]
        )
    )
    count = draw(some.integers(0, 30))
    column = some.lists(answer, min_size=count, max_size=count)
    asked = draw(some.booleans()) if champion is None else champion
    return spec, Judged(
        labels=draw(some.lists(label, min_size=count, max_size=count)),
        simple=draw(column),
        challenger=draw(column),
        champion=draw(column) if asked else None,
    )


def error(verdict: Verdict, who: str) -> float | None:
    return verdict.scores[who]["error"]


def criterion(verdict: Verdict, name: str) -> gates.Criterion:
    [found] = [one for one in verdict.criteria if one.name == name]
    return found


@given(judged(), served)
def test_what_is_worse_than_the_simple_rung_is_never_promoted(case, served_by):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by)
    if verdict.decision == PROMOTE:
        assert error(verdict, "challenger") <= error(verdict, "simple")


@given(judged(), served)
def test_a_bound_is_never_overstepped(case, served_by):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by)
    if verdict.decision == PROMOTE:
        own = verdict.scores["challenger"]
        assert own.get("mae", 0) <= spec.bounds.get("mae", math.inf)
        assert own.get("auc", 1) >= spec.bounds.get("auc", 0)


@given(judged(champion=False), some.sampled_from(["boosted", "linear"]))
def test_a_model_that_is_as_good_as_a_fit_champion_is_never_promoted(case, served_by):
    spec, rows = case
    verdict = judge(spec, Judged(rows.labels, rows.simple, rows.challenger, rows.challenger), served_by=served_by)
    assert verdict.decision in (KEEP, DEMOTE)
    assert not verdict.passed


@given(judged(champion=True), served)
def test_a_fit_champion_is_only_replaced_by_something_better_by_the_margin(case, served_by):
    spec, rows = case
    alone = judge(spec, Judged(rows.labels, rows.simple, rows.champion), served_by=None)
    verdict = judge(spec, rows, served_by=served_by)
    if alone.passed and verdict.decision == PROMOTE:
        assert error(verdict, "challenger") < error(verdict, "champion") * (1 - MARGIN)
    if alone.passed:
        assert verdict.decision != DEMOTE


@given(judged(), served)
def test_the_sentence_names_the_rows_and_both_errors(case, served_by):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by)
    entity = spec.entity.replace("_", " ")
    assert verdict.rows_judged == len(rows.labels)
    assert verdict.sentence.startswith(f"On the last {len(rows.labels)} {entity} rows the new model ")
    assert spec.simple_name in verdict.sentence
    for who in ("challenger", "simple"):
        assert gates._said(spec, error(verdict, who)) in verdict.sentence


@given(judged(), served)
def test_a_verdict_is_json_without_nan(case, served_by):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by)
    json.dumps([verdict.stated(), verdict.scores], allow_nan=False)
    assert all(one.reason for one in verdict.criteria)
    assert verdict.passed == all(one.passed for one in verdict.criteria)


@given(judged(), served)
def test_what_did_not_pass_is_not_promoted_and_says_why(case, served_by):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by)
    assert (verdict.decision == PROMOTE) == verdict.passed
    if verdict.decision == DEMOTE:
        for failed in (one for one in verdict.criteria if not one.passed):
            assert failed.reason in verdict.sentence


@given(judged())
def test_labels_answer_without_error(case):
    spec, rows = case
    value = metrics(spec, rows.labels, rows.labels)["error"]
    assert value is None or value == 0


@given(some.lists(classes, min_size=2, max_size=40), some.lists(some.integers(0, 5), min_size=40, max_size=40))
def test_auc_counts_pairs(labels, answers):
    answers = answers[: len(labels)]
    pairs = [
        (good > bad) + (good == bad) / 2
        for label, good in zip(labels, answers, strict=True)
        if label
        for other, bad in zip(labels, answers, strict=True)
        if not other
    ]
    found = metrics(REWORK, labels, answers)
    assert found["auc"] == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)
    assert found["error"] == (pytest.approx(1 - sum(pairs) / len(pairs)) if pairs else None)


def test_promote_keep_and_demote():
    labels = [1.0, 2.0, 3.0, 5.0]
    good, poor, simple = [1.1, 2.1, 3.1, 5.1], [9.0, 9.0, 9.0, 9.0], [3.0, 3.0, 3.0, 3.0]

    def decided(challenger, champion, served_by):
        return judge(COMPLEXITY, Judged(labels, simple, challenger, champion), served_by=served_by).decision

    assert decided(good, None, None) == PROMOTE
    assert decided(good, None, "recent") == PROMOTE
    assert decided(good, simple, "boosted") == PROMOTE
    assert decided(good, poor, "boosted") == PROMOTE
    assert decided(good, good, "boosted") == KEEP
    assert decided(poor, good, "boosted") == KEEP
    assert decided(poor, None, "recent") == KEEP
    assert decided(poor, poor, "boosted") == DEMOTE
    assert decided(poor, None, "boosted") == DEMOTE
    assert decided(poor, None, None) == DEMOTE


def test_the_sentence_of_each_decision():
    labels, simple = [1.0, 2.0, 3.0, 5.0], [3.0, 3.0, 3.0, 3.0]
    good, poor = [1.1, 2.1, 3.1, 5.1], [9.0, 9.0, 9.0, 9.0]
    promoted = judge(COMPLEXITY, Judged(labels, simple, good), served_by=None)
    assert promoted.sentence == (
        "On the last 4 issue rows the new model is off by 0.10 points on average, the rolling median is off by 1.25 "
        "points on average: the new model serves."
    )
    kept = judge(COMPLEXITY, Judged(labels, simple, poor, good), served_by="boosted")
    assert kept.sentence.endswith("the model in service is off by 0.10 points on average: the model in service stays.")
    demoted = judge(COMPLEXITY, Judged(labels, simple, poor, poor), served_by="boosted")
    assert demoted.sentence.endswith(
        ". The rolling median serves, because mae must be at most 3, and is 6.25; error 6.25 is above that of the "
        "rolling median, 1.25."
    )


@pytest.mark.parametrize("labels", [[0.0] * 5, [1.0] * 5, []], ids=["no bad one", "no good one", "no rows"])
def test_one_class_cannot_be_measured(labels):
    answers = [0.1, 0.9, 0.5, 0.4, 0.2][: len(labels)]
    verdict = judge(REWORK, Judged(labels, answers, answers), served_by=None)
    assert not verdict.passed and verdict.decision == DEMOTE
    assert criterion(verdict, "auc bound").reason == "auc must be at least 0.65, and cannot be measured on these rows"
    assert criterion(verdict, "no worse than the simple rung").reason == "auc cannot be measured on these rows"
    assert "cannot be measured" in verdict.sentence


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("spec", [COMPLEXITY, TRAJECTORY], ids=lambda spec: spec.model)
def test_an_answer_that_is_no_number_does_not_pass(spec, wrong):
    labels = [1.0, 2.0, 3.0]
    verdict = judge(spec, Judged(labels, [9.0] * 3, [wrong] * 3), served_by=None)
    assert not verdict.passed and verdict.decision == DEMOTE
    assert not criterion(verdict, "no worse than the simple rung").passed


@pytest.mark.parametrize("champion", [None, [0.1, 0.2, 0.3]], ids=["cannot be asked", "asked"])
def test_what_cannot_be_measured_moves_nothing(champion):
    """Rows without a bad one say nothing against what serves, as long as it can be asked."""
    rows = Judged([0.0] * 3, [0.2] * 3, [0.1, 0.2, 0.3], champion)
    verdict = judge(REWORK, rows, served_by="boosted")
    assert verdict.decision == (KEEP if champion else DEMOTE)
    assert not verdict.passed
    assert verdict.sentence.endswith("the model in service stays.") == bool(champion)


def test_a_margin_above_the_simple_rung_is_no_promotion():
    labels = [2.0, 4.0]
    verdict = judge(COMPLEXITY, Judged(labels, [3.0, 5.0], [3.001, 5.001]), served_by="recent")
    assert verdict.decision == KEEP
    equal = judge(COMPLEXITY, Judged(labels, [3.0, 5.0], [3.0, 5.0]), served_by="recent")
    assert equal.decision == PROMOTE


def test_a_clients_own_bound_decides():
    strict = COMPLEXITY.for_client({"complexity": {"bounds": {"mae": 0.5}}})
    rows = Judged([1.0, 2.0], [4.0, 4.0], [2.0, 3.0])
    assert judge(COMPLEXITY, rows, served_by=None).decision == PROMOTE
    verdict = judge(strict, rows, served_by=None)
    assert verdict.decision == DEMOTE
    assert criterion(verdict, "mae bound").reason == "mae must be at most 0.5, and is 1"


def test_too_few_rows_say_nothing_against_the_champion():
    rows = Judged([1.0] * 5, [1.0] * 5, [1.0] * 5, [9.0] * 5)
    spec = replace(COMPLEXITY, min_test_rows=6)
    verdict = judge(spec, rows, served_by="boosted")
    assert (verdict.decision, verdict.passed) == (KEEP, False)
    assert criterion(verdict, "enough rows").reason == "5 later rows, 6 are needed"
    assert judge(replace(spec, min_test_rows=5), rows, served_by="boosted").decision == PROMOTE
