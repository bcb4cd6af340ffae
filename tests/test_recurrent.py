"""The LSTM: equal to the reference, its gradients to finite differences, the same bits for any team."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import recurrent
from fastdl.reference import recurrent as reference

SHAPES = [  # (T, B, I, H): no two alike, around panel widths, and where the kernel takes another path
    (1, 1, 1, 1),
    (1, 1, 32, 32),
    (1, 3, 5, 40),
    (2, 2, 32, 64),
    (3, 5, 7, 9),
    (9, 13, 20, 70),
    (17, 4, 33, 32),
    (5, 300, 10, 33),
    (40, 1, 64, 128),
    (7, 37, 100, 100),
    (150, 4, 2, 24),  # narrow over several windows, dx by dot products
    (2, 300, 4, 6),
]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}  # relative to the largest element of each result


def problem(shape, dtype, seed=0):
    T, B, I, H = shape  # noqa: E741
    rng = np.random.default_rng(seed)

    def draw(*extents, scale=1.0):
        return (rng.standard_normal(extents) * scale).astype(dtype)

    arguments = (
        draw(T, B, I),
        draw(B, H),
        draw(B, H),
        draw(I, 4 * H, scale=I**-0.5),
        draw(H, 4 * H, scale=H**-0.5),
        draw(4 * H, scale=0.5),
    )
    return arguments, draw(T, B, H), draw(T, B, H)


def run(module, arguments, dh, dc):
    h, c, tape = module.lstm_forward(*arguments)
    return [h, c, *module.lstm_backward(dh, dc, tape)[:6]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_the_reference(level, shape, dtype):
    arguments, dh, dc = problem(shape, dtype)
    for cell in (None, dc[-1], dc):
        got, expected = run(recurrent, arguments, dh, cell), run(reference, arguments, dh, cell)
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            scale = np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=str(index))
            assert one.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_same_bits_for_any_number_of_threads(level, shape, dtype, monkeypatch):
    monkeypatch.setattr(recurrent._run, "GRAIN", 1)  # split even the smallest work
    arguments, dh, dc = problem(shape, dtype)
    results = []
    for count in (1, 2, 3, 8):
        fd.set_num_threads(count)
        results.append(run(recurrent, arguments, dh, dc[-1]))
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_added_to_what_is_there(level, shape):
    arguments, dh, dc = problem(shape, np.float64)
    tape = recurrent.lstm_forward(*arguments)[2]
    alone = recurrent.lstm_backward(dh, dc, tape)[3:6]
    places = tuple(np.full_like(gradient, 2.0) for gradient in alone)
    recurrent.lstm_backward(dh, dc, tape, out=(*places, None, None), accumulate=True)
    for place, gradient in zip(places, alone, strict=True):
        np.testing.assert_allclose(place, 2 + gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 2, 3), (4, 3, 2, 5), (6, 2, 3, 1)], ids=str)
def test_gradients_against_finite_differences(level, shape):
    arguments, dh, dc = problem(shape, np.float64)
    gradients = run(recurrent, arguments, dh, dc)[2:]
    for index, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        numeric = np.empty_like(argument)
        for at in np.ndindex(argument.shape):
            values = []
            for step in (1e-6, -1e-6):
                moved = [a.copy() for a in arguments]
                moved[index][at] += step
                h, c, _ = recurrent.lstm_forward(*moved)
                values.append((h * dh).sum() + (c * dc).sum())
            numeric[at] = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8, err_msg=f"argument {index}")


def test_inference_gives_the_bits_of_training(level):
    for shape in SHAPES:
        arguments, _, _ = problem(shape, np.float32)
        h, c, _ = recurrent.lstm_forward(*arguments)
        h2, c2, tape = recurrent.lstm_forward(*arguments, training=False)
        assert tape is None
        np.testing.assert_array_equal(h, h2)
        np.testing.assert_array_equal(c, c2)


def test_carried_state_continues_the_sequence(level):
    (x, h0, c0, *weights), _, _ = problem((12, 3, 5, 7), np.float64)
    whole, cells, _ = recurrent.lstm_forward(x, h0, c0, *weights)
    first, cells1, _ = recurrent.lstm_forward(x[:5], h0, c0, *weights)
    second, _, _ = recurrent.lstm_forward(x[5:], first[-1], cells1[-1], *weights)
    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(cells[4], cells1[-1])


def test_a_batch_gives_each_sequence_what_it_gets_alone(level):
    (x, h0, c0, *weights), dh, dc = problem((9, 6, 20, 33), np.float32)
    h, _, tape = recurrent.lstm_forward(x, h0, c0, *weights)
    dx = recurrent.lstm_backward(dh, dc, tape)[0]
    for b in range(6):
        one = slice(b, b + 1)
        alone, _, tape = recurrent.lstm_forward(x[:, one], h0[one], c0[one], *weights)
        np.testing.assert_array_equal(alone, h[:, one])
        np.testing.assert_array_equal(recurrent.lstm_backward(dh[:, one], dc[:, one], tape)[0], dx[:, one])


def test_out_accumulates(level):
    for shape in [(1, 1, 32, 32), (7, 37, 10, 33)]:
        arguments, dh, _ = problem(shape, np.float64)
        _, _, tape = recurrent.lstm_forward(*arguments)
        fresh = recurrent.lstm_backward(dh, None, tape)
        out = tuple(np.ones_like(gradient) for gradient in fresh[3:6])
        result = recurrent.lstm_backward(dh, None, tape, out, accumulate=True, input_gradient=False)
        assert result[0] is None
        for mine, given, gradient in zip(result[3:6], out, fresh[3:6], strict=True):
            assert mine is given
            np.testing.assert_allclose(given, gradient + 1, rtol=1e-12, atol=1e-13)
        recurrent.lstm_backward(dh, None, tape, out)
        np.testing.assert_array_equal(out[0], fresh[3])


@pytest.mark.parametrize("shape", [(0, 2, 3, 4), (3, 0, 3, 4)], ids=str)
def test_empty_sequences_and_batches(shape):
    arguments, dh, _ = problem(shape, np.float32)
    h, _, tape = recurrent.lstm_forward(*arguments)
    assert h.shape == (shape[0], shape[1], shape[3])
    dx, dh0, _, dW_x, _, db = recurrent.lstm_backward(dh, None, tape)[:6]
    assert dx.shape == arguments[0].shape
    assert not dW_x.any()
    assert not db.any()
    assert not dh0.any()


def test_other_layouts_are_copied_not_misread(level):
    (x, h0, c0, W_x, W_h, b), dh, _ = problem((4, 3, 6, 8), np.float32)
    expected, _, tape = recurrent.lstm_forward(x, h0, c0, W_x, W_h, b)
    gradient = recurrent.lstm_backward(dh, None, tape)[0]
    odd = [np.asfortranarray(x), np.ascontiguousarray(h0.T).T, c0[::-1][::-1], np.asfortranarray(W_x)]
    odd += [W_h.astype(W_h.dtype.newbyteorder()), np.repeat(b, 2)[::2]]
    got, _, tape = recurrent.lstm_forward(*odd)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(recurrent.lstm_backward(np.asfortranarray(dh), None, tape)[0], gradient)


def test_not_a_number_passes_through(level):
    (x, *rest), _, _ = problem((4, 3, 6, 8), np.float32)
    x[1, 2, 3] = np.nan
    h, _, _ = recurrent.lstm_forward(x, *rest)
    assert np.isfinite(h[:, :2]).all()
    assert np.isfinite(h[0]).all()
    assert np.isnan(h[1:, 2]).all()


def test_subnormals_are_flushed_inside_and_the_mode_is_restored(level):
    (x, h0, c0, W_x, W_h, b), dh, _ = problem((60, 2, 3, 8), np.float32)
    tiny = np.full_like(c0, 1e-37)
    b[8:16] = -2  # forget gates that decay
    _, c, tape = recurrent.lstm_forward(x * 0, h0 * 0, tiny, W_x, W_h * 0, b * (np.arange(32) // 8 == 1))
    assert (c[-1] == 0).all()
    recurrent.lstm_backward(dh, None, tape)
    assert np.float32(1e-38) / np.float32(4) > 0  # the caller still has subnormals


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": [[[1.0]]]}, TypeError, "x: got list"),
        ({"x": np.zeros((4, 3), np.float32)}, ValueError, r"x: got shape \(4, 3\)"),
        ({"x": np.zeros((4, 3, 6), np.int32)}, TypeError, "x: got dtype int32"),
        ({"h0": np.zeros((3, 9), np.float32)}, ValueError, "h0: got shape"),
        ({"c0": np.zeros((3, 8))}, TypeError, "c0: got dtype float64"),
        ({"W_x": np.zeros((32, 6), np.float32)}, ValueError, "W_x: got shape"),
        ({"W_h": np.zeros((8, 33), np.float32)}, ValueError, "W_h: got shape"),
        ({"b": np.zeros(31, np.float32)}, ValueError, "b: got shape"),
        ({"c0": None}, TypeError, "c0: got NoneType"),
        ({"x": np.zeros((4, 3, 0), np.float32)}, ValueError, r"x: got shape \(4, 3, 0\), expected at least one column"),
    ],
)
def test_wrong_input_is_refused(change, error, message):
    (x, h0, c0, W_x, W_h, b), _, _ = problem((4, 3, 6, 8), np.float32)
    arguments = {"x": x, "h0": h0, "c0": c0, "W_x": W_x, "W_h": W_h, "b": b, **change}
    with pytest.raises(error, match=message):
        recurrent.lstm_forward(**arguments)


def test_wrong_gradients_are_refused_before_anything_is_written():
    arguments, dh, dc = problem((4, 3, 6, 8), np.float32)
    _, _, tape = recurrent.lstm_forward(*arguments)
    out = tuple(np.ones_like(array) for array in arguments[3:])
    read_only = out[2].copy()
    read_only.flags.writeable = False
    for bad, error in [
        ({"dh": dh[:3]}, ValueError),
        ({"dc": dc[0, :2]}, ValueError),
        ({"tape": None}, TypeError),
        ({"out": (out[0], out[1], read_only)}, ValueError),
        ({"out": (out[0], out[1].T, out[2])}, ValueError),
        ({"out": (arguments[3], out[1], out[2])}, ValueError),
        ({"dc": dc, "out": (out[0], out[1], dc.reshape(-1)[:32])}, ValueError),
        ({"out": (out[0], out[1], tape.c.reshape(-1)[:32])}, ValueError),
        ({"out": 5}, TypeError),
    ]:
        with pytest.raises(error):
            recurrent.lstm_backward(**{"dh": dh, "dc": dc[-1], "tape": tape, "out": out, **bad})
    assert all((array == 1).all() for array in out)


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("layers", "shape"), [(1, (1, 1, 3, 5)), (2, (7, 4, 3, 33)), (3, (20, 9, 40, 17))])
def test_equals_torch(layers, shape, dtype):
    torch = pytest.importorskip("torch")
    T, B, I, H = shape  # noqa: E741
    mine = fd.nn.LSTM(I, H, layers, rng=3, dtype=dtype)
    theirs = torch.nn.LSTM(I, H, layers, dtype=getattr(torch, np.dtype(dtype).name))
    theirs.load_state_dict({name: torch.from_numpy(array) for name, array in mine.state_dict().items()})
    rng = np.random.default_rng(1)
    x, h0, c0, dy = (
        rng.standard_normal(s).astype(dtype) for s in [(T, B, I), (layers, B, H), (layers, B, H), (T, B, H)]
    )
    tensors = [torch.from_numpy(array).requires_grad_() for array in (x, h0, c0)]
    y, (h_n, c_n) = theirs(tensors[0], tuple(tensors[1:]))
    ((y * torch.from_numpy(dy)).sum() + (h_n * h_n).sum() + c_n.sum()).backward()
    got, (h, c) = mine.forward(x, (h0, c0), return_state=True)
    dx, (dh0, dc0) = mine.backward(dy, (2 * h, np.ones_like(c)), return_state=True)
    grads = {f"weight_{kind}_l{k}": mine._parameters[f"weight_{kind}_l{k}"].grad.T
             for kind in ("ih", "hh") for k in range(layers)}  # fmt: skip
    grads |= {f"bias_{kind}_l{k}": mine._parameters[f"bias_{kind}_l{k}"].grad
              for kind in ("ih", "hh") for k in range(layers)}  # fmt: skip
    pairs = [(got, y), (h, h_n), (c, c_n), *zip((dx, dh0, dc0), [t.grad for t in tensors], strict=True)]
    pairs += [(array, getattr(theirs, name).grad) for name, array in grads.items()]
    for one, other in pairs:
        other = other.detach().numpy()
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(other).max()))
