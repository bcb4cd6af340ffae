"""One training of an estimator: batches, the objective, what is noted after each epoch, and lbfgs."""

import math
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .. import nn, optim, training
from .._validate import shown, written_as
from ..nn._backward import backward
from ..nn._modes import evaluating
from ..nn._pull import Pull
from ..training._data import Targets, scaled
from ..training._measured import Differentiated
from ._settings import OPTIMIZERS, SCHEDULES

_ADAMS = ("adam", "adamw", "nadam", "radam", "amsgrad", "adamax")
_LEAST_RATE = 1e-6  # "adaptive" ends there, as scikit-learn's


class Data(NamedTuple):
    """Examples that were checked: inputs, targets as the loss takes them and as predictions are, and weights."""

    inputs: Any  # len(), part(chosen) -> the like, batch(chosen) -> what forward takes
    targets: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None

    def part(self, chosen: Any) -> "Data":
        """Some of the examples."""
        weights = None if self.weights is None else self.weights[chosen]
        return Data(self.inputs.part(chosen), self.targets[chosen], self.labels[chosen], weights)

    def batch(self, chosen: Any) -> tuple[Any, Any]:
        """What fastdl.training.fit takes for some of the examples."""
        values = self.targets[chosen]
        if self.weights is None:
            return self.inputs.batch(chosen), values
        return self.inputs.batch(chosen), Targets(values, {"weights": self.weights[chosen]})


class Batches:
    """Batches of the examples; an epoch's order is drawn from the one before, as scikit-learn does it.

    With `joined` an example that is left alone at the end goes into the batch before: alone it has no variance.
    """

    def __init__(self, data: Data, size: int, random_state: np.random.RandomState | None, joined: bool) -> None:
        self.data, self.random_state = data, random_state
        self.order = np.arange(len(data.targets))
        self.starts = list(range(0, len(self.order), size))
        if joined and len(self.starts) > 1 and len(self.order) % size == 1:
            self.starts.pop()

    def __len__(self) -> int:
        return len(self.starts)

    def __iter__(self) -> Iterator[Any]:
        if self.random_state is not None:
            self.order = self.random_state.permutation(self.order)
        for first, end in pairwise([*self.starts, len(self.order)]):
            yield self.data.batch(slice(first, end) if self.random_state is None else self.order[first:end])


class Objective:
    """The loss of a batch, and the penalty alpha / 2 * sum of squared weights over the examples of that batch."""

    def __init__(self, loss: Any, alpha: float, weights: list[Any]) -> None:
        self.loss, self.alpha, self.weights, self.count = loss, alpha, weights, 1.0

    def __call__(self, outputs: Any, targets: Any, weights: Any = None, **options: Any) -> Any:
        if weights is not None:
            options["weights"] = weights
        result = self.loss(outputs, targets, **options)
        self.count = getattr(result[0], "count", len(targets)) if isinstance(result, tuple) else len(targets)
        return result

    def add(self, parameters: Any) -> float:
        """Add the penalty's gradient, and return its value."""
        factor, total = self.alpha / self.count, 0.0
        for one in self.weights:
            values = one.data.reshape(-1)
            total += float(np.dot(values, values))
            one.grad += one.data.dtype.type(factor) * one.data
        return 0.5 * factor * total


