"""The works in JAX, each compiled as one function; optimizers are optax's, which JAX leaves them to.

What `run` times is the compiled function alone; the first call, which compiles it, is reported beside.
"""

import importlib
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

from ._common import GATES, by_layer, dropped, renamed, under
from ._table import Arrays, Missing, Work

Weights = dict[str, Any]


def set_threads(threads: int) -> str:
    """XLA makes its threads when it is first used: as many as this variable says or the process may use cores."""
    os.environ["NPROC"] = str(threads)
    return "threads as its variable NPROC asks for; it may use others beside"


def _optax() -> Any:
    try:
        return importlib.import_module("optax")
    except ImportError:
        raise Missing("optimizers (optax has them, which is not installed)") from None


def _compiled(function: Callable[..., dict[str, Any]], *given: Any, **more: Any) -> Work:
    """The work of a function that gives its results by name."""
    compiled, given = jax.jit(function), jax.tree.map(jnp.array, given)
    return Work(lambda: jax.block_until_ready(compiled(*given)), **{"arrays": _numpy, **more})


def _stepping(step: Callable[..., tuple[Any, Any]], held: Any, *given: Any, **more: Any) -> Work:
    """The work of ``(held, *given) -> held, results``, where each call begins with what the last one left."""
    compiled, given = jax.jit(step, donate_argnums=0), jax.tree.map(jnp.array, given)  # in place, as far as XLA can
    kept = [jax.tree.map(jnp.array, held), None]

    def run() -> Any:
        kept[:] = jax.block_until_ready(compiled(kept[0], *given))
        return kept

    return Work(run, **{"arrays": lambda kept: _numpy(kept[1]), **more})


def _numpy(arrays: dict) -> Arrays:
    return {name: np.array(array) for name, array in arrays.items()}  # copied: a later step may take the memory


# ---- recurrent layers -----------------------------------------------------------------------------------
def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    mask = None if lengths is None else jnp.asarray(np.arange(len(x))[:, None] < lengths)[:, :, None]

    def passes(weights: Weights, x: Any, dy: Any) -> Any:
        y, pull = jax.vjp(lambda weights, x: stack(kind, weights, x, mask), weights, x)
        slopes, dx = pull(dy)
        return {"y": y, "dx": dx, "dW": slopes["weight_ih_l0"]}

    return _compiled(passes, weights, x, dy)


