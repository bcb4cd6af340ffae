"""Update rules (3.1) to (3.11) in plain NumPy."""

import math

import numpy as np


def _gradient(param, grad, scale, maximize, weight_decay, decoupled):
    g = (-scale if maximize else scale) * grad
    return g if decoupled or weight_decay == 0 else g + weight_decay * param


def _move(param, change, lr, weight_decay, decoupled, l1):
    if decoupled and weight_decay != 0:
        param[...] = (1 - lr * weight_decay) * param
    param -= change
    if l1 != 0:  # the proximal operator of lr * l1 * |param|, (1.9)
        s = param.dtype.type(lr * l1)
        param[...] = np.where(param > s, param - s, np.where(param < -s, param + s, param * 0))


def sgd_update(
    param, grad, velocity=None, *, step=1, lr=0.01, momentum=0.0, dampening=0.0, nesterov=False,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    if momentum == 0:
        return _move(param, lr * g, lr, weight_decay, decoupled_weight_decay, l1)
    rate, gain = (lr, 1 - dampening if step > 1 else 1) if variant in ("torch", "optax") else (1, lr)
    velocity[...] = momentum * velocity + gain * g
    change = rate * (momentum * velocity + gain * g) if nesterov else rate * velocity
    return _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def adam_update(
    param, grad, m, v, *, step, lr=0.001, betas=(0.9, 0.999), eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    beta1, beta2 = betas
    eps = (1e-7 if variant == "keras" else 1e-8) if eps is None else eps
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * (g * g)
    root = math.sqrt(1 - beta2**step)
    rate = lr / (1 - beta1**step)
    if variant == "keras":
        change = (rate * root) * (m / (np.sqrt(v) + eps))
    else:
        change = rate * (m / (np.sqrt(v) * (1 / root) + eps))
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)
