from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from demo.tables import encoded, utc

MEANING = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}


def decoded(text: str) -> list[list[str | None]]:
    """COPY's text format, read as PostgreSQL's documentation has it."""
    rows = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
    return [
        [None if cell == "\\N" else re.sub(r"\\[tnr\\]", lambda match: MEANING[match[0]], cell) for cell in row]
        for row in rows
    ]


@given(
    st.lists(st.tuples(st.text(st.characters(exclude_characters="\0")), st.none() | st.text("\\\t\r\nN")), min_size=1)
)
def test_any_text_survives(rows: list[tuple[str, str | None]]):
    frame = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    assert decoded(encoded(frame)) == [list(row) for row in rows]


def test_types_and_gaps():
    frame = pd.DataFrame(
        {
            "number": pd.Series([1, None], dtype="Int64"),
            "share": [0.5, None],
            "sure": [True, False],
            "at": [pd.Timestamp("2026-01-02 03:04:05.678"), pd.NaT],
        }
    )
    assert decoded(encoded(frame)) == [["1", "0.5", "True", "2026-01-02T03:04:05.678000"], [None, None, "False", None]]


def test_utc():
    moment = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=3)))
    assert utc(moment) == datetime(2026, 1, 1, 9)
    assert utc(datetime(2026, 1, 1, tzinfo=UTC)) == utc(datetime(2026, 1, 1))
