"""Estimators in files: what :func:`fastdl.save` writes of one, and :func:`fastdl.load` makes one of."""

import copy
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import nn
from .._validate import choice, mapping, shown
from ._settings import OPTIMIZERS

_PASSING = ("model_", "history_", "_optimizer")  # the network is saved beside; what belongs to a run is not


class SavedEstimator(nn.Module):
    """An estimator as a module, so that a file can hold it: made by :func:`fastdl.save`, undone by :func:`fastdl.load`.

    Parameters
    ----------
    estimator : str
        Name of its class in :mod:`fastdl.estimators`.
    settings : mapping of str to value
        Its settings.
    state : mapping of str to value
        What it learnt beside the network.
    model : fastdl.nn.Module
        The network.

    Raises
    ------
    TypeError, ValueError
        If there is no such class.

    Examples
    --------
    >>> import os, tempfile, fastdl as fd
    >>> estimator = fd.estimators.MLPClassifier(hidden_layer_sizes=(3,), solver="lbfgs", alpha=0.1, random_state=0)
    >>> estimator = estimator.fit([[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fd.save(estimator, os.path.join(folder, "model.safetensors"))
    ...     again = fd.load(os.path.join(folder, "model.safetensors"))
    >>> again
    MLPClassifier(alpha=0.1, hidden_layer_sizes=(3,), random_state=0,
                  solver='lbfgs')
    >>> again.predict([[0.1], [2.9]]).tolist()
    ['low', 'high']
    """

    def __init__(self, estimator: str, settings: Mapping[str, Any], state: Mapping[str, Any], model: nn.Module) -> None:
        super().__init__()
        self.estimator = choice("estimator", estimator, tuple(_classes()))
        self.settings = mapping("settings", settings, "names to values")
        self.state = mapping("state", state, "names to values")
        self.model = model

    def forward(self, x: Any) -> Any:
        """The network's output.

        Parameters
        ----------
        x : ndarray
            Its input.

        Returns
        -------
        ndarray
            Logits or numbers.
        """
        return self.model.forward(x)

    def backward(self, dy: Any) -> Any:
        """The network's backward.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to its output.

        Returns
        -------
        ndarray
            Gradient with respect to its input.
        """
        return self.model.backward(dy)

    def _as_loaded(self) -> Any:
        """The estimator."""
        found = _classes()[self.estimator](**decoded(self.settings))
        vars(found).update(decoded(self.state))
        found.model_, found._optimizer = self.model, None
        return found


def as_module(estimator: Any) -> SavedEstimator:
    """A fitted estimator as a module."""
    name = type(estimator).__name__
    if _classes().get(name) is not type(estimator):
        raise TypeError(f"model: got {name}, expected an estimator of fastdl.estimators: pickle keeps others")
    check_is_fitted(estimator)
    settings = estimator.get_params(deep=False)
    state = {one: value for one, value in vars(estimator).items() if one not in settings and one not in _PASSING}
    return SavedEstimator(name, encoded(settings, "settings"), encoded(state, "state"), copy.deepcopy(estimator.model_))


def _classes() -> dict[str, Any]:
    """The estimators that a file may name."""
    house = importlib.import_module("fastdl.estimators")
    found = {name: getattr(house, name) for name in house.__all__}
    return {name: one for name, one in found.items() if hasattr(one, "_settings")}


def encoded(value: Any, where: str) -> Any:
    """A value as numbers, texts, arrays of numbers, lists, and dicts with one key that says what it is."""
    if isinstance(value, np.generic) and not isinstance(value, (np.str_, np.bytes_)):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str, np.dtype)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iuf":
            return value
        items = [encoded(one, f"{where}[{place}]") for place, one in enumerate(value.ravel())]
        return {"array": [value.dtype.str, list(value.shape), items]}
    if isinstance(value, (list, tuple)):
        items = [encoded(one, f"{where}[{place}]") for place, one in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, Mapping):
        pairs = [[encoded(key, where), encoded(one, f"{where}[{key!r}]")] for key, one in value.items()]
        return {"pairs": pairs}
    if isinstance(value, type) and value in OPTIMIZERS.values():
        return value.__name__.lower()
    if isinstance(value, type) and issubclass(value, np.generic):
        return np.dtype(value)
    raise TypeError(
        f"model: its {where} is {shown(value)}, which a file cannot hold: set another with set_params, or pickle it"
    )


def decoded(value: Any) -> Any:
    """What :func:`encoded` was given."""
    if isinstance(value, list):
        return [decoded(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    (kind, held), *_ = value.items()
    if kind == "tuple":
        return tuple(decoded(held))
    if kind == "pairs":
        return {decoded(key): decoded(one) for key, one in held}
    if kind != "array":
        raise ValueError(f"damaged: a value of the unknown kind {kind!r}")
    dtype, shape, items = held
    found = np.empty(len(items), dtype)
    for place, one in enumerate(items):
        found[place] = decoded(one)
    return found.reshape(shape)
