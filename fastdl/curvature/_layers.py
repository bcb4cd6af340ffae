"""Normalisation, convolution and pools at a point; containers and layers that compute nothing."""

from typing import Any

import numpy as np

from .. import nn, sequence
from .._validate import float_array, plain_array
from ._guard import Arrays, Linearization
from ._linearization import by_sample, linearize, register


def _sum(*terms: np.ndarray | None) -> Any:
    """The sum of those that are not None, or None."""
    found = [one for one in terms if one is not None]
    return None if not found else found[0] if len(found) == 1 else np.add(*found)


class _Linear(Linearization):
    """A linear map without parameters: its tangent is the map, its gradient's tangent is the map back."""

    def _map(self, t: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no _map")

    def _back(self, dy: np.ndarray) -> np.ndarray:
        raise TypeError(f"{type(self).__name__} defines no _back")

    def jvp(self, tx, direction):
        return None if tx is None else self._map(tx)

    def backward(self, dy, out, need_input):
        return self._back(dy) if need_input else None

    def jvp_backward(self, tdy, direction, out, need_input):
        return self._back(tdy) if need_input and tdy is not None else None

    def sample_gradients(self, dy, axis, out, need_input):
        return self._back(dy) if need_input else None


class _Identity(_Linear):
    def __init__(self, layer: nn.Identity, x: np.ndarray) -> None:
        self.y = x

    def _map(self, t):
        return t

    def _back(self, dy):
        return dy


class _Flatten(_Linear):
    def __init__(self, layer: nn.Flatten, x: np.ndarray) -> None:
        self.layer, self.turned = layer, np.moveaxis(x, layer.batch_dim, 0).shape
        self.y = self._map(x)

    def _map(self, t):
        shape = self.turned
        first, last = self.layer.start_dim % t.ndim, self.layer.end_dim % t.ndim
        wide = int(np.prod(shape[first : last + 1], dtype=np.int64))
        return np.moveaxis(t, self.layer.batch_dim, 0).reshape(*shape[:first], wide, *shape[last + 1 :])

    def _back(self, dy):
        return np.moveaxis(dy.reshape(self.turned), 0, self.layer.batch_dim)


class _Pool(_Linear):
    """The mean is linear; the largest is, as long as no other becomes it."""

    def __init__(self, layer: Any, x: np.ndarray) -> None:
        self.layer = layer
        y, self.tape = layer._function(layer._turned(layer._checked(x)), None)
        self.y = layer._turned(y)

    def _map(self, t):
        t, best = self.layer._turned(t), self.tape.best
        if best is None:
            return self.layer._turned(self.layer._function(t, None)[0])
        windows = self.layer._windows
        begins = np.arange(len(best))[:, None, None] * windows.stride - windows.left
        taken = np.take_along_axis(t, np.maximum(begins + best * windows.dilation, 0), 0)
        return self.layer._turned(np.where(best < 0, np.zeros((), t.dtype), taken))

    def _back(self, dy):
        return self.layer._turned(self.layer._undo(self.layer._turned(dy), self.tape, True))


class _Conv1d(Linearization):
    """y = x * W + b, linear in each: ty = tx * W + x * V + v; the gradients' tangents follow."""

    def __init__(self, layer: nn.Conv1d, x: np.ndarray) -> None:
        self.layer, self.weight = layer, layer.weight
        self.bias = layer.bias if layer.has_bias else None
        self.x = layer._turned(layer._checked(x))
        self.y = layer._turned(self._product(self.x, self.weight.data, None if self.bias is None else self.bias.data))
        self.tx: Any = None
        self.dy: Any = None

    def _product(self, x: np.ndarray, W: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        return sequence.conv1d_forward(x, W, b, **self.layer._options(None))

    def _back(self, dy: np.ndarray, W: np.ndarray) -> np.ndarray:
        dx: np.ndarray = sequence.conv1d_backward(dy, self.x, W, **self.layer._options(None))[0]
        return dx

    def _add(self, dy: np.ndarray, x: np.ndarray, dW: np.ndarray, db: np.ndarray | None) -> None:
        sequence.conv1d_backward(dy, x, self.weight.data, (dW, db), True, False, **self.layer._options(None))

    def jvp(self, tx, direction):
        self.tx = None if tx is None else self.layer._turned(tx)
        through = None if self.tx is None else self._product(self.tx, self.weight.data)
        beside = None
        if direction is not None:
            beside = self._product(self.x, direction[self.weight], None if self.bias is None else direction[self.bias])
        found = _sum(through, beside)
        return None if found is None else self.layer._turned(found)

    def backward(self, dy, out, need_input):
        self.dy = self.layer._turned(dy)
        if out is not None:
            self._add(self.dy, self.x, out[self.weight], None if self.bias is None else out[self.bias])
        return self.layer._turned(self._back(self.dy, self.weight.data)) if need_input else None

    def jvp_backward(self, tdy, direction, out, need_input):
        tdy = None if tdy is None else self.layer._turned(tdy)
        if out is not None:
            if tdy is not None:
                self._add(tdy, self.x, out[self.weight], None if self.bias is None else out[self.bias])
            if self.tx is not None:
                self._add(self.dy, self.tx, out[self.weight], None)
        if not need_input:
            return None
        found = _sum(
            None if tdy is None else self._back(tdy, self.weight.data),
            None if direction is None else self._back(self.dy, direction[self.weight]),
        )
        return None if found is None else self.layer._turned(found)

    def sample_gradients(self, dy, axis, out, need_input):
        turned = self.layer._turned(dy)
        for b in range(turned.shape[1]):
            dW = np.zeros_like(self.weight.data)
            db = None if self.bias is None else np.zeros_like(self.bias.data)
            self._add(turned[:, b : b + 1], self.x[:, b : b + 1], dW, db)
            out[self.weight].columns[b] += dW.reshape(-1)
            if self.bias is not None:
                out[self.bias].columns[b] += db
        return self.backward(dy, None, need_input)

    def check_axis(self, axis):
        wanted = 0 if self.layer.batch_first else 1
        if axis != wanted:
            raise ValueError(f"axis: got {axis}, expected {wanted}, since Conv1d sees all steps of a sample")


class _Normed(Linearization):
    """y = weight v + bias with v = (x - mean) rstd, over rows (rows, D)."""

    axes = 1  # that a row has

    def __init__(self, layer: Any, x: np.ndarray, y: np.ndarray, wide: int) -> None:
        self.y, (self.weight, self.bias) = y, layer._pair()
        self.rows = (x.size // wide if x.size else 0, wide)
        self.v, self.rstd = self._normalised(layer, x.reshape(self.rows))
        self.tx: Any = None
        self.tv: Any = None
        self.dy: Any = None

    def _normalised(self, layer: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise TypeError(f"{type(self).__name__} defines no _normalised")

    def _slope(self, t: np.ndarray) -> np.ndarray:
        """The tangent of v for one of x; and, being symmetric, the gradient of x for one of v."""
        raise TypeError(f"{type(self).__name__} defines no _slope")

    def _bend(self, d: np.ndarray) -> np.ndarray:
        """The tangent of `_slope(d)` along the last tangent of x."""
        raise TypeError(f"{type(self).__name__} defines no _bend")

    def _scaled(self, t: np.ndarray) -> np.ndarray:
        return t if self.weight is None else t * self.weight.data.reshape(-1)

    def jvp(self, tx, direction):
        self.tx = None if tx is None else tx.reshape(self.rows)
        self.tv = None if tx is None else self._slope(self.tx)
        found = None if self.tv is None else self._scaled(self.tv)
        if direction is not None:
            if self.weight is not None:
                found = _sum(found, self.v * direction[self.weight].reshape(-1))
            if self.bias is not None:
                own = np.broadcast_to(direction[self.bias].reshape(-1), self.rows)
                found = own.copy() if found is None else found + own
        return None if found is None else found.reshape(self.y.shape)

    def backward(self, dy, out, need_input):
        self.dy = dy.reshape(self.rows)
        if out is not None:
            self._add(self.dy, self.v, out)
            self._add_bias(self.dy, out)
        return self._slope(self._scaled(self.dy)).reshape(dy.shape) if need_input else None

    def _add(self, dy: np.ndarray, v: np.ndarray, out: Arrays) -> None:
        if self.weight is not None:
            out[self.weight][...] += (dy * v).sum(0).reshape(self.weight.shape)

    def _add_bias(self, dy: np.ndarray, out: Arrays) -> None:
        if self.bias is not None:
            out[self.bias][...] += dy.sum(0).reshape(self.bias.shape)

    def jvp_backward(self, tdy, direction, out, need_input):
        tdy = None if tdy is None else tdy.reshape(self.rows)
        if out is not None:
            if tdy is not None:
                self._add(tdy, self.v, out)
                self._add_bias(tdy, out)
            if self.tv is not None:
                self._add(self.dy, self.tv, out)
        if not need_input:
            return None
        along = None if tdy is None else self._scaled(tdy)
        if direction is not None and self.weight is not None:
            along = _sum(along, self.dy * direction[self.weight].reshape(-1))
        found = None if along is None else self._slope(along)
        if self.tv is not None:
            found = _sum(found, self._bend(self._scaled(self.dy)))
        return None if found is None else found.reshape(self.y.shape)

    def sample_gradients(self, dy, axis, out, need_input):
        shape = (*dy.shape[: dy.ndim - self.axes], self.rows[1])
        if self.weight is not None:
            out[self.weight].add_sums(by_sample((dy.reshape(self.rows) * self.v).reshape(shape), axis))
        if self.bias is not None:
            out[self.bias].add_sums(by_sample(dy.reshape(shape), axis))
        return self.backward(dy, None, need_input)


class _LayerNorm(_Normed):
    def __init__(self, layer: nn.LayerNorm, x: np.ndarray) -> None:
        self.axes, wide = len(layer.normalized_shape), layer.normalized_shape
        x = float_array("x", x, (*x.shape[: -self.axes], *wide), layer.dtype)
        super().__init__(layer, x, layer._normalised(x)[0].reshape(x.shape), int(np.prod(wide)))

    def _normalised(self, layer, x):
        apart = x - x.mean(1, keepdims=True)
        rstd = 1 / np.sqrt((apart * apart).mean(1, keepdims=True) + x.dtype.type(layer.eps))
        return apart * rstd, rstd

    def _slope(self, t):
        return self.rstd * (t - t.mean(1, keepdims=True) - self.v * (t * self.v).mean(1, keepdims=True))

    def _bend(self, d):
        turning = self.rstd * (self.v * self.tx).mean(1, keepdims=True)
        across = self.tv * (d * self.v).mean(1, keepdims=True) + self.v * (d * self.tv).mean(1, keepdims=True)
        return -turning * self._slope(d) - self.rstd * across

    def check_axis(self, axis):
        if axis >= self.y.ndim - self.axes:
            raise ValueError(f"axis: got {axis}, expected one before the last {self.axes}, which are normalised")


class _BatchNorm1d(_Normed):
    """In evaluation: the running averages do not depend on x, so there is no bend."""

    def __init__(self, layer: nn.BatchNorm1d, x: np.ndarray) -> None:
        if not layer.track_running_stats:
            raise TypeError("model: BatchNorm1d has no jvp with track_running_stats=False")
        x = float_array("x", x, (*x.shape[:-1], layer.num_features), layer.dtype)
        super().__init__(layer, x, layer._normalised(x, None, training=False)[0], layer.num_features)

    def _normalised(self, layer, x):
        rstd = 1 / np.sqrt(layer.running_var + layer.dtype.type(layer.eps))
        return (x - layer.running_mean) * rstd, rstd

    def _slope(self, t):
        return self.rstd * t

    def _bend(self, d):
        return None


class _Residual(Linearization):
    """y = x + f(x): everything of f, and what is given beside it."""

    def __init__(self, layer: nn.Residual, x: np.ndarray, lengths: Any = None) -> None:
        self.inner = linearize(layer.layer, x, lengths)
        self.y = x + float_array("x", plain_array("x", self.inner.y), x.shape, x.dtype)

    def jvp(self, tx, direction):
        return _sum(tx, self.inner.jvp(tx, direction))

    def backward(self, dy, out, need_input):
        dx = self.inner.backward(dy, out, need_input)
        return dy + dx if need_input else None

    def jvp_backward(self, tdy, direction, out, need_input):
        tdx = self.inner.jvp_backward(tdy, direction, out, need_input)
        return _sum(tdy, tdx) if need_input else None

    def sample_gradients(self, dy, axis, out, need_input):
        dx = self.inner.sample_gradients(dy, axis, out, need_input)
        return dy + dx if need_input else None

    def check_axis(self, axis):
        self.inner.check_axis(axis)


register(nn.Identity, _Identity)
register(nn.Flatten, _Flatten)
register(nn.MaxPool1d, _Pool)
register(nn.AvgPool1d, _Pool)
register(nn.Conv1d, _Conv1d)
register(nn.LayerNorm, _LayerNorm)
register(nn.BatchNorm1d, _BatchNorm1d)
register(nn.Residual, _Residual)
