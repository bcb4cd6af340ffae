"""What a forecaster was told, checked."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..._validate import choice, flag, integer, members, number, shown
from ._network import CELLS
from ._series import Columns
from ._transform import SCALERS

LOSSES = ("mae", "mse", "huber", "poisson")
_LARGEST = float(np.finfo(np.float32).max)


class Settings(NamedTuple):
    """Checked parameters; what depends on the data is "auto" still."""

    h: int
    input_size: int
    context_size: int
    season_length: int
    ahead: int  # steps that a pass of the network gives
    loss: str
    quantiles: tuple[float, ...]
    transform: str | None
    deseasonalize: bool | str
    scaler: str
    network: dict[str, Any]
    training: dict[str, Any]
    val_size: int
    patience: int | None
    refit: bool
    n_models: int

    @property
    def outputs(self) -> int:
        """Numbers for each step ahead."""
        return len(self.quantiles) or 1

    @property
    def middle(self) -> int:
        """Which of them is the point forecast: the quantile nearest to the median."""
        return int(np.argmin([abs(q - 0.5) for q in self.quantiles])) if self.quantiles else 0


def checked(one: Any) -> Settings:
    """The settings of a forecaster; a bad one is refused with its name."""
    h, season = integer("h", one.h, 1), integer("season_length", one.season_length, 1)
    window = _default_window(h, season) if one.input_size is None else integer("input_size", one.input_size, 1)
    context = max(3 * window, 2 * season) if one.context_size is None else integer("context_size", one.context_size, 1)
    strategy = choice("strategy", one.strategy, ("direct", "recursive"))
    quantiles = _quantiles(one.quantiles)
    loss = choice("loss", one.loss, LOSSES)
    if quantiles and loss != "mae":
        raise ValueError(f"loss: got {loss!r} with quantiles, expected 'mae', whose kind the quantile loss is")
    transform = one.transform if one.transform is None else choice("transform", one.transform, ("auto", "log"))
    if loss == "poisson" and transform == "log":
        raise ValueError("transform: got 'log' with loss='poisson', expected None or 'auto'")
    scaler = choice("scaler_type", one.scaler_type, ("auto", *SCALERS))
    if not isinstance(one.deseasonalize, str):
        deseasonalize: bool | str = flag("deseasonalize", one.deseasonalize)
    else:
        deseasonalize = choice("deseasonalize", one.deseasonalize, ("auto",))
    val_size = integer("val_size", one.val_size, 0)
    patience = None if one.early_stopping is None else integer("early_stopping", one.early_stopping, 1)
    if patience is not None and not val_size:
        raise ValueError("early_stopping: got it with val_size=0, expected val_size of at least 1")
    return Settings(
        h, window, context, season, h if strategy == "direct" else 1, loss, quantiles, transform, deseasonalize,
        scaler, _network(one), _training(one), val_size, patience, flag("refit", one.refit),
        integer("n_models", one.n_models, 1),
    )  # fmt: skip


def _default_window(h: int, season: int) -> int:
    """A quarter more than a season or the horizon, at least 7."""
    return max(7, int(1.25 * max(season, min(h, 60))))


def _quantiles(values: Any) -> tuple[float, ...]:
    if values is None:
        return ()
    found = [number(f"quantiles[{i}]", q, 0.0, 1.0) for i, q in enumerate(members("quantiles", values, "numbers"))]
    if not found or sorted(set(found)) != found or found[0] <= 0 or found[-1] >= 1:
        raise ValueError(f"quantiles: got {found}, expected rising ones above 0 and below 1")
    return tuple(found)


def _network(one: Any) -> dict[str, Any]:
    options = {} if one.cell_options is None else one.cell_options
    if not isinstance(options, Mapping):
        raise TypeError(f"cell_options: got {shown(options)}, expected a mapping of a layer's arguments")
    for name in ("bidirectional", "reverse", "output", "batch_first", "dtype", "rng", "num_layers", "dropout"):
        if name in options:
            raise ValueError(f"cell_options: got {name!r}, expected arguments that keep the layer causal")
    return {
        "cell": choice("cell", one.cell, tuple(CELLS)),
        "hidden_size": integer("hidden_size", one.hidden_size, 1),
        "num_layers": integer("num_layers", one.num_layers, 1),
        "dropout": number("dropout", one.dropout, 0.0, 1.0),
        "head_size": integer("head_size", one.head_size, 0),
        "options": dict(options),
    }


def _training(one: Any) -> dict[str, Any]:
    return {
        "epochs": integer("epochs", one.epochs, 1),
        "batch_size": integer("batch_size", one.batch_size, 1),
        "learning_rate": number("learning_rate", one.learning_rate, 0.0, _LARGEST, open_low=True),
        "weight_decay": number("weight_decay", one.weight_decay, 0.0, _LARGEST),
        "callbacks": members("callbacks", one.callbacks, "callbacks"),
        "progress": flag("verbose", one.verbose),
    }


def columns_of(one: Any) -> Columns:
    """The names of columns."""
    def texts(name: str) -> tuple[str, ...]:
        found = getattr(one, name)
        if isinstance(found, str):
            raise TypeError(f"{name}: got {found!r}, expected a list of names of columns")
        return tuple(members(name, () if found is None else found, "names of columns"))

    lists = [texts(name) for name in ("hist_exog_list", "futr_exog_list", "stat_exog_list")]
    return Columns(one.id_col, one.time_col, one.target_col, *lists)
