"""For every row of the table of derivatives a call to try it with: arrays that are differentiated, and the call.

A row without a case fails tests/test_derivative_table.py.
"""

import numpy as np

import fastdl as fd

RNG = np.random.default_rng(11)


def normal(*shape):
    return RNG.normal(size=shape)


def apart(*shape):
    """Away from 0, and no two alike."""
    values = np.linspace(0.3, 2.0, int(np.prod(shape)))
    return RNG.permutation(values * RNG.choice([-1, 1], values.size)).reshape(shape)


def positive(*shape):
    return np.abs(apart(*shape))


def within(*shape):
    """In (-1, 1)."""
    return RNG.uniform(-0.9, 0.9, shape)


X, Y, ROW, SPD = apart(3, 4), apart(3, 4), apart(4), None
SQUARE = normal(3, 3) + 4 * np.eye(3)
SPD = SQUARE @ SQUARE.T

ANY = (
    "negative positive square exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh cbrt absolute fabs sinc "
    "deg2rad rad2deg radians degrees reciprocal"
)
UFUNCS = {getattr(np, name): [(X,)] for name in ANY.split()}
UFUNCS |= {getattr(np, name): [(positive(3, 4),)] for name in ("log", "log2", "log10", "log1p", "sqrt")}
UFUNCS |= {getattr(np, name): [(within(3, 4),)] for name in ("arcsin", "arccos", "arctanh")}
UFUNCS |= {np.arccosh: [(1 + positive(3, 4),)]}
TWO = "add subtract multiply true_divide maximum minimum fmax fmin logaddexp logaddexp2 arctan2 hypot"
UFUNCS |= {getattr(np, name): [(X, Y), (X, ROW), (apart(3, 1), ROW), (2.5, Y), (X, 1.5)] for name in TWO.split()}
UFUNCS |= {
    np.power: [(positive(3, 4), Y), (X, 2), (X, 3.0), (2.0, Y), (X, 0), (X, np.array([0.0, 1, 2, 3]))],
    np.float_power: [(positive(3, 4), Y)],
    np.copysign: [(X, -1.0)],
    np.remainder: [(np.array([0.5, 2.2, -1.3]), np.array([0.4, -0.7, 0.5])), (X, 7.0)],
    np.fmod: [(np.array([0.5, 2.2, -1.3]), np.array([0.4, -0.7, 0.5])), (X, 7.0)],
    np.matmul: [
        (normal(2, 3), normal(3, 4)),
        (normal(3), normal(3)),
        (normal(3), normal(3, 4)),
        (normal(2, 3), normal(3)),
        (normal(5, 2, 3), normal(3, 4)),
        (normal(5, 2, 3), normal(5, 3, 4)),
        (normal(2, 3), normal(5, 3, 4)),
        (normal(3), normal(5, 3, 4)),
        (normal(5, 2, 3), normal(3)),
    ],
    np.nan_to_num: [(X,)],
}

