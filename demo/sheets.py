"""Files of exports read with pandas, column by column, with everything that is wrong in them collected and named."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import pandas as pd

SHOWN = 10
LARGEST = 2**31 - 1
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".json", ".json.gz")
DELIMITERS = (",", ";", "\t")

DATES = "2024-05-31T16:48:47+02:00, 2015-03-05 17:31:23 UTC, 12/Mar/21 4:55 PM, 6/21/2025 16:14 or 21.06.2025"
FLAGS = {"true": True, "t": True, "yes": True, "y": True, "1": True, "1.0": True}
FLAGS |= {"false": False, "f": False, "no": False, "n": False, "0": False, "0.0": False}

# Day and month of a date in digits, in either order.
DIGITS = r"^(\d{1,2})([/.])(\d{1,2})[/.](?:\d{4}|\d{2})(?!\d)"
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


class ExportError(Exception):
    """An export cannot be loaded. The message has the first problems (file, row, column, value) and their number.

    A row is the number of its first line in the file, the header being row 1; in JSON the number of its record.
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


def content(path: Path, name: str, problems: Problems) -> pd.DataFrame | None:
    """The file as it is: cells of a CSV file as text, empty ones missing; None, and a problem, if it cannot be read."""
    try:
        if ".json" in path.suffixes:
            return pd.read_json(path, orient="records", dtype=False)
        options = {
            "dtype": object,
            # "NA" and "null" are words that people use in titles.
            "keep_default_na": False,
            "na_values": [""],
            "skip_blank_lines": False,
            "encoding": "utf-8-sig",
        }
        # The delimiter is the one that makes most columns of the header.
        delimiter = max(DELIMITERS, key=lambda one: len(pd.read_csv(path, sep=one, nrows=0, **options).columns))
        frame = pd.read_csv(path, sep=delimiter, **options)
    except UnicodeDecodeError as error:
        problems.add(f"{name}: not UTF-8: {error.reason} (byte {error.object[error.start]:#04x})")
    except (ValueError, OSError, EOFError, zlib.error) as error:  # pandas' own errors are ValueErrors
        kind = "JSON" if ".json" in path.suffixes else "CSV"
        problems.add(f"{name}: not a {kind} file that can be read: {str(error).strip()}")
    else:
        if isinstance(frame.index, pd.RangeIndex):
            frame.attrs["decimal_comma"] = delimiter != ","
            return frame
        # pandas takes surplus cells in front for row names.
        problems.add(f"{name}: row 2: more cells than the header has columns")
    return None


@dataclass(frozen=True)
class Layout:
    """One kind of file. `part`: what it is called, and the folder that is named so.

    `required` and `optional`: its columns, our name → the file's. `identity`: those that say which record a row is;
    `filled`: those that must have a value in each row; `dates`: those that hold dates. `complete` fills in what the
    file does not say, given its rows by our names and the file's name without endings.
    """

    part: str
    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    identity: Sequence[str] = ()
    filled: Sequence[str] = ()
    dates: Sequence[str] = ()
    complete: Callable[[pd.DataFrame, str], pd.DataFrame] = lambda rows, stem: rows

    def missing(self, header: set[str]) -> list[str]:
        return [name for name in self.required.values() if name.casefold() not in header]

    def gap(self, header: set[str]) -> float:
        """The share of its columns that a header lacks."""
        return len(self.missing(header)) / len(self.required)


