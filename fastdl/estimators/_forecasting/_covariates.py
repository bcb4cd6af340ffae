"""What is known beside a series, as numbers: standardised columns of numbers, and columns of categories as 0 and 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._frames import Table
from ._optional import pandas


class Encoder:
    """Columns of a table to float32 (rows, width): what is missing is the mean, or no category.

    Parameters
    ----------
    plan : list of dict
        Of each column its name, and its mean and deviation or its categories; :meth:`of` finds it from a table.
    """

    def __init__(self, plan: list[dict[str, Any]]) -> None:
        self.plan = plan
        self.width = sum(len(one["categories"]) if "categories" in one else 1 for one in plan)

    @classmethod
    def of(cls, table: Table, columns: Sequence[str]) -> "Encoder":
        """The plan of a table's columns."""
        return cls([_planned(table, column) for column in columns])

    def __call__(self, table: Table) -> np.ndarray:
        found = np.zeros((table.rows, self.width), np.float32)
        place = 0
        for one in self.plan:
            if "categories" in one:
                texts = np.asarray(pandas().Series(table[one["name"]]).astype(str), object)
                for category in one["categories"]:
                    found[:, place] = texts == category
                    place += 1
                continue
            values = (table.numbers(one["name"]) - one["mean"]) / one["std"]
            found[:, place] = np.clip(np.nan_to_num(values), -1e6, 1e6)
            place += 1
        return found


def _planned(table: Table, column: str) -> dict[str, Any]:
    values = pandas().Series(table[column])
    kinds = pandas().api.types
    if kinds.is_numeric_dtype(values.dtype) and not isinstance(values.dtype, pandas().CategoricalDtype):
        numbers = table.numbers(column)
        known = numbers[~np.isnan(numbers)]
        mean = float(known.mean()) if known.size else 0.0
        std = float(known.std()) if known.size else 0.0
        return {"name": column, "mean": mean, "std": std if std > 0 else 1.0}
    if kinds.is_datetime64_any_dtype(values.dtype):
        raise ValueError(f"{table.name}[{column!r}]: got {values.dtype}, expected numbers, texts or categories")
    return {"name": column, "categories": sorted(set(values.dropna().astype(str)))}
