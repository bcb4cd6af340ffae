"""Products of arrays, and functions of matrices."""

import functools

import numpy as np

from .._traced import MANY, TABLE, Function, Traced, strange, undispatched
from ._table import composed, row


def _left(dy, y, a, b):
    """The gradient of a @ b with respect to a: dy b^T."""
    if b.ndim == 1:
        return dy[..., None] * b
    if a.ndim == 1:
        return (b @ dy[..., None])[..., 0]
    return dy @ b.swapaxes(-1, -2)


def _right(dy, y, a, b):
    """The gradient of a @ b with respect to b: a^T dy."""
    if a.ndim == 1:
        return dy[..., None, :] * a[:, None] if b.ndim > 1 else dy * a
    if b.ndim == 1:
        return (a.swapaxes(-1, -2) @ dy[..., None])[..., 0]
    if b.ndim == 2:
        return a.reshape(-1, a.shape[-1]).T @ dy.reshape(-1, dy.shape[-1])
    return a.swapaxes(-1, -2) @ dy


row(np.matmul, _left, _right)


def _contracted(axis):
    """The rules of a product summed over the last axis of a and that axis of b (its only one, where it has one)."""

    def flat(b):
        return np.moveaxis(b, axis if b.ndim > 1 else 0, 0).reshape(b.shape[axis if b.ndim > 1 else 0], -1)

    def left(dy, y, a, b):
        if np.ndim(a) == 0 or np.ndim(b) == 0:
            return dy * b
        columns = flat(b)
        return (dy.reshape(-1, columns.shape[1]) @ columns.T).reshape(a.shape) if a.size else np.zeros_like(a)

    def right(dy, y, a, b):
        if np.ndim(a) == 0 or np.ndim(b) == 0:
            return dy * a
        rows = a.reshape(-1, a.shape[-1]) if a.size else np.zeros((0, a.shape[-1]), a.dtype)
        whole = rows.T @ dy.reshape(len(rows), -1) if dy.size else np.zeros((a.shape[-1], 1))
        if not dy.size:
            return np.zeros_like(b)
        others = [size for k, size in enumerate(b.shape) if k != axis % b.ndim]
        return np.moveaxis(whole.reshape(a.shape[-1], *others), 0, axis if b.ndim > 1 else 0)

    return left, right


row(np.dot, *_contracted(-2))
row(np.inner, *_contracted(-1))
composed(np.vdot, lambda a, b: np.dot(np.reshape(a, -1), np.reshape(b, -1)))
composed(np.outer, lambda a, b: np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1)))
if hasattr(np, "vecdot"):
    row(
        np.vecdot,
        lambda dy, y, x1, x2, axis=-1: np.expand_dims(dy, axis) * x2,
        lambda dy, y, x1, x2, axis=-1: np.expand_dims(dy, axis) * x1,
    )


def _tensordot(a, b, axes=2):
    """As NumPy does it: the summed axes last of a and first of b, then one product of matrices."""
    if np.ndim(axes) == 0:
        axes = list(range(-axes, 0)), list(range(axes))
    first, second = ([one] if np.ndim(one) == 0 else list(one) for one in axes)
    first, second = [k % np.ndim(a) for k in first], [k % np.ndim(b) for k in second]
    left = [k for k in range(np.ndim(a)) if k not in first]
    right = [k for k in range(np.ndim(b)) if k not in second]
    shape = [np.shape(a)[k] for k in left] + [np.shape(b)[k] for k in right]
    size = int(np.prod([np.shape(a)[k] for k in first]))
    rows, columns = int(np.prod(shape[: len(left)])), int(np.prod(shape[len(left) :]))
    a = np.reshape(np.transpose(a, left + first), (rows, size))
    b = np.reshape(np.transpose(b, second + right), (size, columns))
    return np.reshape(np.matmul(a, b), shape)


composed(np.tensordot, _tensordot)

# ---- Einstein's sums ----------------------------------------------------------------------------------------


_sum_of = undispatched(np.einsum)


def _einsum(subscripts, *operands, optimize=False, **others):
    if others:
        raise strange(np.einsum, next(iter(others)))
    if not isinstance(subscripts, str):
        raise TypeError("np.einsum: expected the subscripts as a string before traced arrays")
    optimize = optimize if isinstance(optimize, (bool, str)) else tuple(optimize)
    ndims = tuple([one._value.ndim if one.__class__ is Traced else np.ndim(one) for one in operands])
    return _einsum_row(subscripts, ndims, optimize).record(operands)


@functools.lru_cache(maxsize=256)
def _einsum_row(subscripts, ndims, optimize):
    """The row for one text of subscripts."""
    inputs, output = _explicit(subscripts, ndims)
    path = optimize if isinstance(optimize, (str, bool)) else list(optimize)
    rules = [_einsum_rule(place, inputs, output, optimize) for place in range(len(ndims))]
    direct = functools.partial(_sum_of, subscripts, optimize=path)

    @functools.wraps(np.einsum)
    def function(*operands):
        return np.einsum(subscripts, *operands, optimize=path)

    return Function(function, rules, (), MANY, direct=direct)


