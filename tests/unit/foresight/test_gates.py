"""The gate's rules, as pure functions of labels and answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from include.foresight import gates, model_specs
from include.foresight.gates import DEMOTE, KEEP, LUCK, MARGIN, PROMOTE, STEP, Judged, Verdict, judge, metrics

# As they are, but for the number of rows (the rules are easier to see on few) and for what is told in words here.
COMPLEXITY, REWORK, TRAJECTORY = (
    replace(model_specs.read(model), min_test_rows=2, bounds=bounds, simple_name=simple_name)
    for model, bounds, simple_name in (
        ("complexity", {"mae": 3.0}, "the rolling median"),
        ("rework", {"auc": 0.65}, "size alone"),
        ("trajectory", {}, "the rolling median"),
    )
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

    def maybe(element):
        return draw(some.none() | some.lists(element, min_size=count, max_size=count))

    return spec, Judged(
        labels=draw(some.lists(label, min_size=count, max_size=count)),
        simple=draw(column),
        challenger=draw(column),
        champion=draw(column) if asked else None,
        slices=maybe(some.sampled_from("ABC")),
        new=maybe(some.booleans()),
        entities=maybe(some.integers(1, 9)),
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
    verdict = judge(spec, replace(rows, champion=rows.challenger), served_by=served_by)
    assert verdict.decision in (KEEP, DEMOTE)
    assert not verdict.passed


@given(judged(champion=True), served)
def test_a_fit_champion_is_only_replaced_by_something_better_by_the_margin(case, served_by):
    spec, rows = case
    alone = judge(spec, replace(rows, challenger=rows.champion, champion=None, new=None), served_by=None)
    verdict = judge(spec, rows, served_by=served_by)
    if alone.passed and verdict.decision == PROMOTE:
        gain = criterion(verdict, "better than the champion")
        assert gain.passed and gain.observed > gain.threshold >= MARGIN
        if spec.measure != "median_absolute_log_error":  # which is compared by its mean
            assert error(verdict, "challenger") < error(verdict, "champion") * (1 - MARGIN)
    if alone.passed:
        assert verdict.decision != DEMOTE


@given(judged(champion=True), served)
def test_who_is_promoted_has_beaten_what_served_by_more_than_luck(case, served_by):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by)
    for one in verdict.criteria:
        if one.name.startswith("better than") and verdict.decision == PROMOTE:
            assert one.observed > one.threshold >= 0


@given(judged(), served, some.integers(1, 5))
def test_a_look_takes_its_share_of_the_luck_and_no_more(case, served_by, models):
    spec, rows = case
    verdict = judge(spec, rows, served_by=served_by, models=models)
    assert 0 <= verdict.level <= LUCK / models
    fit_champion = any(one.name == "better than the champion" for one in verdict.criteria)
    if rows.new is not None and (fit_champion or served_by == "recent"):
        new, count = sum(rows.new), len(rows.labels)
        assert verdict.level == pytest.approx(LUCK / models * new / max(count, 1))
        if new < STEP * count:
            assert not verdict.looked and verdict.decision != PROMOTE
            assert not criterion(verdict, "new rows").passed


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


LABELS = [1.0, 2.0, 3.0, 5.0, 8.0, 2.0, 1.0, 5.0]
SIMPLE = [3.0] * 8
GOOD = [label + 0.1 for label in LABELS]
FAIR = [label + 0.8 for label in LABELS]
POOR = [label + 9.0 for label in LABELS]


def test_promote_keep_and_demote():
    def decided(challenger, champion, served_by):
        return judge(COMPLEXITY, Judged(LABELS, SIMPLE, challenger, champion), served_by=served_by).decision

    assert decided(GOOD, None, None) == PROMOTE
    assert decided(GOOD, None, "recent") == PROMOTE
    assert decided(GOOD, FAIR, "boosted") == PROMOTE
    assert decided(GOOD, POOR, "boosted") == PROMOTE
    assert decided(GOOD, GOOD, "boosted") == KEEP
    assert decided(FAIR, GOOD, "boosted") == KEEP
    assert decided(POOR, GOOD, "boosted") == KEEP
    assert decided(POOR, None, "recent") == KEEP
    assert decided(POOR, POOR, "boosted") == DEMOTE
    assert decided(POOR, None, "boosted") == DEMOTE
    assert decided(POOR, None, None) == DEMOTE


def test_the_sentence_of_each_decision():
    promoted = judge(COMPLEXITY, Judged(LABELS, SIMPLE, GOOD), served_by=None)
    assert promoted.sentence == (
        "On the last 8 issue rows the new model is off by 0.10 points on average, the rolling median is off by 1.88 "
        "points on average: the new model serves."
    )
    kept = judge(COMPLEXITY, Judged(LABELS, SIMPLE, FAIR, GOOD), served_by="boosted")
    assert ", the model in service is off by 0.10 points on average: the model in service stays. The new one " in (
        kept.sentence
    )
    assert kept.sentence.endswith(
        "errs 700.0% more than the model in service, and a margin of 2% and luck can make up to 2.0%, so nothing is "
        "proved."
    )
    turned_down = judge(COMPLEXITY, Judged(LABELS, SIMPLE, POOR), served_by="recent")
    assert "The rolling median serves, because of the new model: mae must be at most 3, and is 9; " in (
        turned_down.sentence
    )
    demoted = judge(COMPLEXITY, Judged(LABELS, SIMPLE, POOR, POOR), served_by="boosted")
    assert "Mae of the model in service must be at most 3, and is 9. The rolling median serves" in demoted.sentence
    replaced = judge(COMPLEXITY, Judged(LABELS, SIMPLE, GOOD, POOR), served_by="boosted")
    assert replaced.sentence.endswith(
        ": the new model serves, since mae of the model in service must be at most 3, and is 9."
    )


def noisy(seed: int, count: int, **off: float) -> Judged:
    """Labels of 1 to 8, and answers that are off by so much on average, apart from one another."""
    chance = np.random.default_rng(seed)
    labels = chance.integers(1, 9, count).astype(float)
    answers = {who: labels + size * chance.standard_normal(count) * 1.25 for who, size in off.items()}
    return Judged(labels, new=[True] * count, **answers)


def test_luck_alone_promotes_nothing():
    """Two models that err alike, many times."""
    promoted = sum(
        judge(
            COMPLEXITY, noisy(seed, 80, simple=2.0, challenger=1.0, champion=1.0), served_by="boosted", models=3
        ).passed
        for seed in range(150)
    )
    assert promoted <= 0.05 * 150


def test_a_gain_of_fifteen_per_cent_is_seen_on_four_hundred_rows():
    promoted = [
        judge(
            COMPLEXITY, noisy(seed, 400, simple=2.0, challenger=0.85, champion=1.0), served_by="boosted", models=3
        ).passed
        for seed in range(60)
    ]
    # These answers err apart from each other, which is the hardest case: models of one client err together.
    assert sum(promoted) >= 27


def test_what_is_a_little_worse_by_luck_stays_and_what_is_worse_goes():
    def decision(size, seed):
        rows = noisy(seed, 60, simple=1.0, challenger=3.0, champion=size)
        return judge(COMPLEXITY, rows, served_by="boosted").decision

    assert [decision(0.8, seed) for seed in range(20)].count(DEMOTE) <= 1
    assert [decision(2.5, seed) for seed in range(20)].count(DEMOTE) == 20


def test_nights_that_see_the_same_rows_are_no_further_looks():
    rows = noisy(3, 100, simple=3.0, challenger=0.5, champion=1.0)
    assert judge(COMPLEXITY, rows, served_by="boosted").passed
    few = replace(rows, new=[False] * 91 + [True] * 9)
    verdict = judge(COMPLEXITY, few, served_by="boosted")
    assert (verdict.decision, verdict.looked) == (KEEP, False)
    assert verdict.sentence.endswith(
        "The new one cannot be compared yet: 9 of these rows are new since the last comparison with what serves, and "
        "10 are needed for another."
    )
    ten = replace(rows, new=[False] * 90 + [True] * 10)
    verdict = judge(COMPLEXITY, ten, served_by="boosted", models=3)
    assert (verdict.decision, verdict.looked, verdict.level) == (PROMOTE, True, pytest.approx(LUCK / 30))


def test_rows_of_one_entity_are_one_piece_of_evidence():
    """Four epics asked at twenty ages each prove no more than four epics."""
    chance = np.random.default_rng(1)
    labels = chance.integers(1, 9, 80).astype(float)
    entities = [n % 4 for n in range(80)]
    off = np.array([0.2, 1.4, 0.3, 0.9])[entities]
    rows = Judged(labels, labels + 1.0, labels + off)
    assert judge(COMPLEXITY, rows, served_by=None).passed
    verdict = judge(COMPLEXITY, replace(rows, entities=entities), served_by=None)
    assert verdict.scores == judge(COMPLEXITY, rows, served_by=None).scores
    assert not criterion(verdict, "better than the simple rung").passed


def test_a_slice_that_is_worse_off_stops_a_model_that_is_better_on_the_whole():
    chance = np.random.default_rng(5)
    labels = chance.integers(1, 9, 120).astype(float)
    slices = ["small" if n % 6 == 0 else "large" for n in range(120)]
    small = np.array([one == "small" for one in slices])
    jitter = 0.2 * chance.standard_normal(120)
    rows = Judged(labels, labels + 2, labels + np.where(small, 4.0, 0.2) + jitter, slices=slices)
    verdict = judge(COMPLEXITY, rows, served_by="recent")
    assert criterion(verdict, "better than the simple rung").passed
    assert (verdict.decision, criterion(verdict, "no slice worse").passed) == (KEEP, False)
    assert "of 2 slices 'small' fares worst: it errs" in verdict.sentence
    assert judge(COMPLEXITY, replace(rows, slices=["all"] * 120), served_by="recent").decision == PROMOTE


def test_a_slice_of_a_few_unlucky_rows_stops_nothing():
    """Ten slices of six rows each, alike but for chance: some is worse in what was measured, none in truth."""
    stopped = 0
    for seed in range(50):
        rows = noisy(seed, 60, simple=2.0, challenger=1.2)
        verdict = judge(COMPLEXITY, replace(rows, slices=[f"s{n % 10}" for n in range(60)]), served_by=None)
        stopped += not criterion(verdict, "no slice worse").passed
    assert stopped <= 3


def test_probabilities_that_are_far_off_are_not_served():
    chance = np.random.default_rng(2)
    labels = (chance.random(300) < 0.3).astype(float)
    order = np.clip(0.35 * labels + 0.5 * chance.random(300), 0.01, 0.99)
    well = Judged(labels, np.full(300, 0.3), order)
    assert judge(REWORK, well, served_by=None).decision == PROMOTE
    verdict = judge(REWORK, replace(well, challenger=0.6 + 0.4 * order), served_by=None)
    assert verdict.scores["challenger"]["auc"] == pytest.approx(metrics(REWORK, labels, order)["auc"])
    assert not criterion(verdict, "probabilities").passed and verdict.decision == DEMOTE


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
    assert ("the model in service stays." in verdict.sentence) == bool(champion)


def test_no_gain_over_the_simple_rung_is_no_promotion():
    labels = [2.0, 4.0] * 10
    for off in (0.0, 0.001):
        same = [label + 1 + off for label in labels]
        verdict = judge(COMPLEXITY, Judged(labels, [label + 1 for label in labels], same), served_by="recent")
        assert verdict.decision == KEEP
        assert not criterion(verdict, "better than the simple rung").passed


def test_a_clients_own_bound_decides():
    strict = COMPLEXITY.for_client({"complexity": {"bounds": {"mae": 0.5}}})
    rows = Judged([1.0, 2.0], [4.0, 5.0], [2.0, 3.0])
    assert judge(COMPLEXITY, rows, served_by=None).decision == PROMOTE
    verdict = judge(strict, rows, served_by=None)
    assert verdict.decision == DEMOTE
    assert criterion(verdict, "mae bound").reason == "mae must be at most 0.5, and is 1"


def test_too_few_rows_say_nothing_against_the_champion():
    rows = Judged([1.0] * 5, [2.0] * 5, [1.0] * 5, [9.0] * 5)
    spec = replace(COMPLEXITY, min_test_rows=6)
    verdict = judge(spec, rows, served_by="boosted")
    assert (verdict.decision, verdict.passed, verdict.looked) == (KEEP, False, False)
    assert criterion(verdict, "enough rows").reason == "5 later rows, 6 are needed"
    assert judge(replace(spec, min_test_rows=5), rows, served_by="boosted").decision == PROMOTE


def test_a_champion_is_past_a_bound_when_luck_cannot_be_the_reason():
    chance = np.random.default_rng(4)
    labels = (chance.random(80) < 0.4).astype(float)
    near = 0.3 * labels + chance.random(80)
    spec = REWORK.for_client({"rework": {"bounds": {"auc": metrics(REWORK, labels, near)["auc"] + 0.01}}})
    assert judge(spec, Judged(labels, [0.4] * 80, near, near), served_by="boosted").decision == KEEP
    far = REWORK.for_client({"rework": {"bounds": {"auc": 0.95}}})
    assert judge(far, Judged(labels, [0.4] * 80, near, near), served_by="boosted").decision == DEMOTE