T = normal(2, 3, 4)
TIES = np.array([[1.0, 5, 5, 2], [3, 3, 3, 3], [0, 1, 0, 1]])
CALLS = {
    np.sum: [
        lambda x: np.sum(x),
        lambda x: x.sum(0),
        lambda x: x.sum((0, 2)),
        lambda x: np.sum(x, axis=1, keepdims=True),
        lambda x: x.sum(keepdims=True),
    ],
    np.mean: [lambda x: x.mean(), lambda x: x.mean(-1), lambda x: np.mean(x, axis=(0, 1), keepdims=True)],
    np.var: [lambda x: x.var(), lambda x: x.var(1, ddof=1), lambda x: np.var(x, axis=0, keepdims=True)],
    np.std: [lambda x: x.std(), lambda x: np.std(x, axis=1, ddof=1), lambda x: x.std(0, keepdims=True)],
    np.prod: [
        lambda x: x.prod(),
        lambda x: x.prod(1),
        lambda x: np.prod(x, axis=0, keepdims=True),
        lambda x: np.prod(x * np.array([1.0, 0, 1, 1]), axis=2),
        lambda x: np.prod(x * np.array([0.0, 0, 1, 1]), -1),
    ],
    np.max: [lambda x: x.max(), lambda x: x.max(1), lambda x: np.max(x, axis=(0, 2), keepdims=True)],
    np.min: [lambda x: x.min(), lambda x: x.min(1), lambda x: np.min(x, axis=0, keepdims=True)],
    np.amax: [lambda x: np.amax(x, 1)],
    np.amin: [lambda x: np.amin(x, 1)],
    np.ptp: [lambda x: np.ptp(x), lambda x: np.ptp(x, 1)],
    np.median: [
        lambda x: np.median(x),
        lambda x: np.median(x, 1),
        lambda x: np.median(x, (0, 2)),
        lambda x: np.median(x, 2, keepdims=True),
    ],
    np.cumsum: [lambda x: x.cumsum(), lambda x: np.cumsum(x, 1)],
    np.average: [
        lambda x: np.average(x),
        lambda x: np.average(x, 1, weights=[1.0, 2, 3]),
        lambda x: np.average(x, weights=np.abs(T)),
        lambda x: np.average(np.ones((3, 2)) * [[1], [2], [4]], 0, weights=np.abs(x[0, :, 0])),
        lambda x: np.average(T, 1, weights=x * x, keepdims=True),
        lambda x: np.average(T, axis=(2, 0), weights=x[:, 0].T ** 2),
    ],
    np.sort: [lambda x: np.sort(x), lambda x: np.sort(x, axis=0), lambda x: np.sort(x, axis=None)],
    np.clip: [
        lambda x: x.clip(-0.5, 0.5),
        lambda x: np.clip(x, None, 0.2),
        lambda x: np.clip(x, a_min=0.1, a_max=None),
    ],
    np.unique: [lambda x: np.unique(x), lambda x: np.unique(np.round(x * 0) + x[:1], return_counts=True)[0]],
    np.full_like: [lambda x: np.full_like(x, x[0, 0, 0]), lambda x: np.full_like(x[0], x[1, 0])],
    np.reshape: [lambda x: x.reshape(6, 4), lambda x: x.reshape((4, -1)), lambda x: np.reshape(x, -1)],
    np.ravel: [lambda x: x.ravel(), lambda x: x.flatten()],
    np.expand_dims: [lambda x: np.expand_dims(x, 1)],
    np.squeeze: [lambda x: np.squeeze(x[:1]), lambda x: x[:, :1].squeeze(1)],
    np.atleast_1d: [lambda x: np.atleast_1d(x.sum())],
    np.atleast_2d: [lambda x: np.atleast_2d(x[0, 0])],
    np.atleast_3d: [lambda x: np.atleast_3d(x[0])],
    np.transpose: [lambda x: x.T, lambda x: x.transpose(1, 2, 0), lambda x: np.transpose(x, (2, 0, 1))],
    np.permute_dims: [lambda x: np.permute_dims(x, (1, 2, 0))],
    np.matrix_transpose: [lambda x: np.matrix_transpose(x), lambda x: x.mT],
    np.swapaxes: [lambda x: x.swapaxes(0, 2), lambda x: np.swapaxes(x, 1, -1)],
    np.moveaxis: [lambda x: np.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, (0, 1), (2, 0))],
    np.rollaxis: [lambda x: np.rollaxis(x, 2), lambda x: np.rollaxis(x, 0, 2), lambda x: np.rollaxis(x, 0, -1)],
    np.broadcast_to: [lambda x: np.broadcast_to(x, (5, 2, 3, 4)), lambda x: np.broadcast_to(x[:, :1], (2, 3, 4))],
    np.broadcast_arrays: [lambda x: np.broadcast_arrays(x[0], x)[0], lambda x: sum(np.broadcast_arrays(x[:, :1], x))],
    np.flip: [lambda x: np.flip(x), lambda x: np.flip(x, 1)],
    np.fliplr: [lambda x: np.fliplr(x)],
    np.flipud: [lambda x: np.flipud(x)],
    np.roll: [lambda x: np.roll(x, 2), lambda x: np.roll(x, (1, -1), (0, 2))],
    np.tril: [lambda x: np.tril(x), lambda x: np.tril(x, 1)],
    np.triu: [lambda x: np.triu(x, -1)],
    np.repeat: [lambda x: x.repeat(2), lambda x: np.repeat(x, 3, 1), lambda x: np.repeat(x, [1, 2, 0], axis=1)],
    np.tile: [lambda x: np.tile(x, 2), lambda x: np.tile(x, (2, 1, 3)), lambda x: np.tile(x, (2, 1, 1, 1))],
    np.pad: [
        lambda x: np.pad(x, 1),
        lambda x: np.pad(x, ((0, 1), (2, 0), (0, 0)), constant_values=3.0),
        lambda x: np.pad(x, ((0, 0), (2, 1), (1, 3)), "reflect"),
        lambda x: np.pad(x, {-1: (5, 0)}, mode="wrap"),
        lambda x: np.pad(x, 2, "edge") * np.pad(x, 2, "symmetric"),
    ],
    np.select: [
        lambda x: np.select([x > 1, x > 0], [x * x, 2 * x], 0.5),
        lambda x: np.select([x > 0], [2 * x], x),
        lambda x: np.select([x[:, :1] > 0, x > 1], [x, x[0]], x.mean()),
    ],
    np.cumprod: [
        lambda x: np.cumprod(x),
        lambda x: x.cumprod(1),
        lambda x: np.cumprod(np.where(x > 1, 0.0, x), axis=-1),
    ],
    np.take: [lambda x: x.take([5, 5, 0]), lambda x: np.take(x, [[1, 1], [0, 2]], axis=1), lambda x: np.take(x, 1, 2)],
    np.take_along_axis: [lambda x: np.take_along_axis(x, np.array([[[0, 3, 3]]]).repeat(2, 0).repeat(3, 1), -1)],
    np.diagonal: [lambda x: x.diagonal(), lambda x: np.diagonal(x, 1, 1, 2), lambda x: np.diagonal(x, -1, 2, 1)],
    np.diag: [
        lambda x: np.diag(x[0]),
        lambda x: np.diag(x[0, 0]),
        lambda x: np.diag(x[0], 1),
        lambda x: np.diag(x[0, 0], -1),
    ],
    np.trace: [lambda x: x.trace(), lambda x: np.trace(x, 1, 1, 2)],
    np.where: [
        lambda x: np.where(x > 0, x, 2 * x),
        lambda x: np.where(x > 0, 1.0, x),
        lambda x: np.where([True, False, True, True], x, 0),
    ],
    np.concatenate: [
        lambda x: np.concatenate([x, 2 * x], 1),
        lambda x: np.concatenate((x, np.ones((2, 3, 1))), axis=-1),
        lambda x: np.concatenate([x, x[0]], axis=None),
    ],
    np.stack: [lambda x: np.stack([x, x * x]), lambda x: np.stack([x[0], np.ones((3, 4)), x[1]], axis=-1)],
    np.vstack: [lambda x: np.vstack([x[0], x[1]]), lambda x: np.vstack([x[0, 0], x[1]])],
    np.hstack: [lambda x: np.hstack([x[0], x[1]]), lambda x: np.hstack([x[0, 0], x[1, 1]])],
    np.dstack: [lambda x: np.dstack([x[0], x[1]])],
    np.column_stack: [lambda x: np.column_stack([x[0, :, 0], x[1]])],
    np.append: [lambda x: np.append(x, x), lambda x: np.append(x, x, axis=2)],
    np.split: [lambda x: np.split(x, 2, -1)[1], lambda x: np.split(x, [1, 3], axis=2)[1]],
    np.array_split: [lambda x: np.array_split(x, 2, 1)[0]],
    np.hsplit: [lambda x: np.hsplit(x, 3)[1]],
    np.vsplit: [lambda x: np.vsplit(x, 2)[1]],
    np.dsplit: [lambda x: np.dsplit(x, [1])[1]],
    np.unstack: [lambda x: np.unstack(x, axis=1)[2]],
    np.diff: [lambda x: np.diff(x), lambda x: np.diff(x, 2, 1)],
    np.copy: [lambda x: x.copy(), lambda x: np.copy(x)],
    np.dot: [
        lambda x: x[0].dot(x[1].T),
        lambda x: np.dot(x, 2.0),
        lambda x: np.dot(x[0], np.ones((2, 4, 3))),
        lambda x: np.dot(x, x[0].T),
        lambda x: np.dot(x, x[0, 0]),
        lambda x: np.dot(x[:, 0].T, x[0, :2]),
        lambda x: np.dot(x, x.transpose(0, 2, 1)),
        lambda x: np.dot(x[0, 0], x.transpose(0, 2, 1)),
        lambda x: np.dot(x[0, 0, 0], x),
    ],
    np.inner: [
        lambda x: np.inner(x, x[0, :2]),
        lambda x: np.inner(x[0, 0], x),
        lambda x: np.inner(x, 2.0) * np.inner(3, x),
        lambda x: np.inner(x[0], x[1]),
        lambda x: np.inner(x[0, 0], x[1, 1]),
    ],
    np.vdot: [lambda x: np.vdot(x[0], x[1])],
    np.outer: [lambda x: np.outer(x[0], x[1, 0])],
    np.vecdot: [lambda x: np.vecdot(x, x[:1]), lambda x: np.vecdot(x, x[:, :1], axis=0)],
    np.tensordot: [
        lambda x: np.tensordot(x, x, ([0, 2], [0, 2])),
        lambda x: np.tensordot(x, np.ones((3, 4, 2)), 2),
        lambda x: np.tensordot(x, x[0], 0),
    ],
    np.einsum: [
        lambda x: np.einsum("bij,bkj->bik", x, x),
        lambda x: np.einsum("...ij->...j", x),
        lambda x: np.einsum("bij,j", x, x[0, 0]),
        lambda x: np.einsum("ii->i", x[0, :, :3]),
        lambda x: np.einsum("bij->", x),
        lambda x: np.einsum("...j,kj->...k", x, np.ones((5, 4))),
        lambda x: np.einsum("i,j,k->ikj", x[0, 0], x[1, 1], x[0, :, 0]),
        lambda x: np.einsum("ij,ik->jk", x[0], x[1], optimize=True),
        lambda x: np.einsum("bij,bij->b", x, x[:, :1]),
    ],
    np.linalg.norm: [
        lambda x: np.linalg.norm(x),
        lambda x: np.linalg.norm(x, axis=1),
        lambda x: np.linalg.norm(x, 1, axis=2, keepdims=True),
        lambda x: np.linalg.norm(x, np.inf, axis=-1),
        lambda x: np.linalg.norm(x, "fro", axis=(0, 1)),
        lambda x: np.linalg.norm(x[0, 0], 2),
    ],
}
MATRICES = {
    np.linalg.inv: [lambda a: np.linalg.inv(a), lambda a: np.linalg.inv(np.stack([a, 2 * a]))],
    np.linalg.det: [lambda a: np.linalg.det(a), lambda a: np.linalg.det(np.stack([a, 2 * a]))],
    np.linalg.slogdet: [lambda a: np.linalg.slogdet(a)[1], lambda a: np.linalg.slogdet(np.stack([a, -a])).logabsdet],
    np.linalg.solve: [
        lambda a: np.linalg.solve(a, np.ones((3, 2))),
        lambda a: np.linalg.solve(a, a[0]),
        lambda a: np.linalg.solve(SQUARE, a),
    ],
    np.linalg.cholesky: [lambda a: np.linalg.cholesky((a + a.T) / 2)],
}
METHODS = {
    (np.add, "reduce"): [lambda x: np.add.reduce(x), lambda x: np.add.reduce(x, axis=1)],
    (np.multiply, "reduce"): [lambda x: np.multiply.reduce(x, axis=2)],
    (np.maximum, "reduce"): [lambda x: np.maximum.reduce(x, axis=1, keepdims=True)],
    (np.minimum, "reduce"): [lambda x: np.minimum.reduce(x)],
    (np.add, "accumulate"): [lambda x: np.add.accumulate(x, 1)],
    (np.multiply, "accumulate"): [lambda x: np.multiply.accumulate(x, 1), lambda x: np.multiply.accumulate(x)],
} | {
    (function, "outer"): [lambda x, function=function: function.outer(x[0], x[1, 0])]
    for function in (np.multiply, np.add, np.subtract, np.true_divide, np.maximum, np.minimum)
}


