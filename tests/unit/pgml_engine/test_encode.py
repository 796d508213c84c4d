from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.pgml_engine import encode
from include.pgml_engine.encode import Encoding, text_columns
from include.pgml_engine.errors import BadData, PgmlError, TooLarge, WrongType
from include.pgml_engine.preprocess import Step
from include.pgml_engine.relation import Column, Rows

WORD, X, PAIR = (Column("word", "text", 1, True), Column("x", "float4", 2, True), Column("pair", "_int4", 3, True))
TARGETS = np.array([[1.0], [0.0], [1.0], [1.0], [0.0], [0.0]])


def rows(words, columns=(WORD,)):
    count = len(words)
    numbers = np.arange(count, dtype=np.float32)[:, np.newaxis]
    pairs = np.arange(2 * count, dtype=np.float32).reshape(count, 2)
    return Rows(count, numbers, {"x": 0}, {"word": list(words), "pair": pairs})


def learned(words, step, targets=None, columns=(WORD,)):
    training = np.arange(len(words))
    targets = np.zeros((len(words), 1)) if targets is None else targets
    return encode.fit(columns, {"word": step}, rows(words), training, targets, 0)


def test_native_codes_are_alphabetical_and_0_is_null_or_unknown():
    encoding, own = learned(["b", None, "a", "c", "b"], Step())
    assert own[:, 0].tolist() == [2, 0, 1, 3, 2]
    assert encoding.inputs[0].texts(["z", "a", None])[:, 0].tolist() == [0, 1, 0]
    missing, _ = learned(["b", None, "a"], Step(impute="min"))
    assert np.isnan(missing.inputs[0].texts(["z", None])).all()


def test_ordinal_codes_are_in_the_order_that_is_given():
    encoding, own = learned(["lo", "hi", None], Step(word="ordinal", order=("lo", "mid", "hi")))
    assert own[:, 0].tolist() == [1, 3, 0]
    with pytest.raises(BadData, match='column "word" holds "huge".*"lo", "mid", "hi"'):
        encoding.inputs[0].texts(["huge"])


def test_one_hot_has_a_column_for_null_only_if_there_was_one_to_learn_from():
    encoding, own = learned(["b", None, "a"], Step(word="one_hot"))
    assert own.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert encoding.inputs[0].texts(["new"]).tolist() == [[0, 0, 0]]
    assert len(learned(["b", "a"], Step(word="one_hot"))[0].outputs) == 2
    filled, own = learned(["b", None, "b", "a"], Step(word="one_hot", impute="mode"))
    assert own[1].tolist() == own[0].tolist() == [0, 1] and filled.inputs[0].fill == "b"


def test_a_target_is_the_smoothed_mean_of_its_category():
    words = ["a", "a", "a", "b", "b", None]
    encoding, own = learned(words, Step(word="target"), TARGETS)
    overall = TARGETS.mean()
    expected = {"a": (2 + 10 * overall) / 13, "b": (1 + 10 * overall) / 12, None: (0 + 10 * overall) / 11, "z": overall}
    found = encoding.inputs[0].texts(list(expected))[:, 0]
    assert found == pytest.approx(list(expected.values()))
    # Of the only row of its category: the others say nothing but the mean of them.
    assert own[5, 0] != pytest.approx(expected[None])
    assert own[5, 0] >= overall


def test_a_rows_own_target_is_never_in_its_mean():
    words = list("abcdef")
    first = learned(words, Step(word="target"), TARGETS)[1]
    for place in range(6):
        other = TARGETS.copy()
        other[place] = 100
        assert learned(words, Step(word="target"), other)[1][place] == first[place]


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "ä", ""])), min_size=2, max_size=12))
def test_what_is_stored_encodes_the_same_and_a_row_as_among_others(words):
    for step in (Step(), Step(word="one_hot"), Step(word="target"), Step(word="terms", fill="a"), Step(impute="mode")):
        encoding, _ = learned(words, step, columns=(WORD, X, PAIR))
        again = Encoding.load(encoding.dump())
        table = rows(words)
        whole = encoding.apply(table)
        assert np.array_equal(whole, again.apply(table), equal_nan=True)
        assert whole.shape == (len(words), len(again.outputs))
        for place, word in enumerate(words):
            one = again.row([word, place, [2 * place, 2 * place + 1]])
            assert np.array_equal(one[0], whole[place], equal_nan=True)
        some = np.array([1, 0])
        assert np.array_equal(again.apply(table, some), whole[some], equal_nan=True)


def test_terms_are_counted_whatever_their_case_and_order():
    encoding, own = learned(["Fix login bug", "bug: LOGIN, fix! fix", "other words here", None], Step(word="terms"))
    assert len(encoding.outputs) == encode.TERMS == own.shape[1]
    assert (own[0] > 0).tolist() == (own[1] > 0).tolist() != (own[2] > 0).tolist()
    assert own[0].sum() == pytest.approx(3 * np.log(2)) and own[3].sum() == 0


def test_numbers_alone_are_the_fetched_matrix():
    table = Rows(2, np.array([[1, 2, 9], [3, 4, 9]], dtype=np.float32), {"a": 0, "b": 1, "y": 2}, {})
    columns = [Column("a", "int4", 1, True), Column("b", "bool", 2, True)]
    encoding, own = encode.fit(columns, {}, table, np.array([1]), np.zeros((1, 1)), 0)
    assert own.tolist() == [[3, 4]] and encoding.width == 2
    assert encoding.apply(table).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((1, 0, [1, 2]), 'attribute "word" must be a text, got 1'),
        (("a", "b", [1, 2]), 'attribute "x" must be a number, got "b"'),
        (("a", [1], [1, 2]), 'attribute "x" must be a number, got .1.'),
        (("a", 1, [1]), 'attribute "pair" must be an array of 2 numbers, got .1.'),
        (("a", 1, 2), 'attribute "pair" must be an array of 2 numbers, got 2'),
        (("a", {"b": 1}, [1, 2]), 'attribute "x" must be a number'),
    ],
)
def test_an_attribute_that_does_not_fit_is_named(values, words):
    encoding, _ = learned(["a", "b"], Step(), columns=(WORD, X, PAIR))
    with pytest.raises(WrongType, match=words):
        encoding.row(values)


def test_the_numbers_of_a_row_may_be_null_nan_nested_or_true():
    encoding, _ = learned(["a", "b"], Step(), columns=(WORD, X, PAIR))
    assert encoding.row(["a", True, [[1], ["NaN"]]])[0] == pytest.approx([1, 1, 1, np.nan], nan_ok=True)
    assert np.isnan(encoding.row(["a", None, [1, None]])[0][[1, 3]]).all()


def test_too_many_indicators_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(encode, "MAX_CELLS", 8)
    with pytest.raises(TooLarge, match="3 rows of 3 encoded features are 9 values"):
        learned(["a", "b", "c"], Step(word="one_hot"))


def test_preprocess_params_are_read_as_the_document_wrote_them():
    assert text_columns({}) == {} == text_columns({"text_columns": {}})
    assert text_columns({"text_columns": {"summary": {"imputer": "constant", "value": "?"}, "b": {}}}) == {
        "summary": "?",
        "b": "",
    }
    for wrong in ({"columns": {}}, {"text_columns": []}, {"text_columns": {"a": {"value": 1}}},
                  {"text_columns": {"a": {"imputer": "mean"}}}, {"text_columns": {"a": {"weight": 1}}}):  # fmt: skip
        with pytest.raises(PgmlError, match="preprocess_params"):
            text_columns(wrong)
