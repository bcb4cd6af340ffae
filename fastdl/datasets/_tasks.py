"""Tasks that only a memory solves, made on the spot: adding, temporal order, copying. Time comes first."""

import numpy as np

from .._validate import integer, shown


def adding(T: int, batch: int, rng: "int | np.random.Generator") -> tuple[np.ndarray, np.ndarray]:
    """Pairs (number, mark): add the two marked numbers, one in each half.

    Answering 1 always has a mean squared error of 1/6; the task counts as solved below 0.01.

    Parameters
    ----------
    T : int
        Steps, at least 2.
    batch : int
        Sequences, at least 1.
    rng : int or numpy.random.Generator
        What they are drawn from; an int is a seed.

    Returns
    -------
    x : ndarray (T, batch, 2), float32
        Numbers in [0, 1), and marks.
    y : ndarray (batch, 1), float32
        Sums.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, experiment 4.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.adding(50, 3, rng=0)
    >>> bool(((x[..., 0] * x[..., 1]).sum(0) == y[:, 0]).all())
    True
    """
    T, batch, rng = integer("T", T, 2), integer("batch", batch, 1), _drawing(rng)
    x, every = np.zeros((T, batch, 2), np.float32), np.arange(batch)
    x[..., 0] = rng.random((T, batch))
    first, second = rng.integers(0, T // 2, batch), rng.integers(T // 2, T, batch)
    x[first, every, 1] = x[second, every, 1] = 1
    return x, x[first, every, :1] + x[second, every, :1]


def temporal_order(T: int, batch: int, rng: "int | np.random.Generator") -> tuple[np.ndarray, np.ndarray]:
    """Of X and Y, which came first, and which second? Among distractors: E, two of X and Y far apart, B.

    Parameters
    ----------
    T : int
        Least number of steps, at least 10; a batch has up to 10 more.
    batch, rng
        As for :func:`adding`.

    Returns
    -------
    x : ndarray (T to T + 10, batch, 8), float32
        A symbol a step, one-hot: begin, end, X, Y, four distractors.
    y : ndarray (batch,), int64
        0 to 3 for XX, XY, YX and YY.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997, experiment 6a.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.temporal_order(30, 5, rng=0)
    >>> x[:, 0].argmax(1)[[0, -1]], y.shape
    (array([0, 1]), (5,))
    """
    T, batch, rng = integer("T", T, 10), integer("batch", batch, 1), _drawing(rng)
    symbols = rng.integers(4, 8, (T + rng.integers(0, 11), batch))  # distractors
    symbols[0], symbols[-1] = 0, 1  # begin and end; 2 and 3 are X and Y
    kinds, every = rng.integers(0, 2, (2, batch)), np.arange(batch)
    for kind, early in zip(kinds, (T // 10, T // 2), strict=True):
        symbols[rng.integers(early, early + T // 10 + 1, batch), every] = 2 + kind
    return np.eye(8, dtype=np.float32)[symbols], 2 * kinds[0] + kinds[1]


def copying(
    T: int, batch: int, rng: "int | np.random.Generator", length: int = 8, alphabet: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Some symbols, T blanks, and as many blanks more, in which the symbols are to be repeated.

    Without a memory the mean cross-entropy over all steps is length log(alphabet) / (T + 2 length).

    Parameters
    ----------
    T : int
        Blanks between, at least 1; the last is another symbol that says "now".
    batch, rng
        As for :func:`adding`.
    length : int, default 8
        Symbols to remember.
    alphabet : int, default 8
        Kinds of symbols.

    Returns
    -------
    x : ndarray (T + 2 length, batch, alphabet + 2), float32
        A symbol a step, one-hot: the alphabet, blank, now.
    y : ndarray (length, batch), int64
        What is to be given in the last `length` steps.

    Raises
    ------
    TypeError, ValueError
        If an argument is none of these.

    References
    ----------
    M. Arjovsky, A. Shah, Y. Bengio, "Unitary evolution recurrent neural networks", ICML 2016.

    Examples
    --------
    >>> import fastdl as fd
    >>> x, y = fd.datasets.copying(20, 2, rng=0)
    >>> x.shape, bool((x[:8].argmax(-1) == y).all())
    ((36, 2, 10), True)
    """
    T, batch, rng = integer("T", T, 1), integer("batch", batch, 1), _drawing(rng)
    length, alphabet = integer("length", length, 1), integer("alphabet", alphabet, 1)
    told = rng.integers(0, alphabet, (length, batch))
    symbols = np.full((2 * length + T, batch), alphabet)
    symbols[:length] = told
    symbols[length + T - 1] = alphabet + 1
    return np.eye(alphabet + 2, dtype=np.float32)[symbols], told


def _drawing(rng: "int | np.random.Generator") -> np.random.Generator:
    """NumPy's generator: data are the same for every library that learns from them."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not hasattr(rng, "__index__"):
        raise TypeError(f"rng: got {shown(rng)}, expected an int or a numpy.random.Generator")
    return np.random.default_rng(integer("rng", rng, 0))
