"""Models with losses and data on which curvature is compared, and the same models written for jax."""

from functools import partial

import numpy as np

import fastdl as fd

T, B, INPUTS, H, C = 4, 3, 2, 5, 3
_rng = np.random.default_rng(0)
X, Y = _rng.standard_normal((T, B, INPUTS)), _rng.standard_normal((T, B, C))
INDEX, TARGETS = _rng.integers(0, 6, (T, B)), _rng.integers(0, C, (T, B))
TARGETS[1, 2] = 9  # ignored
smoothed = partial(fd.softmax_cross_entropy, ignore_index=9, label_smoothing=0.1)


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def _dense(dtype):
    layers = [
        fd.nn.Linear(INPUTS, H, rng=0, dtype=dtype),
        fd.nn.Tanh(),
        fd.nn.Linear(H, H, bias=False, rng=1, dtype=dtype),
    ]
    layers += [fd.nn.Sigmoid(), fd.nn.Dropout(0.5, scaling="classic", rng=2), fd.nn.Linear(H, C, rng=3, dtype=dtype)]
    return fd.nn.Sequential(*layers, fd.nn.ReLU(), fd.nn.Linear(C, C, rng=4, dtype=dtype))


def _lstm(dtype, **options):
    return fd.nn.Sequential(
        fd.nn.LSTM(INPUTS, H, rng=0, dtype=dtype, **options), fd.nn.Linear(H, C, rng=1, dtype=dtype)
    )


def _recurrent(kind, dtype, **options):
    return fd.nn.Sequential(
        getattr(fd.nn, kind)(INPUTS, H, num_layers=2, rng=0, dtype=dtype, **options),
        fd.nn.Linear(H, C, rng=1, dtype=dtype),
    )


def _both_ways(kind, dtype, **options):
    return fd.nn.Sequential(
        getattr(fd.nn, kind)(INPUTS, H, num_layers=2, bidirectional=True, rng=0, dtype=dtype, **options),
        fd.nn.Linear(H * (1 if "merge" in options else 2), C, rng=1, dtype=dtype),
    )


def _words(dtype):
    return fd.nn.Sequential(
        fd.nn.Embedding(6, INPUTS, rng=0, dtype=dtype),
        fd.nn.Sequential(fd.nn.LSTM(INPUTS, H, num_layers=2, dropout=0.3, rng=1, dtype=dtype), fd.nn.Tanh()),
        fd.nn.Linear(H, C, rng=2, dtype=dtype),
    )


def _over_time(dtype, norm=None, **options):
    """Windows that keep the steps."""
    return fd.nn.Sequential(
        fd.nn.Conv1d(INPUTS, H, 3, padding="same", rng=0, dtype=dtype, **options),
        fd.nn.Tanh(),
        fd.nn.Identity(),
        fd.nn.MaxPool1d(3, 1, 1, **options),
        fd.nn.LayerNorm(H, dtype=dtype) if norm is None else norm(dtype),
        fd.nn.Residual(fd.nn.Sequential(fd.nn.Linear(H, H, rng=1, dtype=dtype), fd.nn.Sigmoid())),
        fd.nn.AvgPool1d(3, 1, 1, **options),
        fd.nn.Flatten(2),
        fd.nn.Conv1d(H, C, 2, padding="causal", dilation=2, bias=False, rng=2, dtype=dtype, **options),
    )


def _batch_norm(dtype):
    norm = fd.nn.BatchNorm1d(H, dtype=dtype)
    norm.running_mean, norm.running_var = np.linspace(-1, 1, H), np.linspace(0.5, 2, H)
    norm.weight.data, norm.bias.data = np.linspace(-1, 2, H), np.linspace(0, 1, H)
    return norm


LAYERS = {  # every cell, by its layer and what tells it from others of that layer
    "RNN": ("RNN", {}),
    "LSTM": ("LSTM", {}),
    "GRU": ("GRU", {}),
    "IndRNN": ("IndRNN", {"nonlinearity": "tanh"}),
    "IndRNN relu": ("IndRNN", {"nonlinearity": "relu"}),
    "MinGRU": ("MinGRU", {}),
    "MinGRU positive": ("MinGRU", {"positive": True}),
    "MinLSTM": ("MinLSTM", {}),
    "MinLSTM positive": ("MinLSTM", {"positive": True}),
    "MinLSTM free": ("MinLSTM", {"normalized": False}),
    "MinLSTM free positive": ("MinLSTM", {"positive": True, "normalized": False}),
    "sLSTM": ("sLSTM", {"init": "torch"}),
    "sLSTM exp": ("sLSTM", {"init": "torch", "forget_gate": "exp"}),
    "sLSTM heads": ("sLSTM", {"init": "torch"}),
}


