"""Tables in files: CSV and Parquet, read and written by pandas."""

import contextlib
import io
import os
from collections.abc import Iterator
from typing import Any

from .._files import open_regular, replacing, shown
from ._shared import CommandError, bad_input, is_stream
from ._streams import binary_stdin

_PARQUET = (".parquet", ".pq")
_OTHERS = {".xlsx": "Excel", ".xls": "Excel", ".ods": "OpenDocument", ".json": "JSON", ".feather": "Feather"}
_SEPARATORS = ",;\t|"


def pandas() -> Any:
    """The package, or the error that says what to install."""
    try:
        import pandas as pd

        return pd
    except ImportError:
        raise CommandError('tables need pandas: pip install "fastdl[estimators]"') from None


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Inside, what is not installed is told as an error of the command."""
    try:
        yield
    except ImportError as error:
        raise CommandError(str(error)) from None


def read_frame(name: str, encoding: str = "utf-8", separator: str | None = None, decimal: str = ".") -> Any:
    """The table in a CSV or Parquet file, `-` for CSV from stdin.

    Its columns have texts for names, each once; it has at least one row.
    """
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _OTHERS:
        raise CommandError(f"{shown(name)}: is {_OTHERS[suffix]}, expected CSV or Parquet: save it as CSV")
    with bad_input():
        frame = _parquet(name) if suffix in _PARQUET else _csv(name, encoding, separator, decimal)
    frame.columns = [str(one).strip() for one in frame.columns]
    twice = sorted({one for one in frame.columns if list(frame.columns).count(one) > 1})
    if twice:
        raise CommandError(f"{shown(name)}: has the column {twice[0]!r} twice")
    if not len(frame):
        raise CommandError(f"{shown(name)}: has {frame.shape[1]} columns and no rows")
    return frame


def _parquet(name: str) -> Any:
    with open_regular(name):  # a missing file, or none that can be read, is said in our words
        pass
    with installed():
        try:
            return pandas().read_parquet(name)
        except ImportError:
            raise ImportError(f"{shown(name)}: Parquet needs pyarrow: pip install pyarrow") from None
        except Exception as error:  # pyarrow's own kinds
            raise CommandError(f"{shown(name)}: cannot be read as Parquet: {_first_line(error)}") from None


def _csv(name: str, encoding: str, separator: str | None, decimal: str) -> Any:
    pd, text = pandas(), _text(name, encoding)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise CommandError(f"{shown(name)}: is empty")
    separator = separator or max(_SEPARATORS, key=first.count)
    try:
        frame = pd.read_csv(io.StringIO(text), sep=separator, decimal=decimal, skipinitialspace=True, low_memory=False)
    except ValueError as error:  # pandas' own are of this kind
        raise CommandError(f"{shown(name)}: cannot be read as CSV: {_first_line(error)}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise CommandError(f"{shown(name)}: has rows with more fields than the first line has names")
    unnamed = [one for one in frame.columns if str(one).startswith("Unnamed: ") and frame[one].isna().all()]
    return frame.drop(columns=unnamed)  # separators at the lines' ends


def _text(name: str, encoding: str) -> str:
    if name in ("-", "/dev/stdin"):
        stdin = binary_stdin()
        if stdin is None:
            raise CommandError("stdin: is closed, expected CSV")
        data, name = stdin.read(), "stdin"
    else:
        with open(name, "rb") if is_stream(name) else open_regular(name) as file:
            data = file.read()
    if data.startswith(b"\x1f\x8b"):
        raise CommandError(f"{shown(name)}: is compressed, expected CSV: gunzip -c FILE | fastdl ... -")
    if b"\0" in data[:100_000] and "16" not in encoding and "32" not in encoding:
        raise CommandError(f"{shown(name)}: is binary, expected CSV; that of Excel's Unicode text is --encoding utf-16")
    try:
        return data.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except LookupError:
        raise CommandError(
            f"--encoding {shown(encoding)}: no encoding that Python knows, as utf-8 or latin-1"
        ) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CommandError(
            f"{shown(name)}: is not {encoding}: byte 0x{data[error.start]:02x} in line {line}; --encoding names"
            " another, as cp1252 of Western Windows"
        ) from None


def write_frame(frame: Any, name: str | None) -> str:
    """Write a table to a file of the suffix's kind, replaced in one step; returns CSV where there is no name."""
    if name is None:
        return str(frame.to_csv(index=False))
    with bad_input(), replacing(name) as file:
        if os.path.splitext(name)[1].lower() in _PARQUET:
            with installed():
                frame.to_parquet(file, index=False)
        else:
            file.write(frame.to_csv(index=False).encode())
    return ""


def column_of(frame: Any, column: str, option: str, file: str) -> Any:
    """A column by name; a wrong name is answered with those that there are."""
    if column in frame.columns:
        return frame[column]
    import difflib

    near = difflib.get_close_matches(column, list(frame.columns), 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    names = shown(", ".join(map(repr, frame.columns)), 300)
    raise CommandError(f"{option} {shown(column)}: {shown(file)} has no such column{hint}; it has {names}")


def _first_line(error: Exception) -> str:
    return shown((str(error).splitlines() or [type(error).__name__])[0])