def _explicit(subscripts, ndims):
    """The labels of each operand and of the result, ``...`` and what is left out spelled out."""
    given, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = given.split(",")
    free = [label for label in "ZYXWVUTSRQPONMLKJIHGFEDCBA" if label not in given]
    longest = max((ndim - len(one) + 3 for one, ndim in zip(inputs, ndims, strict=True) if "..." in one), default=0)
    spelled = "".join(free[:longest])
    full = []
    for one, ndim in zip(inputs, ndims, strict=True):
        count = ndim - len(one) + 3
        full.append(one.replace("...", spelled[longest - count :] if count else ""))
    if not arrow:
        own = sorted(label for label in set(given.replace("...", "").replace(",", "")) if given.count(label) == 1)
        output = spelled + "".join(own)
    return tuple(full), output.replace("...", spelled)


def _einsum_rule(place, inputs, output, optimize):
    """The same sum with dy in the operand's place."""
    own = inputs[place]
    labels = "".join(dict.fromkeys(own))
    others = inputs[:place] + inputs[place + 1 :]
    known = set(output).union(*[set(one) for one in others])
    summed = "".join(label for label in labels if label in known)
    expression = f"{','.join([output, *others])}->{summed}"
    optimize = optimize if isinstance(optimize, (str, bool)) else True  # a path is that of the forward alone

    def rule(dy, y, *operands):
        gradient = _sum_of(expression, dy, *operands[:place], *operands[place + 1 :], optimize=optimize)
        return gradient if summed == own else _spelled(gradient, np.shape(operands[place]), own, labels, summed)

    return rule


def _spelled(gradient, shape, own, labels, summed):
    """The gradient with respect to an operand, from the labels `summed` to all labels that the operand has."""
    sizes = dict(zip(own, shape, strict=True))
    if summed != labels:  # summed over with nothing beside it: dy at each of its elements
        index = tuple(slice(None) if label in summed else None for label in labels)
        sizes |= dict(zip(summed, gradient.shape, strict=True))
        gradient = np.broadcast_to(gradient[index], [sizes[label] for label in labels])
    if labels == own:
        return gradient
    total = np.zeros(shape, gradient.dtype)  # a label twice: the diagonal
    np.einsum(f"{own}->{labels}", total)[...] = gradient
    return total


TABLE[np.einsum] = _einsum  # which refuses what it does not take, at less cost than `composed` would

# ---- of matrices --------------------------------------------------------------------------------------------


def _t(a):
    return np.swapaxes(a, -1, -2)


row(np.linalg.inv, lambda dy, y, a: -_t(y) @ dy @ _t(y))
row(np.linalg.det, lambda dy, y, a: (dy * y)[..., None, None] * _t(np.linalg.inv(a)))


def _log_determinant(a):
    return np.linalg.slogdet(a)[1]


_LOG_DETERMINANT = Function(
    _log_determinant, (lambda dy, y, a: dy[..., None, None] * _t(np.linalg.inv(a)),), ("a",), 1
)  # fmt: skip


def _slogdet(a):
    """The sign is constant."""
    found = np.linalg.slogdet(a._value)
    return type(found)(found[0], _LOG_DETERMINANT(a))


composed(np.linalg.slogdet, _slogdet)


def _solved(dy, y, a, b):
    """The gradient of solve(a, b) with respect to b: a^-T dy."""
    one = b.ndim == 1
    found = np.linalg.solve(_t(a), dy[..., None] if one else dy)
    return found[..., 0] if one else found


def _solving(dy, y, a, b):
    db = _solved(dy, y, a, b)
    return -np.multiply.outer(db, y) if b.ndim == 1 and a.ndim == 2 else -db @ _t(y)


row(np.linalg.solve, _solving, _solved)


def _cholesky(dy, y, a):
    """L^-T Phi(L^T dL) L^-1, symmetric; Phi takes the lower triangle and halves the diagonal (Murray 2016)."""
    inner = np.tril(_t(y) @ np.tril(dy))
    inner = inner - np.eye(a.shape[-1], dtype=a.dtype) * inner / 2
    inverse = np.linalg.inv(y)
    whole = _t(inverse) @ inner @ inverse
    return (whole + _t(whole)) / 2


row(np.linalg.cholesky, _cholesky)


def _norm(x, ord=None, axis=None, keepdims=False):
    """Of vectors, and Frobenius' of matrices; the gradient at 0 is 0."""
    matrix = np.ndim(x) == 2 if axis is None else np.ndim(axis) == 1 and len(axis) == 2
    if ord not in (None, 2, "fro", 1, np.inf) or (ord in (2, 1, np.inf) and matrix):
        raise TypeError(
            f"np.linalg.norm: got ord={ord!r} of a traced array, expected None, 'fro', or 1, 2, inf of vectors"
        )
    return _NORM(x, ord, axis, keepdims)


def _of_norm(dy, y, x, ord=None, axis=None, keepdims=False):
    if not keepdims and axis is not None:
        dy, y = np.expand_dims(dy, axis), np.expand_dims(y, axis)
    if ord == 1:
        return dy * np.sign(x)
    if ord == np.inf:
        at = np.abs(x) == y
        return dy * np.sign(x) * at / at.sum(axis=axis, keepdims=True).astype(x.dtype)
    return dy * np.where(y == 0, 0, x / np.where(y == 0, 1, y))


_NORM = row(np.linalg.norm, _of_norm)
composed(np.linalg.norm, _norm)
