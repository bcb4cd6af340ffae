"""Limits of difference quotients: extrapolated, and believed only where much shorter steps agree."""

from collections.abc import Callable, Sequence

import numpy as np

from ._finite import NotFinite

Quotient = Callable[[float], np.ndarray]

# Ridders' extrapolation: steps shrink by a factor, each error term of the difference falls with its square.
_SHRINK, _ROUNDS, _SAFE = 1.6, 12, 4.0
_FIRST, _NEXT = 0.1, 1 / 16  # where a table does not hold, the next begins at a shorter step
_ENOUGH = 1e-8  # relative error that is not worth another table
_AMPLIFIED = 4.0  # what extrapolation makes of rounding, at most


def starts(count: int, relative: float) -> list[float]:
    """First steps to try, from 0.1 on; and those of an argument that is far smaller than 1."""
    found = [_FIRST * _NEXT**k for k in range(count)]
    return found + [_FIRST * relative * _NEXT**k for k in range(3) if 0 < _FIRST * relative * _NEXT**k < found[-1]]


def settled(
    phi: Quotient, rounding: Quotient, first: Sequence[float], shorter: Sequence[float], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """The limit of phi(h) for h to 0, phi even in h, and the estimated error, entry by entry.

    rounding: what phi's rounding may come to at h. first: where tables begin. shorter: steps at which an entry must be
    near the limit before it counts. Where none did the error is infinite.
    """
    value, error = np.zeros(shape), np.full(shape, np.inf)
    met = False
    for start in first:
        found = _table(phi, rounding, start, shape)
        if found is None:
            continue
        met = True
        limit, uncertain, last, plain = found
        held = uncertain < error
        value = np.where(np.isinf(error), limit, value)
        with np.errstate(all="ignore"):
            for h in [one for one in (*shorter, last / 8, last / 64) if one < last]:
                off = np.abs(plain - limit) * (h / last) ** 2  # a difference's error falls with the square
                held &= np.abs(phi(h) - limit) <= uncertain + 3 * rounding(h) + 4 * off
        value, error = np.where(held, limit, value), np.where(held, uncertain, error)
        # A long step may have held without having many digits: as long as shorter ones gain some, go on.
        if (np.isfinite(error) & (~held | (error <= _ENOUGH * np.abs(value)))).all():
            break
    if not met:
        raise NotFinite("f: its values near x are not finite, expected a function that is smooth there")
    return value, error


def _table(
    phi: Quotient, rounding: Quotient, h: float, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray] | None:
    """Neville's table: the limit, its error, the last step and phi there. None where phi is not finite.

    Of all entries of the table the one that differs least from its neighbours is taken; it ends where rounding takes
    over.
    """
    row = [phi(h)]
    if not np.isfinite(row[0]).all():
        return None
    best, error = row[0].copy(), np.full(shape, np.inf)
    with np.errstate(all="ignore"):
        for _ in range(_ROUNDS):
            h /= _SHRINK
            new, factor, noise = [phi(h)], 1.0, _AMPLIFIED * rounding(h)
            for k in range(len(row)):
                factor *= _SHRINK * _SHRINK
                new.append((new[k] * factor - row[k]) / (factor - 1))
                guess = np.maximum(np.abs(new[k + 1] - new[k]), np.abs(new[k + 1] - row[k])) + noise
                better = guess <= error
                best, error = np.where(better, new[k + 1], best), np.where(better, guess, error)
            if (np.abs(new[-1] - row[-1]) >= _SAFE * error).all() and len(row) > 2:
                row = new
                break
            row = new
    return best, error + 4 * np.finfo(np.float64).eps * np.abs(best), h, row[0]
