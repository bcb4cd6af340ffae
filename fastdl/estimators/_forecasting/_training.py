"""Training the members of an ensemble, each a network with weights and batches of its own."""

import copy
import functools
from typing import Any, NamedTuple

import numpy as np

from ... import dense, optim, random, training
from ...nn import Module
from ._frames import repr_of
from ._grid import Grid, calendar_of
from ._network import ForecastNet
from ._series import Panel
from ._settings import LOSSES, Settings
from ._transform import Transform, applied, transform_of
from ._windows import Prepared, Shape, Stretches

_EPOCHS, _STEPS = 10, 500  # by default so many epochs, and steps, at least


class Plan(NamedTuple):
    """What the training data decided, for all series."""

    log: bool
    scaler: str
    positive: bool  # whether forecasts are at least 0
    masked: bool
    calendar: tuple[str, ...]


def plan_of(panel: Panel, grid: Grid | None, settings: Settings) -> Plan:
    """Decide what was left "auto"."""
    least = min(float(np.nanmin(one)) for one in panel.values)
    poisson = settings.given["loss"] == "poisson"
    if (poisson or settings.given["transform"] == "log") and least < 0:
        what = "loss='poisson'" if poisson else "transform='log'"
        raise ValueError(f"y: got {least:g}, expected at least 0 everywhere, since {what}")
    log = settings.given["transform"] == "log" or (settings.given["transform"] == "auto" and least > 0 and not poisson)
    scaler = settings.given["scaler_type"]
    if scaler == "auto":
        scaler = "mean" if poisson or (least == 0 and not log) else "level" if log else "standard"
    return Plan(
        log, scaler, least >= 0, True, calendar_of(settings.given["calendar"], grid) if grid is not None else ()
    )


def prepared(
    panel: Panel, stops: np.ndarray, plan: Plan, settings: Settings, grid: Grid | None, beyond: int = 0
) -> tuple[Prepared, list[Transform]]:
    """The series as the network sees them, by what is found in them before position `stops`; and how to undo it.

    What is read and known beside them reaches `beyond` steps after their ends.
    """
    deseasonalize = settings.given["deseasonalize"] if settings.given["loss"] != "poisson" else False
    transforms, values, floors, means, beside, known = [], [], [], [], [], []
    for i, y in enumerate(panel.values):
        start = int(panel.starts[i])
        if (plan.log or settings.given["loss"] == "poisson") and np.nanmin(y, initial=0.0) < 0:
            series = repr_of(panel.ids[i])
            raise ValueError(f"y: got {np.nanmin(y):g} in the series {series}, expected at least 0 as in training")
        season = settings.given["season_length"]
        transform = transform_of(y, start, int(stops[i]), plan.log, season, deseasonalize)
        if plan.scaler == "none":
            transform = transform._replace(unit=1.0)
        transforms.append(transform)
        with np.errstate(invalid="ignore", divide="ignore"):
            values.append(applied(transform, y, start))
        found = values[-1][: stops[i]]
        found = found[~np.isnan(found)]
        floors.append(_floor(found, plan.scaler))
        means.append(float(found.mean()) if found.size else 0.0)
        beside.append(_beside(panel, i, y.size + beyond, plan, grid))
        known.append(panel.future[i])
    return Prepared(values, np.array(floors), np.array(means), beside, known), transforms


def _floor(known: np.ndarray, scaler: str) -> float:
    """The scale of a whole series: the mean of its steps, of its values for those scaled by them."""
    if not known.size:
        return 1.0
    if scaler == "mean":
        found = float(np.abs(known).mean())
    else:
        found = float(np.abs(np.diff(known)).mean()) if known.size > 1 else 0.0
        found = max(found, 1e-4 * float(np.abs(known).max())) if scaler != "level" else found + 1e-3
    return found if found > 0 else 1.0


def _beside(panel: Panel, i: int, size: int, plan: Plan, grid: Grid | None) -> np.ndarray:
    start = int(panel.starts[i])
    static = np.broadcast_to(panel.static[i], (size, panel.static.shape[1]))
    parts = [static]
    for rows in (panel.past[i], panel.future[i]):
        if rows.shape[1]:
            parts.append(rows[np.minimum(np.arange(size), len(rows) - 1)])
    if plan.calendar and grid is not None:
        parts.append(grid.calendar(start, start + size, plan.calendar))
    return np.concatenate(parts, axis=1).astype(np.float32)


def shape_of(plan: Plan, settings: Settings) -> Shape:
    positive = settings.given["loss"] == "poisson"
    return Shape(settings.input_size, settings.ahead, settings.context_size, plan.scaler, positive, plan.masked)


def network_of(series: Prepared, plan: Plan, settings: Settings, rng: Any) -> ForecastNet:
    """A network of the sizes that the series ask for."""
    inputs = settings.input_size * (2 if plan.masked else 1) + series.beside[0].shape[1]
    known = settings.ahead * series.known[0].shape[1]
    return ForecastNet(inputs, known, settings.ahead * settings.outputs, **settings.network, rng=rng)


# ---- losses -------------------------------------------------------------------------------------------------------


def loss_of(settings: Settings) -> Any:
    """The loss of what the network gives, (L, B, ahead * outputs), with a weight for each target."""
    if settings.quantiles:
        return functools.partial(_of_quantiles, quantiles=list(settings.quantiles))
    return LOSSES[settings.given["loss"]]


def _of_quantiles(prediction: np.ndarray, target: np.ndarray, *, quantiles: list[float], weights: np.ndarray) -> Any:
    apart = prediction.reshape(*target.shape, len(quantiles))
    loss, gradient = dense.quantile_loss(apart, target, quantiles=quantiles, weights=weights[..., None])
    return loss, gradient.reshape(prediction.shape)


# ---- fitting ------------------------------------------------------------------------------------------------------


def trained(
    network: Module, series: Prepared, stops: np.ndarray, shape: Shape, settings: Settings, rng: random.Generator,
    *, epochs: int | None, held: Any = None, constant: bool = False,
) -> training.History:  # fmt: skip
    """Train one member on the targets before `stops`; with held-out batches its values are those of its best epoch."""
    own = settings.given
    batches = Stretches(series, stops, shape, own["batch_size"], rng)
    optimizer = optim.AdamW(network.parameters(), lr=own["learning_rate"], weight_decay=own["weight_decay"])
    callbacks = copy.deepcopy(own["callbacks"])
    if held is not None and own["early_stopping"] is not None:
        callbacks.append(training.EarlyStopping(own["early_stopping"]))
    if epochs is None:
        epochs = max(_EPOCHS, -(-_STEPS // len(batches)))
    steps = max(2, epochs * len(batches))
    history = training.fit(
        network, optimizer, batches, loss=loss_of(settings), epochs=epochs, validation=held,
        restore_best=held is not None, max_norm=1.0, callbacks=callbacks, progress=own["verbose"], unit="targets",
        schedule=None if constant else optim.schedules.one_cycle(steps),
    )  # fmt: skip
    network.eval()
    return history


class Held:
    """Held-out batches: the forecasts made at given positions."""

    def __init__(self, stretches: Stretches, which: np.ndarray, ends: np.ndarray) -> None:
        self.stretches, self.which, self.ends = stretches, which, ends

    def __len__(self) -> int:
        return -(-self.which.size // 256)

    def __iter__(self) -> Any:
        for first in range(0, self.which.size, 256):
            inputs, y = self.stretches.batch(self.which[first : first + 256], self.ends[first : first + 256])
            y.options["weights"][:-1] = 0
            yield inputs, y
