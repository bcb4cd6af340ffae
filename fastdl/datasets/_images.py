"""Pictures: Fashion-MNIST of a Debian package, and the digits that scikit-learn carries."""

import struct

import numpy as np

from .._files import PathLike
from ._dataset import Dataset
from ._finding import Source, expect, find, parsing, table, unpacked

_CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_FASHION = Source(
    package="Debian's dataset-fashion-mnist",
    command="apt-get install dataset-fashion-mnist    (or, not as root: apt-get download dataset-fashion-mnist)",
    licence="MIT",
    debian=True,
    archives=("dataset-fashion-mnist_*.deb",),
)
_FILES = tuple(
    f"usr/share/datasets/fashion-mnist/{name}-ubyte.gz"
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
)
_FASHION_SHA = "362ba1f5424f406d0db9c78b0e83db011b09c121c5c5f94ee5c077628f9adb5c"
_SKLEARN = Source(
    package="PyPI's scikit-learn",
    command="pip install scikit-learn",
    licence="UCI's data sets are CC BY 4.0; scikit-learn is BSD-3-Clause",
    module="sklearn",
    archives=("scikit_learn-*.whl",),
)
_SKLEARN_SHA = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"


def fashion_mnist(path: PathLike | None = None, check: bool = True) -> Dataset:
    """Clothes in 28 x 28 grey levels, ten classes.

    Parameters
    ----------
    path : path, optional
        The .deb file, a folder it was unpacked to, or the folder of the four IDX files. Default: where Debian installs
        it, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse files that are not the published ones.

    Returns
    -------
    Dataset
        train and test: x (60000 and 10000, 28, 28), uint8; y (N,), int64.

    Raises
    ------
    FileNotFoundError
        If it is not found; the message says how to get it.
    ValueError
        If a file is damaged or another.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST", arXiv 1708.07747, 2017.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.fashion_mnist().train  # doctest: +SKIP
    """
    found = find(_FASHION, path, _FILES, _FASHION_SHA, check)
    with parsing(found.place, "Fashion-MNIST in four IDX files"):
        arrays = [_idx(unpacked(one)) for one in found.contents]
        parts = {"train": _pictures(*arrays[:2]), "test": _pictures(*arrays[2:])}
    title = "Fashion-MNIST: clothes, 28 x 28 grey levels"
    return Dataset(title, parts, ("x", "y"), _CLOTHES, {}, _FASHION.licence, found.told(_FASHION))


def digits(path: PathLike | None = None, check: bool = True) -> Dataset:
    """The 1,797 digits of 8 x 8 pixels that scikit-learn carries: the test part of :func:`optdigits`.

    Parameters
    ----------
    path : path, optional
        The wheel of scikit-learn, a folder or a file of it. Default: where it is installed, or FASTDL_DATA.
    check : bool, default True
        Whether to refuse another file.

    Returns
    -------
    Dataset
        all: x (1797, 8, 8), int64 from 0 to 16; y (1797,), int64.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`fashion_mnist`.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.digits().all  # doctest: +SKIP
    """
    found = find(_SKLEARN, path, ["sklearn/datasets/data/digits.csv.gz"], _SKLEARN_SHA, check)
    with parsing(found.place, "scikit-learn's digits"):
        rows = table(unpacked(found.contents[0]).decode("ascii"), 65)
        expect(((rows >= 0) & (rows <= 16) & (rows == np.floor(rows))).all(), "a number is not from 0 to 16")
        rows = rows.astype(np.int64)
    part = rows[:, :64].reshape(-1, 8, 8), rows[:, 64]
    names, told = tuple("0123456789"), found.told(_SKLEARN)
    return Dataset("digits: handwritten, 8 x 8", {"all": part}, ("x", "y"), names, {}, _SKLEARN.licence, told)


def _idx(data: bytes) -> np.ndarray:
    """An array of bytes in the format IDX: 0, 0, 8 for uint8, the number of axes, their extents, the entries."""
    expect(data[:3] == b"\0\0\x08" and len(data) >= 4 + 4 * data[3], "no IDX file of bytes")
    shape = struct.unpack_from(f">{data[3]}I", data, 4)
    entries = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    expect(entries.size == np.prod(shape, dtype=object), f"it says {shape} and has {entries.size} entries")
    return entries.reshape(shape).copy()


def _pictures(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    expect(images.shape == (len(labels), 28, 28) and labels.ndim == 1, f"{images.shape} and {labels.shape} differ")
    expect((labels < 10).all(), "a label is not from 0 to 9")
    return images, labels.astype(np.int64)
