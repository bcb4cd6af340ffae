"""Adaptive softmax: frequent classes by themselves, rarer ones in clusters of less and less width."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dense
from .._validate import flag, integer, members, number
from ..random import Generator, as_generator
from ._containers import ModuleList
from ._heads import Head
from ._layers import Linear
from ._pull import Computed, Part
from ._sequential import Sequential


class AdaptiveLogSoftmaxWithLoss(Head):
    """Adaptive softmax, torch's layer of that name as a head (docs/dense.md 6.26).

    The first classes have logits of their own, the others stand in clusters, each a logit of the first softmax and a
    softmax over its classes, of features of smaller and smaller width. Classes have to be in order of their frequency.

    Parameters
    ----------
    in_features : int
        I.
    n_classes : int
        C.
    cutoffs : sequence of int
        Where clusters begin: increasing, from 1 to C - 1. The last cluster ends at C.
    div_value : float, default 4.0
        Cluster i, from 1, has I // div_value**i features, at least 1.
    head_bias : bool, default False
        Whether the first softmax has a bias; the clusters' have none.
    ignore_index : int, optional
        Targets of this value count nothing.
    rng : None, int or fastdl.random.Generator, default None
        Source of the initial values, as of :class:`Linear`.
    dtype : float32 (default) or float64

    Attributes
    ----------
    head : Linear
        From the features to the first classes and the clusters.
    tail : ModuleList
        For each cluster a chain of two layers without bias.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    References
    ----------
    E. Grave, A. Joulin, M. Cisse, D. Grangier, H. Jegou, "Efficient softmax approximation for GPUs", ICML 2017.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> head = fd.nn.AdaptiveLogSoftmaxWithLoss(8, 100, [10, 30], rng=0)
    >>> x, y = np.ones((5, 8), np.float32), np.array([3, 20, 99, 0, 10])
    >>> loss, gradient = head.loss(head(x), y)
    >>> dx = head.backward(gradient())
    >>> head.log_prob(x).shape, [chain[1].in_features for chain in head.tail]
    ((5, 100), [2, 1])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        *,
        ignore_index: int | None = None,
        rng: int | Generator | None = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__()
        self.in_features = integer("in_features", in_features, 1)
        self.n_classes = integer("n_classes", n_classes, 2)
        listed = enumerate(members("cutoffs", cutoffs))
        given = [integer(f"cutoffs[{i}]", one, 1, self.n_classes - 1) for i, one in listed]
        if not given or any(one >= other for one, other in itertools.pairwise(given)):
            raise ValueError(f"cutoffs: got {given}, expected increasing numbers, one at least")
        self.cutoffs = [*given, self.n_classes]
        self.div_value = number("div_value", div_value, 0.0, open_low=True)
        self.ignore_index = None if ignore_index is None else integer("ignore_index", ignore_index, -(2**63), 2**63 - 1)
        options: dict[str, Any] = {"rng": as_generator(rng), "dtype": dtype}
        self.head = Linear(in_features, given[0] + len(given), flag("head_bias", head_bias), **options)
        widths = [max(1, int(in_features // self.div_value**i)) for i in range(1, len(self.cutoffs))]
        tail = [
            (Linear(in_features, width, bias=False, **options), Linear(width, end - begin, bias=False, **options))
            for width, begin, end in zip(widths, given, self.cutoffs[1:], strict=True)
        ]
        self.tail: Any = ModuleList([Sequential(*pair) for pair in tail])

    def loss(self, x: np.ndarray, targets: np.ndarray, lengths: Any = None, *, weights: Any = None) -> tuple[Any, Any]:
        x = self._features(x)
        y, each, total = dense.counting(x, self.n_classes, targets, self.ignore_index, lengths, None, weights)
        rows, y = x.reshape(-1, self.in_features), y.reshape(-1)
        shares = each.reshape(-1) / (total or 1)
        cluster = np.searchsorted(self.cutoffs, y, side="right")  # 0: a class of the first softmax
        first = np.where(cluster == 0, y, self.cutoffs[0] + cluster - 1)
        value, dx, parts = self._step(self.head, rows, first, shares)
        for i, (narrow, wide) in enumerate(self.tail):
            inside = np.flatnonzero((cluster == i + 1) & (shares > 0))
            some, own = rows[inside], y[inside] - self.cutoffs[i]
            features = dense.linear_forward(some, narrow.weight._data)
            more, dfeatures, found = self._step(wide, features, own, shares[inside])
            value += more
            if self.training:
                dsome, dW, _ = dense.linear_backward(dfeatures, some, narrow.weight._data)
                dx[inside] += dsome
                parts += [Part(narrow.weight, dW), *found]
        loss = dense.LossValue(value if total else np.nan, total)
        return loss, Computed(dx.reshape(x.shape), parts) if self.training else None

    def _step(self, linear: Linear, x: np.ndarray, targets: np.ndarray, shares: np.ndarray) -> tuple[float, Any, Any]:
        """The part of one softmax: its value, gradient with respect to x, and those of its parameters."""
        bias = linear.bias._data if linear.has_bias else None
        loss, found = dense.linear_cross_entropy(
            x, linear.weight._data, bias, targets, reduction="sum", weights=shares, gradients=self.training
        )
        if found is None:
            return float(loss), None, []
        dx, dW, db = found
        return float(loss), dx, [Part(linear.weight, dW)] + ([] if bias is None else [Part(linear.bias, db)])

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        x, size = self._features(x), self.cutoffs[0]
        first = dense.log_softmax(_forward(x, self.head))
        pieces = [first[..., :size]]
        for i, (narrow, wide) in enumerate(self.tail):
            pieces.append(first[..., size + i, None] + dense.log_softmax(_forward(_forward(x, narrow), wide)))
        return np.concatenate(pieces, -1)

    def _describe(self) -> str:
        return f"AdaptiveLogSoftmaxWithLoss({self.in_features}, {self.n_classes}, cutoffs={self.cutoffs[:-1]})"


def _forward(x: np.ndarray, linear: Linear) -> np.ndarray:
    return dense.linear_forward(x, linear.weight._data, linear.bias._data if linear.has_bias else None)
