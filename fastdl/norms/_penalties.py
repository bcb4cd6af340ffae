"""Penalties (docs/norms.md 1.11): each adds its gradient to the parameters' and returns its value.

The functions work on arrays; the objects hold the weights and go through a model's parameters. An object's
``add(parameters)`` takes an :class:`fastdl.nn.Arena`, or any selection of parameters, or pairs of arrays, and
is what ``fastdl.training.fit(penalties=...)`` calls after the backward pass.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from .._dispatch import mirrored
from .._products import product, product_of_transpose, product_with_transpose
from .._threads import threads_for
from .._validate import attribute, check_apart, float_array, members, number, out_array, plain_number
from ._axes import Axis, as_rows, axes_of, from_rows, norms_along
from ._extremes import is_mild, scaled
from ._reduction import BLOCK, GRAIN, kernel


@mirrored
def add_elastic_net_(w: np.ndarray, grad: np.ndarray, l1: float = 0.0, l2: float = 0.0) -> float:
    """Value of ``l1 |w|_1 + (l2 / 2) |w|_2^2``; its gradient is added to `grad` in the same pass (1.11).

    Parameters
    ----------
    w : ndarray
        float32 or float64.
    grad : ndarray
        Of the shape and type of `w`, C-contiguous; l1 sign(w) + l2 w is added to it.
    l1, l2 : float, default 0.0
        Weights, at least 0. With ``l2=0`` this is the L1 penalty, with ``l1=0`` the L2 penalty.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is refused; `grad` is not changed then.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w, grad = np.array([3.0, -4.0]), np.zeros(2)
    >>> fd.add_elastic_net_(w, grad, l1=1.0, l2=0.5)
    13.25
    >>> grad
    array([ 2.5, -3. ])
    """
    w, grad = _pair(w, grad)
    first, second = number("l1", l1, 0), number("l2", l2, 0)
    if not w.size:
        return 0.0
    parts = np.empty((-(-w.size // BLOCK), 2))
    threads = threads_for(w.size, GRAIN)
    kernel("add_penalty", w.dtype)(w.reshape(-1), grad.reshape(-1), first, second, parts, threads)
    with np.errstate(over="ignore"):
        moduli, squares = parts.sum(axis=0)
    # A weight of 0 must not meet a sum that overflowed, and a small one may bring it back.
    return (_product(first, moduli, w, 1) if first else 0.0) + (
        _product(0.5 * second, squares, w, 2) if second else 0.0
    )


def _product(weight: float, total: float, w: np.ndarray, power: int) -> float:
    """weight * total, the sum of abs(w)^power, also where that sum alone leaves the range."""
    if 2.0**-900 < total < np.inf or math.isnan(total) or not w.any():
        return float(weight * total)
    _, norms, shift = scaled(w.reshape(1, -1), power)
    mantissa, exponent = math.frexp(weight)
    with np.errstate(over="ignore"):
        return float(np.ldexp(mantissa * norms[0] ** power, power * int(shift[0]) + exponent))


@mirrored
def add_group_lasso_(w: np.ndarray, grad: np.ndarray, weight: float, axis: Axis = None) -> float:
    """Value of weight times the sum over groups of ``|w_group|_2``; its gradient is added to `grad`.

    Parameters
    ----------
    w : ndarray
        float32 or float64.
    grad : ndarray
        Of the shape and type of `w`, C-contiguous.
    weight : float
        At least 0. Groups of unequal sizes are usually weighted by the root of the size: scale it yourself.
    axis : int, tuple of int or None, default None
        The axes over which a group runs (``axis=1``: each row is a group); None: all entries are one group.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is refused; `grad` is not changed then.

    Notes
    -----
    The gradient of a group is ``weight * w / |w|_2``, 0 where the group is 0 (Yuan and Lin 2006).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w, grad = np.array([[3.0, 4.0], [0.0, 0.0]]), np.zeros((2, 2))
    >>> fd.add_group_lasso_(w, grad, 2.0, axis=1)
    10.0
    >>> grad
    array([[1.2, 1.6],
           [0. , 0. ]])
    """
    w, grad = _pair(w, grad)
    strength, axes = number("weight", weight, 0), axes_of(w, axis)
    if not w.size:
        return 0.0
    norms = norms_along(w, axes, 2.0)
    if not is_mild(norms):
        return _add_extreme_groups(w, grad, strength, axes)
    factors = np.divide(strength, norms, out=np.zeros_like(norms), where=norms != 0).reshape(-1)
    rows, slopes = as_rows(w, axes), as_rows(grad, axes)
    kernel("add_rows", w.dtype)(rows, factors, slopes, threads_for(w.size, GRAIN))
    if not np.may_share_memory(slopes, grad):  # the axes were not the last ones: a copy
        grad[...] = from_rows(slopes, grad, axes)
    return float(strength * norms.sum())


def _add_extreme_groups(w: np.ndarray, grad: np.ndarray, strength: float, axes: tuple[int, ...]) -> float:
    """The same where a norm leaves the range of double, or nearly."""
    rows, norms, shift = scaled(as_rows(w, axes), 2.0)
    mantissa, exponent = math.frexp(strength)
    factors = np.divide(strength, norms, out=np.zeros_like(norms), where=norms != 0)
    with np.errstate(over="ignore"):
        grad += from_rows((rows * factors[:, None]).astype(w.dtype), w, axes)
        return float(np.ldexp(mantissa * norms, shift + exponent).sum())


@mirrored
def add_orthogonal_(w: np.ndarray, grad: np.ndarray, weight: float) -> float:
    """Value of ``(weight / 2) |G - I|_F^2`` with G the Gram matrix of `w`; its gradient is added to `grad`.

    Parameters
    ----------
    w : ndarray of shape (m, n)
        float32 or float64.
    grad : ndarray
        Of the shape and type of `w`, C-contiguous.
    weight : float
        At least 0.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If an argument is refused; `grad` is not changed then.

    Notes
    -----
    G is W^T W for m >= n and W W^T for m < n, the one that can be the identity; the gradient is
    2 weight W (W^T W - I), or 2 weight (W W^T - I) W (Brock et al. 2017).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w, grad = np.array([[2.0], [0.0]]), np.zeros((2, 1))
    >>> fd.add_orthogonal_(w, grad, 1.0)
    4.5
    >>> grad
    array([[12.],
           [ 0.]])
    """
    w, grad = _pair(w, grad)
    if w.ndim != 2:
        raise ValueError(f"w: got shape {w.shape}, expected a matrix")
    strength = number("weight", weight, 0)
    tall = w.shape[0] >= w.shape[1]
    excess = product_of_transpose(w, w) if tall else product_with_transpose(w, w)
    excess[np.diag_indices_from(excess)] -= 1
    grad += w.dtype.type(2 * strength) * (product(w, excess) if tall else product(excess, w))
    return float(0.5 * strength * np.square(excess, dtype=np.float64).sum())


class ElasticNet:
    """Penalty ``l1 |w|_1 + (l2 / 2) |w|_2^2``, over all parameters given (1.11; :func:`add_elastic_net_`).

    Parameters
    ----------
    l1, l2 : float, default 0.0
        Weights, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a weight is no number, or below 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w, grad = np.array([3.0, -4.0]), np.zeros(2)
    >>> fd.norms.ElasticNet(l1=1.0, l2=0.5).add([(w, grad)])
    13.25
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = number("l1", l1, 0), number("l2", l2, 0)

    def add(self, parameters: Any) -> float:
        """Add the penalty's gradient to the parameters' gradients, in one pass over memory.

        Parameters
        ----------
        parameters : Arena, or sequence of Parameter or of (values, gradient) pairs of arrays
            What is penalised; frozen parameters are left out. Call it after the backward pass.

        Returns
        -------
        float
            The penalty's value, to be added to the loss.

        Raises
        ------
        TypeError, ValueError
            If one is no parameter or pair of arrays that fit; no gradient is changed then.
        """
        pairs = _pairs(parameters, flat=True)
        return sum((add_elastic_net_(w, grad, self.l1, self.l2) for w, grad in pairs), 0.0)


