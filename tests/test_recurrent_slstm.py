"""sLSTM: equal to the reference, to finite differences and to torch; large gates; heads; layers."""

import copy
import pickle

import numpy as np
import pytest

import fastdl as fd
from fastdl import recurrent
from fastdl.reference import recurrent as reference

SHAPES = [  # T, B, I, H, heads
    (1, 1, 1, 1, 1),
    (1, 4, 32, 32, 1),
    (1, 3, 4, 64, 2),
    (3, 5, 7, 9, 3),
    (9, 13, 20, 70, 5),
    (40, 1, 12, 128, 1),
    (40, 1, 12, 128, 4),
    (4, 300, 3, 33, 1),
    (4, 290, 3, 40, 2),
    (30, 17, 5, 64, 4),
]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}  # relative to the largest element of each result
GATES = ("sigmoid", "exp")


def normals(rng, dtype, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def arguments_of(shape, dtype, seed=0):
    """x, the four states and the weights; gradients with respect to h, and to the last h, c and n."""
    (T, B, I, H, heads), rng = shape, np.random.default_rng(seed)  # noqa: E741
    D = H // heads
    states = [normals(rng, dtype, B, H) for _ in range(4)]
    states[2] = np.exp(states[2])
    W_h = normals(rng, dtype, *((H, 4 * H) if heads == 1 else (heads, D, 4 * D)), scale=D**-0.5)
    x, W_x, b = normals(rng, dtype, T, B, I), normals(rng, dtype, I, 4 * H, scale=I**-0.5), normals(rng, dtype, 4 * H)
    return (x, *states, W_x, W_h, b), (normals(rng, dtype, T, B, H), *(normals(rng, dtype, B, H) for _ in range(3)))


def options_of(shape, dtype):
    """No option, all of them with masks, and all with numbers."""
    (T, B, _, H, _), rng = shape, np.random.default_rng(5)
    masks = {
        "lengths": rng.integers(0, T + 1, B),
        "zoneout_h": rng.random((T, B, H)) < 0.3,
        "state_mask": normals(rng, dtype, B, H),
        "candidate_mask": rng.random((T, B, H)) < 0.7,
        "candidate_scale": 1.4,
    }
    return [{}, {"reverse": True}, masks, masks | {"reverse": True, "zoneout_h": 0.25}]


def run(module, arguments, slopes, options):
    *states, tape = module.slstm_forward(*arguments, **options)
    return [*states, *module.slstm_backward(slopes[0], tape, None, False, True, *slopes[1:])]


# ---- The functions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("gate", GATES)
def test_equals_the_reference(level, gate, shape, dtype):
    arguments, slopes = arguments_of(shape, dtype)
    for options in options_of(shape, dtype):
        options["forget_gate"] = gate
        got, expected = (run(one, arguments, slopes, options) for one in (recurrent, reference))
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            scale = np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=f"{options}, {index}")
            assert one.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_same_bits_for_any_number_of_threads(level, shape, dtype, monkeypatch):
    monkeypatch.setattr(recurrent._run, "GRAIN", 1)  # split even the smallest work
    monkeypatch.setattr(recurrent._run, "STEP_GRAIN", 1)
    arguments, slopes = arguments_of(shape, dtype)
    for options in options_of(shape, dtype):
        results = []
        for count in (1, 2, 3):
            fd.set_num_threads(count)
            results.append(run(recurrent, arguments, slopes, options))
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", [(1, 1, 2, 3, 1), (4, 3, 2, 6, 2), (5, 2, 3, 2, 1)], ids=str)
@pytest.mark.parametrize("gate", GATES)
def test_gradients_against_finite_differences(level, gate, shape):
    arguments, slopes = arguments_of(shape, np.float64, seed=3)
    for options in options_of(shape, np.float64):
        options["forget_gate"] = gate
        where = {name: options[name] for name in ("lengths", "reverse") if name in options}
        gradients = list(run(recurrent, arguments, slopes, options)[4:])
        gradients.insert(4, gradients[2] * arguments[2] + gradients[3] * arguments[3])  # by m0, held in the backward

        def last(moved, options=options, where=where):
            h, *beside, _ = recurrent.slstm_forward(*moved, **options)
            ends = [last_of(one, first, where) for one, first in zip((h, *beside), moved[1:5], strict=True)]
            return h, ends

        m = last(arguments)[1][3]

        def loss(moved, last=last, m=m):
            h, (last_h, c, n, scale) = last(moved)
            factor = np.exp(scale - m)  # c and n as they are with m held
            ends = zip(slopes[1:], (last_h, c * factor, n * factor), strict=True)
            return (h * slopes[0]).sum() + sum((slope * one).sum() for slope, one in ends)

        for index, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
            numeric = np.empty_like(argument)
            for at in np.ndindex(argument.shape):
                values = []
                for step in (1e-6, -1e-6):
                    moved = [one.copy() for one in arguments]
                    moved[index][at] += step
                    values.append(loss(moved))
                numeric[at] = (values[0] - values[1]) / 2e-6
            np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=3e-8, err_msg=f"{options}, argument {index}")


