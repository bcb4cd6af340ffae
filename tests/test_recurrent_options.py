"""Cells and options: equal to the reference, which is checked against peers, torch and ONNX, and by differences."""

import itertools

import numpy as np
import pytest

import fastdl as fd
from fastdl import recurrent
from fastdl.reference import recurrent as reference

TOLERANCE = {np.float32: 3e-5, np.float64: 1e-11}
CELLS = ("tanh", "relu", "lstm", "coupled", "gru", "gru before")
SHAPES = [(1, 1, 1, 1), (1, 2, 32, 32), (3, 5, 7, 9), (9, 13, 20, 70)]
MANY_ROWS = (5, 260, 10, 33)  # more sequences than a block of rows
PLAIN = ({}, {"lengths": True}, {"reverse": True}, {"lengths": True, "reverse": True})
OPTIONS = ({"norm": True}, {"clip": True}, {"state": True}, {"zone": "mask"}, {"zone": "rate"})
LSTM_OPTIONS = ({"P": 5}, {"P": 40}, {"peepholes": True}, {"cell_clip": True}, {"cells": True})
EVERYTHING = {"lengths": True, "reverse": True, "norm": True, "clip": True, "state": True, "zone": "mask",
              "candidate": True}  # fmt: skip
EVERY_LSTM = {**EVERYTHING, "P": 7, "peepholes": True, "cell_clip": True}
BY_UNITS = {"lengths": True, "reverse": True, "state": True, "zone": "mask"}  # the norm would keep sequences whole
LSTM_BY_UNITS = {**BY_UNITS, "candidate": True, "P": 40, "peepholes": True, "cells": True}
CASES = [
    (cell, chosen)
    for cell in CELLS
    for chosen in (
        *PLAIN,
        *OPTIONS,
        *(({"candidate": True},) if cell not in ("tanh", "relu") else ()),
        *(LSTM_OPTIONS if cell in ("lstm", "coupled") else ()),
        {k: v for k, v in EVERYTHING.items() if k != "candidate"} if cell in ("tanh", "relu") else EVERYTHING,
        *((EVERY_LSTM,) if cell in ("lstm", "coupled") else ()),
        LSTM_BY_UNITS if cell in ("lstm", "coupled") else BY_UNITS,
    )
]


