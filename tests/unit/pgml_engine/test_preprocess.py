from __future__ import annotations

import numpy as np
import pytest

from include.pgml_engine.errors import BadData, ColumnNotFound, NotSupported, PgmlError
from include.pgml_engine.preprocess import Preprocessing, Step, fit, parse, refuse_missing
from include.pgml_engine.relation import Column

NAN = np.nan
A = Column("a", "float8", 1, True)
B, C = Column("b", "int4", 2, True), Column("c", "float4", 3, True)
WORDS = Column("words", "text", 4, True)
COLUMN = np.array([[1.0], [2.0], [2.0], [NAN], [9.0]], dtype=np.float32)


def learned(column=COLUMN, **step):
    return fit(parse({"a": step}, [A], ["y"]), ["a"], column)


@pytest.mark.parametrize(
    ("impute", "value"), [("mean", 3.5), ("median", 2), ("mode", 2), ("min", 1), ("max", 9), ("zero", 0)]
)
def test_a_missing_value_is_filled(impute, value):
    filled = learned(impute=impute).apply(COLUMN)
    assert filled[3, 0] == value
    assert np.isnan(COLUMN[3, 0]), "the caller's matrix stays"
    assert np.array_equal(filled[[0, 1, 2, 4]], COLUMN[[0, 1, 2, 4]])


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        ("standard", [-1.3416407, -0.4472136, 0.4472136, 1.3416407]),
        ("min_max", [0, 1 / 3, 2 / 3, 1]),
        ("max_abs", [0.25, 0.5, 0.75, 1]),
        ("robust", [-1, -0.5, 0, 0.5]),
    ],
)
def test_a_column_is_scaled(scale, expected):
    column = np.array([[1.0], [2.0], [3.0], [4.0]], dtype=np.float32)
    assert learned(column, scale=scale).apply(column)[:, 0] == pytest.approx(expected)


def test_a_constant_column_is_not_divided_by_its_spread():
    column = np.full((3, 1), 5, dtype=np.float32)
    assert list(learned(column, scale="standard").apply(column)[:, 0]) == [0, 0, 0]


def test_scaling_is_learned_with_the_filled_values():
    column = np.array([[1.0], [3.0], [NAN]], dtype=np.float32)
    assert list(learned(column, impute="max", scale="min_max").apply(column)[:, 0]) == [0, 1, 1]
    zero = learned(column, impute="zero", scale="min_max").apply(column)[:, 0]
    assert zero == pytest.approx([1 / 3, 1, 0])


def test_nothing_asked_is_nothing_learned():
    assert learned(impute="error", scale="preserve") is None


def test_what_is_stored_does_the_same_bit_for_bit():
    steps = parse({"a": {"impute": "mean", "scale": "standard"}, "b": {"scale": "robust"}}, [A, B, C], ["y"])
    rows = np.random.RandomState(0).normal(1e6, 1e3, (100, 3)).astype(np.float32)
    rows[::7, 0] = NAN
    first = fit(steps, ["a", "b", "c"], rows)
    again = Preprocessing.load(first.dump())
    assert np.array_equal(first.apply(rows), again.apply(rows))
    alone = np.concatenate([again.apply(rows[i : i + 1]) for i in range(100)])
    assert np.array_equal(first.apply(rows), alone)
    assert np.array_equal(first.apply(rows)[:, 2], rows[:, 2])


@pytest.mark.parametrize(
    ("preprocess", "error", "words"),
    [
        ({"z": {"impute": "mean"}}, ColumnNotFound, 'no feature column "z"; it has: a, words'),
        ({"y": {"scale": "standard"}}, NotSupported, '"y" is the label'),
        ({"a": {"imputer": "mean"}}, PgmlError, 'unknown key "imputer"'),
        ({"a": {"impute": "average"}}, PgmlError, 'must be one of error, mean, .* got "average"'),
        ({"a": {"encode": "one_hot"}}, NotSupported, 'encode "one_hot" of "a" is for columns of text'),
        ({"words": {"encode": "embed"}}, PgmlError, "must be one of native, target, one_hot or .*ordinal"),
        ({"words": {"encode": {"ordinal": []}}}, PgmlError, 'must be {"ordinal": .*got {"ordinal": ..}'),
        ({"words": {"encode": {"ordinal": ["a", "a"]}}}, PgmlError, "must list texts, each once"),
        ({"words": {"encode": {"nominal": ["a"]}}}, PgmlError, "must be .*ordinal"),
        ({"words": {"impute": "mean"}}, NotSupported, 'impute mean of "words", a text, needs encode target'),
        ({"words": {"impute": "min", "encode": "one_hot"}}, NotSupported, "must be error, mode or zero; got min"),
        ({"a": "mean"}, PgmlError, "must be an object"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_column(preprocess, error, words):
    with pytest.raises(error, match=words):
        parse(preprocess, [A, WORDS], ["y"])


def test_a_column_without_any_value_cannot_be_imputed():
    with pytest.raises(BadData, match='column "a" has no value in any training row'):
        learned(np.full((3, 1), NAN, dtype=np.float32), impute="mean")


def test_missing_values_are_counted_by_column():
    with pytest.raises(BadData, match='column "b" holds 2 missing values .* in 3 rows'):
        refuse_missing(np.array([[1, NAN], [2, NAN], [3, 1]], dtype=np.float32), ["a", "b"])


def test_the_words_of_a_step_come_back_as_they_were_written():
    written = {"words": {"encode": {"ordinal": ["low", "high"]}, "impute": "mode", "scale": "standard"}}
    assert parse(written, [A, WORDS], ["y"])["words"] == Step("mode", "standard", "ordinal", ("low", "high"))
    assert parse(written, [A, WORDS], ["y"])["words"].encode == {"ordinal": ["low", "high"]}
    assert parse({"words": {}}, [A, WORDS], ["y"])["words"].encode == "native"


def test_each_number_of_an_array_has_the_step_of_its_column():
    rows = np.array([[1.0, 10.0, 5.0], [3.0, 30.0, NAN]], dtype=np.float32)
    steps = parse({"a": {"scale": "min_max"}, "b": {"impute": "zero"}}, [A, B], ["y"])
    assert fit(steps, ["a", "a", "b"], rows).apply(rows).tolist() == [[0, 0, 5], [1, 1, 0]]