class L1(ElasticNet):
    """Penalty ``weight * |w|_1`` (docs/norms.md 1.11).

    Parameters
    ----------
    weight : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If the weight is no number, or below 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.norms.L1(0.1).add([(np.array([3.0, -4.0]), np.zeros(2))])
    0.7000000000000001
    """

    def __init__(self, weight: float) -> None:
        super().__init__(l1=number("weight", weight, 0))


class L2(ElasticNet):
    """Penalty ``(weight / 2) |w|_2^2``: coupled weight decay (docs/norms.md 1.11).

    Parameters
    ----------
    weight : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If the weight is no number, or below 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.norms.L2(0.5).add([(np.array([3.0, -4.0]), np.zeros(2))])
    6.25
    """

    def __init__(self, weight: float) -> None:
        super().__init__(l2=number("weight", weight, 0))


class GroupLasso:
    """Penalty weight * the sum of the groups' 2-norms, for each parameter given (docs/norms.md 1.11).

    Parameters
    ----------
    weight : float
        At least 0.
    axis : int, tuple of int or None, default None
        The axes over which a group runs, as for :func:`add_group_lasso_`; None: a parameter is one group.

    Raises
    ------
    TypeError, ValueError
        If the weight is no number, or below 0. The axis is looked at when there are arrays, in :meth:`add`.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> w = np.array([[3.0, 4.0], [0.0, 0.0]])
    >>> fd.norms.GroupLasso(2.0, axis=1).add([(w, np.zeros((2, 2)))])
    10.0
    """

    def __init__(self, weight: float, axis: Axis = None) -> None:
        self.weight, self.axis = number("weight", weight, 0), plain_number(axis)

    def add(self, parameters: Any) -> float:
        """Add the penalty's gradient to the parameters' gradients.

        Parameters
        ----------
        parameters : Arena, or sequence of Parameter or of (values, gradient) pairs of arrays
            What is penalised; frozen parameters are left out. Call it after the backward pass.

        Returns
        -------
        float
            The penalty's value, to be added to the loss.

        Raises
        ------
        TypeError, ValueError
            If one is no parameter or pair of arrays that fit, or has no such axis.
        """
        return sum((add_group_lasso_(w, grad, self.weight, self.axis) for w, grad in _pairs(parameters)), 0.0)


