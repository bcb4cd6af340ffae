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

from ._common import GATES, as_loss, by_layer, dropped, under
from ._table import Missing, Work

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


def recurrent(kind: str, weights: dict, x: np.ndarray, dy: np.ndarray, lengths: np.ndarray | None = None) -> Work:
    mask = None if lengths is None else jnp.asarray(np.arange(len(x))[:, None] < lengths)[:, :, None]

    @jax.jit
    def passes(weights: Weights, x: Any, dy: Any) -> Any:
        y, pull = jax.vjp(lambda weights, x: stack(kind, weights, x, mask), weights, x)
        return y, *pull(dy)

    given = jax.tree.map(jnp.array, (weights, x, dy))
    return Work(
        lambda: jax.block_until_ready(passes(*given)),
        arrays=lambda out: _numpy({"y": out[0], "dx": out[2], "dW": out[1]["weight_ih_l0"]}),
    )


def stack(kind: str, weights: Weights, x: Any, mask: Any) -> Any:
    """Outputs of layers on each other, the second direction of each beside the first."""
    for directions in by_layer(weights):
        ways = zip(directions, (slice(None), slice(None, None, -1)), strict=False)
        x = jnp.concatenate([layer(kind, own, x[way], mask=mask)[0][way] for own, way in ways], axis=2)
    return x