class Sheet:
    """The rows of one file in the columns of its layout, by our names; cells are text.

    A row without any of the columns that say which record it is holds no record and is left out, counted in `left_out`.
    """

    def __init__(
        self, name: str, everything: pd.DataFrame, layout: Layout, problems: Problems, latest: datetime
    ) -> None:
        self.name, self.layout, self.problems, self.latest = name, layout, problems, latest
        self.everything = everything
        # How the order of day and month was decided, once it had to be.
        self.decided: str | None = None
        self.folder, _, file = name.rpartition("/")
        self.part = self.folder or file
        own = {column.strip().casefold(): column for column in map(str, everything.columns)}
        columns = layout.required | layout.optional
        # What the file calls our columns.
        self.own = {ours: own[theirs.casefold()] for ours, theirs in columns.items() if theirs.casefold() in own}
        rows = everything[list(self.own.values())].set_axis(list(self.own), axis=1)
        nameless = rows[list(layout.identity)].isna().all(axis=1)
        # A line with nothing on it at all is no row.
        self.left_out = int((nameless & everything.notna().any(axis=1)).sum())
        self.rows = layout.complete(rows[~nameless], file.removesuffix(".gz").rpartition(".")[0])

    @cached_property
    def lines(self) -> pd.Series:
        """The number of each row's first line; cells may contain line breaks."""
        if ".json" in self.name:
            return pd.Series(self.everything.index + 1, index=self.everything.index)
        breaks = sum(self.everything[column].str.count("\n").fillna(0) for column in self.everything)
        return (breaks + 1).cumsum().shift(1, fill_value=0).astype(int) + 2

    def cell(self, index: int, column: str) -> str:
        """Where a value is, and the value."""
        value = self.rows.at[index, column] if column in self.rows else None
        text = str(value)
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        shown = "empty" if missing else repr(text if len(text) <= 60 else text[:60] + "...")
        return f"row {self.lines[index]}, column {self.own.get(column, column)}: {shown}"

    def complain(self, rows: pd.Series, column: str, reason: str) -> None:
        """Note a problem for every row of which `rows` is true."""
        for index in rows.index[rows.to_numpy(dtype=bool)]:
            self.problems.add(f"{self.name}: {self.cell(index, column)}, {reason}")

    def text(self, column: str) -> pd.Series:
        """Text without NUL, which PostgreSQL does not store; an absent column is all missing."""
        if column not in self.rows:
            return pd.Series(None, index=self.rows.index, dtype=object)
        cells = self.rows[column]
        if column in self.layout.filled:
            self.complain(cells.isna(), column, "must have a value")
        cells = cells.astype(object).map(lambda cell: str(cell).replace("\0", ""), na_action="ignore")
        return cells.astype(object)

    def one_of(self, column: str, meanings: Mapping[str, object]) -> pd.Series:
        """What the words mean, whatever their case."""
        cells = self.text(column)
        found = cells.str.strip().str.casefold().map(meanings)
        self.complain(cells.notna() & found.isna(), column, f"must be one of {', '.join(meanings)}")
        return found

    def flags(self, column: str) -> pd.Series:
        """True and false; what is missing is false."""
        return self.one_of(column, FLAGS).eq(True)

    @cached_property
    def day_first(self) -> bool | None:
        """Whether dates in digits have the day before the month: one order for the whole file, which a number that is
        no month decides. None, and a problem, if there is none, or one for either order."""
        open_, day, month = [], [], []
        for column in self.layout.dates:
            cells = self.rows.get(column, pd.Series(dtype=object)).dropna().astype(str)
            found = cells[~cells.str.match(r"\s*\d{4}")].str.extract(DIGITS)
            first, second = pd.to_numeric(found[0]), pd.to_numeric(found[2])
            # With full stops the day is first wherever dates are written so.
            is_day = (second <= 12) & ((first > 12) | found[1].eq("."))
            for places, rows in ((open_, first.notna()), (day, is_day), (month, (first <= 12) & (second > 12))):
                places += [self.cell(index, column) for index in found.index[rows][:1]]
        advice = "write dates of one order, or like 2024-05-31"
        if day and month:
            self.problems.add(f"{self.name}: {day[0]}, has the day first, but {month[0]}, the month: {advice}")
        elif day or month:
            self.decided = f"the {'day' if day else 'month'} comes first in dates like that of {(day or month)[0]}"
            return bool(day)
        elif open_:
            self.problems.add(f"{self.name}: {open_[0]}, day or month first? No date of the file tells: {advice}")
        return None

    def moments(self, column: str) -> pd.Series:
        """Dates and times as UTC without a zone; one without an offset is taken for UTC."""
        cells = self.text(column)
        parsed = pd.to_datetime(cells, utc=True, errors="coerce", format="ISO8601")
        rest = cells[cells.notna() & parsed.isna()].str.replace(r"\s+", " ", regex=True).str.strip()
        rest = rest.str.replace(r" ?(?:UTC|GMT)$", "", regex=True)
        undecided = pd.Series(False, index=cells.index)
        if not rest.empty:
            undecided[rest.index] = rest.str.extract(DIGITS)[0].notna() & (self.day_first is None)
            order = "%d/%m" if self.day_first else "%m/%d"
            dates = [f"{date}/{year}" for date in ("%d/%b", order) for year in ("%y", "%Y")]
            for layout in ("ISO8601", *(date + time for date in dates for time in TIMES)):
                found = pd.to_datetime(rest.str.replace(".", "/"), utc=True, errors="coerce", format=layout)
                parsed = parsed.fillna(found)
        parsed = parsed.dt.tz_localize(None)
        self.complain(cells.notna() & parsed.isna() & ~undecided, column, f"must be a date or time like {DATES}")
        latest = pd.Timestamp(self.latest + timedelta(days=1))
        self.complain((parsed > latest) & ~undecided, column, "lies in the future")
        return parsed.astype("datetime64[us]")

    def whole(self, column: str) -> pd.Series:
        """Whole numbers; halves and the like are rounded half up, for the platform's columns are integers.

        Where another delimiter leaves the comma free, it may be the decimal sign.
        """
        cells = plain = self.text(column)
        if self.everything.attrs.get("decimal_comma") and cells.str.contains(",", na=False).any():
            # Beside it a full stop might divide thousands: such a number is refused.
            plain = cells.mask(cells.str.contains(".", regex=False, na=False)).str.replace(",", ".")
        numbers = pd.to_numeric(plain, errors="coerce").astype("float64")
        wrong = cells.notna() & ~(numbers.abs() <= LARGEST)
        self.complain(wrong, column, "must be a number like 3, 2.5, or where the delimiter is no comma 2,5")
        return ((numbers.mask(wrong) + 0.5) // 1).astype("Int64")

    def unique(self, *columns: str) -> None:
        """Complain of the second and later rows with the same values in these columns."""
        rows = self.rows[list(columns)]
        again = rows.duplicated() & rows.notna().all(axis=1)
        self.complain(again, columns[-1], "appears twice")
