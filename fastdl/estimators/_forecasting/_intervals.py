"""Intervals, quantiles and samples from the errors of held-out forecasts: split conformal prediction.

An error is measured in units of the series' own noise at the forecast's origin, so that those of all series compare.
Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Lei et al., "Distribution-free predictive
inference for regression", 2018; with quantiles Romano, Patterson and Candes, "Conformalized quantile regression", 2019.
"""

import numpy as np

from ..._validate import members, number
from ._predicting import Ahead
from ._settings import NAME, Settings

_ENOUGH = 100  # forecasts, of which each step has a quantile of its own


def levels_of(level: object) -> list[float]:
    """Levels in per cent, above 0 and below 100, from one or several."""
    if level is None:
        return []
    found = [level] if isinstance(level, (int, float)) else members("level", level, "numbers")
    return sorted(number(f"level[{i}]", one, 0.0, 100.0, open_low=True, open_high=True) for i, one in enumerate(found))


def quantiles_of(quantiles: object) -> list[float]:
    if quantiles is None:
        return []
    found = [quantiles] if isinstance(quantiles, (int, float)) else members("quantiles", quantiles, "numbers")
    return [number(f"quantiles[{i}]", one, 0.0, 1.0, open_low=True, open_high=True) for i, one in enumerate(found)]


def quantile_name(q: float) -> str:
    """The column of a quantile."""
    return f"{NAME}-q-{q}"


def interval(
    found: Ahead, level: float, errors: np.ndarray | None, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends (N, steps) of the interval of a level in per cent."""
    tail = (1 - level / 100) / 2
    low, high = (_nearest(settings.quantiles, q) for q in (tail, 1 - tail))
    steps = found.outputs.shape[1]
    if low is not None and high is not None:
        below, above = found.outputs[:, :, low], found.outputs[:, :, high]
        if errors is None:
            return below, above
        score = np.maximum(-errors[:, :, low], errors[:, :, high])
    else:
        below = above = found.outputs[:, :, settings.middle]
        score = np.abs(_needed(errors, "level")[:, :, settings.middle])
    reach = _grown(_reaches(score, level / 100), steps) * found.noise[:, None]
    return np.minimum(below - reach, above + reach), np.maximum(below - reach, above + reach)


def quantile(found: Ahead, q: float, errors: np.ndarray | None, settings: Settings) -> np.ndarray:
    """A quantile (N, steps): the network's own, or its point forecast and the quantile of its errors."""
    own = _nearest(settings.quantiles, q)
    if own is not None:
        return found.outputs[:, :, own]
    signed = _needed(errors, "quantiles")[:, :, settings.middle]
    shift = _grown(np.nanquantile(signed, q, axis=0), found.outputs.shape[1])
    return found.outputs[:, :, settings.middle] + shift * found.noise[:, None]


def samples(
    found: Ahead, count: int, errors: np.ndarray | None, settings: Settings, rng: np.random.Generator
) -> np.ndarray:
    """Paths (N, count, steps): the point forecast and the errors that one held-out forecast made along its way."""
    signed = _needed(errors, "n_samples")[:, :, settings.middle]
    whole = signed[~np.isnan(signed).any(axis=1)]
    if not len(whole):
        raise ValueError("n_samples: no held-out forecast has all its steps, expected val_size of at least h")
    centre = found.outputs[:, :, settings.middle]
    steps, h = centre.shape[1], whole.shape[1]
    drawn = whole[rng.integers(0, len(whole), (len(centre), count))]  # (N, count, h)
    grow = np.sqrt(np.maximum(np.arange(1, steps + 1), h) / h)
    path = drawn[:, :, np.minimum(np.arange(steps), h - 1)] * grow
    return centre[:, None] + path * found.noise[:, None, None]


def _nearest(quantiles: tuple[float, ...], q: float) -> int | None:
    """The place of a quantile that the network gives; None where it does not."""
    return next((i for i, one in enumerate(quantiles) if abs(one - q) < 1e-6), None)


def _needed(errors: np.ndarray | None, name: str) -> np.ndarray:
    if errors is None:
        raise ValueError(
            f"{name}: got some, but nothing tells how large errors are: expected a forecaster with val_size of at "
            "least h, or with these quantiles"
        )
    return errors


def _reaches(scores: np.ndarray, level: float) -> np.ndarray:
    """Of scores (n, h) each step's conformal quantile; of few forecasts that of all steps, in units of their means."""
    count = (~np.isnan(scores)).sum(0)
    if count.max(initial=0) >= _ENOUGH:
        return np.array([_conformal(one, level) for one in scores.T])
    with np.errstate(invalid="ignore", divide="ignore"):
        size = np.where(count > 0, np.nansum(np.abs(scores), axis=0) / count, np.nan)
        pooled = scores / np.where(size > 0, size, np.nan)
    found: np.ndarray = _conformal(pooled.ravel(), level) * size
    return np.where(size > 0, found, size)


def _conformal(scores: np.ndarray, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n scores; the largest where there are too few for the level."""
    known = np.sort(scores[~np.isnan(scores)])
    if not known.size:
        return np.nan
    return float(known[min(int(np.ceil((known.size + 1) * level)), known.size) - 1])


def _grown(reach: np.ndarray, steps: int) -> np.ndarray:
    """One number a step; beyond those that were calibrated they grow as a random walk's errors do, as sqrt(step)."""
    known = np.flatnonzero(~np.isnan(reach))
    last = int(known[-1]) if known.size else 0
    places = np.minimum(np.arange(steps), last)
    found: np.ndarray = reach[places] * np.sqrt(np.maximum(np.arange(1, steps + 1), last + 1) / (last + 1))
    return found