def layer_of(name, inputs, hidden, *layers, **options):
    kind, own = LAYERS[name]
    if name.endswith("heads"):  # as few as can be
        own = own | {"heads": next(n for n in range(2, hidden + 1) if hidden % n == 0)}
    return getattr(fd.nn, kind)(inputs, hidden, *layers, **own, **options)


CASES = {  # model of a dtype, loss, inputs, targets, batch axis
    "dense": (_dense, fd.mse_loss, X, Y, 1),
    "lstm": (_lstm, partial(fd.mse_loss, reduction="sum"), X, Y, 1),
    "batch first": (partial(_lstm, batch_first=True), fd.mse_loss, X, Y, 0),
    "rnn": (partial(_recurrent, "RNN"), fd.mse_loss, X, Y, 1),
    "relu": (partial(_recurrent, "RNN", nonlinearity="relu"), fd.mse_loss, X, Y, 1),
    "gru": (partial(_recurrent, "GRU"), fd.mse_loss, X, Y, 1),
    "last": (partial(_recurrent, "GRU", output="last"), fd.mse_loss, X, Y[0], 0),
    "indrnn": (partial(_recurrent, "IndRNN"), fd.mse_loss, X, Y, 1),
    "indrnn tanh": (partial(_recurrent, "IndRNN", nonlinearity="tanh"), fd.mse_loss, X, Y, 1),
    "mingru": (partial(_recurrent, "MinGRU"), fd.mse_loss, X, Y, 1),
    "mingru positive": (partial(_recurrent, "MinGRU", positive=True, output="last"), fd.mse_loss, X, Y[0], 0),
    "minlstm": (partial(_recurrent, "MinLSTM", batch_first=True), fd.mse_loss, X, Y, 0),
    "minlstm positive": (partial(_recurrent, "MinLSTM", positive=True, bias=False), fd.mse_loss, X, Y, 1),
    "minlstm free": (partial(_recurrent, "MinLSTM", normalized=False), fd.mse_loss, X, Y, 1),
    "minlstm free positive": (partial(_recurrent, "MinLSTM", positive=True, normalized=False), fd.mse_loss, X, Y, 1),
    "slstm": (partial(_recurrent, "sLSTM", init="torch"), fd.mse_loss, X, Y, 1),
    "slstm exp": (partial(_recurrent, "sLSTM", forget_gate="exp", output="last"), fd.mse_loss, X, Y[0], 0),
    "slstm heads": (partial(_recurrent, "sLSTM", init="torch", heads=H, batch_first=True), fd.mse_loss, X, Y, 0),
    "two directions": (partial(_both_ways, "LSTM", batch_first=True), fd.mse_loss, X, Y, 0),
    "two directions, last": (partial(_both_ways, "GRU", merge="mean", output="last"), fd.mse_loss, X, Y[0], 0),
    "two directions, heads": (partial(_both_ways, "sLSTM", init="torch", heads=H), fd.mse_loss, X, Y, 1),
    "backwards": (partial(_recurrent, "MinLSTM", reverse=True), fd.mse_loss, X, Y, 1),
    "backwards, last": (partial(_recurrent, "RNN", reverse=True, output="last"), fd.mse_loss, X, Y[0], 0),
    "over time": (_over_time, fd.mse_loss, X, Y, 1),
    "batch first windows": (partial(_over_time, batch_first=True), fd.mse_loss, X, Y, 0),
    "batch norm": (partial(_over_time, norm=_batch_norm), fd.mse_loss, X, Y, 1),
    "words": (_words, smoothed, INDEX, TARGETS, 1),
}


def case(name, dtype=np.float64):
    """(model, loss, (x, targets), batch axis)."""
    build, loss, x, y, axis = CASES[name]
    x, y = (one.astype(dtype) if one.dtype.kind == "f" else one for one in (x, y))
    return build(dtype), loss, (x, y), axis


