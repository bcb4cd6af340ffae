"""A NumPy function at a point, with what spectrum, landscape and optimizers ask of a model's loss."""

from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

import numpy as np

from .._differences import (
    Function,
    NotFinite,
    check_finite,
    checked_function,
    gradient,
    hessian,
    one_number,
    real_array,
)
from .._validate import choice, float_array, real_values, shown

_MEANINGLESS = 0.1  # an estimated error above this share of the largest entry: not one digit is known


class FunctionPoint:
    """A real function of an array at a point: value, gradient, Hessian (2.2) and its products.

    It stands wherever a :class:`LossPoint` may: in :func:`eigenpairs`, ``Landscape.at``, the optimizers here.

    Parameters
    ----------
    f : callable
        Takes an array like `x` and returns one number.
    x : ndarray
        Copied; float64.
    grad, hess : callable, optional
        The derivatives at an array of x's shape, the Hessian with x's shape twice; by differences of f where not
        given.

    Raises
    ------
    TypeError
        If f, grad or hess is no function, or gives no real numbers.
    ValueError
        If a value or derivative is not finite or has another shape; and where derivatives by differences are asked
        for whose estimated error leaves not one digit (a kink, a jump, noise): they mean nothing then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> point = fd.curvature.FunctionPoint(lambda x: x[0] ** 2 - x[1] ** 2, np.zeros(2))
    >>> point.hvp(np.array([1.0, 1.0])).round(6)
    array([ 2., -2.])
    """

    def __init__(
        self,
        f: Function,
        x: np.ndarray,
        grad: Callable[[np.ndarray], np.ndarray] | None = None,
        hess: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        for name, one in (("grad", grad), ("hess", hess)):
            if one is not None and not callable(one):
                raise TypeError(f"{name}: got {type(one).__name__}, expected a function of an array")
        self._f, self._grad, self._hess = f, grad, hess
        self._x, value = checked_function(f, x)
        one_number(value)
        self.size = self._x.size
        self.dtype = self._x.dtype
        self.value = float(value.reshape(()))

    @cached_property
    def gradient(self) -> np.ndarray:
        """(N,); a ``ValueError`` where differences did not settle, so that their numbers mean nothing."""
        if self._grad is None:
            found, error = gradient(self._f, self._x, return_error=True)
            _check_settled("gradient", found, error)
            return found.reshape(-1)
        found = self._given("grad", self._grad(self._x.copy()), [self._x.shape, (self.size,)])
        return found.reshape(-1)

    @cached_property
    def _matrix(self) -> np.ndarray:
        if self._hess is None:
            found, error = hessian(self._f, self._x, return_error=True)
            _check_settled("Hessian", found, error)
        else:
            found = self._given("hess", self._hess(self._x.copy()), [self._x.shape * 2, (self.size, self.size)])
        return found.reshape(self.size, self.size)

    def _given(self, name: str, value: Any, shapes: list[tuple[int, ...]]) -> np.ndarray:
        array = real_array(name, value)
        if array.shape not in shapes:
            raise ValueError(f"{name}: got shape {array.shape}, expected {shapes[0]}")
        check_finite(name, array, "an array")
        return array

    def value_at(self, offset: np.ndarray) -> float:
        """The function at x + offset.

        Parameters
        ----------
        offset : array_like, of x's shape or (N,)
            By how much to move.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            If `offset` is no array of real numbers or does not fit, or f's value is not one real number.
        """
        moved = real_values("offset", offset)
        if moved.shape not in (self._x.shape, (self.size,)):
            raise ValueError(f"offset: got shape {moved.shape}, expected {self._x.shape} or ({self.size},)")
        value = real_array("f", self._f(self._x + moved.reshape(self._x.shape)))
        one_number(value)
        return float(value.reshape(()))

    def hvp(self, v: np.ndarray) -> np.ndarray:
        """The product H v with the Hessian (2.3).

        Parameters
        ----------
        v : ndarray of float64 (N,)
            The vector.

        Returns
        -------
        ndarray of float64 (N,)

        Raises
        ------
        TypeError, ValueError
            If `v` does not fit, or the Hessian is not finite or means nothing.
        """
        return self._matrix @ float_array("v", v, (self.size,), self.dtype)

    def hessian(self) -> np.ndarray:
        """The Hessian (2.2).

        Returns
        -------
        ndarray of float64 (N, N)
            A copy.
        """
        return self._matrix.copy()

    def product(self, matrix: str) -> Callable[[np.ndarray], np.ndarray]:
        """The method that multiplies with a matrix.

        Parameters
        ----------
        matrix : {"hessian"}
            A function has no Gauss-Newton matrix.

        Returns
        -------
        callable
            :meth:`hvp`.

        Raises
        ------
        ValueError
            For another matrix.
        """
        choice("matrix", matrix, ("hessian",))
        return self.hvp

    def places(self, parameters: Collection[str] | None) -> None:
        """Where named parameters lie in a vector: a function's argument has no names, so there are none to choose.

        Parameters
        ----------
        parameters : None
            All of them.

        Raises
        ------
        ValueError
            If it is something else.
        """
        if parameters is not None:
            raise ValueError(f"parameters: got {shown(parameters)}, expected None: a function's argument has no names")


def _check_settled(what: str, found: np.ndarray, error: np.ndarray) -> None:
    if not found.size:
        return
    worst, largest = float(error.max()), float(np.abs(found).max())
    if not worst <= _MEANINGLESS * largest and worst > _MEANINGLESS * 1e-3:
        raise NotFinite(
            f"f: its {what} by differences is up to {largest:.3g}, known to {worst:.2g} only, "
            "expected a function that is smooth there (no kink, jump or noise); or give grad and hess"
        )
