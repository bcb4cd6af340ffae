"""Update rules (3.1) to (3.15) in plain NumPy. Everything is changed in place."""

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
        param -= np.minimum(np.maximum(param, -s), s)


def _default(value, variant, **defaults):
    return defaults.get(variant, defaults["torch"]) if value is None else value


def sgd_update(
    param, grad, velocity=None, *, step=1, lr=0.01, momentum=0.0, dampening=0.0, nesterov=False,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    if momentum == 0:
        change = lr * g
    else:
        inside = variant in ("keras", "paper", "course")
        rate, g = (1, lr * g) if inside else (lr, g if step == 1 else (1 - dampening) * g)
        velocity[...] = momentum * velocity + g
        change = rate * (momentum * velocity + g if nesterov else velocity)
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def adagrad_update(
    param, grad, square_sum, *, step=1, lr=0.01, lr_decay=0.0, eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    eps = _default(eps, variant, torch=1e-10, keras=1e-7, optax=1e-7)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    square_sum += g * g
    d = np.sqrt(square_sum + eps) if variant in ("keras", "optax") else np.sqrt(square_sum) + eps
    rate = lr / (1 + (step - 1) * lr_decay)
    _move(param, rate * (g / d), lr, weight_decay, decoupled_weight_decay, l1)


def rmsprop_update(
    param, grad, square_avg, grad_avg=None, velocity=None, *, step=1, lr=0.01, rho=None, eps=None,
    momentum=0.0, centered=False,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    rho = _default(rho, variant, torch=0.99, keras=0.9, optax=0.9)
    eps = _default(eps, variant, torch=1e-8, keras=1e-7)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    if centered:
        off = g - grad_avg
        square_avg[...] = rho * (square_avg + (1 - rho) * off * off)
        grad_avg[...] = rho * grad_avg + (1 - rho) * g
    else:
        square_avg[...] = rho * square_avg + (1 - rho) * g * g
    inside = variant in ("keras", "optax", "paper")
    change = g / (np.sqrt(square_avg + eps) if inside else np.sqrt(square_avg) + eps)
    if momentum == 0:
        change = lr * change
    elif variant == "torch":
        velocity[...] = momentum * velocity + change
        change = lr * velocity
    else:
        velocity[...] = momentum * velocity + lr * change
        change = velocity
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def adadelta_update(
    param, grad, square_avg, delta_avg, *, step=1, lr=1.0, rho=None, eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    rho = _default(rho, variant, torch=0.9, keras=0.95)
    eps = _default(eps, variant, torch=1e-6, keras=1e-7)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    square_avg[...] = rho * square_avg + (1 - rho) * g * g
    delta = np.sqrt(delta_avg + eps) / np.sqrt(square_avg + eps) * g
    delta_avg[...] = rho * delta_avg + (1 - rho) * delta * delta
    _move(param, lr * delta, lr, weight_decay, decoupled_weight_decay, l1)


def _means(m, v, g, betas):
    m[...] = betas[0] * m + (1 - betas[0]) * g
    v[...] = betas[1] * v + (1 - betas[1]) * g * g
    return m, v


def adam_update(
    param, grad, m, v, *, step, lr=0.001, betas=(0.9, 0.999), eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    eps = _default(eps, variant, torch=1e-8, keras=1e-7)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    m, v = _means(m, v, g, betas)
    rate, root = lr / (1 - betas[0] ** step), math.sqrt(1 - betas[1] ** step)
    if variant == "keras":
        change = (rate * root) * (m / (np.sqrt(v) + eps))
    else:
        change = rate * (m / (np.sqrt(v) * (1 / root) + eps))
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def amsgrad_update(
    param, grad, m, v, v_max, *, step, lr=0.001, betas=(0.9, 0.999), eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    eps = _default(eps, variant, torch=1e-8, keras=1e-7)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    m, v = _means(m, v, g, betas)
    correction = 1 - betas[1] ** step
    v_max[...] = np.maximum(v_max, 1 / correction * v if variant == "optax" else v)
    rate, root = lr / (1 - betas[0] ** step), math.sqrt(correction)
    if variant == "paper":
        change = lr * (m / (np.sqrt(v_max) + eps))
    elif variant == "optax":
        change = rate * (m / (np.sqrt(v_max) + eps))
    elif variant == "keras":
        change = (rate * root) * (m / (np.sqrt(v_max) + eps))
    else:
        change = rate * (m / (np.sqrt(v_max) * (1 / root) + eps))
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def nadam_update(
    param, grad, m, v, *, step, lr=0.002, betas=(0.9, 0.999), eps=None, momentum_decay=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    eps = _default(eps, variant, torch=1e-8, keras=1e-7)
    decay = _default(momentum_decay, variant, torch=0.004, keras=1.0)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    m, v = _means(m, v, g, betas)
    beta1 = betas[0]
    if variant == "optax":
        rate = lr * beta1 / (1 - beta1 ** (step + 1))
        fresh = lr * (1 - beta1) / (1 - beta1**step)
    else:
        now, following = _mu(beta1, decay, step), _mu(beta1, decay, step + 1)
        product = _product_of_mu(beta1, decay, step)
        rate = lr * following / (1 - product * following)
        fresh = lr * (1 - now) / (1 - product)
    change = (rate * m + fresh * g) / (np.sqrt(v) * (1 / math.sqrt(1 - betas[1] ** step)) + eps)
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def _mu(beta1, decay, t):
    return beta1 * (1 - 0.5 * 0.96 ** (t * decay))


_PRODUCTS = {}  # of mu up to every step, without which a long run takes the square of its steps


def _product_of_mu(beta1, decay, step):
    products = _PRODUCTS.setdefault((beta1, decay), [1.0])
    while len(products) <= step:
        products.append(products[-1] * _mu(beta1, decay, len(products)))
    return products[step]


def _bent(y):
    """(1 - y / (exp(y) - 1)) / y"""
    if abs(y) < 0.25:
        z = y * y
        return 0.5 - y * (1 / 12 - z * (1 / 720 - z * (1 / 30240 - z * (1 / 1209600 - z / 47900160))))
    return (1 - y / math.expm1(min(y, 700.0))) / y


def _length(beta2, step):
    """2 / (1 - beta2) - 1 - 2 step beta2^step / (1 - beta2^step), without cancellation."""
    if beta2 == 0:
        return 1.0
    x = -math.log(beta2)
    return 2 * _bent(-x) + 2 * step * _bent(step * x) - 1


def radam_update(
    param, grad, m, v, *, step, lr=0.001, betas=(0.9, 0.999), eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    eps = _default(eps, variant, torch=1e-8)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    m, v = _means(m, v, g, betas)
    rate, power = lr / (1 - betas[0] ** step), betas[1] ** step
    longest = 2 / (1 - betas[1]) - 1
    length = _length(betas[1], step)
    if length > (4 if variant == "paper" else 5):
        top = (length - 4) * (length - 2) * longest
        rate = rate * math.sqrt(top / ((longest - 4) * (longest - 2) * length))
        if variant == "optax":
            change = rate * (m / (np.sqrt(v) * (1 / math.sqrt(1 - power)) + eps))
        else:
            change = (rate * math.sqrt(1 - power)) * (m / (np.sqrt(v) + eps))
    else:
        change = rate * m
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def adamax_update(
    param, grad, m, u, *, step, lr=0.002, betas=(0.9, 0.999), eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    eps = _default(eps, variant, torch=1e-8, keras=1e-7)
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    m[...] = betas[0] * m + (1 - betas[0]) * g
    eps_in, eps_out = (eps, 0) if variant in ("torch", "optax") else (0, eps)
    u[...] = np.maximum(betas[1] * u, np.abs(g) + eps_in)
    change = lr / (1 - betas[0] ** step) * (m / (u + eps_out))
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def lion_update(
    param, grad, m, *, step=1, lr=0.0001, betas=(0.9, 0.99),
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    change = lr * np.sign(betas[0] * m + (1 - betas[0]) * g)
    m[...] = betas[1] * m + (1 - betas[1]) * g
    _move(param, change, lr, weight_decay, decoupled_weight_decay, l1)


def asgd_update(
    param, grad, average, *, step, lr=0.01, lambd=0.0001, alpha=0.75, t0=1e6,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    rate = lr * math.exp(-alpha * math.log1p(min(lambd * lr * (step - 1), 1e300)))  # lr / (1 + ...) ** alpha
    _move(param, rate * (g + lambd * param), lr, weight_decay, decoupled_weight_decay, l1)
    mu = 1 / max(1, step - 1 - t0)
    average[...] = param if mu == 1 else average + mu * (param - average)


def rprop_update(
    param, grad, prev, step_size, *, step, lr=0.01, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0),
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    if step == 1:
        step_size[...] = lr
    trend = g * prev
    step_size[trend > 0] *= etas[1]
    step_size[trend < 0] *= etas[0]
    step_size[...] = np.minimum(np.maximum(step_size, step_sizes[0]), step_sizes[1])
    prev[...] = np.where(trend < 0, 0, g)
    _move(param, np.sign(prev) * step_size, lr, weight_decay, decoupled_weight_decay, l1)


def adafactor_update(
    param, grad, row_var=None, col_var=None, variance=None, *, step, lr=0.01, beta2_decay=-0.8, eps1=None, eps2=0.001,
    d=1.0,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    if param.size == 0:
        return
    eps1 = np.finfo(param.dtype).eps if eps1 is None else eps1
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    fresh, squares = step**beta2_decay, g.astype(np.float64) ** 2
    if param.ndim < 2:
        variance += fresh * (squares - variance)
        v = variance
    else:
        row_var += fresh * (squares.mean(-1) - row_var)
        col_var += fresh * (squares.mean(-2) - col_var)
        of_all = np.maximum(row_var.astype(np.float64).mean(-1, keepdims=True), eps1)
        v = (row_var / of_all).astype(param.dtype)[..., None] * col_var[..., None, :]
    u = g / np.sqrt(np.maximum(v, param.dtype.type(eps1 * eps1)))
    rate = min(lr, 1 / math.sqrt(step)) * max(eps2, _rms(param)) / max(1.0, _rms(u) / d)
    _move(param, rate * u, lr, weight_decay, decoupled_weight_decay, l1)


def _rms(x):
    return math.sqrt(np.mean(x.astype(np.float64) ** 2))


def muon_update(
    param, grad, momentum_buffer, *, step=1, lr=0.001, momentum=0.95, nesterov=True,
    ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn="original",
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    if param.size == 0:
        return
    g = _gradient(param, grad, grad_scale, maximize, weight_decay, decoupled_weight_decay)
    momentum_buffer[...] = momentum * momentum_buffer + (1 - momentum) * g
    x = momentum * momentum_buffer + (1 - momentum) * g if nesterov else momentum_buffer
    (a, b, c), (rows, columns) = ns_coefficients, param.shape
    x = (x.T if rows > columns else x) / max(math.sqrt(np.sum(x.astype(np.float64) ** 2)), eps)
    for _ in range(ns_steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    rate = lr * (math.sqrt(max(1, rows / columns)) if adjust_lr_fn == "original" else 0.2 * math.sqrt(max(param.shape)))
    _move(param, rate * (x.T if rows > columns else x), lr, weight_decay, decoupled_weight_decay, l1)


def average_update(average, param, weight):
    average += weight * (param - average)


def sum_rows(rows, values):
    distinct, place = np.unique(rows, return_inverse=True)
    sums = np.zeros((distinct.size, values.shape[1]), values.dtype)
    np.add.at(sums, place, values)
    return distinct, sums


def _rows(update, param, rows, values, *states, **settings):
    rows, values = sum_rows(rows, values)
    touched = [array[rows] for array in (param, *states)]
    update(touched[0], values, *touched[1:], **settings)
    for array, new in zip((param, *states), touched, strict=True):
        array[rows] = new


def sgd_update_rows(
    param, rows, values, *, step=1, lr=0.01,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    _rows(sgd_update, param, rows, values, step=step, lr=lr,
          weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay, l1=l1, maximize=maximize,
          grad_scale=grad_scale, variant=variant)  # fmt: skip


def adagrad_update_rows(
    param, rows, values, square_sum, *, step=1, lr=0.01, lr_decay=0.0, eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    _rows(adagrad_update, param, rows, values, square_sum, step=step, lr=lr, lr_decay=lr_decay, eps=eps,
          weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay, l1=l1, maximize=maximize,
          grad_scale=grad_scale, variant=variant)  # fmt: skip


def adam_update_rows(
    param, rows, values, m, v, *, step, lr=0.001, betas=(0.9, 0.999), eps=None,
    weight_decay=0.0, decoupled_weight_decay=False, l1=0.0, maximize=False, grad_scale=1.0, variant="torch",
):  # fmt: skip
    _rows(adam_update, param, rows, values, m, v, step=step, lr=lr, betas=betas, eps=eps,
          weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay, l1=l1, maximize=maximize,
          grad_scale=grad_scale, variant=variant)  # fmt: skip