# ---- of this library: (arguments, function), every array of floats among the arguments differentiated --------
def _cell(forward, gates, states=1, recurrent=True, last=1):
    inputs, H, B, S = 3, 4, 2, 5
    arrays = [normal(S, B, inputs), *[normal(B, H) for _ in range(states)], normal(inputs, gates * H)]
    arrays += [normal(H, gates * H)] if recurrent is True else [normal(H)] if recurrent else []
    arrays.append(normal(last * gates * H if forward is not fd.gru_forward else 4 * H))
    return arrays, forward


Q, K, V = normal(3, 2, 4), normal(5, 2, 4), normal(5, 2, 6)
LABELS, CODES = np.array([1, 0, 2]), np.array([[1, 2], [2, 0]])
ACTIVATIONS = [
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "elu",
    "hardtanh",
    "softplus",
    "silu",
    "gelu",
    "softmax",
    "log_softmax",
]
WEIGHTS, TONE, HALVES = positive(3, 4), normal(6, 2), within(3, 4) ** 2
WHERE = {"seed": 3, "step": 2}
FUNCTIONS = {
    fd.linear_forward: [
        ([normal(5, 3), normal(3, 2), normal(2)], fd.linear_forward),
        ([normal(4, 5, 3), normal(3, 2)], fd.linear_forward),
    ],
    fd.embedding_forward: [([normal(4, 3)], lambda W: fd.embedding_forward(CODES, W))],
    **{getattr(fd, name): [([X], getattr(fd, name))] for name in ACTIVATIONS},
    fd.softmax_cross_entropy: [
        ([normal(3, 4)], lambda z: fd.softmax_cross_entropy(z, LABELS)[0]),
        ([normal(3, 4)], lambda z: fd.softmax_cross_entropy(z, LABELS, reduction="none")[0]),
    ],
    fd.linear_cross_entropy: [
        ([normal(3, 5), normal(5, 4), normal(4)], lambda x, W, b: fd.linear_cross_entropy(x, W, b, LABELS)[0]),
        ([normal(3, 5), normal(5, 4)], lambda x, W: fd.linear_cross_entropy(x, W, None, LABELS, reduction="sum")[0]),
    ],
    fd.nll_loss: [([normal(3, 4)], lambda z: fd.nll_loss(z, LABELS)[0])],
    fd.binary_cross_entropy_with_logits: [
        ([X], lambda z: fd.binary_cross_entropy_with_logits(z, HALVES, weights=WEIGHTS)[0])
    ],
    **{
        function: [
            ([X], lambda p, f=function: f(p, Y, weights=WEIGHTS)[0]),
            ([X], lambda p, f=function: f(p, Y, "none")[0]),
        ]
        for function in (fd.mse_loss, fd.l1_loss, fd.smooth_l1_loss, fd.huber_loss, fd.quantile_loss)
    },
    fd.poisson_nll_loss: [([X], lambda p: fd.poisson_nll_loss(p, np.abs(Y))[0])],
    fd.kl_div: [([X], lambda p: fd.kl_div(p, np.abs(Y))[0])],
    fd.gaussian_nll_loss: [([X, positive(3, 4)], lambda m, v: fd.gaussian_nll_loss((m, v), Y)[0])],
    fd.cosine_embedding_loss: [([X, Y], lambda u, v: fd.cosine_embedding_loss((u, v))[0])],
    fd.error_to_signal_ratio: [([normal(6, 2)], lambda p: fd.error_to_signal_ratio(p, TONE, dc=0.5)[0])],
    fd.layer_norm_forward: [([X, apart(4), apart(4)], lambda x, w, b: fd.layer_norm_forward(x, w, b)[0])],
    fd.batch_norm_forward: [([X, apart(4), apart(4)], lambda x, w, b: fd.batch_norm_forward(x, w, b)[0])],
    fd.conv1d_forward: [
        ([normal(6, 2, 3), normal(2, 3, 4), normal(4)], lambda x, W, b: fd.conv1d_forward(x, W, b, padding=1, stride=2))
    ],
    fd.max_pool1d_forward: [([apart(6, 2, 3)], lambda x: fd.max_pool1d_forward(x, 2)[0])],
    fd.avg_pool1d_forward: [([normal(6, 2, 3)], lambda x: fd.avg_pool1d_forward(x, 2)[0])],
    fd.ctc_loss: [([normal(6, 2, 4)], lambda z: fd.ctc_loss(z, np.array([[1, 2], [3, 1]]))[0])],
    fd.lstm_forward: [
        _cell(lambda *a: fd.lstm_forward(*a)[0] + 2 * fd.lstm_forward(*a)[1], 4, 2),
        (
            [normal(5, 2, 3), normal(2, 4), normal(2, 4), normal(3, 16), normal(4, 16), normal(16)],
            lambda *a: fd.lstm_forward(*a, lengths=[2, 5], reverse=True)[1],
        ),
    ],
    fd.rnn_forward: [_cell(lambda *a: fd.rnn_forward(*a)[0], 1)],
    fd.gru_forward: [
        ([normal(5, 2, 3), normal(2, 4), normal(3, 12), normal(4, 12), normal(16)], lambda *a: fd.gru_forward(*a)[0])
    ],
    fd.indrnn_forward: [_cell(lambda *a: fd.indrnn_forward(*a, nonlinearity="tanh")[0], 1, recurrent="vector")],
    fd.mingru_forward: [_cell(lambda *a: fd.mingru_forward(*a)[0], 2, recurrent=False)],
    fd.minlstm_forward: [_cell(lambda *a: fd.minlstm_forward(*a)[0], 3, recurrent=False)],
    fd.slstm_forward: [
        (
            [normal(5, 2, 3), normal(2, 4), normal(2, 4), positive(2, 4), normal(3, 16), normal(4, 16), normal(16)],
            lambda x, h, c, n, W, U, b: fd.slstm_forward(x, h, c, n, np.zeros((2, 4)), W, U, b)[0],
        )
    ],
    fd.last_step: [([normal(5, 2, 3)], lambda h: fd.last_step(h, [2, 5]))],
    fd.dot_attention_forward: [
        ([Q, K, V], lambda q, k, v: fd.dot_attention_forward(q, k, v, np.array([5, 3]), True)[0])
    ],
    fd.additive_attention_forward: [
        ([Q, K, V, normal(4)], lambda q, k, v, w: fd.additive_attention_forward(q, k, v, w)[0])
    ],
    fd.dropout_forward: [([X], lambda x: fd.dropout_forward(x, 0.4, **WHERE))],
    fd.alpha_dropout_forward: [([X], lambda x: fd.alpha_dropout_forward(x, 0.4, **WHERE))],
    fd.gaussian_dropout_forward: [([X], lambda x: fd.gaussian_dropout_forward(x, 0.4, **WHERE))],
    fd.gaussian_noise: [([X], lambda x: fd.gaussian_noise(x, 0.4, **WHERE))],
    fd.embedding_dropout: [([normal(2, 2, 3)], lambda x: fd.embedding_dropout(x, CODES, 3, 0.4, **WHERE))],
    fd.zoneout_forward: [([X, Y], lambda a, b: fd.zoneout_forward(a, b, 0.4, **WHERE))],
    fd.norm: [([X], lambda x: fd.norm(x)), ([X], lambda x: fd.norm(x, 3, axis=1))],
    fd.l1: [([X], lambda x: fd.l1(x, axis=0, keepdims=True))],
    fd.l2: [([X], lambda x: fd.l2(x, axis=1))],
    fd.linf: [([X], fd.linf)],
    fd.lp: [([X], lambda x: fd.lp(x, 1.5))],
}
