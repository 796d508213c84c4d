"""CSV files read with pandas, column by column, with everything that is wrong in them collected and named."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd

SHOWN = 10
LARGEST = 2**31 - 1


class ExportError(Exception):
    """An export cannot be loaded. The message has the first problems (file, row, column, value) and their number.

    A row is the number of its first line in the file, the header being row 1.
    """

    def __init__(self, problems: Sequence[str], total: int | None = None) -> None:
        total = len(problems) if total is None else total
        shown = list(problems[:SHOWN])
        if total > len(shown):
            shown.append(f"and {total - len(shown)} more")
        heading = "1 problem" if total == 1 else f"{total} problems"
        super().__init__("\n".join([f"The export cannot be loaded, {heading}:", *(f"  {one}" for one in shown)]))
        self.total = total


@dataclass
class Problems:
    """What is wrong so far, in all files; the first of it in words."""

    words: list[str] = field(default_factory=list)
    total: int = 0

    def add(self, text: str) -> None:
        self.total += 1
        if len(self.words) < SHOWN:
            self.words.append(text)

    def check(self) -> None:
        if self.total:
            raise ExportError(self.words, self.total)


class Sheet:
    """One CSV file (`.csv` or `.csv.gz`), its cells as text, empty ones missing.

    `identity` are the columns that say which record a row is: a row with none of them holds no record and is left out,
    counted in `left_out`. Columns that are absent are a problem, and `complete` is false.
    """

    def __init__(
        self,
        folder: Path,
        path: Path,
        problems: Problems,
        *,
        required: Collection[str],
        identity: Sequence[str],
        latest: datetime,
    ) -> None:
        self.name = path.relative_to(folder).as_posix()
        self.stem = path.name.removesuffix(".gz").removesuffix(".csv")
        self.problems = problems
        self.latest = latest
        self.everything = self.read(path)
        absent = [column for column in required if column not in self.everything]
        self.complete = not absent and not self.everything.columns.empty
        if absent and not self.everything.columns.empty:
            found = ", ".join(self.everything.columns)
            problems.add(f"{self.name}: row 1: no column {', '.join(absent)}; it has {found}")
        self.rows, self.left_out = self.everything, 0
        if self.complete:
            nameless = self.everything[list(identity)].isna().all(axis=1)
            self.rows = self.everything[~nameless]
            # A line with nothing on it at all is no row.
            self.left_out = int((nameless & self.everything.notna().any(axis=1)).sum())

    def read(self, path: Path) -> pd.DataFrame:
        try:
            frame = pd.read_csv(
                path,
                dtype=object,
                # "NA" and "null" are words that people use in titles.
                keep_default_na=False,
                na_values=[""],
                skip_blank_lines=False,
                encoding="utf-8-sig",
            )
        except UnicodeDecodeError as error:
            self.problems.add(f"{self.name}: not UTF-8: {error.reason} (byte {error.object[error.start]:#04x})")
        except (pd.errors.ParserError, pd.errors.EmptyDataError, OSError, EOFError, zlib.error) as error:
            self.problems.add(f"{self.name}: not a CSV file that can be read: {str(error).strip()}")
        else:
            if isinstance(frame.index, pd.RangeIndex):
                return frame
            # pandas takes surplus cells in front for row names.
            self.problems.add(f"{self.name}: row 2: more cells than the header has columns")
        return pd.DataFrame()

    @cached_property
    def lines(self) -> pd.Series:
        """The number of each row's first line; cells may contain line breaks."""
        breaks = sum(self.everything[column].str.count("\n").fillna(0) for column in self.everything)
        return (breaks + 1).cumsum().shift(1, fill_value=0).astype(int) + 2

    def complain(self, rows: pd.Series, column: str, reason: str) -> None:
        """Note a problem for every row of which `rows` is true."""
        for index in rows.index[rows.to_numpy(dtype=bool)]:
            value = self.rows.at[index, column] if column in self.rows else None
            shown = "empty" if pd.isna(value) else repr(value if len(value) <= 60 else value[:60] + "...")
            self.problems.add(f"{self.name}: row {self.lines[index]}, column {column}: {shown}, {reason}")

    def text(self, column: str, *, required: bool = False) -> pd.Series:
        """Text without NUL, which PostgreSQL does not store; an absent column is all missing."""
        if column not in self.rows:
            return pd.Series(None, index=self.rows.index, dtype=object)
        cells = self.rows[column]
        if required:
            self.complain(cells.isna(), column, "must have a value")
        return cells.str.replace("\0", "").astype(object)

    def one_of(self, column: str, allowed: Collection[str]) -> pd.Series:
        cells = self.text(column, required=True)
        self.complain(cells.notna() & ~cells.isin(allowed), column, f"must be one of {', '.join(allowed)}")
        return cells

    def moments(self, column: str, *, required: bool = False) -> pd.Series:
        """ISO 8601 dates and times as UTC without a zone; one without an offset is taken for UTC."""
        cells = self.text(column, required=required)
        parsed = pd.to_datetime(cells, utc=True, errors="coerce", format="ISO8601").dt.tz_localize(None)
        self.complain(cells.notna() & parsed.isna(), column, "must be a date or time like 2024-05-31T16:48:47+00:00")
        latest = pd.Timestamp(self.latest + timedelta(days=1))
        self.complain(parsed > latest, column, "lies in the future")
        return parsed.astype("datetime64[us]")

    def whole(self, column: str, *, required: bool = False) -> pd.Series:
        """Whole numbers; halves and the like are rounded half up, for the platform's columns are integers."""
        cells = self.text(column, required=required)
        numbers = pd.to_numeric(cells, errors="coerce").astype("float64")
        wrong = cells.notna() & ~(numbers.abs() <= LARGEST)
        self.complain(wrong, column, "must be a number")
        return ((numbers.mask(wrong) + 0.5) // 1).astype("Int64")

    def unique(self, *columns: str) -> None:
        """Complain of the second and later rows with the same values in these columns."""
        rows = self.rows[list(columns)]
        again = rows.duplicated() & rows.notna().all(axis=1)
        self.complain(again, columns[-1], "appears twice")