def last_of(states, first, where):
    """Each sequence's last state, which is the first one of an empty sequence."""
    T, B = states.shape[:2]
    lengths = where.get("lengths", [T] * B)
    return np.array([states[0 if where.get("reverse") else n - 1, b] if n else first[b] for b, n in enumerate(lengths)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("gate", GATES)
def test_equals_the_equations_in_torch(gate, heads, dtype):
    torch = pytest.importorskip("torch")
    arguments, slopes = arguments_of((7, 4, 5, 9, heads), dtype)
    tensors = [torch.from_numpy(one).requires_grad_() for one in arguments]
    theirs = in_torch(torch, gate, *tensors)
    last = [one[-1] for one in theirs[:3]]
    weighed = zip((theirs[0], *last), slopes, strict=True)
    sum((one * torch.from_numpy(slope)).sum() for one, slope in weighed).backward()
    places = [one for i, one in enumerate(tensors) if i != 4]
    expected = [*(one.detach().numpy() for one in theirs), *(one.grad.numpy() for one in places)]
    got = run(recurrent, arguments, slopes, {"forget_gate": gate})
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * np.abs(other).max())


def in_torch(torch, gate, x, h, c, n, m, W_x, W_h, b):
    """h, c, n and m of all steps, as the paper has them."""
    if W_h.ndim == 3:  # a block-diagonal matrix for each gate
        gates = [torch.block_diag(*(one.chunk(4, 1)[g] for one in W_h)) for g in range(4)]
        W_h = torch.cat(gates, 1)
    outputs = []
    for one in x:
        a_i, a_f, a_z, a_o = (one @ W_x + h @ W_h + b).chunk(4, 1)
        seen = (a_f if gate == "exp" else torch.nn.functional.logsigmoid(a_f)) + m.detach()
        m = torch.maximum(seen, a_i).detach()
        i, f = torch.exp(a_i - m), torch.exp(seen - m)
        c, n = f * c + i * torch.tanh(a_z), f * n + i
        h = torch.sigmoid(a_o) * c / n
        outputs.append((h, c, n, m))
    return [torch.stack(one) for one in zip(*outputs, strict=True)]


@pytest.mark.parametrize("gate", GATES)
def test_a_call_continues_another_and_so_do_gradients(level, gate):
    arguments, (dh, *last) = arguments_of((12, 3, 5, 8, 2), np.float64)
    x, states, weights = arguments[0], arguments[1:5], arguments[5:]
    whole = run(recurrent, arguments, (dh, *last), {"forget_gate": gate})
    *first, tape = recurrent.slstm_forward(x[:5], *states, *weights, forget_gate=gate)
    *second, later = recurrent.slstm_forward(x[5:], *(one[-1] for one in first), *weights, forget_gate=gate)
    for one, two, all_ in zip(first, second, whole[:4], strict=True):
        np.testing.assert_array_equal(np.concatenate([one, two]), all_)
    back = recurrent.slstm_backward(dh[5:], later, None, False, True, *last)
    out = (back.dW_x, back.dW_h, back.db)
    front = recurrent.slstm_backward(dh[:5], tape, out, True, True, back.dh0, back.dc0, back.dn0)
    for one, all_ in zip((np.concatenate([front.dx, back.dx]), *front[1:]), whole[4:], strict=True):
        np.testing.assert_allclose(one, all_, rtol=1e-11, atol=1e-12)


def test_inference_gives_the_bits_of_training(level):
    arguments, _ = arguments_of((9, 3, 5, 12, 3), np.float32)
    trained, (*inferred, tape) = recurrent.slstm_forward(*arguments), recurrent.slstm_forward(*arguments, False)
    assert tape is None
    for one, other in zip(trained, inferred, strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("heads", [1, 3])
def test_a_batch_gives_each_sequence_what_it_gets_alone(level, heads):
    (x, *others), (dh, *last) = arguments_of((9, 6, 20, 33, heads), np.float32)
    states, weights = others[:4], others[4:]
    lengths = np.array([9, 5, 7, 9, 6, 8])
    whole = run(recurrent, (x, *others), (dh, *last), {"lengths": lengths})
    for b, n in enumerate(lengths):
        alone = (x[:n, [b]], *(one[[b]] for one in states), *weights)
        got = run(recurrent, alone, (dh[:n, [b]], *(one[[b]] for one in last)), {})
        for one, other in zip(got[:5], whole[:5], strict=True):
            np.testing.assert_array_equal(one, other[:n, [b]])
        for one, other in zip(got[5:8], whole[5:8], strict=True):
            np.testing.assert_array_equal(one, other[[b]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gate", GATES)
def test_gates_of_500_overflow_nothing(level, gate, dtype):
    """From the zero state, and in every order of large and small."""
    huge = [-500.0, 0.0, 500.0]
    a = np.array([[i, f] for i in huge for f in huge])
    order = np.random.default_rng(0).permutation(np.tile(np.arange(9), 4))
    x = np.eye(9)[order][:, None].astype(dtype)
    W_x = np.concatenate([a, np.linspace(-2, 2, 9)[:, None], np.zeros((9, 1))], axis=1).astype(dtype)
    zero, W_h, b = np.zeros((1, 1), dtype), np.full((1, 4), 0.5, dtype), np.zeros(4, dtype)
    arguments, dh = (x, zero, zero, zero, zero, W_x, W_h, b), np.ones((36, 1, 1), dtype)
    got = run(recurrent, arguments, (dh, zero, zero, zero), {"forget_gate": gate})
    wide = [one.astype(np.float64) for one in (*arguments, dh, zero)]
    expected = run(reference, wide[:8], (wide[8], *[wide[9]] * 3), {"forget_gate": gate})
    for one, other in zip(got, expected, strict=True):
        assert np.isfinite(one).all()
        near = (2e-4 if dtype == np.float32 else 1e-11) * max(1, np.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=0, atol=near)
    assert (got[2] >= 1).all()  # the normalizer


def test_what_is_stored_lasts_as_long_as_nothing_replaces_it(level):
    """An input gate of e^-1000 and a forget gate of 1/2 for 500 steps: without m all would be 0 / 0."""
    T = 500
    a = np.tile([-1000.0, 0.0, 1.0, 0.0], (T, 1))
    a[0] = 0, 0, 0.5, 0
    for dtype in (np.float32, np.float64):
        zero, x = np.zeros((1, 1), dtype), np.eye(T, dtype=dtype)[:, None]
        nothing = np.zeros((1, 4), dtype), np.zeros(4, dtype)
        h, *_ = recurrent.slstm_forward(x, zero, zero, zero, zero, a.astype(dtype), *nothing)
        np.testing.assert_allclose(h, 0.5 * np.tanh(0.5), rtol=1e-4 if dtype == np.float32 else 1e-12)


def test_where_nothing_is_stored_c_and_m_do_not_count(level):
    (x, h0, c0, n0, m0, *weights), slopes = arguments_of((3, 2, 4, 6, 1), np.float64)
    n0[:] = 0
    empty = run(recurrent, (x, h0, 0 * c0, n0, 0 * m0, *weights), slopes, {})
    some = run(recurrent, (x, h0, c0, n0, m0 + 700, *weights), slopes, {})
    for one, other in zip(empty, some, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(some[6]).max() < 1e-300  # dc0


def test_the_logarithm_of_the_forget_gate(level):
    """Beside an input gate of nothing m is log sigma(a_f)."""
    a_f = np.concatenate([np.linspace(-90, 90, 4001), [-1e4, 0.0, 1e4, 1e-9]])
    for dtype, ulps in ((np.float32, 3), (np.float64, 3)):
        H = len(a_f)
        b = np.concatenate([np.full(H, -1e9), a_f, np.zeros(2 * H)]).astype(dtype)
        zero, one = np.zeros((1, H), dtype), np.ones((1, H), dtype)
        W = np.zeros((1, 4 * H), dtype), np.zeros((H, 1, 4), dtype)
        m = recurrent.slstm_forward(np.zeros((1, 1, 1), dtype), zero, zero, one, zero, *W, b)[3].ravel()
        expected = -np.logaddexp(0, -a_f.astype(dtype).astype(np.longdouble))
        normal = np.abs(expected) > 4 * np.finfo(dtype).tiny  # half of it is a number that may be flushed to zero
        error = np.abs((m - expected) / np.spacing(np.abs(expected).astype(dtype)))[normal]
        assert error.max() < ulps


def test_nan_stays_in_its_sequence_and_head(level):
    (x, *others), slopes = arguments_of((4, 3, 5, 12, 3), np.float64)
    clean = run(recurrent, (x, *others), slopes, {})
    others[0][1, 5] = np.nan  # h0: sequence 1, head 1
    got = run(recurrent, (x, *others), slopes, {})
    for one, other in zip(got[:4], clean[:4], strict=True):
        assert np.isnan(one[-1, 1, 4:8]).all() or one is got[3]  # m keeps the greater
        np.testing.assert_array_equal(np.delete(one, 1, 1), np.delete(other, 1, 1))
        np.testing.assert_array_equal(one[:, 1, :4], other[:, 1, :4])
        np.testing.assert_array_equal(one[:, 1, 8:], other[:, 1, 8:])


@pytest.mark.parametrize("empty", [(0, 2, 3, 4, 2), (3, 0, 3, 4, 1)], ids=str)
def test_empty_sequences_and_batches(empty):
    arguments, slopes = arguments_of(empty, np.float32)
    got = run(recurrent, arguments, slopes, {})
    assert all(one.shape == slopes[0].shape for one in got[:4])
    assert got[4].shape == arguments[0].shape
    for one, slope in zip(got[5:8], slopes[1:], strict=True):
        np.testing.assert_array_equal(one, slope)
    assert not any(one.any() for one in got[8:])


@pytest.mark.parametrize("heads", [1, 3])
def test_out_accumulates(level, heads):
    arguments, (dh, *_) = arguments_of((7, 37, 10, 33, heads), np.float64)
    tape = recurrent.slstm_forward(*arguments)[-1]
    fresh = recurrent.slstm_backward(dh, tape)
    out = tuple(np.ones_like(one) for one in fresh[4:])
    result = recurrent.slstm_backward(dh, tape, out, accumulate=True, input_gradient=False)
    assert result.dx is None
    for given, gradient in zip(out, fresh[4:], strict=True):
        np.testing.assert_allclose(given, gradient + 1, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"W_h": np.ones((4, 15))}, ValueError, r"^W_h: got shape \(4, 15\), expected"),
        ({"W_h": np.ones((2, 2, 9))}, ValueError, r"^W_h: got shape \(2, 2, 9\), expected"),
        ({"W_h": np.ones((2, 3, 8))}, ValueError, r"^W_h: got shape \(2, 3, 8\), expected \(2, 2, 8\)"),
        ({"W_h": np.ones((0, 2, 8))}, ValueError, r"^W_h: got shape \(0, 2, 8\), expected at least one column"),
        ({"W_h": np.ones(16)}, ValueError, r"^W_h: got shape \(16,\)"),
        ({"W_h": None}, TypeError, "^W_h: got None"),
        ({"c0": np.ones((2, 5))}, ValueError, "^c0: got shape"),
        ({"n0": np.ones((2, 4), np.float32)}, TypeError, "^n0: got dtype float32, expected float64"),
        ({"m0": None}, TypeError, "^m0: got None"),
        ({"forget_gate": "tanh"}, ValueError, "^forget_gate: got 'tanh'"),
        ({"state_mask": np.ones((2, 5))}, ValueError, "^state_mask: got shape"),
        ({"clip": 1.0}, TypeError, "clip"),
        ({"zoneout_c": 0.1}, TypeError, "zoneout_c"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(change, error, message):
    given = {name: np.zeros((2, 4)) for name in ("h0", "c0", "n0", "m0")}
    given |= {"x": np.ones((5, 2, 3)), "W_x": np.ones((3, 16)), "W_h": np.ones((2, 2, 8)), "b": np.ones(16)}
    with pytest.raises(error, match=message):
        recurrent.slstm_forward(**(given | change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"dc_last": np.ones((2, 5))}, ValueError, "^dc_last: got shape"),
        ({"dn_last": 1.0}, TypeError, "^dn_last: got"),
        ({"dh": np.ones((3, 2, 5))}, ValueError, "^dh: got shape"),
        ({"out": (np.ones(3),) * 4}, ValueError, "^out: got 4 arrays, expected at most 3"),
        ({"out": (np.ones((3, 16)), np.ones((4, 16)), np.ones(16))}, ValueError, "^out, dW_h: got shape"),
        ({"tape": None}, TypeError, "^tape: got NoneType, expected the tape of slstm_forward"),
    ],
    ids=str,
)
def test_wrong_gradients_are_refused(change, error, message):
    arguments, (dh, *_) = arguments_of((3, 2, 3, 4, 2), np.float64)
    given = {"dh": dh, "tape": recurrent.slstm_forward(*arguments)[-1]}
    with pytest.raises(error, match=message):
        recurrent.slstm_backward(**(given | change))


# ---- Layers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "merge": "sum", "heads": 2}, {"bias": False}])
@pytest.mark.parametrize("gate", GATES)
def test_gradients_of_a_stack_against_finite_differences(gate, options):
    layer = fd.nn.sLSTM(3, 4, 2, rng=1, dtype=np.float64, init="torch", forget_gate=gate, **options)
    rng = np.random.default_rng(2)
    x, lengths = rng.standard_normal((6, 4, 3)), np.array([6, 2, 5, 1])
    y = layer.forward(x, lengths=lengths)
    dy = rng.standard_normal(y.shape)
    dx = layer.backward(dy)

    def slope(place):
        numeric = np.empty_like(place)
        for at in np.ndindex(place.shape):
            values, kept = [], place[at]
            for step in (1e-6, -1e-6):
                place[at] = kept + step
                values.append((layer.forward(x, lengths=lengths) * dy).sum())
            place[at] = kept
            numeric[at] = (values[0] - values[1]) / 2e-6
        return numeric

    pairs = [(one.grad.copy(), one.data) for one in layer.parameters()]
    layer.eval()
    for gradient, place in [*pairs, (dx, x)]:
        np.testing.assert_allclose(gradient, slope(place), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("lengths", [None, [9, 4, 7]])
@pytest.mark.parametrize("reverse", [False, True])
def test_checkpoints_and_truncation(reverse, lengths):
    def trained(**options):
        layer = fd.nn.sLSTM(3, 6, 2, heads=2, rng=1, dtype=np.float64, reverse=reverse, init="torch", **options)
        rng = np.random.default_rng(2)
        y, state = layer.forward(rng.standard_normal((9, 3, 3)), lengths=lengths, return_state=True)
        dx = layer.backward(rng.standard_normal(y.shape), state[:3])
        return [y, dx, *state, *(one.grad for one in layer.parameters())]

    plain, cut = trained(), trained(truncate=4)
    for one, other in zip(plain, trained(checkpoint=True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    for one, other in zip(plain, trained(truncate=9), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(plain[0], cut[0], rtol=1e-12, atol=1e-13)
    assert np.abs(plain[1] - cut[1]).max() > 1e-6


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"output": "last", "batch_first": True}], ids=str)
def test_a_layer_is_the_same_on_both_backends(options):
    x = np.random.default_rng(0).standard_normal((6, 3, 4))

    def trained():
        layer = fd.nn.sLSTM(
            4, 6, 2, 0.2, heads=3, rng=1, dtype=np.float64, zoneout=0.2, input_dropout=0.1, state_dropout=0.2,
            candidate_dropout=0.1, weight_dropout=0.3, init="torch", **options,
        )  # fmt: skip
        y, state = layer.forward(x, return_state=True)
        dx, dstate = layer.backward(np.ones_like(y), state[:3], return_state=True)
        return [y, *state, dx, *dstate, *(one.grad for one in layer.parameters())]

    mine = trained()
    with fd.backend("reference"):
        theirs = trained()
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)


def test_a_layer_goes_step_by_step_and_from_a_given_state():
    layer = fd.nn.sLSTM(4, 6, 2, heads=2, rng=1, dtype=np.float64).eval()
    x, state = np.random.default_rng(0).standard_normal((6, 3, 4)), None
    y, final = layer.forward(x, return_state=True)
    for one, expected in zip(x, y, strict=True):
        got, state = layer.step(one, state)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
    for one, other in zip(state, final, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    half = layer.forward(x[:3], return_state=True)[1]
    np.testing.assert_array_equal(layer.forward(x[3:], half), y[3:])
    assert [one.shape for one in layer.initial_state(5)] == [(2, 5, 6)] * 4


def test_a_layer_is_kept(tmp_path):
    layer = fd.nn.sLSTM(3, 8, 2, heads=2, rng=0, dropout=0.1, forget_gate="exp")
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    state = layer.state_dict()
    assert {name: one.shape for name, one in state.items() if name.endswith("l0")} == {
        "weight_ih_l0": (32, 3), "weight_hh_l0": (2, 4, 16), "bias_l0": (32,),
    }  # fmt: skip
    other = fd.nn.sLSTM(3, 8, 2, heads=2, rng=1, dropout=0.1, forget_gate="exp")
    other.load_state_dict(state)
    y = layer.eval().forward(x)
    for one in (other.eval(), copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(one.forward(x), y)
    assert repr(layer).startswith("sLSTM(3, 8, num_layers=2, dropout=0.1, heads=2, forget_gate='exp')")


def test_first_values():
    layer = fd.nn.sLSTM(400, 64, 3, heads=2, rng=0, dtype=np.float64)
    for k in range(3):
        i, f, z, o = getattr(layer, f"bias_l{k}").data.reshape(4, 64)
        assert not any(one.any() for one in (i, z, o, getattr(layer, f"weight_hh_l{k}").data))
        within = np.arange(32) / 31
        np.testing.assert_allclose(f, np.tile(5 - 12 * within ** (0.3 + 1.3 * k / 2), 2), rtol=1e-12)
    np.testing.assert_allclose(layer.weight_ih_l0.data.std(), np.sqrt(2 / 2000), rtol=0.02)
    for one in fd.nn.sLSTM(4, 16, rng=0, init="torch").parameters():
        assert 0.1 < np.abs(one.data).max() <= 0.25
    assert fd.nn.sLSTM(3, 2, heads=2, rng=0).bias_l0.data[2:4].tolist() == [5, 5]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heads": 3}, ValueError, "^heads: got 3, expected a divisor of hidden_size, 8"),
        ({"heads": 0}, ValueError, "^heads: got 0"),
        ({"forget_gate": True}, ValueError, "^forget_gate: got True"),
        ({"init": "keras"}, ValueError, "^init: got 'keras', expected one of 'xlstm', 'torch'"),
        ({"bias": "single"}, TypeError, "^bias: got 'single'"),
        ({"learned_state": True}, TypeError, "learned_state"),
        ({"clip": 1.0}, TypeError, "clip"),
    ],
    ids=str,
)
def test_wrong_options_of_a_layer_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        fd.nn.sLSTM(3, 8, **options)


def test_what_a_layer_has_not_is_refused_by_name():
    layer = fd.nn.sLSTM(3, 4, rng=0)
    x = np.ones((5, 2, 3), np.float32)
    with pytest.raises(ValueError, match="^return_cells: got True, but sLSTM has one that means nothing"):
        layer.forward(x, return_cells=True)
    y = layer.forward(x)
    states = layer.initial_state(2)
    with pytest.raises(ValueError, match=r"^dstate: got 4 arrays, expected \(dh, dc, dn\)"):
        layer.backward(y, states)
    with pytest.raises(ValueError, match=r"^state: got 2 arrays, expected \(h, c, n, m\)"):
        layer.forward(x, states[:2])
    with pytest.raises(TypeError, match=r"^state: got ndarray, expected \(h, c, n, m\)"):
        layer.forward(x, states[0])
    with pytest.raises(ValueError, match=r"^state\[2\]: got shape"):
        layer.forward(x, (*states[:2], states[2][:, :1], states[3]))
    assert not hasattr(fd.nn.sLSTM, "export_weights")  # no other framework has the cell
