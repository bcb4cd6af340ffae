"""Tokens out of a step function: greedy, sampled, or by beam search."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import random
from .._validate import check_logits, float_array, index_array, integer, number, plain_array, sampling
from ._ctc import log_softmax

_LARGEST = float(np.finfo(np.float64).max)

Step = Callable[[np.ndarray, Any], tuple[np.ndarray, Any]]


def sample(
    logits: np.ndarray,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: int | random.Generator | None = None,
) -> np.ndarray:
    """Draw a class from every row of softmax(logits / temperature).

    Parameters
    ----------
    logits : ndarray (..., C), float32 or float64
    temperature : float, default 1
        Below 1 the likely becomes likelier; 0 takes the likeliest and draws nothing.
    top_k : int, optional
        Choose among the `top_k` likeliest classes only.
    top_p : float in (0, 1], optional
        Choose among the fewest likeliest classes that together have this probability (the nucleus), after
        `temperature` and `top_k`.
    rng : None, int or fastdl.random.Generator, default None
        Where the choices come from: one uniform number a row.

    Returns
    -------
    ndarray of int (...)

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or a row of logits holds NaN, infinity, or -inf alone.

    References
    ----------
    A. Holtzman et al., "The curious case of neural text degeneration", ICLR 2020 (top_p).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> logits = np.log(np.array([[0.5, 0.3, 0.2]]))
    >>> fd.sample(logits, temperature=0), np.unique(fd.sample(logits.repeat(999, 0), top_p=0.7, rng=0))
    (array([0]), array([0, 1]))
    """
    logits = float_array("logits", logits)
    if logits.ndim == 0 or logits.shape[-1] == 0:
        raise ValueError(f"logits: got shape {logits.shape}, expected (..., C) with C at least 1")
    temperature, top_k, top_p = sampling(temperature, top_k, top_p)
    check_logits("logits", logits)
    if temperature == 0:
        return np.asarray(logits.argmax(-1))
    order = np.argsort(-logits, axis=-1, kind="stable")[..., :top_k]
    kept = np.take_along_axis(logits, order, -1).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp((kept - kept[..., :1]) / temperature)
    weights[kept == -np.inf] = 0  # at an infinite temperature too
    sums = weights.cumsum(-1)
    if top_p is not None:
        weights[sums - weights >= top_p * sums[..., -1:]] = 0  # the likelier ones reach it already
        sums = weights.cumsum(-1)
    draws = random.as_generator(rng).uniform(size=logits.shape[:-1], dtype=np.float64)
    places = (sums <= draws[..., None] * sums[..., -1:]).sum(-1)
    places = np.minimum(places, (weights > 0).sum(-1) - 1)  # rounding must not lead past the last
    return np.take_along_axis(order, places[..., None], -1)[..., 0]


def decode(
    step: Step,
    tokens: np.ndarray,
    state: Any,
    max_length: int,
    end: int | None = None,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: int | random.Generator | None = None,
) -> list[np.ndarray]:
    """Write token after token, each fed back: greedily, or with a temperature by sampling (docs/sequence.md).

    Parameters
    ----------
    step : callable
        ``step(tokens, state) -> (logits, state)`` with tokens (B,) int64 and logits (B, C).
    tokens : ndarray of int (B,)
        The first ones fed in; they are not part of the result.
    state
        What the first call of `step` gets.
    max_length : int
        Tokens a sequence gets at most.
    end : int, optional
        The token that ends a sequence.
    temperature, top_k, top_p, rng
        As for :func:`sample`; the default temperature 0 takes the likeliest token every time.

    Returns
    -------
    list of ndarray of int
        The tokens of each sequence, without `end`.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or `step` returns something else, or logits from which nothing can be chosen.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> count = lambda tokens, state: (np.eye(5)[(tokens + 1) % 5], state)
    >>> fd.decode(count, np.array([0, 3]), None, 10, end=4)
    [array([1, 2, 3]), array([], dtype=int64)]
    """
    tokens, max_length, end = _decoding_arguments(step, tokens, max_length, end)
    temperature, top_k, top_p = sampling(temperature, top_k, top_p)
    rng = random.as_generator(rng)
    written, ended = [], np.zeros(tokens.size, bool)
    lengths = np.zeros(tokens.size, np.int64)
    for _ in range(max_length):
        logits, state = _ask(step, tokens, state, ~ended, end)
        tokens = sample(logits, temperature, top_k, top_p, rng)
        if end is not None:
            tokens[ended] = end
            ended |= tokens == end
        written.append(tokens.copy())  # the step may write into what it gets
        lengths += ~ended
        if ended.all():
            break
    table = np.stack(written) if written else np.empty((0, tokens.size), np.int64)
    return [table[:length, b] for b, length in enumerate(lengths)]


def beam_search(
    step: Step,
    tokens: np.ndarray,
    state: Any,
    max_length: int,
    end: int | None = None,
    *,
    width: int = 5,
    length_penalty: float = 0.0,
) -> list[list[tuple[np.ndarray, float]]]:
    """The likeliest sequences, as far as the best `width` of every step lead to them.

    Parameters
    ----------
    step : callable
        ``step(tokens, state) -> (logits, state)`` with tokens (B * width,) int64 and logits (B * width, C).
    tokens : ndarray of int (B,)
        The first ones fed in; they are not part of the results.
    state
        None, an array, or tuples, lists and dicts of them, for the B sequences. The batch is an array's last
        axis but one, (S, B, H) or (B, H), or the only one: along it rows are repeated and chosen.
    max_length : int
        Tokens a sequence gets at most.
    end : int, optional
        The token that ends a sequence.
    width : int, default 5
        Sequences that go on at every step, ended ones included.
    length_penalty : float, default 0
        Sequences are compared by log P / ((5 + n) / 6)^length_penalty, n tokens with `end`: 0 compares
        probabilities, which favours short ones.

    Returns
    -------
    list of list of (ndarray of int, float)
        For each of the B up to `width` results, best first: tokens without `end`, and the score above.

    Raises
    ------
    TypeError, ValueError
        If an argument is bad, or `step` returns something else, or logits from which nothing can be chosen.

    References
    ----------
    Y. Wu et al., "Google's neural machine translation system", 2016, section 7 (the length penalty).

    Examples
    --------
    Token 1 is likelier first, but what follows 0 is certain.

    >>> import numpy as np, fastdl as fd
    >>> p = np.array([[1.0, 0, 0], [0.3, 0.3, 0.4], [0.45, 0.55, 0]])
    >>> with np.errstate(divide="ignore"):
    ...     log_p = np.log(p)
    >>> step = lambda tokens, state: (log_p[tokens], state)
    >>> fd.decode(step, np.array([2]), None, 2)
    [array([1, 2])]
    >>> [(found.tolist(), round(score, 4)) for found, score in fd.beam_search(step, np.array([2]), None, 2, width=2)[0]]
    [([0, 0], -0.7985), ([1, 2], -1.5141)]
    """
    tokens, max_length, end = _decoding_arguments(step, tokens, max_length, end)
    width, length_penalty = integer("width", width, 1), number("length_penalty", length_penalty, 0.0, _LARGEST)
    B = tokens.size
    if B == 0:
        return []
    first_rows = np.arange(B)[:, None] * width
    state = _choose(state, np.arange(B).repeat(width), B)
    tokens = tokens.repeat(width)
    log_p = np.full((B, width), -np.inf)
    log_p[:, 0] = 0  # the others are copies of the first
    scores, written = log_p, np.empty((B, width, 0), np.int64)
    ended, lengths = np.zeros((B, width), bool), np.zeros((B, width), np.int64)
    for n in range(1, max_length + 1):
        logits, state = _ask(step, tokens, state, (~ended & (log_p > -np.inf)).ravel(), end)
        grown = log_p[..., None] + log_softmax(logits).reshape(B, width, -1)
        if end is not None:  # what has ended stays as it is: one candidate
            grown[ended] = -np.inf
            grown[ended, end] = log_p[ended]
        candidates = np.where(ended, lengths, n)
        with np.errstate(over="ignore"):
            penalties = np.minimum(((5 + candidates) / 6) ** length_penalty, _LARGEST)
        ranks = (grown / penalties[..., None]).reshape(B, -1)
        best = np.argsort(-ranks, axis=1, kind="stable")[:, :width]
        parents, chosen = np.divmod(best, grown.shape[-1])
        scores = np.take_along_axis(ranks, best, 1)
        log_p = np.take_along_axis(grown.reshape(B, -1), best, 1)
        lengths = np.take_along_axis(candidates, parents, 1)
        written = np.append(np.take_along_axis(written, parents[..., None], 1), chosen[..., None], 2)
        if end is not None:
            ended = chosen == end
            if (ended | (log_p == -np.inf)).all():
                break
        state = _choose(state, (first_rows + parents).ravel(), B * width)
        tokens = chosen.ravel()
    return [
        [
            (written[b, w, : lengths[b, w] - ended[b, w]], float(scores[b, w]))
            for w in range(width)
            if log_p[b, w] > -np.inf
        ]
        for b in range(B)
    ]


def _decoding_arguments(step: Any, tokens: Any, max_length: Any, end: Any) -> tuple[np.ndarray, int, int | None]:
    if not callable(step):
        raise TypeError(f"step: got {type(step).__name__}, expected a callable")
    tokens = index_array("tokens", tokens, 2**63 - 1, (None,))
    return (
        tokens,
        integer("max_length", integer("max_length", max_length, 0), 0, 2**31 - 1),
        None if end is None else integer("end", end, 0),
    )


def _ask(step: Step, tokens: np.ndarray, state: Any, wanted: np.ndarray, end: int | None) -> tuple[np.ndarray, Any]:
    """The step's logits and state. Rows that are not `wanted`, having ended, may hold anything and come back as 0."""
    answer = step(tokens, state)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise TypeError(f"step: returned {type(answer).__name__}, expected (logits, state)")
    logits = float_array("step's logits", answer[0], (tokens.size, None))
    if logits.shape[1] == 0:
        raise ValueError(f"step's logits: got shape {logits.shape}, expected at least one class")
    if end is not None:
        integer("end", end, 0, logits.shape[1] - 1)
    if not wanted.all():
        logits = np.where(wanted[:, None], logits, logits.dtype.type(0))
    return check_logits("step's logits", logits), answer[1]


def _choose(state: Any, rows: np.ndarray, batch: int) -> Any:
    """Some rows, of `batch`, of all arrays in a state."""
    if isinstance(state, np.ndarray):
        state = plain_array("state", state)
        axis = max(state.ndim - 2, 0)
        if state.ndim == 0 or state.shape[axis] != batch:
            raise ValueError(
                f"state: got an array of shape {state.shape}, expected {batch} sequences along axis {axis}"
            )
        return state.take(rows, axis=axis)
    if isinstance(state, dict):
        return {name: _choose(one, rows, batch) for name, one in state.items()}
    if isinstance(state, (tuple, list)):
        parts = [_choose(one, rows, batch) for one in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    if state is None:
        return None
    raise TypeError(f"state: got {type(state).__name__}, expected arrays, or tuples, lists and dicts of them")