class Watch(training.Callback):
    """What is noted after each epoch, and what ends the training: no more change, or the held-out score."""

    def __init__(self, estimator: Any, settings: dict[str, Any], examples: int, held: Data | None, once: bool) -> None:
        self.estimator, self.settings, self.examples = estimator, settings, examples
        self.held, self.once, self.best = held, once, None
        self.stopped = False

    def on_epoch_end(self, run: Any) -> None:
        row = run.history.epochs[-1]
        self.note(run, row["loss"] + row["penalty"])

    def note(self, run: Any, loss: float) -> None:
        """An epoch is done, with this loss."""
        estimator, settings = self.estimator, self.settings
        estimator.n_iter_ += 1
        estimator.t_ += self.examples
        estimator.loss_ = loss
        estimator.loss_curve_.append(loss)
        _print(settings, f"Iteration {estimator.n_iter_}, loss = {loss:.8f}")
        if self.held is None:
            self._compare_loss(loss)
        else:
            self._compare_score(self.held)
        if run is None:
            return
        if settings["learning_rate"] == "invscaling" and settings["solver"] != "adam":
            run.optimizer.lr = settings["learning_rate_init"] / (estimator.t_ + 1) ** settings["power_t"]
        if estimator._no_improvement_count > settings["n_iter_no_change"] and not self.once:
            self._end(run)

    def _compare_loss(self, loss: float) -> None:
        estimator = self.estimator
        better = loss <= estimator.best_loss_ - self.settings["tol"]
        estimator._no_improvement_count = 0 if better else estimator._no_improvement_count + 1
        estimator.best_loss_ = min(estimator.best_loss_, loss)

    def _compare_score(self, held: Data) -> None:
        estimator = self.estimator
        with evaluating(estimator.model_):
            outputs = estimator._outputs(held.inputs)
        score = estimator._rated(outputs, held.labels, held.weights) if np.isfinite(outputs).all() else math.nan
        estimator.validation_scores_.append(score)
        _print(self.settings, f"Validation score: {score:.6f}")
        better = score >= estimator.best_validation_score_ + self.settings["tol"]
        estimator._no_improvement_count = 0 if better else estimator._no_improvement_count + 1
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self.best = estimator.model_.state_dict()

    def _end(self, run: Any) -> None:
        settings = self.settings
        what = "Training loss" if self.held is None else "Validation score"
        text = f"{what} did not improve more than tol={settings['tol']:f} for {settings['n_iter_no_change']} epochs."
        adaptive = settings["learning_rate"] == "adaptive" and settings["solver"] != "adam"
        if adaptive and run.optimizer.lr > _LEAST_RATE:
            run.optimizer.lr /= 5
            self.estimator._no_improvement_count = 0
            _print(settings, f"{text} Setting learning rate to {run.optimizer.lr:f}")
            return
        _print(settings, f"{text} Stopping.")
        self.stopped = True
        run.stop()


def _print(settings: dict[str, Any], text: str) -> None:
    if settings["verbose"] and settings["verbose"] != "bar":
        print(text)


def _is_no_matrix(name: str, values: Any) -> bool:
    return len(values.shape) != 2


def make_optimizer(model: Any, settings: dict[str, Any]) -> Any:
    """The optimizer that the settings name, over the model's parameters."""
    name = settings["solver"]
    kind = OPTIMIZERS[name] if isinstance(name, str) else name
    own: dict[str, Any] = {}
    if name == "sgd":
        own = {"momentum": settings["momentum"], "variant": "paper"}
        own["nesterov"] = settings["nesterovs_momentum"] and settings["momentum"] > 0
    elif name in _ADAMS:
        own = {"betas": (settings["beta_1"], settings["beta_2"]), "eps": settings["epsilon"]}
        own |= {"variant": "keras"} if name == "adam" else {}  # the form of scikit-learn's, with its epsilon
    if kind is optim.Muon:  # which is for matrices
        own["groups"] = [{"params": _is_no_matrix, "optimizer": optim.Adam}]
    given = dict(settings["solver_options"] or {})
    if "lr" in given:
        raise ValueError(f"solver_options['lr']: got {shown(given['lr'])}, expected it as learning_rate_init")
    with written_as(lr="learning_rate_init", **{one: f"solver_options[{one!r}]" for one in given}):
        return kind(model.parameters(), lr=settings["learning_rate_init"], **{**own, **given})


def schedule_of(settings: dict[str, Any], steps: int) -> Any:
    """What sets the rate at each step: a function, or None where it is constant within an epoch."""
    name = settings["learning_rate"]
    if callable(name):
        return name
    if name not in SCHEDULES:
        return None
    makers: dict[str, Any] = {"cosine": optim.schedules.cosine, "one_cycle": optim.schedules.one_cycle}
    return makers.get(name, optim.schedules.polynomial)(max(2, settings["max_iter"] * steps))