def stack(kind: str, weights: Weights, x: Any, mask: Any = None) -> Any:
    """Outputs of layers on each other, the second direction of each beside the first."""
    layers = [[[weights[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias")]]] if kind == "sLSTM" else None
    for directions in layers or by_layer(weights):
        ways = zip(directions, (slice(None), slice(None, None, -1)), strict=False)
        x = jnp.concatenate([layer(kind, own, x[way], mask=mask)[0][way] for own, way in ways], axis=2)
    return x


def layer(kind: str, weights: list[Any], x: Any, state: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """Outputs and the last state of a recurrent layer with torch's weights; masked steps give zero."""
    W, R, b, *c = weights
    states = {"LSTM": 2, "sLSTM": 4}.get(kind, 1)
    start = jnp.zeros((x.shape[1], len(W) // GATES[kind]), x.dtype)
    inputs = x @ W.T + b  # of all times at once

    def cell(state: Any, given: Any) -> Any:
        z, kept = given
        after = CELLS[kind](state, z, _by_heads(state[0], R) if R.ndim == 3 else state[0] @ R.T + sum(c))
        if kept is not None:
            after = tuple(jnp.where(kept, new, old) for new, old in zip(after, state, strict=True))
        return after, after[0] if kept is None else jnp.where(kept, after[0], 0)

    state, h = jax.lax.scan(cell, state or (start,) * states, (inputs, mask))
    return h, state


def _lstm(state: Any, z: Any, r: Any) -> Any:
    i, f, g, o = jnp.split(z + r, 4, axis=1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(state: Any, z: Any, r: Any) -> Any:
    (reset, update, new), (r_reset, r_update, r_new) = (jnp.split(part, 3, axis=1) for part in (z, r))
    n = jnp.tanh(new + jax.nn.sigmoid(reset + r_reset) * r_new)
    u = jax.nn.sigmoid(update + r_update)
    return ((1 - u) * n + u * state[0],)


def _slstm(state: Any, z: Any, r: Any) -> Any:
    _, c, n, m = state
    a_i, a_f, a_z, a_o = jnp.split(z + r, 4, axis=1)
    seen = jax.nn.log_sigmoid(a_f) + m
    m = jax.lax.stop_gradient(jnp.where(n > 0, jnp.maximum(seen, a_i), a_i))
    i, f = jnp.exp(a_i - m), jnp.exp(jnp.where(n > 0, seen - m, -jnp.inf))
    c, n = f * c + i * jnp.tanh(a_z), f * n + i
    return jax.nn.sigmoid(a_o) * c / n, c, n, m


def _by_heads(h: Any, R: Any) -> Any:
    of_h = jnp.einsum("bjd,jdk->bjk", h.reshape(len(h), len(R), -1), R)
    return of_h.reshape(len(h), len(R), 4, -1).swapaxes(1, 2).reshape(len(h), -1)


CELLS = {"LSTM": _lstm, "GRU": _gru, "RNN": lambda state, z, r: (jnp.tanh(z + r),), "sLSTM": _slstm}


# ---- steps of training ----------------------------------------------------------------------------------
def training(weights: dict, x: np.ndarray, y: np.ndarray, lr: float, clip: float | None) -> Work:
    """Loss and gradient, the rule, the new weights and the state of the next step.

    bias_hh stays at zero, since Keras and thinc have one bias.
    """
    optax, zeros = _optax(), None
    fixed = {key: jnp.array(weights[key]) for key in weights if key == "lstm.bias_hh_l0"}
    trained = {key: jnp.array(array) for key, array in weights.items() if key not in fixed}
    if fixed:
        zeros = [(jnp.zeros((x.shape[1], weights["linear.weight"].shape[1])),) * 2]
    rule = optax.chain(optax.clip_by_global_norm(clip), optax.adam(lr)) if clip else optax.adam(lr)

    def loss_of(trained: Weights, state: Any, x: Any, y: Any) -> Any:
        h, state = forward(trained | fixed, x, state)
        return _cross_entropy(h, y), state

    def step(held: Any, x: Any, y: Any) -> Any:
        trained, moments, state = held
        (loss, state), gradient = jax.value_and_grad(loss_of, has_aux=True)(trained, state, x, y)
        updates, moments = rule.update(gradient, moments, trained)
        return (optax.apply_updates(trained, updates), moments, state), {"loss": loss}

    return _stepping(step, (trained, rule.init(trained), zeros), x, y)


def forward(weights: Weights, h: Any, state: Any = None) -> tuple[Any, Any]:
    """A model's output and the last state of its LSTM's layers."""
    if "embedding.weight" in weights:
        h = weights["embedding.weight"][h]
    if "lstm.weight_ih_l0" in weights:
        layers, after = by_layer(under("lstm", weights)), []
        for (own,), before in zip(layers, state or [None] * len(layers), strict=True):
            h, last = layer("LSTM", own, h, before)
            after.append(last)
        state = after
    for name, then in (("linear", lambda z: z), ("hidden", jax.nn.relu), ("output", lambda z: z)):
        if f"{name}.weight" in weights:
            h = then(h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])
    return h, state


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    optax = _optax()
    if name not in ("SGD", "Adam", "AdamW", "RMSProp", "AdaGrad"):
        raise Missing(name)
    given = renamed(settings, rho="decay", beta1="b1", beta2="b2")
    given |= {"initial_accumulator_value": 0.0} if name == "AdaGrad" else {}
    rule = getattr(optax, name.lower())(lr, **given)

    def step(held: Any, grad: Any) -> Any:
        updates, moments = rule.update(grad, held[1], held[0])
        return (optax.apply_updates(held[0], updates), moments), {}

    start = (param, rule.init(jnp.array(param)))
    return _stepping(step, start, grad, arrays=lambda kept: {"param": np.array(kept[0][0])})


# ---- functions ------------------------------------------------------------------------------------------
def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    def passes(key: Any, x: Any, dy: Any) -> Any:
        key, now = jax.random.split(key)
        kept = jax.random.bernoulli(now, 1 - p, x.shape)
        y, pull = jax.vjp(lambda x: jnp.where(kept, x / (1 - p), 0), x)
        return key, {"y": y, "dx": pull(dy)[0]}

    return _stepping(passes, jax.random.key(0), x, dy, arrays=lambda kept: dropped(x, dy, _numpy(kept[1]), p))


def norm(x: np.ndarray, order: float, axis: int | None) -> Work:
    return _compiled(lambda x: {"norm": jnp.linalg.norm(x, order, axis)}, x)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    def both(logits: Any, targets: Any) -> dict[str, Any]:
        return dict(zip(("loss", "gradient"), jax.value_and_grad(_cross_entropy)(logits, targets), strict=True))

    return _compiled(both, logits, targets)


def hessian_product(weights: dict, along: dict, x: np.ndarray, y: np.ndarray) -> Work:
    """`jvp` of `grad`; what compiling takes is the first call's."""

    def loss(weights: Weights) -> Any:
        return _cross_entropy(forward(weights, x)[0], y)

    def product(out: Any) -> Arrays:
        """In fastdl's order and layout."""
        parts = [np.asarray(out[name]) for name in weights]
        turned = [part.T if part.ndim == 2 and at else part for at, part in enumerate(parts)]  # but the embedding's
        return {"product": np.concatenate([part.reshape(-1) for part in turned])}

    return _compiled(lambda at, along: jax.jvp(jax.grad(loss), (at,), (along,))[1], weights, along, arrays=product)


def _cross_entropy(logits: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1).mean()
