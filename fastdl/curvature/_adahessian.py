"""AdaHessian: a diagonal of the Hessian, estimated (2.6)."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from .._differences import check_finite
from .._validate import number
from ..optim._rule import check_betas
from ..random import Generator, as_generator
from ._closure_optimizer import ClosureOptimizer, gradient_at, point_of
from ._spectrum import Point

PointClosure = Callable[[], Point]


class AdaHessian(ClosureOptimizer):
    """Adam with Hutchinson's estimate of the Hessian's diagonal in place of the gradient's squares.

    With s a vector of random signs and D = s * (H s)::

        m = beta1 m + (1 - beta1) g;    v = beta2 v + (1 - beta2) D^2
        theta -= lr * (m / (1 - beta1^t)) / ((v / (1 - beta2^t))^(power / 2) + eps)

    Parameters
    ----------
    parameters : Arena, or sequence of (parameter, gradient) pairs of arrays
        As for :class:`fastdl.optim.Optimizer`. Parameters are updated in place.
    lr : float, default 0.15
        The learning rate, above 0.
    betas : pair of float in [0, 1), default (0.9, 0.999)
        What is kept of m and of v in a step.
    eps : float, default 1e-8
        Positive, in the parameters' type too.
    power : float, default 1.0
        In [0, 1]; the paper's k.
    rng : None, int or fastdl.random.Generator, default None
        Source of the signs.

    Raises
    ------
    TypeError, ValueError
        If the parameters are none that an optimizer takes, or a number is out of its range.

    References
    ----------
    Z. Yao et al., "ADAHESSIAN: an adaptive second order optimizer for machine learning", AAAI 2021 (without its
    averaging over blocks).

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> x = np.array([3.0, 1.0])
    >>> optimizer = fd.curvature.AdaHessian([(x, np.empty(2))], rng=0)
    >>> for _ in range(200):
    ...     loss = optimizer.step(lambda: fd.curvature.FunctionPoint(lambda x: x[0] ** 2 + 5 * x[1] ** 2, x))
    >>> bool(abs(x).max() < 0.01)
    True
    """

    _vectors: ClassVar = {"_m": ("N",), "_v": ("N",)}

    def __init__(
        self,
        parameters: Any,
        lr: float = 0.15,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        power: float = 1.0,
        rng: int | Generator | None = None,
    ) -> None:
        super().__init__(parameters, lr)
        check_betas({"betas": betas})
        self.betas = tuple(map(float, betas))
        self.eps = number("eps", eps, 0, math.inf, open_low=True, open_high=True)
        for kind in {array.dtype for array in self._arrays}:
            if kind.type(self.eps) == 0:
                raise ValueError(f"eps: got {eps}, which is 0 in {kind}, expected a number that is not")
        self.power = number("power", power, 0, 1)
        self._rng = as_generator(rng)
        self._m, self._v = np.zeros((2, self.size))

    def state_dict(self) -> dict[str, Any]:
        """Copies of all that the next step depends on, besides the parameters; and whose state it is.

        Returns
        -------
        dict
            As of the other optimizers here, with "random", the state of the signs' source.
        """
        return super().state_dict() | {"random": self._rng.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` gives.

        Raises
        ------
        TypeError, ValueError
            If it does not fit, is another rule's or that of other parameters; nothing was changed then.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state: got {type(state).__name__}, expected what state_dict gave")
        if "random" not in state:
            raise ValueError("state: got no random, expected the state of the signs' source too")
        source = Generator()
        source.load_state_dict(state["random"])
        super().load_state_dict({name: value for name, value in state.items() if name != "random"})
        self._rng = source

    def step(self, closure: PointClosure) -> float:
        """Go one step down.

        Parameters
        ----------
        closure : callable
            Gives a :class:`LossPoint` or :class:`FunctionPoint` at the parameters as they are; it is called once.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        TypeError
            If the closure gives no point.
        ValueError
            If the loss, gradient, a product or the new parameters are not finite; everything is as it was.
        """
        source = self._rng.state_dict()
        try:
            with self._undone_if_it_fails(), np.errstate(all="ignore"):
                return self._stepped(point_of(closure))
        except BaseException:
            self._rng.load_state_dict(source)
            raise

    def _stepped(self, point: Point) -> float:
        gradient = self._trained(gradient_at(point, self.size))
        signs = np.where(self._rng.uniform(-1.0, 1.0, self.size, np.float64) < 0, -1.0, 1.0)
        curvature = signs * np.asarray(point.hvp(signs.astype(point.dtype)), np.float64)
        check_finite("closure", curvature, "a Hessian product")
        curvature = self._trained(curvature)
        t, (b1, b2) = self.steps + 1, self.betas
        self._m = b1 * self._m + (1 - b1) * gradient
        self._v = b2 * self._v + ((1 - b2) * curvature) * curvature
        check_finite("closure", self._v, "a Hessian product whose squares are an array")
        root = (self._v / (1 - b2**t)) ** (self.power / 2)
        new = self._values() - self.lr * (self._m / (1 - b1**t)) / (root + self.eps)
        check_finite("closure", new.astype(np.result_type(*self._arrays)), "a step to an array")
        self._finish(self._values(), new)
        return point.value