def batch_size_of(settings: dict[str, Any], examples: int) -> int:
    """Examples a batch, at most all."""
    size = settings["batch_size"]
    if size == "auto":
        return min(200, examples)
    if size > examples:
        warnings.warn(f"batch_size: got {size}, which is clipped to the {examples} examples that there are")
    return min(size, examples)


def descend(estimator: Any, data: Data, held: Data | None, settings: dict[str, Any], rs: Any, once: bool) -> Watch:
    """Train by fastdl.training.fit: for `once` one epoch with the optimizer that is there."""
    model = estimator.model_
    if not once or estimator._optimizer is None:
        estimator._optimizer = make_optimizer(model, settings)
    joined = any(isinstance(one, nn.BatchNorm1d) for one in model.modules())
    batches = Batches(data, batch_size_of(settings, len(data.targets)), rs if settings["shuffle"] else None, joined)
    watch = Watch(estimator, settings, len(data.targets), held, once)
    objective = Objective(estimator._loss(), settings["alpha"], decayed(model))
    estimator.n_iter_ = 0
    try:
        estimator.history_ = training.fit(
            model, estimator._optimizer, batches, loss=objective, epochs=1 if once else settings["max_iter"],
            penalties=[objective] if settings["alpha"] else [], callbacks=[watch, *settings["callbacks"]],
            max_norm=settings["max_norm"], schedule=None if once else schedule_of(settings, len(batches)),
            progress=settings["verbose"] == "bar", unit="examples",
        )  # fmt: skip
    except FloatingPointError:  # as in scikit-learn, a fit that diverges ends
        watch.stopped = True
        watch.note(None, math.nan)
        if held is None:
            raise
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.")
        watch.stopped = True
    if watch.best is not None:
        model.load_state_dict(watch.best)
    ends_by_plan = callable(settings["learning_rate"]) or settings["learning_rate"] in SCHEDULES
    if estimator.n_iter_ == settings["max_iter"] and not (watch.stopped or once or ends_by_plan):
        warnings.warn(
            f"Maximum iterations (max_iter={settings['max_iter']}) reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
        )
    return watch


def decayed(model: Any) -> list[Any]:
    """The parameters that alpha is about: matrices, and neither biases nor scales nor tables of embeddings."""
    return [one for _, one in model.named_parameters() if len(one.shape) > 1 and not one.by_rows]


def minimize(estimator: Any, data: Data, settings: dict[str, Any]) -> None:
    """Train by SciPy's L-BFGS-B on all data at once."""
    import scipy.optimize

    model, parameters = estimator.model_, estimator.model_.parameters()
    x = data.inputs.batch(slice(None))
    objective = Objective(estimator._loss(), settings["alpha"], decayed(model))
    differentiated = Differentiated(objective)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        parameters.data[...] = values
        parameters.renew_gradients()
        outputs = model.forward(x)
        targets = data.targets if data.weights is None else Targets(data.targets, {"weights": data.weights})
        value, gradient = differentiated(outputs, targets)
        backward(model, scaled(gradient, 1.0) if isinstance(gradient, Pull) else gradient, False)
        penalty = objective.add(parameters) if settings["alpha"] else 0.0
        return float(value) + penalty, parameters.grad.astype(np.float64)

    model.train()
    options = {"maxfun": settings["max_fun"], "maxiter": settings["max_iter"], "gtol": settings["tol"]}
    first = parameters.data.astype(np.float64)
    found = scipy.optimize.minimize(loss, first, method="L-BFGS-B", jac=True, options=options)
    parameters.data[...] = found.x
    parameters.renew_gradients()
    estimator.n_iter_ = min(int(found.nit), settings["max_iter"])
    estimator.loss_ = float(found.fun)
    _print(settings, f"Iteration {estimator.n_iter_}, loss = {estimator.loss_:.8f}")
    if found.status != 0:
        warnings.warn(
            f"lbfgs failed to converge after {found.nit} iterations: {found.message}. Increase max_iter, or scale the "
            "data (sklearn.preprocessing)",
            ConvergenceWarning,
        )
