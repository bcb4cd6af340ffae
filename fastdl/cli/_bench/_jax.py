"""The tour's work by JAX, each compiled for its shape before it is timed; Adam is written out, for JAX has none."""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp

DISTRIBUTION = "jax"
Work = Callable[[], Any]


def set_threads(threads: int) -> str:
    """XLA makes its threads when it is first used, and asks this variable how many."""
    os.environ["NPROC"] = str(threads)
    return "threads as its variable NPROC asks for; it may use others beside."


def lstm(x: np.ndarray, W_x: np.ndarray, W_h: np.ndarray, b: np.ndarray, dh: np.ndarray) -> Work:
    @jax.jit
    def passes(x: Any, weights: Any, dh: Any) -> Any:
        _, back = jax.vjp(_lstm, x, weights)
        return back(dh)

    given = jax.tree.map(jnp.asarray, (x, (W_x, W_h, b), dh))
    return lambda: jax.block_until_ready(passes(*given))[0]


def _lstm(x: Any, weights: Any) -> Any:
    W_x, W_h, b = weights
    zeros = jnp.zeros((x.shape[1], W_h.shape[0]), x.dtype)

    def cell(state: Any, projected: Any) -> Any:
        i, f, g, o = jnp.split(projected + state[0] @ W_h, 4, axis=1)
        c = jax.nn.sigmoid(f) * state[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return jax.lax.scan(cell, (zeros, zeros), x @ W_x + b)[1]


def character_step(codes: np.ndarray, characters: int, hidden: int) -> Work:
    def logits(parameters: Any, x: Any) -> Any:
        table, W_x, W_h, b, W, bias = parameters
        return _lstm(table[x], (W_x, W_h, b)) @ W + bias

    shapes = [
        (characters, 64),
        (64, 4 * hidden),
        (hidden, 4 * hidden),
        (4 * hidden,),
        (hidden, characters),
        (characters,),
    ]
    return _step(logits, shapes, codes[:-1], codes[1:], clip=True)


def dense_step(x: np.ndarray, y: np.ndarray, hidden: int, classes: int) -> Work:
    def logits(parameters: Any, x: Any) -> Any:
        W, b, V, c = parameters
        return jax.nn.relu(x @ W + b) @ V + c

    return _step(logits, [(x.shape[1], hidden), (hidden,), (hidden, classes), (classes,)], x, y, clip=False)


def _step(logits: Callable[..., Any], shapes: list[Any], x: np.ndarray, y: np.ndarray, clip: bool) -> Work:
    rng = np.random.default_rng(0)
    parameters = [jnp.asarray(0.05 * rng.standard_normal(shape, np.float32)) for shape in shapes]
    held = [parameters, [jnp.zeros_like(p) for p in parameters], [jnp.zeros_like(p) for p in parameters]]
    inputs, targets = jnp.asarray(x), jnp.asarray(y)

    @jax.jit
    def step(count: Any, parameters: Any, m: Any, v: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(lambda values: _cross_entropy(logits(values, x), y))(parameters)
        if clip:
            whole = jnp.sqrt(sum((g * g).sum() for g in gradients))
            gradients = [g * jnp.minimum(1, 1 / (whole + 1e-6)) for g in gradients]
        moved = [_adam(count, *parts) for parts in zip(parameters, gradients, m, v, strict=True)]
        return [list(part) for part in zip(*moved, strict=True)]

    return _in_turn(step, held, inputs, targets)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> Work:
    gradient = jax.jit(jax.grad(_cross_entropy))
    inputs, classes = jnp.asarray(logits), jnp.asarray(targets)
    return lambda: gradient(inputs, classes).block_until_ready()


def adam(param: np.ndarray, gradient: np.ndarray) -> Work:
    held, slope = [jnp.asarray(param), jnp.zeros(param.size), jnp.zeros(param.size)], jnp.asarray(gradient)
    step = jax.jit(lambda count, param, m, v, slope: _adam(count, param, slope, m, v), donate_argnums=(1, 2, 3))
    return _in_turn(step, held, slope)


def norm(x: np.ndarray) -> Work:
    array, whole = jnp.asarray(x), jax.jit(jnp.linalg.norm)
    return lambda: whole(array).block_until_ready()


def dropout(x: np.ndarray) -> Work:
    array, key = jnp.asarray(x), jax.random.key(0)
    drop = jax.jit(lambda key, x: jnp.where(jax.random.bernoulli(key, 0.5, x.shape), 2 * x, 0))

    def work() -> None:
        drop(key, array).block_until_ready()

    return work


def _in_turn(step: Callable[..., Any], held: list[Any], *given: Any) -> Work:
    """A step that gives back what it is given next: parameters and their averages."""
    count = 0

    def work() -> None:
        nonlocal count
        count += 1
        held[:] = jax.block_until_ready(step(float(count), *held, *given))

    return work


def _adam(count: Any, param: Any, gradient: Any, m: Any, v: Any) -> Any:
    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
    change = (m / (1 - 0.9**count)) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
    return param - 1e-4 * change, m, v


def _cross_entropy(logits: Any, targets: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[..., None], -1).mean()
