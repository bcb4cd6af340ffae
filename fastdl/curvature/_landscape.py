"""What the second derivatives say of a point: kind, sharpness, the largest stable learning rate."""

import math
import os

import numpy as np

from .._differences import check_finite
from .._files import name_of, save_picture
from .._validate import integer, number
from ..nn import Module
from ._eigen import norm
from ._losses import LossFunction
from ._products import Data, LossPoint
from ._spectrum import Point, eigenpairs, spectral_density


class Landscape:
    """The surroundings of a point, as its gradient and the ends of its spectrum tell.

    Parameters
    ----------
    point : LossPoint or FunctionPoint
        Where it is.
    value, gradient_norm : float
        The loss and the 2-norm of its gradient there.
    eigenvalues : ndarray (2,) or (1,)
        The Hessian's smallest and largest.
    eigenvectors : ndarray (N, 2) or (N, 1)
        Theirs, as columns.
    tolerance, gradient_tolerance : float
        What counts as zero, as for :func:`landscape`.

    Attributes
    ----------
    value : float
        The loss.
    gradient_norm : float
    smallest, largest : float
        Ends of the Hessian's spectrum.
    sharpness : float
        The largest eigenvalue, by which (2.5) bounds the learning rate.
    max_stable_lr : float
        2 / sharpness: above it gradient descent on the quadratic model around the point diverges; inf where no
        curvature is positive.
    verdict : {"minimum", "maximum", "saddle", "undecided"}
        By (2.4), whether the point is stationary within `gradient_tolerance` and the ends are off zero by more than
        `tolerance`. An eigenvalue of zero decides nothing, unless both signs occur.
    reason : str
        Why.
    tolerance, gradient_tolerance : float

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 - x[1] ** 2, np.zeros(2))
    >>> found = fd.curvature.Landscape.at(point)
    >>> found.verdict, found.reason
    ('saddle', 'curvatures of both signs')
    """

    def __init__(
        self,
        point: Point,
        value: float,
        gradient_norm: float,
        eigenvalues: np.ndarray,
        eigenvectors: np.ndarray,
        tolerance: float,
        gradient_tolerance: float,
    ) -> None:
        self._point, self._directions = point, eigenvectors
        self.value, self.gradient_norm = value, gradient_norm
        self.smallest, self.largest = float(eigenvalues[0]), float(eigenvalues[-1])
        self.tolerance, self.gradient_tolerance = tolerance, gradient_tolerance
        self.verdict, self.reason = self._judge()

    @classmethod
    def at(cls, point: Point, tolerance: float | None = None, gradient_tolerance: float | None = None) -> "Landscape":
        """The landscape at a point.

        Parameters
        ----------
        point : LossPoint or FunctionPoint
            Where to look.
        tolerance, gradient_tolerance : float, optional
            As for :func:`landscape`.

        Returns
        -------
        Landscape

        Raises
        ------
        TypeError, ValueError
            If `point` is none, a tolerance is negative, or the gradient or a product is not finite.
        """
        for name, one in (("tolerance", tolerance), ("gradient_tolerance", gradient_tolerance)):
            if one is not None:
                number(name, one, 0)
        ends = eigenpairs(point, 1, "both" if getattr(point, "size", 0) > 1 else "largest")
        rounding = math.sqrt(float(np.finfo(point.dtype).eps))
        if tolerance is None:
            tolerance = rounding * float(np.abs(ends.values).max())
        if gradient_tolerance is None:
            gradient_tolerance = rounding * max(1.0, abs(point.value))
        gradient = np.asarray(point.gradient, np.float64)
        check_finite("point", gradient, "a gradient")
        return cls(point, point.value, norm(gradient), ends.values, ends.vectors, tolerance, gradient_tolerance)

    def _judge(self) -> tuple[str, str]:
        if not self.gradient_norm <= self.gradient_tolerance:
            return "undecided", f"the gradient is not zero: norm {self.gradient_norm:.3g}"
        if self.smallest > self.tolerance:
            return "minimum", "all curvatures are positive"
        if self.largest < -self.tolerance:
            return "maximum", "all curvatures are negative"
        if self.smallest < -self.tolerance and self.largest > self.tolerance:
            return "saddle", "curvatures of both signs"
        return "undecided", "an eigenvalue is zero within the tolerance, which decides nothing"

    @property
    def sharpness(self) -> float:
        """The largest eigenvalue, by which (2.5) bounds the learning rate."""
        return self.largest

    @property
    def max_stable_lr(self) -> float:
        """2 / sharpness, the bound of (2.5); inf where no curvature is positive."""
        return self.max_stable_momentum_lr(0.0)

    def max_stable_momentum_lr(self, momentum: float) -> float:
        """The largest stable learning rate of gradient descent with heavy-ball momentum, 2 (1 + mu) / sharpness (2.5).

        Parameters
        ----------
        momentum : float in [0, 1]
            mu.

        Returns
        -------
        float
            inf where no curvature is positive.

        Raises
        ------
        TypeError, ValueError
            If the momentum is no number, or out of range.
        """
        return 2 * (1 + number("momentum", momentum, 0, 1)) / self.largest if self.largest > 0 else math.inf

    def __repr__(self) -> str:
        return (
            f"Landscape({self.verdict}: {self.reason}; loss {self.value:.6g}, gradient norm {self.gradient_norm:.3g}, "
            f"eigenvalues {self.smallest:.4g} to {self.largest:.4g} (tolerance {self.tolerance:.1g}), "
            f"stable up to lr {self.max_stable_lr:.4g})"
        )

    def plot(self, path: str | os.PathLike[str], *, radius: float = 1.0, points: int = 25) -> None:
        """Draw the loss along the eigenvectors of both ends, and the density of the spectrum.

        Needs matplotlib.

        Parameters
        ----------
        path : str or path-like
            The picture; the suffix chooses the format.
        radius : float, default 1.0
            How far to go along each (unit) eigenvector.
        points : int, default 25
            Losses evaluated along each axis, at least 2.

        Raises
        ------
        TypeError, ValueError
            If `path` is none, the radius is not above 0, or there are fewer than 2 points.
        ImportError
            If matplotlib is not installed.
        """
        path = name_of(path)
        radius, points = number("radius", radius, 0, open_low=True), integer("points", points, 2)
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError("plot needs matplotlib: pip install matplotlib") from None
        figure = Figure(figsize=(11, 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        surface, spectrum = figure.subplots(1, 2)
        steps = np.linspace(-radius, radius, points)
        sharp, flat = self._directions[:, -1], self._directions[:, 0]
        losses = [[self._point.value_at(a * sharp + b * flat) for a in steps] for b in steps]
        drawn = surface.contourf(steps, steps, losses, levels=24)
        figure.colorbar(drawn, ax=surface, label="loss")
        surface.plot(0, 0, "w+")
        surface.set_xlabel(f"along the eigenvector of {self.largest:.3g}")
        surface.set_ylabel(f"along the eigenvector of {self.smallest:.3g}")
        density = spectral_density(self._point, rng=0)
        spread = max(self.largest - self.smallest, 1e-12)
        grid = np.linspace(self.smallest - 0.1 * spread, self.largest + 0.1 * spread, 400)
        spectrum.semilogy(grid, np.maximum(density.density(grid, 0.01 * spread), 1e-8 / spread))
        spectrum.set_xlabel("eigenvalue")
        spectrum.set_ylabel("density")
        spectrum.grid(alpha=0.3)
        save_picture(figure, path)


def landscape(
    model: Module,
    loss: LossFunction,
    data: Data,
    tolerance: float | None = None,
    gradient_tolerance: float | None = None,
) -> Landscape:
    """Gradient norm, both ends of the Hessian's spectrum, and what follows from them (2.4, 2.5).

    Parameters
    ----------
    model, loss, data
        As for :class:`LossPoint`.
    tolerance : float, optional
        Eigenvalues below it in size count as zero; default sqrt(eps) times the largest in size.
    gradient_tolerance : float, optional
        A gradient of a norm up to this counts as zero; default sqrt(eps) times the loss, at least sqrt(eps).

    Returns
    -------
    Landscape
        Prints as one line; ``plot`` draws it.

    Raises
    ------
    TypeError, ValueError
        As :class:`LossPoint` and :meth:`Landscape.at`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> model = fd.nn.Linear(1, 1, bias=False, rng=0, dtype=np.float64)
    >>> model.weight = np.array([[2.0]])
    >>> data = (np.array([[1.0], [3.0]]), np.array([[2.0], [6.0]]))
    >>> found = fd.curvature.landscape(model, fd.mse_loss, data)
    >>> found.verdict, found.sharpness, found.max_stable_lr
    ('minimum', 10.0, 0.2)
    """
    return Landscape.at(LossPoint(model, loss, data), tolerance, gradient_tolerance)
