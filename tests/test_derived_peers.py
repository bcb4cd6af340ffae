"""Derived modules against torch's autograd: models written once, in the functions that both know; float64."""

import types

import numpy as np
import pytest

import fastdl as fd

pytestmark = pytest.mark.peer
RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape) * 0.7


def softmax(xp, z, axis=-1):
    e = xp.exp(z - xp.amax(z, axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def logsumexp(xp, z, axis=-1):
    top = xp.amax(z, axis=axis, keepdims=True)
    return xp.log(xp.exp(z - top).sum(axis=axis)) + xp.squeeze(top, axis=axis)


def sigmoid(xp, z):
    return 1 / (1 + xp.exp(-z))


def normalized(xp, z, gain, shift):
    mean = z.mean(axis=-1, keepdims=True)
    return (z - mean) / xp.sqrt(((z - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-5) * gain + shift


# ---- each: (forward(xp, p, *inputs), parameters, inputs) --------------------------------------------------------
def attention(xp, p, x):
    q, k, v = x @ p.q, x @ p.k, x @ p.v
    scores = xp.einsum("tbi,sbi->bts", q, k) / 2.0
    return xp.einsum("bts,sbi->tbi", softmax(xp, scores), v) @ p.o


def heads(xp, p, x):
    T, B, D = x.shape
    q, k, v = [(x @ w).reshape(T, B, 2, D // 2).swapaxes(0, 1).swapaxes(1, 2) for w in (p.q, p.k, p.v)]
    future = np.triu(np.ones((T, T)), 1) * -1e9
    scores = q @ k.swapaxes(-1, -2) + (future if xp is np else xp.from_numpy(future))
    found = (softmax(xp, scores) @ v).swapaxes(1, 2).swapaxes(0, 1).reshape(T, B, D)
    return x + found @ p.o


def residual(xp, p, x):
    for w in (p.a, p.b, p.a):
        x = x + xp.tanh(x @ w)
    return x


def highway(xp, p, x):
    gate = sigmoid(xp, x @ p.a - 1)
    return gate * xp.maximum(x @ p.b, 0 * x) + (1 - gate) * x


def gated_unit(xp, p, x):
    both = x @ p.w
    return both[..., :4] * sigmoid(xp, both[..., 4:])


def wavenet(xp, p, x):
    skip = 0
    for step, (f, g) in enumerate(((p.f0, p.g0), (p.f1, p.g1))):
        d = 2**step
        past = xp.concatenate([0 * x[:d], x[:-d]])
        z = xp.tanh(x @ f[0] + past @ f[1]) * sigmoid(xp, x @ g[0] + past @ g[1])
        skip = skip + z
        x = x + z @ p.o
    return skip


def mixture_density(xp, p, x, y):
    out = x @ p.w
    logits, mean, log_s = out[:, :3], out[:, 3:6], out[:, 6:]
    each = -0.5 * ((y - mean) / xp.exp(log_s)) ** 2 - log_s
    return -(logsumexp(xp, logits + each) - logsumexp(xp, logits)).mean()


def autoencoder(xp, p, x, noise):
    h = xp.tanh(x @ p.a)
    mean, log_v = h @ p.m, h @ p.s
    z = mean + xp.exp(0.5 * log_v) * noise
    divergence = -0.5 * (1 + log_v - mean**2 - xp.exp(log_v)).sum()
    return ((xp.tanh(z @ p.d) @ p.a.T - x) ** 2).sum() + divergence


def siamese(xp, p, x, y):
    a, b = xp.tanh(x @ p.w) @ p.v, xp.tanh(y @ p.w) @ p.v
    distance = xp.sqrt(((a - b) ** 2).sum(axis=-1) + 1e-9)
    return distance, (a * b).sum(axis=-1) / (xp.sqrt((a * a).sum(axis=-1)) * xp.sqrt((b * b).sum(axis=-1)))


def seq2seq(xp, p, x, y):
    h = 0 * x[0] @ p.w
    states = []
    for x_t in x:
        h = xp.tanh(x_t @ p.w + h @ p.u)
        states.append(h)
    source = xp.stack(states)
    outs = []
    for y_t in y:
        weights = softmax(xp, (source * h).sum(axis=-1), 0)
        context = (weights[..., None] * source).sum(axis=0)
        h = xp.tanh(xp.concatenate([y_t, context], -1) @ p.d + h @ p.u)
        outs.append(h @ p.o)
    return xp.stack(outs)


def branch(xp, p, x):
    return xp.tanh(x @ p.a) if x.sum() > 0 else x @ p.b * 2


def early_exit(xp, p, x):
    for _ in range(20):
        step = xp.tanh(x @ p.a)
        x = x + 0.5 * (step - x)
        if abs(step - x).max() < 0.2:
            break
    return x


def memory(xp, p, x):
    read = x
    for _ in range(3):
        read = read + softmax(xp, read @ p.keys.T) @ p.values
    return read


def hypernetwork(xp, p, x, context):
    w = xp.tanh(context @ p.h).reshape(-1, 4, 3)
    return xp.einsum("bi,bij->bj", x, w)


def lstm_cell(xp, p, x):
    h, c = 0 * x[0] @ p.h0, 0 * x[0] @ p.h0
    outs = []
    for x_t in x:
        i, f, g, o = xp.split(x_t @ p.w + h @ p.u + p.b, *((4, -1) if xp is np else (3, -1)))
        c = sigmoid(xp, f) * c + sigmoid(xp, i) * xp.tanh(g)
        h = sigmoid(xp, o) * xp.tanh(c)
        outs.append(h)
    return xp.stack(outs), c


def gru_cell(xp, p, x):
    h = 0 * x[0] @ p.h0
    for x_t in x:
        zr = sigmoid(xp, x_t @ p.w[:, :6] + h @ p.u[:, :6])
        n = xp.tanh(x_t @ p.w[:, 6:] + (zr[:, 3:] * h) @ p.u[:, 6:])
        h = (1 - zr[:, :3]) * n + zr[:, :3] * h
    return h


def bidirectional(xp, p, x):
    def run(order, w):
        h, outs = 0 * x[0], [None] * len(x)
        for t in order:
            outs[t] = h = xp.tanh(x[t] @ w + h @ p.u)
        return xp.stack(outs)

    T = range(len(x))
    return xp.concatenate([run(T, p.w), run(reversed(T), p.v)], -1)


def layer_norm(xp, p, x):
    return normalized(xp, x @ p.w, p.g, p.s)


def weight_norm(xp, p, x):
    return x @ (p.v * (p.g / xp.sqrt((p.v**2).sum(axis=0))))


def spectral_penalty(xp, p, x):
    u = p.w.sum(axis=1)
    for _ in range(4):
        v = p.w.T @ u
        v = v / xp.sqrt((v * v).sum())
        u = p.w @ v
        u = u / xp.sqrt((u * u).sum())
    return ((x @ p.w) ** 2).mean() + 0.1 * (u @ p.w @ v - 1) ** 2


def crf(xp, p, x, at):
    emit = x @ p.w
    alpha = p.start + emit[0]
    for e in emit[1:]:
        alpha = logsumexp(xp, alpha[:, :, None] + p.moves + e[:, None, :], 1)
    total = logsumexp(xp, alpha + p.end)
    B = range(len(at[0]))
    path = p.start[at[0]] + emit[0][B, at[0]] + p.end[at[-1]]
    for t in range(1, len(at)):
        path = path + p.moves[at[t - 1], at[t]] + emit[t][B, at[t]]
    return (total - path).mean()


def ctc(xp, p, x):
    logs = x @ p.w - logsumexp(xp, x @ p.w)[..., None]
    labels = [0, 2, 0, 1, 0]
    alpha = [logs[0, :, 0], logs[0, :, 2]] + [logs[0, :, 0] * 0 - 50.0] * 3
    for step in logs[1:]:
        new = []
        for k, label in enumerate(labels):
            best = alpha[k]
            if k > 0:
                best = xp.logaddexp(best, alpha[k - 1])
            if k > 1 and label and label != labels[k - 2]:
                best = xp.logaddexp(best, alpha[k - 2])
            new.append(best + step[:, label])
        alpha = new
    return -xp.logaddexp(alpha[-1], alpha[-2]).sum()


def embedding(xp, p, at):
    e = p.table[at]
    return e.mean(axis=1) @ p.table.T


def pointer(xp, p, x, at):
    scores = xp.tanh(x @ p.w) @ p.v
    return -(scores[at, range(len(at))] - logsumexp(xp, scores, 0)).mean()


def convolution(xp, p, x):
    windows = xp.stack([x[k : len(x) - 2 + k] for k in range(3)])
    y = xp.einsum("ktbi,kij->tbj", windows, p.w) + p.b
    return xp.amax(xp.maximum(y, 0 * y), axis=0)


def batch_norm(xp, p, x):
    return p.g * (x - x.mean(axis=0)) / xp.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0) + 1e-5) + p.s


def film(xp, p, x, c):
    return (x @ p.w) * (1 + c @ p.g)[None] + (c @ p.s)[None]


def experts(xp, p, x):
    gate = softmax(xp, x @ p.g)
    return xp.einsum("be,ebo->bo", gate, xp.tanh(xp.einsum("bi,eio->ebo", x, p.w)))


def hard_experts(xp, p, x):
    gate = softmax(xp, x @ p.g)
    chosen = gate.argmax(-1)
    rows = range(len(x))
    return xp.stack([gate[r, chosen[r]] * (x[r] @ p.w[chosen[r]]) for r in rows])


def bilinear(xp, p, x, y):
    return xp.einsum("bi,kij,bj->bk", x, p.w, y)


def factorization(xp, p, x):
    v = x @ p.v
    return x @ p.w + 0.5 * (v**2 - (x**2) @ (p.v**2)).sum(axis=-1)


def capsule(xp, p, x):
    votes = xp.einsum("bi,kij->bkj", x, p.w)
    size = (votes**2).sum(axis=-1, keepdims=True)
    return votes * size / (1 + size) / xp.sqrt(size + 1e-9)


def ode(xp, p, x):
    def f(h):
        return xp.tanh(h @ p.w) @ p.v

    for _ in range(3):
        a = f(x)
        b = f(x + 0.05 * a)
        x = x + 0.1 * b + 0.01 * a
    return x


def kalman(xp, p, x):
    mean, var, outs = 0 * x[0], 1 + 0 * x[0], []
    for x_t in x:
        var = var * p.a**2 + xp.exp(p.q)
        gain = var / (var + xp.exp(p.r))
        mean = p.a * mean + gain * (x_t - p.a * mean)
        var = (1 - gain) * var
        outs.append(mean)
    return xp.stack(outs)


def linear_attention(xp, p, x):
    q, k, v = xp.exp(x @ p.q), xp.exp(x @ p.k), x @ p.v
    state, norm, outs = 0, 0, []
    for t in range(len(x)):
        state = state + k[t][:, :, None] * v[t][:, None, :]
        norm = norm + k[t]
        outs.append((q[t][:, None, :] @ state)[:, 0] / (q[t] * norm).sum(axis=-1)[:, None])
    return xp.stack(outs)


def state_space(xp, p, x):
    decay, h, outs = xp.exp(-xp.exp(p.a)), 0, []
    for x_t in x:
        h = decay * h + x_t[..., None] * p.b
        outs.append((h * p.c).sum(axis=-1) + p.d * x_t)
    return xp.stack(outs)


def contrastive(xp, p, x, y):
    a, b = x @ p.w, y @ p.v
    a = a / xp.sqrt((a * a).sum(axis=-1, keepdims=True))
    b = b / xp.sqrt((b * b).sum(axis=-1, keepdims=True))
    z = a @ b.T * 5.0
    diagonal = xp.diagonal(z)
    return -(diagonal - logsumexp(xp, z)).mean() - (diagonal - logsumexp(xp, z.T)).mean()


def huber(xp, p, x, y):
    off = abs(x @ p.w - y)
    return xp.where(off < 0.5, 0.5 * off**2, 0.5 * (off - 0.25)).mean()


def quantile(xp, p, x, y):
    off = y - x @ p.w
    return xp.maximum(0.9 * off, -0.1 * off).mean(), xp.clip(off, -0.3, 0.3).sum()


def gelu(xp, p, x):
    z = x @ p.w
    return 0.5 * z * (1 + xp.tanh(0.7978845608 * (z + 0.044715 * z**3)))


def masked_pooling(xp, p, x):
    keep = x[..., :1] > 0
    y = xp.tanh(x @ p.w)
    return xp.where(keep, y, 0 * y).sum(axis=0) / (keep.sum(axis=0) + 1)


def tree(xp, p, x):
    def fold(parts):
        if len(parts) == 1:
            return parts[0]
        half = len(parts) // 2
        return xp.tanh(xp.concatenate([fold(parts[:half]), fold(parts[half:])], -1) @ p.w)

    return fold(list(x))


def deep_sets(xp, p, x):
    h = xp.tanh(x @ p.a)
    return xp.concatenate([h.sum(axis=0), xp.amax(h, axis=0), -xp.amin(h, axis=0)], -1) @ p.b


def slices(xp, p, x):
    y = x @ p.w
    return y[1:, ::2] * y[:-1, [1, 3]] + y[[0, 0], :, None][:, 1] + y[..., -1][:2, None] + y[-1, 0]


def dictionary(xp, p, x):
    return {"y": xp.tanh(x @ p.w), "parts": [x @ p.w, (p.w.sum(), x[0] * p.w[0])]}


W, S = (4, 4), (5, 2, 4)
X = normal(3, 4)
MODELS = {
    attention: (dict.fromkeys("qkvo", W), [normal(*S)]),
    heads: (dict.fromkeys("qkvo", W), [normal(*S)]),
    residual: ({"a": W, "b": W}, [X]),
    highway: ({"a": W, "b": W}, [X]),
    gated_unit: ({"w": (4, 8)}, [X]),
    wavenet: (dict.fromkeys(("f0", "g0", "f1", "g1"), (2, 4, 4)) | {"o": W}, [normal(*S)]),
    mixture_density: ({"w": (4, 9)}, [X, normal(3, 1)]),
    autoencoder: ({"a": (4, 3), "m": (3, 2), "s": (3, 2), "d": (2, 3)}, [X, normal(3, 2)]),
    siamese: ({"w": W, "v": (4, 2)}, [X, normal(3, 4)]),
    seq2seq: ({"w": (4, 3), "u": (3, 3), "d": (7, 3), "o": (3, 2)}, [normal(*S), normal(3, 2, 4)]),
    branch: ({"a": W, "b": W}, [abs(X)]),
    early_exit: ({"a": W}, [X]),
    memory: ({"keys": (6, 4), "values": (6, 4)}, [X]),
    hypernetwork: ({"h": (2, 12)}, [X, normal(3, 2)]),
    lstm_cell: ({"w": (4, 12), "u": (3, 12), "b": (12,), "h0": (4, 3)}, [normal(*S)]),
    gru_cell: ({"w": (4, 9), "u": (3, 9), "h0": (4, 3)}, [normal(*S)]),
    bidirectional: ({"w": W, "v": W, "u": W}, [normal(*S)]),
    layer_norm: ({"w": W, "g": (4,), "s": (4,)}, [X]),
    weight_norm: ({"v": W, "g": (4,)}, [X]),
    spectral_penalty: ({"w": (4, 3)}, [X]),
    crf: ({"w": (4, 3), "start": (3,), "end": (3,), "moves": (3, 3)}, [normal(*S), RNG.integers(0, 3, (5, 2))]),
    ctc: ({"w": (4, 3)}, [normal(*S)]),
    embedding: ({"table": (6, 4)}, [np.array([[1, 2, 2], [0, 5, 1]])]),
    pointer: ({"w": W, "v": (4,)}, [normal(*S), np.array([4, 0])]),
    convolution: ({"w": (3, 4, 3), "b": (3,)}, [normal(*S)]),
    batch_norm: ({"g": (4,), "s": (4,)}, [X]),
    film: ({"w": W, "g": (3, 4), "s": (3, 4)}, [normal(*S), normal(2, 3)]),
    experts: ({"g": (4, 2), "w": (2, 4, 3)}, [X]),
    hard_experts: ({"g": (4, 2), "w": (2, 4, 3)}, [X]),
    bilinear: ({"w": (5, 4, 3)}, [X, normal(3, 3)]),
    factorization: ({"w": (4,), "v": (4, 2)}, [X]),
    capsule: ({"w": (2, 4, 3)}, [X]),
    ode: ({"w": W, "v": W}, [X]),
    kalman: ({"a": (4,), "q": (4,), "r": (4,)}, [normal(*S)]),
    linear_attention: (dict.fromkeys("qkv", W), [normal(*S)]),
    state_space: ({"a": (4, 3), "b": (4, 3), "c": (4, 3), "d": (4,)}, [normal(*S)]),
    contrastive: ({"w": W, "v": W}, [X, normal(3, 4)]),
    huber: ({"w": W}, [X, normal(3, 4)]),
    quantile: ({"w": W}, [X, normal(3, 4)]),
    gelu: ({"w": W}, [X]),
    masked_pooling: ({"w": W}, [normal(*S)]),
    tree: ({"w": (8, 4)}, [normal(*S)]),
    deep_sets: ({"a": W, "b": (12, 2)}, [normal(*S)]),
    slices: ({"w": W}, [X]),
    dictionary: ({"w": W}, [X]),
}


class Written(fd.nn.Module):
    """One of the models above."""

    def __init__(self, function, arrays):
        super().__init__()
        self.function = function
        for name, array in arrays.items():
            setattr(self, name, fd.nn.Parameter(name, array))

    def forward(self, *inputs):
        return self.function(np, types.SimpleNamespace(**{n: q.data for n, q in self._parameters.items()}), *inputs)


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for one in value for leaf in leaves(one)] if isinstance(value, (tuple, list)) else [value]


def filled(value, parts):
    if isinstance(value, dict):
        return {name: filled(one, parts) for name, one in value.items()}
    return type(value)(filled(one, parts) for one in value) if isinstance(value, (tuple, list)) else next(parts)


@pytest.mark.parametrize("function", MODELS, ids=lambda one: one.__name__)
def test_values_and_gradients_are_those_of_torch(function):
    torch = pytest.importorskip("torch")
    shapes, inputs = MODELS[function]
    rng = np.random.default_rng(1)
    arrays = {name: rng.normal(size=shape) * 0.6 for name, shape in shapes.items()}
    given = [torch.tensor(one, requires_grad=one.dtype.kind == "f") for one in inputs]
    theirs = types.SimpleNamespace(**{name: torch.tensor(one, requires_grad=True) for name, one in arrays.items()})
    expected = function(torch, theirs, *given)
    dys = [rng.normal(size=tuple(one.shape)) for one in leaves(expected)]
    sum((one * torch.tensor(dy)).sum() for one, dy in zip(leaves(expected), dys, strict=True)).backward()

    model = Written(function, arrays)
    outputs = model(*inputs)
    for one, other in zip(leaves(outputs), leaves(expected), strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-12, atol=1e-13)
    found = leaves(model.backward(filled(outputs, iter(dys))))
    for name, parameter in model.named_parameters():
        theirs_of = getattr(theirs, name).grad
        wanted = np.zeros(parameter.shape) if theirs_of is None else theirs_of.numpy()
        np.testing.assert_allclose(parameter.grad, wanted, rtol=1e-9, atol=1e-11, err_msg=name)
    for one, other in zip(found, given, strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other.grad.numpy(), rtol=1e-9, atol=1e-11)
