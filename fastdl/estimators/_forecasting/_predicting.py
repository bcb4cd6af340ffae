"""Forecasts of any length from networks that give some steps at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...nn import Module
from ._settings import Settings
from ._windows import Prepared, Shape, cut

_AT_ONCE = 256  # series, so that prediction needs little memory


class Ahead(NamedTuple):
    """Forecasts of series as the network sees them."""

    outputs: np.ndarray  # (N, steps, Q)
    noise: np.ndarray  # (N,) mean absolute step of the last window, in whose units errors are compared


def ahead(
    networks: Sequence[Module], series: Prepared, ends: np.ndarray, shape: Shape, settings: Settings, steps: int
) -> Ahead:
    """`steps` steps after positions `ends`: blocks of the network's own, fed with the point forecasts before them."""
    found, noise = [], []
    blocks: list[np.ndarray]
    for first in range(0, len(ends), _AT_ONCE):
        which = np.arange(first, min(first + _AT_ONCE, len(ends)))
        some = series._replace(values=list(series.values))
        at, blocks = ends[which].copy(), []
        for i in which:
            some.values[i] = series.values[i][: ends[i]]
        while sum(one.shape[1] for one in blocks) < steps:
            block, unit = _block(networks, some, which, at, shape, settings)
            if not blocks:
                noise.append(unit)
            blocks.append(block)
            at = at + shape.ahead
            for i, row in zip(which, block[:, :, settings.middle], strict=True):
                some.values[i] = np.concatenate([some.values[i], row])
        found.append(np.concatenate(blocks, axis=1)[:, :steps])
    return Ahead(np.concatenate(found), np.concatenate(noise))


def _block(
    networks: Sequence[Module], series: Prepared, which: np.ndarray, ends: np.ndarray, shape: Shape,
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The next steps, (B, ahead, Q): the median of the members'; and the noise there."""
    given = cut(series, which, ends, shape)
    each = np.stack([network((given.read, given.known))[-1] for network in networks]).astype(np.float64)
    z = np.median(each, axis=0).reshape(len(which), shape.ahead, settings.outputs)
    if settings.given["loss"] == "poisson":
        z = np.exp(np.minimum(z, 30.0))
    z = np.sort(z, axis=2)  # quantiles do not cross
    return given.level[-1][:, None, None] + given.scale[-1][:, None, None] * z, given.noise[-1]