class Problem:
    """Arguments for one cell with some options, and the gradients that come from above."""

    def __init__(self, cell, chosen, shape, dtype, seed=0):
        T, B, I, H = shape  # noqa: E741
        rng = np.random.default_rng(seed)

        def draw(*extents, scale=1.0):
            return (rng.standard_normal(extents) * scale).astype(dtype)

        G = {"tanh": 1, "relu": 1, "lstm": 4}.get(cell, 3)
        R = chosen.get("P", H)
        self.name = "rnn" if cell in ("tanh", "relu") else "gru" if cell.startswith("gru") else "lstm"
        self.arguments = {"x": draw(T, B, I), "h0": draw(B, R)}
        if self.name == "lstm":
            self.arguments["c0"] = draw(B, H)
        self.arguments |= {
            "W_x": draw(I, G * H, scale=I**-0.5),
            "W_h": draw(R, G * H, scale=R**-0.5),
            "b": draw((4 if cell == "gru" else G) * H, scale=0.5),
        }
        self.weights = {}
        if "P" in chosen:
            self.weights["projection"] = draw(H, R, scale=H**-0.5)
        if "peepholes" in chosen:
            self.weights["peepholes"] = draw(3, H)
        if "norm" in chosen:
            self.weights["gains"] = draw(2, G, H)
        o = {}
        o |= {"nonlinearity": "relu"} if cell == "relu" else {}
        o |= {"coupled": True} if cell == "coupled" else {}
        o |= {"reset_after": False} if cell == "gru before" else {}
        o |= {"lengths": rng.integers(0 if T > 1 else 1, T + 1, B)} if "lengths" in chosen else {}
        o |= {"reverse": True} if "reverse" in chosen else {}
        o |= {"clip": 0.7} if "clip" in chosen else {}
        o |= {"cell_clip": 0.4} if "cell_clip" in chosen else {}
        if "state" in chosen:
            o["state_mask"] = ((rng.random((B, R)) < 0.7) / 0.7).astype(dtype)
        if "candidate" in chosen:
            o |= {"candidate_mask": rng.random((T, B, H)) < 0.7, "candidate_scale": 1 / 0.7}
        if "zone" in chosen:
            o["zoneout_h"] = rng.random((T, B, R)) < 0.3 if chosen["zone"] == "mask" else 0.3
            if self.name == "lstm":
                o["zoneout_c"] = rng.random((T, B, H)) < 0.3 if chosen["zone"] == "mask" else 0.2
        self.options = o
        self.dh, self.dh_last = draw(T, B, R), draw(B, R)
        self.dc = draw(T, B, H) if "cells" in chosen else draw(B, H)

    def forward(self, module=recurrent, training=True, **moved):
        function = getattr(module, f"{self.name}_forward")
        return function(**{**self.arguments, **self.weights, **moved}, training=training, **self.options)

    def run(self, module=recurrent):
        *results, tape = self.forward(module)
        backward = getattr(module, f"{self.name}_backward")
        given = (self.dh, self.dc, tape) if self.name == "lstm" else (self.dh, tape)
        return [*results, *backward(*given, dh_last=self.dh_last)]

    def loss(self, **moved):
        """A function whose gradients are those that run returns."""
        *results, _ = self.forward(training=False, **moved)
        o, T = self.options, len(self.dh)
        lengths, reverse = o.get("lengths"), o.get("reverse", False)
        total = (results[0] * self.dh).sum()

        def last(values, first):
            ends = np.full(values.shape[1], T) if lengths is None else lengths
            found = recurrent.last_step(values, np.maximum(ends, 1), reverse)
            return np.where((ends > 0)[:, None], found, first)

        total += (last(results[0], moved.get("h0", self.arguments["h0"])) * self.dh_last).sum()
        if self.name == "lstm":
            c0 = moved.get("c0", self.arguments["c0"])
            total += ((results[1] if self.dc.ndim == 3 else last(results[1], c0)) * self.dc).sum()
        return total


def case_id(case):
    return case if isinstance(case, str) else "+".join(map(str, case)) or "plain"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("cell", "chosen"), CASES, ids=case_id)
def test_equals_the_reference(level, cell, chosen, dtype):
    for shape in SHAPES if chosen else [*SHAPES, MANY_ROWS]:
        problem = Problem(cell, chosen, shape, dtype)
        for index, (one, other) in enumerate(zip(problem.run(), problem.run(reference), strict=True)):
            assert (one is None) == (other is None)
            if one is not None:
                scale = max(np.abs(other).max(), 1)
                np.testing.assert_allclose(
                    one, other, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=f"{shape} {index}"
                )
                assert one.dtype == dtype


@pytest.mark.parametrize(("cell", "chosen"), CASES, ids=case_id)
def test_gradients_against_finite_differences(cell, chosen):
    """Options that no peer has: central differences of the kernel itself, in float64."""
    for shape in ((1, 1, 2, 3), (4, 3, 2, 5)):
        problem = Problem(cell, chosen, shape, np.float64, seed=3)
        given = {**problem.arguments, **problem.weights}
        names = [*problem.arguments]
        names += {"lstm": ["projection", "peepholes", "gains"]}.get(problem.name, ["gains"])
        gradients = dict(zip(names, problem.run()[2 if problem.name == "lstm" else 1 :], strict=True))
        rng = np.random.default_rng(1)
        for name, array in given.items():
            direction = rng.standard_normal(array.shape)
            moved = [problem.loss(**{name: array + step * direction}) for step in (1e-6, -1e-6)]
            numeric = (moved[0] - moved[1]) / 2e-6
            exact = (gradients[name] * direction).sum()
            assert exact == pytest.approx(numeric, rel=2e-6, abs=1e-7), name


