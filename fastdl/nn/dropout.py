"""Layers that draw: masks that change every training step, repeat on resume, and leave prediction alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import dropout as functional
from .. import random
from .._validate import choice, flag, float_array, integer, number
from ._modes import evaluating
from ._module import Module


class Drawn(Module, alone=True):
    """A layer whose training output is a function of (seed, step): the seed is drawn once, steps are counted.

    In evaluation mode it is the identity, unless ``sampling`` is set: then it draws, and saves nothing.
    """

    _each_step = True

    def __init__(self, p: float, rng: Any, open_high: bool = False) -> None:
        super().__init__()
        self.p = number("p", p, 0.0, 1.0, open_high=open_high)
        self.seed = random.as_generator(rng).integers(0, 2**63 - 1)
        self.step = 0
        self.sampling = False

    def _next(self) -> dict[str, Any] | None:
        """Where the next mask is drawn; None in evaluation."""
        return {"seed": self.seed, "step": self.step} if self.training or self.sampling else None

    def _done(self, where: dict[str, Any] | None, left: Any) -> None:
        """A forward succeeded, and left this for its backward: the next mask is drawn in another place."""
        self.step += where is not None
        if self.training:
            self._tape.append(left)

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The layer's output, by a mask that is drawn anew each time.

        Parameters
        ----------
        x : ndarray, float32 or float64
            Any shape.

        Returns
        -------
        ndarray
            Of the shape and type of `x`; in evaluation mode `x` itself.

        Raises
        ------
        TypeError
            If `x` is no float array, where something is drawn.
        """
        where = self._next() if self.p > 0 else None
        y = x if where is None else self._apply(x, where)
        self._done(where, where and (where, y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """The gradient with respect to the input, by the mask of the last forward that has no backward yet.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether it is wanted; with False `dy` is not read.

        Returns
        -------
        ndarray or None
            None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, left = flag("input_gradient", input_gradient), self._peek()
        dx: Any = dy if wanted else None
        if wanted and left is not None:
            where, shape, dtype = left
            dx = self._undo(float_array("dy", dy, shape, dtype), where)
        self._pop()
        return dx

    def _apply(self, x: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no mask")

    def _undo(self, dy: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        """The gradient; for a linear map with a diagonal matrix the map itself."""
        return self._apply(dy, where)

    def _own_random_state(self) -> dict[str, Any]:
        """What decides the masks to come."""
        return {"seed": self.seed, "step": self.step}

    def _load_own_random_state(self, state: Mapping[str, Any]) -> None:
        seed = integer("state['seed']", state["seed"], 0, 2**64 - 1)
        self.seed, self.step = seed, integer("state['step']", state["step"], 0, 2**32 - 1)

    def _describe(self) -> str:
        return f"{type(self).__name__}({self.p})"


class Dropout(Drawn, alone=True):
    """Drop elements at random in training (docs/dropout.md 4.2; :func:`fastdl.dropout_forward`).

    Parameters
    ----------
    p : float in [0, 1], default 0.5
        Probability of being dropped.
    broadcast_axes : int or tuple of int, default ()
        Axes along which one mask element serves all. For time-major (T, B, H) input, 0 is variational
        dropout, one mask for all time steps (Gal and Ghahramani 2016); for (B, C, height, width), (2, 3) is
        spatial dropout of whole feature maps (Tompson 2015).
    scaling : {"inverted", "classic"}, default "inverted"
        See :func:`fastdl.dropout_forward`. With "classic", evaluation scales by 1 - p.
    rng : None, int or fastdl.random.Generator, default None
        Where the layer's seed is drawn from. Layers given the same int have the same masks: share a
        Generator instead.

    Raises
    ------
    TypeError, ValueError
        If p is outside [0, 1], the scaling is not known, or `rng` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.Dropout(0.5, rng=0)
    >>> x = np.ones(1000, np.float32)
    >>> first, second = layer.forward(x), layer.forward(x)
    >>> bool((first == second).all()), bool((layer.backward(x) == second).all())
    (False, True)
    >>> layer.eval().forward(x) is x
    True
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        broadcast_axes: int | Sequence[int] = (),
        scaling: str = "inverted",
        rng: Any = None,
    ) -> None:
        super().__init__(p, rng)
        self.broadcast_axes = broadcast_axes
        self.scaling = choice("scaling", scaling, ("inverted", "classic"))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The layer's output, by a mask that is drawn anew each time.

        Parameters
        ----------
        x : ndarray, float32 or float64
            Any shape.

        Returns
        -------
        ndarray
            Of the shape and type of `x`. In evaluation mode `x` itself (inverted), or (1 - p) x (classic).

        Raises
        ------
        TypeError, ValueError
            If `x` is no float array, or has not the axes of `broadcast_axes`.
        """
        if self.scaling == "classic" and not (self.training or self.sampling):
            return functional.dropout_forward(x, self.p, scaling="classic", training=False)
        return super().forward(x)

    backward = Drawn.backward  # which undoes this forward too

    def _apply(self, x: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.dropout_forward(x, self.p, **where, scaling=self.scaling, broadcast_axes=self.broadcast_axes)

    def _undo(self, dy: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.dropout_backward(
            dy, self.p, **where, scaling=self.scaling, broadcast_axes=self.broadcast_axes
        )


class AlphaDropout(Drawn):
    """Dropout for SELU networks (docs/dropout.md 4.6; :func:`fastdl.alpha_dropout_forward`).

    Parameters
    ----------
    p : float in [0, 1], default 0.1
        Probability of being dropped.
    rng : None, int or fastdl.random.Generator, default None
        As in :class:`Dropout`.

    Raises
    ------
    TypeError, ValueError
        If p is outside [0, 1], or `rng` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y = fd.nn.AlphaDropout(0.5, rng=0).forward(np.zeros(1000))
    >>> np.unique(y.round(3))
    array([-0.779,  0.779])
    """

    def __init__(self, p: float = 0.1, *, rng: Any = None) -> None:
        super().__init__(p, rng)

    def _apply(self, x: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.alpha_dropout_forward(x, self.p, **where)

    def _undo(self, dy: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.alpha_dropout_backward(dy, self.p, **where)


class GaussianDropout(Drawn):
    """Multiply by noise of mean 1 and variance p / (1 - p) (docs/dropout.md 4.6).

    See :func:`fastdl.gaussian_dropout_forward`.

    Parameters
    ----------
    p : float in [0, 1), default 0.5
        The dropout whose mask has the same variance.
    rng : None, int or fastdl.random.Generator, default None
        As in :class:`Dropout`.

    Raises
    ------
    TypeError, ValueError
        If p is outside [0, 1), or `rng` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> y = fd.nn.GaussianDropout(0.5, rng=0).forward(np.ones(100_000))
    >>> round(float(y.mean()), 1), round(float(y.var()), 1)
    (1.0, 1.0)
    """

    def __init__(self, p: float = 0.5, *, rng: Any = None) -> None:
        super().__init__(p, rng, open_high=True)

    def _apply(self, x: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.gaussian_dropout_forward(x, self.p, **where)


class GaussianNoise(Drawn):
    """Add normal noise in training; the gradient passes unchanged (docs/dropout.md 4.6).

    See :func:`fastdl.gaussian_noise`.

    Parameters
    ----------
    std : float >= 0, default 0.1
        Standard deviation of the noise.
    rng : None, int or fastdl.random.Generator, default None
        As in :class:`Dropout`.

    Raises
    ------
    TypeError, ValueError
        If `std` is negative or infinite, or `rng` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.GaussianNoise(0.5, rng=0)
    >>> round(float(layer.forward(np.zeros(100_000)).std()), 2)
    0.5
    >>> layer.backward(np.arange(100_000.0))[:3]
    array([0., 1., 2.])
    """

    def __init__(self, std: float = 0.1, *, rng: Any = None) -> None:
        super().__init__(1.0, rng)  # every element gets noise; std says how much
        self.std = number("std", std, 0.0, float(np.finfo(np.float64).max))

    def _apply(self, x: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return functional.gaussian_noise(x, self.std, **where)

    def _undo(self, dy: np.ndarray, where: dict[str, Any]) -> np.ndarray:
        return dy

    def _describe(self) -> str:
        return f"GaussianNoise({self.std})"


class Zoneout(Drawn, alone=True):
    """Keep a unit's old state with probability p, in evaluation the expectation of that (Krueger 2017).

    See :func:`fastdl.zoneout_forward`.

    Parameters
    ----------
    p : float in [0, 1], default 0.1
        Probability of keeping the old state.
    rng : None, int or fastdl.random.Generator, default None
        As in :class:`Dropout`.

    Raises
    ------
    TypeError, ValueError
        If p is outside [0, 1], or `rng` is something else.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> layer = fd.nn.Zoneout(0.25, rng=0)
    >>> np.unique(layer.forward(np.ones(1000), np.zeros(1000)))
    array([0., 1.])
    >>> layer.eval().forward(np.ones(2), np.zeros(2))
    array([0.75, 0.75])
    """

    def __init__(self, p: float = 0.1, *, rng: Any = None) -> None:
        super().__init__(p, rng)

    def forward(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:  # type: ignore[override]
        """The state to go on with.

        Parameters
        ----------
        new, old : ndarray, float32 or float64, of one shape and type
            The state after and before a time step.

        Returns
        -------
        ndarray
            Each element of one of the two; in evaluation mode p old + (1 - p) new.

        Raises
        ------
        TypeError, ValueError
            If one is no float array, or they do not fit each other.
        """
        where = self._next()
        y = functional.zoneout_forward(new, old, self.p, **(where or {}), training=where is not None)
        self._done(where, (where, y.shape, y.dtype))
        return y

    def backward(self, dy: np.ndarray, *, input_gradient: bool = True) -> Any:
        """The gradients with respect to both states: each element goes to the one it came from.

        Parameters
        ----------
        dy : ndarray
            Gradient with respect to the output, of its shape and type.
        input_gradient : bool, default True
            Whether they are wanted; with False `dy` is not read.

        Returns
        -------
        (dnew, dold) : tuple of ndarray, or None
            None with ``input_gradient=False``.

        Raises
        ------
        TypeError, ValueError
            If `dy` does not fit.
        RuntimeError
            If no forward in training mode waits for it.
        """
        wanted, (where, shape, dtype) = flag("input_gradient", input_gradient), self._peek()
        gradients: Any = None
        if wanted:
            gradients = functional.zoneout_backward(float_array("dy", dy, shape, dtype), self.p, **where)
        self._pop()
        return gradients


def monte_carlo(model: Module, x: Any, draws: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of a model's output over dropout masks (Gal and Ghahramani 2016).

    Parameters
    ----------
    model : Module
        Its dropout layers draw; everything else is as in evaluation.
    x : ndarray
        The model's input.
    draws : int, default 20
        At least 2.

    Returns
    -------
    mean, variance : ndarray
        See :func:`fastdl.monte_carlo`.

    Raises
    ------
    TypeError, ValueError
        If `model` is no Module, or draws no integer or below 2.

    Notes
    -----
    It leaves no trace in the model: modes, tapes and random state are afterwards as before, so the same call gives the
    same result.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> mean, variance = fd.nn.monte_carlo(fd.nn.Dropout(0.5, rng=0), np.ones(3), draws=1000)
    >>> bool((abs(mean - 1) < 0.2).all() and (abs(variance - 1) < 0.2).all())
    True
    """
    if not isinstance(model, Module):
        raise TypeError(f"model: got {type(model).__name__}, expected a layer or model")
    drawn = [module for module in model.modules() if isinstance(module, Drawn)]
    state = model.random_state()
    try:
        for layer in drawn:
            layer.sampling = True
        with evaluating(model):
            return functional.monte_carlo(lambda k: model.forward(x), draws)
    finally:
        for layer in drawn:
            layer.sampling = False
        model.load_random_state(state)
