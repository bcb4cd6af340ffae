"""Optimizers that use the Hessian or the Jacobian itself (2.6)."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .._differences import NotFinite, check_finite, real_array
from .._validate import check_shape, function, integer, number
from ._closure_optimizer import ClosureOptimizer, backtrack, gradient_at, point_of
from ._residuals import Residuals
from ._spectrum import Point
from ._twins import refuse_twins

PointClosure = Callable[[], Point]


class Newton(ClosureOptimizer):
    """Damped Newton steps, made safe at saddles by absolute eigenvalues; for small models.

    theta -= lr * (abs(H) + damping I)^-1 g, where abs(H) has H's eigenvectors and the sizes of its eigenvalues, so a
    direction of negative curvature is descended too; the step is halved until the loss falls.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for :class:`fastdl.optim.Optimizer`. Parameters are updated in place.
    lr : float, default 1.0
        Length of the first step tried along the direction, 1 for the whole.
    damping : float, default 0.0
        Added to every eigenvalue's size; those below 1e-12 of the largest are not moved along without it. A model
        with a recurrent layer of two biases needs some: of these the sum alone counts, so along (d, -d) there is no
        curvature.

    Raises
    ------
    TypeError, ValueError
        If the parameters are none that an optimizer takes, or a number is out of its range.

    References
    ----------
    Y. Dauphin et al., "Identifying and attacking the saddle point problem in high-dimensional non-convex
    optimization", NeurIPS 2014.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.array([3.0, 1.0])
    >>> optimizer = fd.curvature.Newton([(x, np.empty(2))])
    >>> loss = optimizer.step(lambda: fd.curvature.FunctionPoint(lambda x: x[0] ** 2 + 5 * x[1] ** 2, x))
    >>> abs(x).max() < 1e-9
    np.True_
    """

    def __init__(self, parameters: Any, lr: float = 1.0, *, damping: float = 0.0) -> None:
        super().__init__(parameters, lr)
        self.damping = number("damping", damping, 0, math.inf, open_high=True)

    def step(self, closure: PointClosure) -> float:
        """Go one step down.

        Parameters
        ----------
        closure : callable
            Gives a :class:`LossPoint` or :class:`FunctionPoint` at the parameters as they are. It is called several
            times.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError
            If the closure gives no point.
        ValueError
            If the loss, gradient or Hessian is not finite, or undamped the Hessian is singular for a recurrent layer's
            two biases; everything is as it was.
        """
        with self._undone_if_it_fails():
            point = point_of(closure)
            gradient = self._trained(gradient_at(point, self.size))
            self._descend(point.value, gradient, self._direction(point, gradient), closure)
        return point.value

    def _direction(self, point: Point, gradient: np.ndarray) -> np.ndarray:
        matrix = np.asarray(point.hessian(), np.float64)
        check_shape("closure's hessian", matrix, (self.size, self.size))
        check_finite("closure", matrix, "a Hessian")
        if self.damping == 0:
            refuse_twins(self._memory._arena, matrix)
        matrix = self._trained(self._trained(matrix).T)
        values, vectors = np.linalg.eigh(0.5 * matrix + 0.5 * matrix.T)  # halves first: a sum may leave the range
        sizes = np.abs(values) + self.damping
        usable = sizes > 1e-12 * sizes.max(initial=0)
        components = vectors.T @ gradient
        return -vectors[:, usable] @ (components[usable] / sizes[usable])

    def _descend(self, value: float, gradient: np.ndarray, direction: np.ndarray, closure: PointClosure) -> None:
        start = self._values()
        if not direction.any():  # where there is no curvature to go by, the slope has to do
            direction = -gradient
        if not gradient.any():
            self._finish(start, None)
            return
        check_finite("closure", direction, "a direction")

        def at(length: float) -> Any:
            self._assign(start + length * direction)
            return closure()

        length = backtrack(value, float(gradient @ direction), at, self.lr, self.size)
        self._finish(start, None if length is None else start + length * direction)


class NewtonCG(Newton):
    """Newton steps by conjugate gradients on Hessian products: for models of any size.

    The inner loop stops at direction v with v H v <= 0: what it has so far is taken, or the gradient's descent.

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for :class:`fastdl.optim.Optimizer`. Parameters are updated in place.
    lr : float, default 1.0
        Length of the first step tried along the direction, 1 for the whole.
    damping : float, default 0.0
        Added to the Hessian's diagonal.
    max_iterations : int, default 100
        Products in one step.

    Attributes
    ----------
    iterations : int
        Products made in the last step.
    negative_curvature : bool
        Whether the last inner loop ended on negative curvature.

    Raises
    ------
    TypeError, ValueError
        If the parameters are none that an optimizer takes, or a number is out of its range.

    References
    ----------
    S. Nash, "A survey of truncated-Newton methods", 2000; Nocedal and Wright, algorithm 7.1.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.array([3.0, 1.0])
    >>> optimizer = fd.curvature.NewtonCG([(x, np.empty(2))])
    >>> for _ in range(4):
    ...     loss = optimizer.step(lambda: fd.curvature.FunctionPoint(lambda x: x[0] ** 2 + 5 * x[1] ** 2, x))
    >>> bool(abs(x).max() < 1e-6), optimizer.negative_curvature
    (True, False)
    """

    def __init__(self, parameters: Any, lr: float = 1.0, *, damping: float = 0.0, max_iterations: int = 100) -> None:
        super().__init__(parameters, lr, damping=damping)
        self.max_iterations = integer("max_iterations", max_iterations, 1)
        self.iterations = 0
        self.negative_curvature = False

    def step(self, closure: PointClosure) -> float:
        """Go one step down.

        Parameters
        ----------
        closure : callable
            Gives a :class:`LossPoint` or :class:`FunctionPoint` at the parameters as they are. It is called several
            times.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError
            If the closure gives no point.
        ValueError
            If the loss, gradient or a product is not finite; everything is as it was.
        """
        return super().step(closure)

    def _direction(self, point: Point, gradient: np.ndarray) -> np.ndarray:
        """About -(H + d I)^-1 g, to a residual of min(1/2, sqrt(norm g)) of g: so convergence is superlinear."""
        norm = float(np.linalg.norm(gradient))
        enough = min(0.5, math.sqrt(norm)) * norm
        solution, residual = np.zeros(self.size), gradient.copy()
        direction, square = -residual, norm * norm
        self.negative_curvature = False
        self.iterations = 0
        while self.iterations < self.max_iterations and square > enough * enough:
            product = np.asarray(point.hvp(direction.astype(point.dtype)), np.float64)
            check_finite("closure", product, "a Hessian product")
            along = self._trained(product) + self.damping * direction
            self.iterations += 1
            curvature = float(direction @ along)
            if curvature <= 0:
                self.negative_curvature = True
                return solution if self.iterations > 1 else -gradient
            length = square / curvature
            solution += length * direction
            residual += length * along
            before, square = square, float(residual @ residual)
            direction = -residual + (square / before) * direction
        return solution


class LevenbergMarquardt(ClosureOptimizer):
    """Levenberg-Marquardt for least squares: minimises half the sum of squared residuals.

    theta += p, p the least-squares solution of J p = -r with damping mu D^2, D the largest size that each column of J
    had so far (Moré 1978); mu follows the ratio of gained to predicted decrease (Nielsen 1999).

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for :class:`fastdl.optim.Optimizer`. Parameters are updated in place.
    damping : float, default 1e-3
        First mu, above 0.
    max_tries : int, default 40
        Dampings tried in one step.

    Attributes
    ----------
    damping : float
        The next step's mu.

    Raises
    ------
    TypeError, ValueError
        If the parameters are none that an optimizer takes, or a number is out of its range.

    References
    ----------
    J. Moré, "The Levenberg-Marquardt algorithm: implementation and theory", 1978; K. Madsen, H. Nielsen, O. Tingleff,
    "Methods for non-linear least squares problems", 2004.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> b, x = np.array([1.0]), np.array([0.0, 1.0, 2.0])
    >>> y = np.exp(0.5 * x)
    >>> optimizer = fd.curvature.LevenbergMarquardt([(b, np.empty(1))])
    >>> for _ in range(8):
    ...     loss = optimizer.step(lambda: fd.curvature.Residuals(np.exp(b * x) - y, (x * np.exp(b * x))[:, None]))
    >>> b.round(9)
    array([0.5])
    """

    _scalars: ClassVar = {"damping": 0.0, "_growth": 1.0}
    _vectors: ClassVar = {"_scale": ("N",)}

    def __init__(self, parameters: Any, *, damping: float = 1e-3, max_tries: int = 40) -> None:
        super().__init__(parameters, 1.0)
        self.damping = number("damping", damping, 0, math.inf, open_low=True, open_high=True)
        self.max_tries = integer("max_tries", max_tries, 1)
        self._growth = 2.0
        self._scale = np.zeros(self.size)

    def step(self, closure: Callable[[], Residuals]) -> float:
        """Go one step down.

        Parameters
        ----------
        closure : callable
            Gives :class:`Residuals` at the parameters as they are; it is called several times.

        Returns
        -------
        float
            Half the sum of squares before the step.

        Raises
        ------
        TypeError, ValueError
            If the closure gives no residuals, or residuals or Jacobian are not finite or do not fit; everything is as
            it was.
        """
        with self._undone_if_it_fails():
            r = _residuals(closure)
            values = _flat(r.values)
            check_finite("closure", values, "residuals")
            value = _half_square(values)
            check_finite("closure", value, "half a sum of squared residuals")
            J = real_array("closure's jacobian", r.jacobian() if callable(r.jacobian) else r.jacobian)
            check_shape("closure's jacobian", J, (values.size, self.size))
            check_finite("closure's jacobian", J, "an array")
            with np.errstate(over="ignore"):
                sizes = np.linalg.norm(J, axis=0)
            check_finite("closure's jacobian", sizes, "columns' norms")
            self._scale = np.maximum(self._scale, sizes)
            J = self._trained(J)
            self._finish(self._values(), self._searched(values, value, J, closure))
        return value

    def _searched(
        self, values: np.ndarray, value: float, J: np.ndarray, closure: Callable[[], Residuals]
    ) -> np.ndarray | None:
        """New parameters with a smaller sum of squares, and the next damping; None where rounding is reached."""
        start, met = self._values(), False
        scale = np.where(self._scale > 0, self._scale, 1.0)
        target = np.concatenate([-values, np.zeros(self.size)])
        for _ in range(self.max_tries):
            # By columns of equal size: the normal equations would lose half of the digits.
            damped = np.concatenate([J / scale, math.sqrt(self.damping) * np.eye(self.size)])
            p = np.linalg.lstsq(damped, target, rcond=None)[0] / scale
            self._assign(start + p)
            new_value = self._trial(closure, values.size)
            met = met or math.isfinite(new_value)
            moved = values + J @ p
            predicted = value - 0.5 * float(moved @ moved)
            if new_value < value:
                ratio = (value - new_value) / max(predicted, np.finfo(np.float64).tiny)
                self.damping *= max(1 / 3, 1 - (2 * min(ratio, 1.0) - 1) ** 3)
                self._growth = 2.0
                return start + p
            if predicted <= 4 * np.finfo(np.float64).eps * value:
                break
            if self.damping * self._growth > _MOST_DAMPING:
                break
            self.damping *= self._growth
            self._growth *= 2
        if not met:
            raise NotFinite("closure: got residuals that are not finite at every trial, expected finite numbers")
        return None

    def _trial(self, closure: Callable[[], Residuals], size: int) -> float:
        """Half the sum of squares at a trial; inf where it is not finite, so too long a step."""
        try:
            with np.errstate(all="ignore"):
                new = _flat(_residuals(closure).values)
                check_shape("closure's residuals", new, (size,))
                value = _half_square(new)
        except NotFinite:
            return math.inf
        return value if math.isfinite(value) else math.inf


_MOST_DAMPING = 1e200


def _residuals(closure: Callable[[], Residuals]) -> Residuals:
    found = function("closure", closure, "a function without arguments")()
    if not (hasattr(found, "values") and hasattr(found, "jacobian")):
        raise TypeError(f"closure: got {type(found).__name__}, expected Residuals(values, jacobian)")
    return found


def _flat(values: Any) -> np.ndarray:
    return real_array("closure's residuals", values).reshape(-1)


def _half_square(values: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return 0.5 * float(values @ values)