@pytest.mark.compiled_only("the bits of any number of threads")
@pytest.mark.parametrize(("cell", "chosen"), CASES, ids=case_id)
def test_same_bits_for_any_number_of_threads(cell, chosen, monkeypatch):
    monkeypatch.setattr(recurrent._run, "GRAIN", 1)
    monkeypatch.setattr(recurrent._run, "STEP_GRAIN", 1)
    longer = ((40, 21, 6, 40), (40, 5, 6, 150)) if "lengths" in chosen else ()  # several windows, sequences end in them
    for shape in ((3, 5, 7, 9), (9, 37, 20, 70), (6, 1, 8, 150), *longer):
        problem = Problem(cell, chosen, shape, np.float32)
        results = []
        for count in (1, 2, 3, 8):
            fd.set_num_threads(count)
            results.append([problem.forward(training=False)[0], *problem.run()])
        np.testing.assert_array_equal(results[0][0], results[0][1])
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("cell", CELLS)
def test_a_ragged_batch_gives_each_sequence_what_it_gets_alone(cell):
    problem = Problem(cell, {"lengths": True}, (9, 6, 20, 33), np.float32)
    results = problem.run()
    whole, dx = results[0], results[2 if problem.name == "lstm" else 1]
    for b, length in enumerate(problem.options["lengths"]):
        alone = Problem(cell, {}, (9, 6, 20, 33), np.float32)
        one = slice(b, b + 1)
        alone.arguments = {k: v[:, one][:length] if k == "x" else v[one] if k in ("h0", "c0") else v
                           for k, v in problem.arguments.items()}  # fmt: skip
        alone.dh, alone.dh_last, alone.dc = problem.dh[:length, one], problem.dh_last[one], problem.dc[one]
        found = alone.run()
        np.testing.assert_array_equal(found[0], whole[:length, one])
        np.testing.assert_array_equal(found[2 if problem.name == "lstm" else 1], dx[:length, one])
        assert not whole[length:, b].any()
        assert not dx[length:, b].any()


def test_padding_is_never_read():
    problem = Problem("lstm", {"lengths": True, "cells": True, "candidate": True}, (9, 6, 4, 5), np.float64)
    expected = problem.run()
    past = np.arange(9)[:, None] >= problem.options["lengths"]
    problem.arguments["x"][past] = np.nan
    problem.dh[past] = np.nan
    problem.dc[past] = np.nan
    problem.options["candidate_mask"][past] ^= True
    for one, other in zip(problem.run(), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("chosen", [{}, {"reverse": True}, {"lengths": True}], ids=case_id)
@pytest.mark.parametrize("empty", [(0, 2, 3, 4), (3, 0, 3, 4)], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_empty_sequences_and_batches(cell, empty, chosen):
    problem = Problem(cell, {k: v for k, v in chosen.items() if k != "lengths"}, empty, np.float32)
    if "lengths" in chosen:
        problem.options["lengths"] = np.zeros(empty[1], int)
    results = problem.run()
    assert results[0].shape == (empty[0], empty[1], empty[3])
    np.testing.assert_array_equal(results[2 if problem.name != "lstm" else 3], problem.dh_last)
    assert not results[-4 if problem.name == "lstm" else -2].any()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lengths": [1, 2]}, ValueError, r"lengths: got shape \(2,\)"),
        ({"lengths": [1, 2, 9]}, ValueError, "lengths: got values from 1 to 9, expected 0 to 4"),
        ({"lengths": [1.0, 2.0, 3.0]}, TypeError, "lengths: got dtype float64"),
        ({"projection": np.zeros((4, 2))}, ValueError, r"projection: got shape \(4, 2\)"),
        ({"peepholes": np.zeros((2, 8))}, ValueError, "peepholes: got shape"),
        ({"gains": np.zeros((2, 3, 8))}, ValueError, "gains: got shape"),
        ({"clip": 0.0}, ValueError, "clip: got 0.0"),
        ({"cell_clip": np.nan}, ValueError, "cell_clip: got nan"),
        ({"state_mask": np.zeros((3, 7))}, ValueError, "state_mask: got shape"),
        ({"candidate_mask": np.zeros((4, 3, 8))}, TypeError, "candidate_mask: got dtype float64, expected .* bool"),
        ({"zoneout_h": 1.5}, ValueError, "zoneout_h: got 1.5"),
        ({"zoneout_c": np.zeros((4, 3, 7), bool)}, ValueError, "zoneout_c: got shape"),
    ],
)
def test_wrong_options_are_refused(change, error, message):
    problem = Problem("lstm", {}, (4, 3, 6, 8), np.float64)
    with pytest.raises(error, match=message):
        recurrent.lstm_forward(**problem.arguments, **change)


