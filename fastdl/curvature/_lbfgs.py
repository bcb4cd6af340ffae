"""Limited-memory BFGS with a line search for the strong Wolfe conditions."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .._differences import NotFinite, check_finite
from .._validate import check_shape, function, integer, number
from ._closure_optimizer import ClosureOptimizer, loss_of


class LBFGS(ClosureOptimizer):
    """Limited-memory BFGS (Nocedal 1980): curvature from the last gradients' differences.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for :class:`fastdl.optim.Optimizer`. Parameters are updated in place.
    lr : float, default 1.0
        First length tried along the direction; the first step of all is at most this long.
    history : int, default 10
        Pairs of differences kept.
    c1, c2 : float, default 1e-4 and 0.9
        The strong Wolfe conditions: the value falls by c1 of what the slope promises, and the slope's size
        to c2 of what it was.
    max_evaluations : int, default 25
        Calls of the closure in one step, at least 2.

    Raises
    ------
    TypeError, ValueError
        If the parameters are none that an optimizer takes, or a number is out of its range: 0 < c1 < c2 < 1.

    References
    ----------
    J. Nocedal, S. Wright, "Numerical Optimization", 2006, algorithms 7.4, 3.5 and 3.6.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x, grad = np.array([-1.2, 1.0]), np.empty(2)
    >>> optimizer = fd.curvature.LBFGS([(x, grad)])
    >>> def closure():                                     # Rosenbrock's function
    ...     grad[:] = -400 * x[0] * (x[1] - x[0] ** 2) - 2 * (1 - x[0]), 200 * (x[1] - x[0] ** 2)
    ...     return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> while not optimizer.stationary:
    ...     loss = optimizer.step(closure)
    >>> x.round(6)
    array([1., 1.])
    """

    _vectors: ClassVar = {"_s": (None, "N"), "_y": (None, "N")}

    def __init__(
        self,
        parameters: Any,
        lr: float = 1.0,
        *,
        history: int = 10,
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
    ) -> None:
        super().__init__(parameters, lr)
        self.history = integer("history", history, 1)
        self.c1 = number("c1", c1, 0, 1, open_low=True, open_high=True)
        self.c2 = number("c2", c2, self.c1, 1, open_low=True, open_high=True)
        self.max_evaluations = integer("max_evaluations", max_evaluations, 2)
        self._s = np.empty((0, self.size))
        self._y = np.empty((0, self.size))

    def step(self, closure: Callable[[], Any]) -> float:
        """One step.

        Parameters
        ----------
        closure : callable
            Computes the loss and its gradients at the parameters as they are (forward, backward), and returns the
            loss; it is called several times. Gradients are forgotten before every call.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError, ValueError
            If the closure gives no loss, or one that is not finite at the start or at every trial; everything is as it
            was.
        """

        function("closure", closure, "a function without arguments")
        with self._undone_if_it_fails():
            return self._stepped(closure)

    def _checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._checked(state)
        s, y = found["_s"], found["_y"]
        check_shape("state['_y']", y, s.shape)
        if not ((s * y).sum(1) > 0).all():
            raise ValueError(
                "state['_s'], state['_y']: got rows without positive curvature, expected s . y > 0 in each"
            )
        return found

    def _stepped(self, closure: Callable[[], Any]) -> float:
        def evaluate() -> tuple[float, np.ndarray]:
            self.zero_grad()
            return loss_of(closure), self._gradient()

        start = self._values()
        value, gradient = evaluate()
        check_finite("closure", value, "a loss")
        check_finite("closure", gradient, "a gradient")
        direction, slope = self._direction(gradient)
        if slope == 0:  # the gradient is zero within the range of numbers
            self._finish(start, None)
            return value
        check_finite("closure", slope, "a gradient whose slope along the direction is a number")
        first = self.lr if len(self._s) else self.lr * min(1.0, 1.0 / float(np.abs(gradient).sum()))
        met = False

        def along(length: float) -> _Trial:
            nonlocal met
            self._assign(start + length * direction)
            try:
                with np.errstate(all="ignore"):
                    new, new_gradient = evaluate()
            except NotFinite:
                return _Trial(length, math.inf, math.nan, gradient)
            if not (math.isfinite(new) and np.isfinite(new_gradient).all()):
                return _Trial(length, math.inf, math.nan, gradient)  # too long
            met = True
            return _Trial(length, new, float(new_gradient @ direction), new_gradient)

        found = _strong_wolfe(along, _Trial(0.0, value, slope, gradient), first, self.c1, self.c2, self.max_evaluations)
        if not met:
            raise NotFinite(
                f"closure: got no finite loss and gradient in {self.max_evaluations} trials, expected one; "
                "a smaller lr tries shorter steps"
            )
        if found is None or not found.value < value:
            again = len(self._s) > 0  # the curvature kept may be wrong here: forget it before giving up
            self._s, self._y = np.empty((2, 0, self.size))
            self._finish(start, None)
            self.stationary = not again
            return value
        s, y = found.length * direction, found.gradient - gradient
        if s @ y > 1e-12 * float(np.linalg.norm(s) * np.linalg.norm(y)):
            self._s = np.concatenate([self._s, s[None]])[-self.history :]
            self._y = np.concatenate([self._y, y[None]])[-self.history :]
        self._finish(start, start + found.length * direction)
        return value

    def _direction(self, gradient: np.ndarray) -> tuple[np.ndarray, float]:
        """Where to go, and the slope along it: without the pairs kept where they lead uphill or out of range."""
        with np.errstate(all="ignore"):
            direction = self._quasi_newton(gradient)
            slope = float(direction @ gradient)
            if len(self._s) and not -math.inf < slope < 0:
                self._s, self._y = np.empty((2, 0, self.size))
                direction = -gradient
                slope = float(direction @ gradient)
        return direction, slope

    def _quasi_newton(self, gradient: np.ndarray) -> np.ndarray:
        """-B^-1 g by the two loops over the pairs kept."""
        q, weights = gradient.copy(), []
        pairs = list(zip(self._s, self._y, strict=True))
        for s, y in reversed(pairs):
            weight = float(s @ q) / float(s @ y)
            q -= weight * y
            weights.append(weight)
        if pairs:
            s, y = pairs[-1]
            q *= float(s @ y) / float(y @ y)
        for (s, y), weight in zip(pairs, reversed(weights), strict=True):
            q += (weight - float(y @ q) / float(s @ y)) * s
        return -q


class _Trial(NamedTuple):
    length: float
    value: float
    slope: float
    gradient: np.ndarray


def _strong_wolfe(
    along: Callable[[float], _Trial], start: _Trial, first: float, c1: float, c2: float, budget: int
) -> _Trial | None:
    """A length that fulfils both conditions; when the budget ends, the best that fulfils the first, or None."""

    def too_high(one: _Trial) -> bool:
        return not one.value <= start.value + c1 * one.length * start.slope  # NaN and inf are too high

    before, length, low, high = start, first, None, None
    for _ in range(budget):
        trial = along(length)
        budget -= 1
        if too_high(trial) or (trial.value >= before.value and before is not start):
            low, high = before, trial
            break
        if abs(trial.slope) <= -c2 * start.slope:
            return trial
        if trial.slope >= 0:
            low, high = trial, before
            break
        before, length = trial, 2 * length
    if low is None or high is None:
        return before if before is not start else None
    while budget > 0 and abs(high.length - low.length) > 1e-12 * max(low.length, high.length):
        trial = along(_between(low, high))
        budget -= 1
        if too_high(trial) or trial.value >= low.value:
            high = trial
            continue
        if abs(trial.slope) <= -c2 * start.slope:
            return trial
        if trial.slope * (high.length - low.length) >= 0:
            high = low
        low = trial
    return low if low is not start else None


def _between(low: _Trial, high: _Trial) -> float:
    """Where the cubic through both values and slopes is lowest; the middle where that is near an end or nothing."""
    middle = 0.5 * (low.length + high.length)
    width = high.length - low.length
    with np.errstate(all="ignore"):
        d1 = low.slope + high.slope - 3 * (low.value - high.value) / (low.length - high.length)
        d2 = np.sign(width) * np.sqrt(np.float64(d1 * d1 - low.slope * high.slope))
        length = high.length - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2)
    inside = abs(length - middle) <= 0.4 * abs(width)  # False for NaN
    return float(length) if inside else middle
