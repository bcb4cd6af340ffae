"""Recipes beside the examples: what these do not call, and objects whose methods are called in an odd state.

What is called here must be valid as it stands; the fuzzer changes one call of it at a time.
"""

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

import fastdl as fd

TABLE: dict[str, Callable[[], Any]] = {}


def recipe(function: Callable[[], Any]) -> Callable[[], Any]:
    TABLE[function.__name__] = function
    return function


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _mlp() -> tuple[Any, tuple[np.ndarray, np.ndarray]]:
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Tanh(), fd.nn.Linear(4, 2, rng=1))
    return model, (normals(5, 3), np.array([0, 1, 0, 1, 1]))


# ---- topics
@recipe
def general() -> None:
    fd.get_backend()
    fd.set_num_threads(2)
    fd.show_config(mode="dicts")
    generator = fd.random.Generator(3)
    generator.integers(0, 5, (2, 3))
    generator.permutation(7)
    generator.load_state_dict(generator.state_dict())
    copy.deepcopy(generator).normal(0.0, 1.0, (3,))


@recipe
def recurrent_options() -> None:
    """The forms that the examples do not have: what a tape keeps, and where gradients go."""
    T, B, H = 4, 3, 5
    x, h, c = normals(T, B, 2), normals(B, H), normals(B, H)
    W_x, W_h, b = normals(2, 4 * H), normals(H, 4 * H), normals(4 * H)
    zoneout = np.zeros((T, B, H), bool)
    mask = np.ones((B, H), np.float32)
    masks = {"candidate_mask": zoneout, "zoneout_h": zoneout, "zoneout_c": zoneout, "state_mask": mask}
    options = {"peepholes": normals(3, H), "gains": normals(2, 4, H), "clip": 1.0, "cell_clip": 3.0, **masks}
    *_, tape = fd.lstm_forward(x, h, c, W_x, W_h, b, reverse=True, **options)
    fd.lstm_backward(normals(T, B, H), normals(T, B, H), tape, dh_last=normals(B, H), dc_last=normals(B, H))
    W_r, W_h = normals(H, 3), normals(3, 4 * H)
    *_, tape = fd.lstm_forward(x, normals(B, 3), c, W_x, W_h, b, projection=W_r, lengths=np.array([4, 2, 1]))
    out = tuple(map(np.zeros_like, (W_x, W_h, b, W_r)))
    fd.lstm_backward(normals(T, B, 3), None, tape, out, True)
    W_x, W_h, b = normals(2, 3 * H), normals(H, 3 * H), normals(4 * H)
    _, tape = fd.gru_forward(x, h, W_x, W_h, b, lengths=np.array([4, 2, 1]), gains=normals(2, 3, H), zoneout_h=0.1)
    fd.gru_backward(normals(T, B, H), tape, dh_last=normals(B, H))
    _, tape = fd.gru_forward(
        x, h, W_x, W_h, normals(3 * H), reset_after=False, candidate_mask=zoneout, candidate_scale=2.0
    )
    fd.gru_backward(normals(T, B, H), tape)
    _, tape = fd.rnn_forward(x, h, normals(2, H), normals(H, H), normals(H), nonlinearity="relu", state_mask=mask)
    fd.rnn_backward(normals(T, B, H), tape, input_gradient=False)


@recipe
def topics_with_out() -> None:
    x, W, b = normals(4, 3), normals(3, 2), normals(2)
    fd.linear_backward(normals(4, 2), x, W, (np.zeros_like(W), np.zeros_like(b)), True)
    fd.embedding_backward(normals(4, 3), np.array([0, 2, 1, 2]), normals(5, 3), np.zeros((5, 3), np.float32))
    fd.softmax_cross_entropy(
        normals(3, 2, 4), np.array([[0, 1], [2, 3], [-1, 0]]), ignore_index=-1, lengths=np.array([3, 2])
    )
    fd.dropout_forward(x, 0.5, seed=1, broadcast_axes=(0,), out=np.zeros_like(x), return_mask="bytes")
    fd.dropout_backward(x, 0.5, seed=1, broadcast_axes=[-1], out=np.zeros_like(x))
    fd.ctc_loss(normals(5, 2, 4), np.array([[1, 2], [3, 0]]), np.array([5, 4]), np.array([2, 1]), reduction="sum")
    fd.ctc_beam_search(normals(5, 2, 4), np.array([5, 4]), width=3)