class Orthogonal:
    """Penalty that draws matrices towards orthogonal ones (docs/norms.md 1.11; :func:`add_orthogonal_`).

    Parameters
    ----------
    weight : float
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If the weight is no number, or below 0.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> fd.norms.Orthogonal(1.0).add([(np.eye(3), np.zeros((3, 3)))])
    0.0
    """

    def __init__(self, weight: float) -> None:
        self.weight = number("weight", weight, 0)

    def add(self, parameters: Any) -> float:
        """Add the penalty's gradient to the gradients of the matrices given, not of biases.

        Parameters
        ----------
        parameters : Arena, or sequence of Parameter or of (values, gradient) pairs of arrays
            What is penalised, as far as it has two axes; frozen parameters are left out. Call it after the backward
            pass.

        Returns
        -------
        float
            The penalty's value, to be added to the loss.

        Raises
        ------
        TypeError, ValueError
            If one is no parameter or pair of arrays that fit; no gradient is changed then.
        """
        pairs = [(w, grad) for w, grad in _pairs(parameters) if w.ndim == 2]
        return sum((add_orthogonal_(w, grad, self.weight) for w, grad in pairs), 0.0)


def _pair(w: Any, grad: Any) -> tuple[np.ndarray, np.ndarray]:
    w = float_array("w", w)
    grad = out_array("grad", grad, w.shape, w.dtype)
    check_apart(grad=grad, w=w)
    return w, grad


def _pairs(parameters: Any, flat: bool = False) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """(values, gradient to add to) of each parameter; of the whole arena in one if `flat`. Not of frozen ones."""
    if flat and hasattr(parameters, "settle_gradients"):
        return parameters.stretches()
    given = members("parameters", parameters, "parameters or pairs of arrays")
    # All are looked at before the first gradient is claimed.
    for i, one in enumerate(given):
        name = f"parameters[{i}]"
        if not isinstance(one, tuple):
            attribute(name, one, "claim_grad")
        elif len(one) != 2:
            raise ValueError(f"{name}: got {len(one)} entries, expected a pair (values, gradient)")
        else:
            values = float_array(f"{name}[0]", one[0])
            check_apart(
                **{f"{name}[1]": out_array(f"{name}[1]", one[1], values.shape, values.dtype), f"{name}[0]": values}
            )
    return [one if isinstance(one, tuple) else _claimed(one) for one in given if not getattr(one, "frozen", False)]


def _claimed(parameter: Any) -> tuple[np.ndarray, np.ndarray]:
    grad, accumulate = parameter.claim_grad()
    if not accumulate:
        grad[...] = 0
    return parameter.data, grad
