"""What a forecaster is told: the table of its settings, and what follows from them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ... import dense
from ..._validate import choice, integer, members, number, shown
from .._sequence_network import CELLS
from .._settings import Setting, _boolean, _callbacks, _or, _real, _whole, checked
from .._targets import LOSSES as OF_NUMBERS
from ._grid import CYCLES
from ._series import Columns
from ._transform import SCALERS

NAME = "GlobalForecaster"  # of the column with forecasts
LOSSES = {"mae": dense.l1_loss, "mse": dense.mse_loss, "poisson": dense.poisson_nll_loss} | {
    name: loss
    for name, loss in OF_NUMBERS.items()
    if name not in ("squared_error", "absolute_error", "poisson", "quantile")
}
_CAUSAL = ("bidirectional", "reverse", "output", "batch_first", "dtype", "rng", "num_layers", "dropout")


def _word(*words: Any) -> Any:
    return lambda name, value: value if value is None and None in words else choice(name, value, _texts(words))


def _texts(words: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(one for one in words if isinstance(one, str))


def _flag_or_auto(name: str, value: Any) -> bool | str:
    return choice(name, value, ("auto",)) if isinstance(value, str) else _boolean(name, value)


def _freq(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return integer(name, value, 1)


def _calendar(name: str, value: Any) -> Any:
    if value is None or isinstance(value, str):
        return None if value is None else choice(name, value, ("auto",))
    return tuple(choice(f"{name}[{i}]", one, tuple(CYCLES)) for i, one in enumerate(members(name, value, "names")))


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(f"{name}: got {value!r}, expected a list of names of columns")
    return () if value is None else tuple(members(name, value, "names of columns"))


def _column(name: str, value: Any) -> Any:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name}: got {shown(value)}, expected the name of a column")
    return value


def _quantiles(name: str, values: Any) -> tuple[float, ...]:
    if values is None:
        return ()
    found = [number(f"{name}[{i}]", q, 0.0, 1.0) for i, q in enumerate(members(name, values, "numbers"))]
    if not found or sorted(set(found)) != found or found[0] <= 0 or found[-1] >= 1:
        raise ValueError(f"{name}: got {found}, expected rising ones above 0 and below 1")
    return tuple(found)


def _options(name: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise TypeError(f"{name}: got {shown(value)}, expected a mapping of a layer's arguments")
    for one in _CAUSAL:
        if one in (value or {}):
            raise ValueError(f"{name}: got {one!r}, which is a setting of its own, or would show the layer the future")
    return dict(value or {})


def _seed(name: str, value: Any) -> Any:
    return None if value is None else integer(name, value, 0)


POSITIONAL = {
    "h": Setting(12, _whole(1), "int", "Steps that are forecast."),
    "input_size": Setting(
        None, _or((None,), _whole(1)), "int, optional",
        "Values that the network sees at each step; by default a quarter more than the season, or than h up to 60.",
    ),
    "freq": Setting(
        None, _freq, "str or int, optional",
        'Step of the time axis: an alias of pandas, as "D" or "ME", or of whole numbers an int. By default it is read '
        "off the data.",
    ),
    "season_length": Setting(1, _whole(1), "int", "Steps of a season: 12 for months with a yearly one."),
}  # fmt: skip
BY_NAME = {
    "strategy": Setting(
        "direct", _word("direct", "recursive"), '{"direct", "recursive"}',
        "All h steps at once; or one at a time, each fed with those before it.",
    ),
    "cell": Setting("lstm", _word(*CELLS), "str", f"The recurrent layer: {', '.join(CELLS)}."),
    "hidden_size": Setting(64, _whole(1), "int", "Units of it."),
    "num_layers": Setting(1, _whole(1), "int", "Recurrent layers, one upon the other."),
    "dropout": Setting(0.0, _real(0, 1), "float from 0 to 1", "Probability of dropping an element of their outputs."),
    "cell_options": Setting(
        None, _options, "mapping, optional", 'Further arguments of the layer, as ``{"zoneout": 0.1}``.'
    ),
    "head_size": Setting(64, _whole(0), "int", "Units of a hidden layer between state and forecast; 0 for none."),
    "context_size": Setting(
        None, _or((None,), _whole(1)), "int, optional",
        "Steps that the recurrent layer runs over before a forecast; by default three times `input_size`.",
    ),
    "loss": Setting(
        "mae", _word(*LOSSES), "str",
        '"mae", whose forecast is the median; "mse", the mean; "poisson", the mean of counts or of series with many '
        'zeros, which is never negative; or another loss of numbers without its "_loss".',
    ),
    "quantiles": Setting(
        None, _quantiles, "sequence of float, optional",
        "Quantiles that the network learns itself, rising; the one nearest to 0.5 is the point forecast.",
    ),
    "transform": Setting(
        "auto", _word("auto", "log", None), '{"auto", "log"} or None',
        'Whether the network sees logarithms (of y + 1 in series with zeros); "auto" where all values are positive.',
    ),
    "deseasonalize": Setting(
        "auto", _flag_or_auto, 'bool or "auto"',
        'Whether the seasonal pattern of each series is taken away and added to forecasts; "auto" where the '
        "autocorrelation at `season_length` is significant.",
    ),
    "scaler_type": Setting(
        "auto", _word("auto", *SCALERS), "str",
        'How a window is standardised: "level", its mean away and in units of the series\' mean step; "mean", by its '
        'own mean size; "standard"; "robust", by median and its deviation; "none". "auto" is "level" for logarithms, '
        '"mean" for series with zeros, "standard" else.',
    ),
    "calendar": Setting(
        "auto", _calendar, "sequence of str, optional",
        f'Of dates, what the network sees besides: of {", ".join(CYCLES)}; "auto" by the step, None for nothing.',
    ),
    "hist_exog_list": Setting(None, _names, "sequence of str, optional", "Columns known up to the present only."),
    "futr_exog_list": Setting(None, _names, "sequence of str, optional", "Columns known in advance."),
    "stat_exog_list": Setting(None, _names, "sequence of str, optional", "Columns of `static_df`, one row a series."),
    "id_col": Setting("unique_id", _column, "str or None", "Column that names the series; None for a single one."),
    "time_col": Setting("ds", _column, "str", "Column of the times."),
    "target_col": Setting("y", _column, "str", "Column of the values."),
    "epochs": Setting(
        None, _or((None,), _whole(1)), "int, optional",
        "Passes over the data; by default 10, or more where these are few steps: as many as 500 of them take.",
    ),
    "batch_size": Setting(32, _whole(1), "int", "Series, or stretches of long ones, a step."),
    "learning_rate": Setting(
        5e-3, _real(0, open_low=True), "float > 0", "The largest of a one-cycle schedule of AdamW."
    ),
    "weight_decay": Setting(0.01, _real(0), "float >= 0", "Of AdamW."),
    "n_models": Setting(1, _whole(1), "int", "Networks, from seeds of their own; the forecast is their median."),
    "val_size": Setting(
        0, _whole(0), "int",
        "Last values of each series that are held out: of them are the validation loss and the sizes of errors, of "
        "which intervals, quantiles and samples are made.",
    ),
    "early_stopping": Setting(
        None, _or((None,), _whole(1)), "int, optional",
        "Epochs without a better validation loss that end the training."
    ),
    "refit": Setting(
        True, _boolean, "bool", "Whether the networks are trained again on all values once errors have been measured."
    ),
    "callbacks": Setting(
        None, _callbacks, "sequence of fastdl.training.Callback, optional", "Called in each network's training."
    ),
    "random_state": Setting(None, _seed, "int, optional", "Seed of weights, orders, masks and samples."),
    "verbose": Setting(False, _boolean, "bool", "Whether to show progress on stderr."),
}  # fmt: skip
SETTINGS = {**POSITIONAL, **BY_NAME}
_FREE = ("epochs", "batch_size", "learning_rate", "weight_decay", "val_size", "early_stopping", "refit", "callbacks",
         "random_state", "verbose")  # fmt: skip
FIXED = tuple(name for name in SETTINGS if name not in _FREE)  # by which a network is made, and its data


class Settings(NamedTuple):
    """Checked settings; what depends on the data is "auto" still."""

    h: int
    input_size: int
    context_size: int
    ahead: int  # steps that a pass of the network gives
    columns: Columns
    given: dict[str, Any]  # all of the table

    @property
    def quantiles(self) -> tuple[float, ...]:
        found: tuple[float, ...] = self.given["quantiles"]
        return found

    @property
    def outputs(self) -> int:
        """Numbers for each step ahead."""
        return len(self.quantiles) or 1

    @property
    def middle(self) -> int:
        """Which of them is the point forecast: the quantile nearest to the median."""
        return int(np.argmin([abs(q - 0.5) for q in self.quantiles])) if self.quantiles else 0

    @property
    def network(self) -> dict[str, Any]:
        """Arguments of the network."""
        names = ("cell", "hidden_size", "num_layers", "dropout", "head_size")
        return {name: self.given[name] for name in names} | {"options": self.given["cell_options"]}


def settings_of(estimator: Any) -> Settings:
    """The settings of a forecaster; a bad one is refused with its name."""
    given = checked(estimator, SETTINGS)
    h, season, loss = given["h"], given["season_length"], given["loss"]
    window = given["input_size"] or max(7, int(1.25 * max(season, min(h, 60))))
    if given["quantiles"] and loss != "mae":
        raise ValueError(f"loss: got {loss!r} with quantiles, expected 'mae', whose kind the quantile loss is")
    if loss == "poisson" and given["transform"] == "log":
        raise ValueError("transform: got 'log' with loss='poisson', expected None or 'auto'")
    if given["early_stopping"] is not None and not given["val_size"]:
        raise ValueError("early_stopping: got it with val_size=0, expected val_size of at least 1")
    lists = [given[name] for name in ("hist_exog_list", "futr_exog_list", "stat_exog_list")]
    columns = Columns(given["id_col"], given["time_col"], given["target_col"], *lists)
    ahead = h if given["strategy"] == "direct" else 1
    return Settings(h, window, given["context_size"] or 3 * window, ahead, columns, given)