def layer(kind: str, weights: Weights, x: Any, state: Any = None, mask: Any = None) -> tuple[Any, Any]:
    """Outputs and the last state of a recurrent layer with torch's weights; masked steps give zero."""
    W, R, b, c = (weights[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    start = jnp.zeros((x.shape[1], R.shape[1]), x.dtype)
    inputs = x @ W.T + b  # of all times at once

    def cell(state: Any, given: Any) -> Any:
        z, kept = given
        after = CELLS[kind](state, z, state[0] @ R.T + c)
        if kept is not None:
            after = tuple(jnp.where(kept, new, old) for new, old in zip(after, state, strict=True))
        return after, after[0] if kept is None else jnp.where(kept, after[0], 0)

    state, h = jax.lax.scan(cell, state or (start,) * (2 if kind == "LSTM" else 1), (inputs, mask))
    return h, state


def _lstm(state: Any, z: Any, r: Any) -> Any:
    i, f, g, o = jnp.split(z + r, GATES["LSTM"], axis=1)
    c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _gru(state: Any, z: Any, r: Any) -> Any:
    (reset, update, new), (r_reset, r_update, r_new) = (jnp.split(part, GATES["GRU"], axis=1) for part in (z, r))
    n = jnp.tanh(new + jax.nn.sigmoid(reset + r_reset) * r_new)
    u = jax.nn.sigmoid(update + r_update)
    return ((1 - u) * n + u * state[0],)


CELLS = {"LSTM": _lstm, "GRU": _gru, "RNN": lambda state, z, r: (jnp.tanh(z + r),)}


def language_model(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Work:
    """bias_hh stays at zero, since Keras and thinc have one bias."""
    optax = _optax()
    fixed = {"bias_hh_l0": jnp.array(weights["lstm.bias_hh_l0"])}
    hidden = weights["linear.weight"].shape[1]

    def loss_of(weights: Weights, state: Any, x: Any, y: Any) -> Any:
        h, state = layer(
            "LSTM", under("lstm", weights) | fixed, weights["embedding.weight"][x] if x.ndim == 2 else x, state
        )
        return _cross_entropy(_affine(weights, "linear", h), y), state

    trained = {key: value for key, value in weights.items() if not key.endswith("bias_hh_l0")}
    zeros = (jnp.zeros((x.shape[1], hidden)), jnp.zeros((x.shape[1], hidden)))
    return _training(loss_of, trained, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(lr)), zeros, x, y)


def classifier(weights: dict, x: np.ndarray, y: np.ndarray, lr: float) -> Work:
    def loss_of(weights: Weights, state: Any, x: Any, y: Any) -> Any:
        return _cross_entropy(_affine(weights, "output", jax.nn.relu(_affine(weights, "hidden", x))), y), state

    return _training(loss_of, weights, _optax().adam(lr), (), x, y)


def _training(loss_of: Callable[..., Any], weights: dict, rule: Any, state: Any, x: np.ndarray, y: np.ndarray) -> Work:
    """A compiled step: loss and gradient, the rule, the new weights and the state of the next step."""
    optax = _optax()

    @jax.jit
    def step(weights: Weights, moments: Any, state: Any, x: Any, y: Any) -> Any:
        (loss, state), gradient = jax.value_and_grad(loss_of, has_aux=True)(weights, state, x, y)
        updates, moments = rule.update(gradient, moments, weights)
        return optax.apply_updates(weights, updates), moments, state, loss

    weights = jax.tree.map(jnp.array, weights)
    held = [weights, rule.init(weights), state]

    def run() -> float:
        *held[:], loss = step(*held, x, y)
        return float(loss)

    return Work(run, arrays=as_loss)


def optimizer(name: str, settings: dict, lr: float, param: np.ndarray, grad: np.ndarray) -> Work:
    optax, (b1, b2) = _optax(), settings.get("betas", (0.9, 0.999))
    eps = settings.get("eps", 1e-8)
    rules = {
        "SGD": lambda: optax.sgd(lr, settings["momentum"], settings.get("nesterov", False)),
        "Adam": lambda: optax.adam(lr, b1, b2, eps),
        "AdamW": lambda: optax.adamw(lr, b1, b2, eps, weight_decay=settings["weight_decay"]),
        "RMSProp": lambda: optax.rmsprop(lr, settings["rho"], eps, centered=settings.get("centered", False)),
        "AdaGrad": lambda: optax.adagrad(lr, 0.0, eps),
    }
    if name not in rules:
        raise Missing(name)
    rule = rules[name]()

    def step(param: Any, moments: Any, grad: Any) -> Any:
        updates, moments = rule.update(grad, moments, param)
        return optax.apply_updates(param, updates), moments

    compiled = jax.jit(step, donate_argnums=(0, 1))  # in place, as far as XLA can
    slope, param = jnp.array(grad), jnp.array(param)
    held = [param, rule.init(param)]

    def run() -> Any:
        held[:] = compiled(*held, slope)
        return jax.block_until_ready(held[0])

    return Work(run, arrays=lambda out: {"param": np.array(out)})  # copied: the next step takes the array's memory


def dropout(x: np.ndarray, dy: np.ndarray, p: float) -> Work:
    @jax.jit
    def passes(key: Any, x: Any, dy: Any) -> Any:
        key, now = jax.random.split(key)
        kept = jax.random.bernoulli(now, 1 - p, x.shape)
        y, pull = jax.vjp(lambda x: jnp.where(kept, x / (1 - p), 0), x)
        return key, y, *pull(dy)

    given, held = (jnp.array(x), jnp.array(dy)), [jax.random.key(0)]

    def run() -> Any:
        held[0], *out = jax.block_until_ready(passes(held[0], *given))
        return out

    return Work(run, arrays=lambda out: dropped(x, dy, [np.asarray(one) for one in out], p))


def norm(x: np.ndarray, order: float, axis: int | None) -> Work:
    compiled, given = jax.jit(lambda x: jnp.linalg.norm(x, order, axis)), jnp.array(x)
    return Work(lambda: jax.block_until_ready(compiled(given)), arrays=lambda out: _numpy({"norm": out}))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    compiled, given = jax.jit(jax.value_and_grad(_cross_entropy)), (jnp.array(logits), jnp.array(targets))
    return Work(
        lambda: jax.block_until_ready(compiled(*given)), arrays=lambda out: _numpy({"loss": out[0], "gradient": out[1]})
    )


def hessian_product(weights: dict, along: dict, x: np.ndarray, y: np.ndarray) -> Work:
    """`jvp` of `grad`; what compiling takes is the first call's."""
    given = jax.tree.map(jnp.array, (weights, along))

    def loss(weights: Weights) -> Any:
        h = stack("LSTM", under("lstm", weights), weights["embedding.weight"][x], None)
        return _cross_entropy(_affine(weights, "linear", h), y)

    compiled = jax.jit(lambda at, along: jax.jvp(jax.grad(loss), (at,), (along,))[1])

    def product(out: Any) -> dict[str, np.ndarray]:
        """In fastdl's order and layout."""
        parts = [np.asarray(out[name]) for name in weights]
        turned = [part.T if part.ndim == 2 and at else part for at, part in enumerate(parts)]  # but the embedding's
        return {"product": np.concatenate([part.reshape(-1) for part in turned])}

    return Work(lambda: jax.block_until_ready(compiled(*given)), arrays=product)


def _affine(weights: Weights, name: str, x: Any) -> Any:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _cross_entropy(logits: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[..., None], -1).mean()


def _numpy(arrays: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in arrays.items()}