# ---- The same for jax ---------------------------------------------------------------------------------------------


def _jax_lstm(jax, one, own):
    def step(state, x):
        h, c = state
        a = x @ own["weight_ih"] + own["bias_ih"] + h @ own["weight_hh"] + own["bias_hh"]
        i, f, g, o = jax.numpy.split(a, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
        h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
        return (h, c), h

    return step


def _jax_gru(jax, one, own):
    def step(h, x):
        a_r, a_z, a_n = jax.numpy.split(x @ own["weight_ih"] + own["bias_ih"], 3, axis=1)
        u_r, u_z, u_n = jax.numpy.split(h @ own["weight_hh"] + own["bias_hh"], 3, axis=1)
        n = jax.numpy.tanh(a_n + jax.nn.sigmoid(a_r + u_r) * u_n)
        z = jax.nn.sigmoid(a_z + u_z)
        h = (1 - z) * n + z * h
        return h, h

    return step


def _jax_rnn(jax, one, own):
    f = jax.nn.relu if one.nonlinearity == "relu" else jax.numpy.tanh

    def step(h, x):
        h = f(x @ own["weight_ih"] + own["bias_ih"] + h @ own["weight_hh"] + own["bias_hh"])
        return h, h

    return step


def _jax_indrnn(jax, one, own):
    f = jax.nn.relu if one.nonlinearity == "relu" else jax.numpy.tanh

    def step(h, x):
        h = f(x @ own["weight_ih"] + own["weight_hh"] * h + own["bias"])
        return h, h

    return step


def _jax_minimal(jax, one, own):
    """MinGRU, whose gates are z, n; MinLSTM, whose are f, i, n."""

    def step(h, x):
        *gates, n = jax.numpy.split(x @ own["weight_ih"] + own.get("bias", 0), 2 if kind == "MinGRU" else 3, axis=1)
        n = jax.numpy.where(n >= 0, n + 0.5, jax.nn.sigmoid(n)) if one.positive else n
        *f, i = (jax.nn.sigmoid(gate) for gate in gates)
        old = f[0] if f else 1 - i
        h = (old * h + i * n) / (old + i if f and one.normalized else 1)
        return h, h

    kind = type(one).__name__
    return step


def _jax_slstm(jax, one, own):
    """With a derivative of m, which the library leaves out."""

    def step(state, x):
        h, c, n, m = state
        heads, D = one.heads, one.hidden_size // one.heads
        of_h = jax.numpy.einsum(
            "bjd,jdgk->bgjk", h.reshape(-1, heads, D), own["weight_hh"].reshape(heads, D, 4, D)
        ).reshape(-1, 4 * heads * D)
        a_i, a_f, a_z, a_o = jax.numpy.split(x @ own["weight_ih"] + of_h + own["bias"], 4, axis=1)
        seen = (a_f if one.forget_gate == "exp" else jax.nn.log_sigmoid(a_f)) + m
        m = jax.numpy.where(n > 0, jax.numpy.maximum(seen, a_i), a_i)
        i, f = jax.numpy.exp(a_i - m), jax.numpy.where(n > 0, jax.numpy.exp(seen - m), 0)
        c, n = f * c + i * jax.numpy.tanh(a_z), f * n + i
        h = jax.nn.sigmoid(a_o) * c / n
        return (h, c, n, m), h

    return step


STEPS = {
    "LSTM": _jax_lstm, "GRU": _jax_gru, "RNN": _jax_rnn, "IndRNN": _jax_indrnn, "MinGRU": _jax_minimal,
    "MinLSTM": _jax_minimal, "sLSTM": _jax_slstm,
}  # fmt: skip


def _jax_norm(jax, one, own, x, layer, values):
    if type(one).__name__ == "LayerNorm":
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    else:
        mean, variance = one.running_mean, one.running_var
    return (x - mean) / jax.numpy.sqrt(variance + one.eps) * own["weight"] + own["bias"]


def _jax_windows(jax, one, own, x, layer, values):
    """By jax's own convolution and windows, of (T, B, C)."""
    x = x.swapaxes(0, 1) if one.batch_first else x
    sides = (one._windows.left, one._windows.right)
    window = {"window_dilation": (one.dilation, 1, 1), "padding": (sides, (0, 0), (0, 0))}
    shape, strides = (one._windows.size, 1, 1), (one.stride, 1, 1)
    if "weight" in own:
        y = jax.lax.conv_general_dilated(
            x,
            own["weight"],
            (one.stride,),
            (sides,),
            rhs_dilation=(one.dilation,),
            dimension_numbers=("WNC", "WIO", "WNC"),
        )
        y = y + own.get("bias", 0)
    elif type(one).__name__ == "MaxPool1d":
        y = jax.lax.reduce_window(x, -np.inf, jax.lax.max, shape, strides, **window)
    else:
        y = jax.lax.reduce_window(x, 0.0, jax.lax.add, shape, strides, **window) / one.kernel_size
    return y.swapaxes(0, 1) if one.batch_first else y


BESIDE = {
    "LayerNorm": _jax_norm, "BatchNorm1d": _jax_norm, "Conv1d": _jax_windows, "MaxPool1d": _jax_windows,
    "AvgPool1d": _jax_windows, "Identity": lambda jax, one, own, x, layer, values: x,
    "Flatten": lambda jax, one, own, x, layer, values: x.reshape(*x.shape[:2], -1),
    "Residual": lambda jax, one, own, x, layer, values: x + layer(one.layer, values, x),
}  # fmt: skip


def jax_loss(model, loss, data):
    """(flat parameters -> loss, flat parameters -> output), for jax to differentiate."""
    import jax
    import jax.numpy as jnp

    layout = fd.curvature.ModelPoint(model, data[0]).layout

    def layer(one, values, x):
        own = {name: values[parameter] for name, parameter in one._parameters.items()}
        kind = type(one).__name__
        if kind == "Sequential":
            for part in one:
                x = layer(part, values, x)
            return x
        if kind == "Linear":
            return x @ own["weight"] + own.get("bias", 0)
        if kind == "Embedding":
            return own["weight"][x]
        if kind == "Dropout":
            return x * (1 - one.p) if one.scaling == "classic" else x
        if kind in ("Tanh", "Sigmoid", "ReLU"):
            return {"Tanh": jnp.tanh, "Sigmoid": jax.nn.sigmoid, "ReLU": jax.nn.relu}[kind](x)
        if kind in BESIDE:
            return BESIDE[kind](jax, one, own, x, layer, values)
        x = x.swapaxes(0, 1) if one.batch_first else x
        for k in range(one.num_layers):
            outputs = []
            for suffix, backwards in one.directions:
                end, way = f"_l{k}{suffix}", slice(None, None, -1 if backwards else 1)
                named = {name.removesuffix(end): v for name, v in own.items() if name.endswith(end)}
                outputs.append(cell(one, kind, named, x[way])[way])
            last = merged(
                one, [h[0 if backwards else -1] for h, (_, backwards) in zip(outputs, one.directions, strict=True)]
            )
            x = merged(one, outputs)
        if one.output == "last":
            return last
        return x.swapaxes(0, 1) if one.batch_first else x

    def merged(one, outputs):
        if one.merge == "concat":
            return jnp.concatenate(outputs, axis=-1)
        return sum(outputs) / (len(outputs) if one.merge == "mean" else 1)

    def cell(one, kind, own, x):
        state = jnp.zeros((x.shape[1], one.hidden_size))
        states = {"LSTM": 2, "sLSTM": 4}.get(kind)
        return jax.lax.scan(STEPS[kind](jax, one, own), (state,) * states if states else state, x)[1]

    def views(flat):
        return {
            one: flat[start : start + one.size].reshape(one.shape)
            for one, start in zip(layout.parameters, layout.bounds, strict=False)
        }

    def output(flat):
        return layer(model, views(flat), data[0])

    def value(flat):
        z, y = output(flat), data[1]
        function, options = (loss.func, loss.keywords) if isinstance(loss, partial) else (loss, {})
        if function is fd.mse_loss:
            return (jnp.sum if options.get("reduction") == "sum" else jnp.mean)((z - y) ** 2)
        logs = jax.nn.log_softmax(z)
        smoothing = options["label_smoothing"]
        target = (1 - smoothing) * jax.nn.one_hot(y, z.shape[-1]) + smoothing / z.shape[-1]
        counted = y != options["ignore_index"]
        return -jnp.sum(counted[..., None] * target * logs) / counted.sum()

    return value, output