@recipe
def decoding() -> None:
    def step(tokens: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        return np.tile(normals(4), (len(tokens), 1)), state

    first = np.array([0, 1])
    fd.beam_search(step, first, {"h": normals(2, 3), "c": [normals(2, 3)]}, 4, 3, width=2, length_penalty=0.5)
    fd.decode(step, first, (normals(2, 3),), 4, 3, temperature=0.7, top_k=3, top_p=0.9, rng=0)


# ---- curvature
@recipe
def points() -> None:
    model, data = _mlp()
    for loss, targets in ((fd.softmax_cross_entropy, data[1]), (fd.mse_loss, normals(5, 2))):
        point = fd.curvature.LossPoint(model, loss, (data[0], targets))
        n = point.size
        point.hvp(normals(n))
        point.jvp(normals(n))
        point.jvp(normals(5, 3), wrt="input")
        point.vjp(normals(5, 2))
        point.gauss_newton_product(normals(n))
        point.sample_gradients(0)
        point.value_at(normals(n))
        point.places(["0.weight"])
        point.product("hessian")
        point.hessian(["0.weight"], matrix="gauss_newton")
        point.jacobian("input")
        fd.curvature.trace(point, 3, rng=0)
        fd.curvature.diagonal(point, 3, rng=0, parameters=["0.weight"])
        fd.curvature.eigenpairs(point, 2, "both")
        fd.curvature.spectral_density(point, 2, 4, rng=0).density(np.linspace(-1, 1, 5), 0.1)
    point.residuals()
    fd.curvature.Landscape.at(point).plot("landscape.png", points=3)


def _linearized(layer: Any, x: np.ndarray, axis: int, lengths: Any = None) -> None:
    linear = fd.curvature.linearize(layer, x, lengths)
    parameters = list(layer.parameters())
    direction = {one: normals(*one.shape) for one in parameters}
    out = {one: np.zeros(one.shape, np.float32) for one in parameters}
    linear.jvp(normals(*x.shape), direction)
    linear.backward(normals(*linear.y.shape), out, True)
    linear.jvp_backward(normals(*linear.y.shape), direction, out, True)
    sizes = np.cumsum([0, *(one.size for one in parameters)])
    rows = np.zeros((linear.y.shape[axis], sizes[-1]), np.float32)
    slots = {one: fd.curvature._slots.Slot(rows, int(at), one.size) for one, at in zip(parameters, sizes, strict=False)}
    linear.backward(normals(*linear.y.shape), None, True)
    linear.check_axis(axis)
    linear.sample_gradients(normals(*linear.y.shape), axis, slots, True)


@recipe
def linearized_lstm() -> None:
    _linearized(fd.nn.LSTM(3, 4, rng=0), normals(5, 2, 3), 1)


@recipe
def linearized_gru() -> None:
    _linearized(fd.nn.GRU(3, 4, num_layers=2, rng=0), normals(5, 2, 3), 1)


@recipe
def linearized_ragged() -> None:
    lengths = np.array([3, 5])
    _linearized(fd.nn.GRU(3, 4, bidirectional=True, rng=0), normals(5, 2, 3), 1, lengths)
    model = fd.nn.LSTM(3, 4, rng=0)
    fd.curvature.ModelPoint(model, (normals(5, 2, 3), lengths)).jvp(normals(model.parameters().size))
    fd.curvature.LossPoint(model, fd.mse_loss, ((normals(5, 2, 3), lengths), normals(5, 2, 4)))


@recipe
def linearized_rnn() -> None:
    _linearized(fd.nn.RNN(3, 4, rng=0), normals(5, 2, 3), 1)


@recipe
def linearized_chain() -> None:
    _linearized(_mlp()[0], normals(5, 3), 0)


@recipe
def functions() -> None:
    point = fd.curvature.FunctionPoint(lambda x: float((x**4).sum()), np.ones(3), lambda x: 4 * x**3)
    point.places(None)
    point.product("hessian")(np.ones(3))
    point.value_at(np.ones(3))
    point.hvp(np.ones(3))
    fd.curvature.check_gradient(lambda x: (x**2).sum(), np.full(3, 2.0), np.ones(3))
    fd.curvature.jacobian(lambda x: x * x, np.ones(3), "central", True)
    flow = fd.curvature.GradientFlow(np.abs(np.random.default_rng(0).standard_normal((1, 1, 4, 3))))
    flow.plot("flow.png", {"other": flow})
    fd.curvature.gradient_flow(fd.nn.GRU(3, 4, rng=0), normals(6, 2, 3), layer=0, lags=3, starts=(0, 1), samples=(1,))


@recipe
def registered() -> None:
    class Double(fd.nn.Module):
        def forward(self, x: np.ndarray) -> np.ndarray:
            return 2 * x

        def backward(self, dy: np.ndarray) -> np.ndarray:
            return 2 * dy

    fd.curvature.register(Double, lambda layer, x: fd.curvature.Linearization())
    fd.curvature.register_loss(
        lambda z, y: (0.0, z), lambda z, y, value, gradient, options: fd.curvature.LossAt(value, gradient)
    )
    at = fd.curvature.LossAt(1.0, normals(3, 2))
    del at
    Double()(normals(3))


@recipe
def second_order() -> None:
    for kind in (fd.curvature.AdaHessian, fd.curvature.NewtonCG, fd.curvature.Newton, fd.curvature.LevenbergMarquardt):
        model, data = _mlp()
        optimizer = kind(model.parameters())
        targets = data[1] if kind is not fd.curvature.LevenbergMarquardt else normals(5, 2)
        loss = fd.softmax_cross_entropy if targets.ndim == 1 else fd.mse_loss

        def closure(model: Any = model, loss: Any = loss, given: Any = (data[0], targets)) -> Any:
            point = fd.curvature.LossPoint(model, loss, given)
            return point.residuals() if loss is fd.mse_loss else point

        optimizer.zero_grad()
        if kind is not fd.curvature.Newton:
            optimizer.step(closure)
        optimizer.load_state_dict(optimizer.state_dict())


# ---- optimizers
@recipe
def optimizers() -> None:
    kinds = [getattr(fd.optim, name) for name in fd.optim.__all__]
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, fd.optim.Optimizer) and hasattr(kind, "rule")):
            continue
        parameters = _mlp()[0].parameters()
        groups = [
            {"params": ["0.weight"], "lr": 0.1, "weight_decay": 0.01},
            {"params": lambda name, one: one.ndim != 2, "optimizer": fd.optim.AdamW},
        ]
        optimizer = kind(parameters, 0.01, groups=groups, clip_norm=1.0, nonfinite="raise", accumulate=2)
        for one in parameters:
            one.grad = normals(*one.shape)
        optimizer.step(grad_scale=2.0)
        optimizer.step()
        optimizer.lr = 0.02
        optimizer.add_group({"params": "2.", "optimizer": fd.optim.SGD})
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.zero_grad()
        pickle.loads(pickle.dumps(optimizer.state_dict()))


@recipe
def averages_and_schedules() -> None:
    parameters = _mlp()[0].parameters()
    optimizer = fd.optim.Adam(parameters)
    for average in (fd.optim.ExponentialAverage(parameters, 0.9, warm_up=True), fd.optim.StochasticAverage(parameters)):
        average.update()
        with average.applied():
            pass
        average.load_state_dict(average.state_dict())
    for one in (
        fd.optim.Scheduler(optimizer, fd.optim.schedules.cosine(5)),
        fd.optim.ReduceOnPlateau(optimizer, patience=1),
    ):
        one.step(*([1.0] if isinstance(one, fd.optim.ReduceOnPlateau) else []))
        one.load_state_dict(one.state_dict())
    pairs = [(normals(3), normals(3, seed=1))]
    fd.optim.clip_grad_norm_(pairs, 1.0, math.inf)
    fd.optim.clip_grad_value_(pairs, 1.0)
    fd.optim.clip_each_grad_norm_(parameters, 1.0)
