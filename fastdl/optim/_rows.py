"""Updates of only those rows of a table that were touched: for embeddings.

What differs from the dense rules. Plain SGD: nothing, unless there is a weight decay or an L1 term, which act
on touched rows only. AdaGrad: nothing but that. Adam: a row that is not touched keeps its m and v and does
not move, where the dense rule would let m and v decay and go on moving it (the "lazy" Adam of TensorFlow and
torch.optim.SparseAdam); the corrections still count every step.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._dispatch import kernels, mirrored
from .._memory import aligned_zeros
from .._validate import check_apart, check_shape, float_array, index_array, out_array
from ._rule import Rule, check_call, check_scalars, options_of, run_kernel


@mirrored
def sum_rows(rows: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add up the values of rows that are named more than once.

    Parameters
    ----------
    rows : ndarray of int, shape (K,)
        Row numbers, at least 0, in any order.
    values : ndarray, shape (K, D), float32 or float64

    Returns
    -------
    rows : ndarray of int64, shape (U,)
        The distinct row numbers, increasing.
    sums : ndarray, shape (U, D)
        The sums, each added in the order given.

    Raises
    ------
    TypeError, ValueError
        If `values` is no float array of as many rows as `rows` names, or these are no integers or below 0.

    Notes
    -----
    What the ``*_update_rows`` functions do first with rows that are named twice (docs/optim.md, Rows of a table).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> rows, sums = fd.optim.sum_rows(np.array([7, 2, 7]), np.array([[1.0], [2.0], [3.0]]))
    >>> rows, sums.ravel()
    (array([2, 7]), array([2., 4.]))
    """
    values = float_array("values", values)
    numbers = index_array("rows", rows, np.iinfo(np.int64).max, (None,))
    check_shape("values", values, (numbers.size, None))
    distinct, place = np.unique(numbers, return_inverse=True)
    sums = aligned_zeros((distinct.size, values.shape[1]), values.dtype)
    kernels.optim.add_rows(sums, place, values)
    return distinct, sums


def apply_rows(rule: Rule, given: Mapping[str, Any]) -> None:
    """One validated update of some rows by a ``*_update_rows`` function's arguments: what every such function does."""
    param = out_array("param", given["param"], (None, None))
    kind = param.dtype
    settings = {name: given.get(name, default) for name, default in rule.settings.items()}
    step, grad_scale = check_call(rule, settings, given["step"], given["grad_scale"], kind)
    states = {name: out_array(name, given[name], param.shape, kind) for name in rule.states(settings)}
    numbers = index_array("rows", given["rows"], len(param), (None,))
    values = float_array("values", given["values"], (numbers.size, param.shape[1]), kind)
    check_apart(param=param, **states, values=values)
    kernel, scalars = rule.plan(step, settings)
    options = options_of(settings, grad_scale)
    check_scalars(scalars + options, kind)
    if np.any(numbers[1:] <= numbers[:-1]):
        numbers, values = sum_rows(numbers, values)
    run_kernel(rule.module, kernel, (param, values, *states.values()), numbers, values.size, scalars, options)
