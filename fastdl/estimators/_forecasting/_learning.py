"""From series to trained networks and to the sizes of their errors: what ``fit`` learns."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import nn, random, training
from ._grid import Grid
from ._predicting import ahead
from ._series import Panel
from ._settings import Settings
from ._training import Held, Plan, network_of, plan_of, prepared, shape_of, trained
from ._windows import Prepared, Stretches

_LEAST = 3  # values: a window of two, and what comes after it
_ORIGINS = 12  # of held-out forecasts a series, at most


class Learnt(NamedTuple):
    """What a fit ends with."""

    networks: list[nn.Module]
    histories: list[training.History]
    plan: Plan
    errors: np.ndarray | None  # (forecasts, h, Q): of held-out forecasts, in units of noise; NaN where not known


def learn(
    panel: Panel, grid: Grid, settings: Settings, seed: random.Generator, given: Sequence[nn.Module] = (),
    plan: Plan | None = None,
) -> Learnt:  # fmt: skip
    """Train all members: new ones, or with `given` networks go on from copies of these, at a constant rate."""
    plan = plan_of(panel, grid, settings) if plan is None else plan
    sizes, own = panel.ends - panel.starts, settings.given
    most = max(int((~np.isnan(one)).sum()) for one in panel.values)
    if most < _LEAST:
        raise ValueError(f"y: got series of at most {most} values, expected one of {_LEAST} or more")
    members = [seed.stream(f"member {i}") for i in range(own["n_models"])]
    epochs, errors = [own["epochs"]] * len(members), None
    stops = sizes
    if own["val_size"]:
        stops = np.where(sizes - own["val_size"] >= _LEAST, sizes - own["val_size"], sizes)
        which, ends = origins(sizes, stops, settings.h)
        if not which.size:
            most = int(sizes.max())
            raise ValueError(f"val_size: got {own['val_size']}, expected less than {most - 2}: the longest has {most}")
    series, _ = prepared(panel, stops, plan, settings, grid)
    held = None
    if own["val_size"]:
        held = Held(Stretches(series, sizes, shape_of(plan, settings), own["batch_size"], None), which, ends)
    networks, histories = _members(series, stops, plan, settings, members, epochs, given, held)
    if own["val_size"]:
        errors = _errors(networks, series, which, ends, plan, settings)
        if own["refit"] and not given:
            epochs = [_best(one) for one in histories]
            series, _ = prepared(panel, sizes, plan, settings, grid)
            networks, histories = _members(series, sizes, plan, settings, members, epochs, (), None)
    return Learnt(networks, histories, plan, errors)


def origins(sizes: np.ndarray, stops: np.ndarray, h: int) -> tuple[np.ndarray, np.ndarray]:
    """Series and positions of held-out forecasts: at each stop and after it, some, while h values follow."""
    which, ends = [], []
    for i in np.flatnonzero(stops < sizes):
        last = max(int(sizes[i]) - h, int(stops[i]))
        places = np.unique(np.linspace(int(stops[i]), last, _ORIGINS).astype(np.int64))
        which += [i] * places.size
        ends += places.tolist()
    return np.array(which, np.int64), np.array(ends, np.int64)


def _members(
    series: Prepared, stops: np.ndarray, plan: Plan, settings: Settings, seeds: Sequence[random.Generator],
    epochs: Sequence[int | None], given: Sequence[nn.Module], held: Any,
) -> tuple[list[nn.Module], list[training.History]]:  # fmt: skip
    networks, histories, shape = [], [], shape_of(plan, settings)
    for i, seed in enumerate(seeds):
        network = given[i] if given else network_of(series, plan, settings, seed.stream("weights"))
        rng = seed.stream("batches")
        history = trained(
            network, series, stops, shape, settings, rng, epochs=epochs[i], held=held, constant=bool(given)
        )
        networks.append(network)
        histories.append(history)
    return networks, histories


def _best(history: training.History) -> int:
    """The number of the epoch with the least validation loss."""
    return 1 + int(np.argmin([row["validation_loss"] for row in history.epochs]))


def _errors(
    networks: Sequence[nn.Module], series: Prepared, which: np.ndarray, ends: np.ndarray, plan: Plan,
    settings: Settings,
) -> np.ndarray:  # fmt: skip
    """What came true minus what was forecast, in units of the noise at the origin."""
    h = settings.h
    some = series.chosen(which)
    found = ahead(networks, some, ends, shape_of(plan, settings), settings, h)
    true = np.full((len(which), h), np.nan)
    for row, (i, end) in enumerate(zip(which, ends, strict=True)):
        after = series.values[i][end : end + h]
        true[row, : after.size] = after
    errors: np.ndarray = (true[:, :, None] - found.outputs) / found.noise[:, None, None]
    return errors