def test_tapes_of_other_cells_are_refused():
    gru, lstm = (Problem(cell, {}, (2, 1, 2, 2), np.float64) for cell in ("gru", "lstm"))
    with pytest.raises(TypeError, match=r"tape: got that of GRU, expected the tape of lstm_forward"):
        recurrent.lstm_backward(lstm.dh, None, gru.forward()[-1])
    out = [np.zeros_like(lstm.arguments[name]) for name in ("W_x", "W_h", "b")]
    with pytest.raises(ValueError, match="out, dprojection: got an array, expected None"):
        recurrent.lstm_backward(lstm.dh, None, lstm.forward()[-1], (*out, np.zeros(1)))


# ---- Peers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [None, 0.6])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("cell", CELLS)
def test_equals_the_operators_of_onnx(cell, direction, clip):
    """RNN, GRU (both values of linear_before_reset) and LSTM (peepholes, coupled gate, clip), by ONNX's equations.

    The equations are those of the operators' specification (version 22), here in NumPy with ONNX's own layouts.
    """
    T, B, I, H = 6, 3, 4, 5  # noqa: E741
    rng = np.random.default_rng(0)
    x, clipped = rng.standard_normal((T, B, I)), (lambda a: a) if clip is None else lambda a: np.clip(a, -clip, clip)
    sigma = lambda a: 1 / (1 + np.exp(-clipped(a)))  # noqa: E731
    tanh = lambda a: np.tanh(clipped(a))  # noqa: E731
    options = {"reverse": direction == "reverse", "clip": clip, "rng": 1, "dtype": np.float64}
    if cell in ("tanh", "relu"):
        layer = fd.nn.RNN(I, H, nonlinearity=cell, **options)
    elif cell.startswith("gru"):
        layer = fd.nn.GRU(I, H, reset_after=cell == "gru", **options)
    else:
        layer = fd.nn.LSTM(I, H, peepholes=True, coupled=cell == "coupled", **options)
    arrays = layer.export_weights("onnx")
    W, R, (Wb, Rb) = arrays["W"][0], arrays["R"][0], np.split(arrays["B"][0], 2)
    P = arrays["P"][0] if "P" in arrays else None
    if cell == "coupled":  # the weights of the gate that input_forget ignores
        for array in (W, R, Wb):
            array[2 * H : 3 * H] = 7.0
    Y, Ht, Ct = [], np.zeros((B, H)), np.zeros((B, H))
    for Xt in x[::-1] if direction == "reverse" else x:
        if cell in ("tanh", "relu"):
            a = Xt @ W.T + Ht @ R.T + Wb + Rb
            Ht = tanh(a) if cell == "tanh" else np.maximum(clipped(a), 0)
        elif cell.startswith("gru"):
            (Wz, Wr, Wh), (Rz, Rr, Rh) = np.split(W, 3), np.split(R, 3)
            (Wbz, Wbr, Wbh), (Rbz, Rbr, Rbh) = np.split(Wb, 3), np.split(Rb, 3)
            zt = sigma(Xt @ Wz.T + Ht @ Rz.T + Wbz + Rbz)
            rt = sigma(Xt @ Wr.T + Ht @ Rr.T + Wbr + Rbr)
            inner = rt * (Ht @ Rh.T + Rbh) if cell == "gru" else (rt * Ht) @ Rh.T + Rbh
            Ht = (1 - zt) * tanh(Xt @ Wh.T + inner + Wbh) + zt * Ht
        else:
            a_i, a_o, a_f, a_c = np.split(Xt @ W.T + Ht @ R.T + Wb + Rb, 4, axis=1)
            Pi, Po, Pf = np.split(P, 3)
            it = sigma(a_i + Pi * Ct)
            ft = 1 - it if cell == "coupled" else sigma(a_f + Pf * Ct)
            Ct = ft * Ct + it * tanh(a_c)
            ot = sigma(a_o + Po * Ct)
            Ht = ot * np.tanh(Ct)
        Y.append(Ht)
    y, state = layer.forward(x, return_state=True)
    np.testing.assert_allclose(y, Y[::-1] if direction == "reverse" else Y, atol=1e-12)
    h, c = state if isinstance(state, tuple) else (state, Ct[None])
    np.testing.assert_allclose(h[0], Ht, atol=1e-12)
    np.testing.assert_allclose(c[0], Ct, atol=1e-12)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("kind", "layers", "bidirectional", "ragged", "proj_size"),
    [
        (kind, layers, both, ragged, P)
        for kind, layers, both, ragged in itertools.product(
            ("tanh", "relu", "GRU", "LSTM"), (1, 2, 3), (False, True), (False, True)
        )
        for P in ((0, 3) if kind == "LSTM" else (0,))
    ],
)
def test_equals_torch(kind, layers, bidirectional, ragged, proj_size, dtype):
    torch = pytest.importorskip("torch")
    T, B, I, H = 7, 4, 5, 9  # noqa: E741
    extra = {"nonlinearity": kind} if kind in ("tanh", "relu") else {"proj_size": proj_size} if proj_size else {}
    name = "RNN" if kind in ("tanh", "relu") else kind
    mine = getattr(fd.nn, name)(I, H, layers, bidirectional=bidirectional, rng=3, dtype=dtype, **extra)
    theirs = getattr(torch.nn, name)(
        I, H, layers, bidirectional=bidirectional, dtype=getattr(torch, np.dtype(dtype).name), **extra
    )
    theirs.load_state_dict({key: torch.from_numpy(array) for key, array in mine.state_dict().items()})
    rng = np.random.default_rng(1)
    D, R = (2 if bidirectional else 1), proj_size or H
    x, h0, c0, dy = (
        rng.standard_normal(s).astype(dtype) for s in [(T, B, I), (layers * D, B, R), (layers * D, B, H), (T, B, D * R)]
    )
    lengths = np.array([3, 7, 1, 5]) if ragged else None
    states = (h0, c0) if kind == "LSTM" else (h0,)
    tensors = [torch.from_numpy(array).requires_grad_() for array in (x, *states)]
    their_state = tuple(tensors[1:]) if kind == "LSTM" else tensors[1]
    source = tensors[0]
    if ragged:
        source = torch.nn.utils.rnn.pack_padded_sequence(source, torch.from_numpy(lengths), enforce_sorted=False)
        dy *= (np.arange(T)[:, None] < lengths)[:, :, None]
    y, final = theirs(source, their_state)
    if ragged:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)
    finals = final if kind == "LSTM" else (final,)
    loss = (y * torch.from_numpy(dy)).sum() + (finals[0] * finals[0]).sum() + finals[-1].sum()
    loss.backward()
    got, state = mine.forward(x, states if kind == "LSTM" else h0, lengths=lengths, return_state=True)
    h, *c = state if kind == "LSTM" else (state,)
    dstate = (2 * h, np.ones_like(c[0])) if kind == "LSTM" else 2 * h + 1
    dx, dinitial = mine.backward(dy, dstate, return_state=True)
    pairs = [(got, y), (h, finals[0]), *zip((c), finals[1:], strict=True)]
    initial = dinitial if kind == "LSTM" else (dinitial,)
    pairs += zip((dx, *initial), [t.grad for t in tensors], strict=True)
    for key, parameter in mine._parameters.items():
        pairs.append((parameter.grad.T, getattr(theirs, key).grad))
    for one, other in pairs:
        other = other.detach().numpy()
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(other).max()))


@pytest.mark.parametrize(("function", "states", "gates"), [("rnn", 1, 1), ("gru", 1, 3), ("lstm", 2, 4)])
def test_numbers_are_checked_where_nothing_uses_them(function, states, gates):
    x, state = np.ones((2, 1, 3)), np.zeros((1, 4))
    bias = np.zeros(16 if function != "rnn" else 4)
    arguments = (x, *[state] * states, np.ones((3, 4 * gates)), np.ones((4, 4 * gates)), bias)
    run = getattr(fd, f"{function}_forward")
    for bad in (-1.0, "a"):
        with pytest.raises((TypeError, ValueError), match="epsilon: got"):
            run(*arguments, epsilon=bad)
        if function != "rnn":
            with pytest.raises((TypeError, ValueError), match="candidate_scale: got"):
                run(*arguments, candidate_scale="a")
    np.testing.assert_array_equal(run(*arguments)[0], run(*arguments, epsilon=1e-3)[0])
