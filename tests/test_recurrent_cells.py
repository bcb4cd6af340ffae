"""Cells whose recurrence is no matrix product: equal to the reference, to finite differences and to torch."""

import numpy as np
import pytest

import fastdl as fd
from fastdl import recurrent
from fastdl.reference import recurrent as reference

SHAPES = [
    (1, 1, 1, 1),
    (1, 4, 32, 32),
    (3, 5, 7, 9),
    (9, 13, 20, 70),
    (40, 1, 12, 64),
    (4, 300, 3, 33),
    (30, 17, 5, 19),
]
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}  # relative to the largest element of each result
FORMS = {
    "indrnn": [{"nonlinearity": "relu"}, {"nonlinearity": "tanh"}],
    "mingru": [{"positive": False}, {"positive": True}],
    "minlstm": [{"positive": a, "normalized": b} for a in (False, True) for b in (False, True)],
}
LAYERS = {
    "indrnn": "IndRNN",
    "mingru": "MinGRU",
    "minlstm": "MinLSTM",
}
GATES = {"mingru": 2, "minlstm": 3}  # of cells that do not multiply h
EVERY = [
    pytest.param(cell, form, id=f"{cell}-{'-'.join(map(str, form.values()))}")
    for cell, forms in FORMS.items()
    for form in forms
]


def normals(rng, dtype, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(dtype)


def arguments_of(cell, shape, dtype, seed=0):
    """x, h0 and the weights; the gradient with respect to h."""
    (T, B, I, H), rng = shape, np.random.default_rng(seed)  # noqa: E741
    x, h0 = normals(rng, dtype, T, B, I), normals(rng, dtype, B, H)
    if G := GATES.get(cell):
        W_x, b = normals(rng, dtype, I, G * H, scale=I**-0.5), normals(rng, dtype, G * H, scale=0.5)
        return (x, h0, W_x, b), normals(rng, dtype, T, B, H)
    W_x, u, b = normals(rng, dtype, I, H, scale=I**-0.5), rng.random(H).astype(dtype), normals(rng, dtype, H, scale=0.5)
    return (x, h0, W_x, u, b), normals(rng, dtype, T, B, H)


def options_of(cell, shape, dtype):
    """No option, all of them with masks, and all with numbers."""
    (T, B, _, H), rng = shape, np.random.default_rng(5)
    lengths = rng.integers(0, T + 1, B)
    masks = {
        "lengths": lengths,
        "zoneout_h": rng.random((T, B, H)) < 0.3,
        "clip": 0.7,
        "state_mask": normals(rng, dtype, B, H),
    }
    if cell in GATES:
        del masks["clip"], masks["state_mask"]
        masks |= {"candidate_mask": rng.random((T, B, H)) < 0.7, "candidate_scale": 1.4}
    return [{}, {"reverse": True}, masks, masks | {"reverse": True, "zoneout_h": 0.25}]


def run(module, cell, arguments, dh, options):
    h, tape = getattr(module, f"{cell}_forward")(*arguments, **options)
    return [h, *getattr(module, f"{cell}_backward")(dh, tape, dh_last=dh[0] if len(dh) else None)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_equals_the_reference(level, cell, form, shape, dtype):
    arguments, dh = arguments_of(cell, shape, dtype)
    for options in options_of(cell, shape, dtype):
        got, expected = (run(one, cell, arguments, dh, form | options) for one in (recurrent, reference))
        for index, (one, other) in enumerate(zip(got, expected, strict=True)):
            scale = np.abs(other).max()
            np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=f"{options}, {index}")
            assert one.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_same_bits_for_any_number_of_threads(level, cell, form, shape, dtype, monkeypatch):
    monkeypatch.setattr(recurrent._run, "GRAIN", 1)  # split even the smallest work
    arguments, dh = arguments_of(cell, shape, dtype)
    for options in options_of(cell, shape, dtype):
        results = []
        for count in (1, 2, 3):
            fd.set_num_threads(count)
            results.append(run(recurrent, cell, arguments, dh, form | options))
        for other in results[1:]:
            for one, two in zip(results[0], other, strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("shape", [(1, 1, 2, 3), (4, 3, 2, 5), (5, 2, 3, 1)], ids=str)
@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_gradients_against_finite_differences(level, cell, form, shape):
    arguments, dh = arguments_of(cell, shape, np.float64, seed=3)
    for options in options_of(cell, shape, np.float64):
        gradients = run(recurrent, cell, arguments, dh, form | options)[1:]

        def loss(moved, options=options):
            h, _ = getattr(recurrent, f"{cell}_forward")(*moved, **form, **options)
            where = options.get("lengths"), options.get("reverse", False)
            last = [h[0 if where[1] else n - 1, b] if n else moved[1][b] for b, n in enumerate(_lengths(where[0], h))]
            return (h * dh).sum() + (np.array(last) * dh[0]).sum()

        for index, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
            numeric = np.empty_like(argument)
            for at in np.ndindex(argument.shape):
                values = []
                for step in (1e-6, -1e-6):
                    moved = [one.copy() for one in arguments]
                    moved[index][at] += step
                    values.append(loss(moved))
                numeric[at] = (values[0] - values[1]) / 2e-6
            np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8, err_msg=f"{options}, argument {index}")


def _lengths(given, h):
    return [len(h)] * h.shape[1] if given is None else given


# ---- torch, by the equations -----------------------------------------------------------------------------------


def in_torch(torch, cell, form, x, h, weights):
    if cell in GATES:
        W_x, b = weights
        return torch.stack(_minimal(torch, cell, form, x @ W_x + b, h))
    W_x, u, b = weights
    outputs = []
    for one in x:
        h = getattr(torch, form["nonlinearity"])(one @ W_x + u * h + b)
        outputs.append(h)
    return torch.stack(outputs)


def _minimal(torch, cell, form, a, h):
    """z and n of minGRU; h = (1 - z) h + z n. Or f, i and n of minLSTM; h = f h + i n."""
    outputs = []
    for *gates, a_n in (one.chunk(GATES[cell], -1) for one in a):
        n = torch.where(a_n >= 0, a_n + 0.5, torch.sigmoid(a_n)) if form["positive"] else a_n
        *f, i = (torch.sigmoid(gate) for gate in gates)
        old = f[0] if f else 1 - i
        h = (old * h + i * n) / (old + i if form.get("normalized") else 1)
        outputs.append(h)
    return outputs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_equals_the_equations_in_torch(cell, form, dtype):
    torch = pytest.importorskip("torch")
    arguments, dh = arguments_of(cell, (7, 4, 5, 9), dtype)
    tensors = [torch.from_numpy(one).requires_grad_() for one in arguments]
    theirs = in_torch(torch, cell, form, tensors[0], tensors[1], tensors[2:])
    ((theirs * torch.from_numpy(dh)).sum() + (theirs[-1] * torch.from_numpy(dh[0])).sum()).backward()
    expected = [theirs.detach().numpy(), *(one.grad.numpy() for one in tensors)]
    for one, other in zip(run(recurrent, cell, arguments, dh, form), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE[dtype] * np.abs(other).max())


# ---- What else a cell's functions promise ------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_a_call_continues_another_and_inference_gives_the_bits_of_training(level, cell, form):
    (x, h0, *weights), _ = arguments_of(cell, (12, 3, 5, 7), np.float64)
    forward = getattr(recurrent, f"{cell}_forward")
    whole = forward(x, h0, *weights, **form)[0]
    first, tape = forward(x[:5], h0, *weights, training=False, **form)
    assert tape is None
    np.testing.assert_array_equal(np.concatenate([first, forward(x[5:], first[-1], *weights, **form)[0]]), whole)


@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_a_batch_gives_each_sequence_what_it_gets_alone(level, cell, form):
    (x, h0, *weights), dh = arguments_of(cell, (9, 6, 20, 33), np.float32)
    lengths = np.array([9, 5, 7, 9, 6, 8])
    h, dx, *_ = run(recurrent, cell, (x, h0, *weights), dh, form | {"lengths": lengths})
    for b, n in enumerate(lengths):
        alone = (x[:n, [b]], h0[[b]], *weights)
        got, tape = getattr(recurrent, f"{cell}_forward")(*alone, **form)
        np.testing.assert_array_equal(got, h[:n, [b]])
        back = getattr(recurrent, f"{cell}_backward")(dh[:n, [b]], tape, dh_last=dh[0, [b]])
        np.testing.assert_array_equal(back.dx, dx[:n, [b]])


@pytest.mark.parametrize("empty", [(0, 2, 3, 4), (3, 0, 3, 4)], ids=str)
@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_empty_sequences_and_batches(cell, form, empty):
    arguments, dh = arguments_of(cell, empty, np.float32)
    h, tape = getattr(recurrent, f"{cell}_forward")(*arguments, **form)
    assert h.shape == dh.shape
    dx, dh0, *others = getattr(recurrent, f"{cell}_backward")(dh, tape)
    assert dx.shape == arguments[0].shape
    assert not any(one.any() for one in (dh0, *others))


@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_out_accumulates(level, cell, form):
    arguments, dh = arguments_of(cell, (7, 37, 10, 33), np.float64)
    _, tape = getattr(recurrent, f"{cell}_forward")(*arguments, **form)
    backward = getattr(recurrent, f"{cell}_backward")
    fresh = backward(dh, tape)
    out = tuple(np.ones_like(one) for one in fresh[2:])
    result = backward(dh, tape, out, accumulate=True, input_gradient=False)
    assert result.dx is None
    for given, gradient in zip(out, fresh[2:], strict=True):
        np.testing.assert_allclose(given, gradient + 1, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"u": np.ones((4, 4))}, ValueError, "^u: got shape"),
        ({"u": np.ones(0)}, ValueError, r"^u: got shape \(0,\), expected at least one column"),
        ({"u": np.ones(4, np.float32)}, TypeError, "^u: got dtype float32, expected float64"),
        ({"W_x": np.ones((3, 5))}, ValueError, "^W_x: got shape"),
        ({"b": np.ones(3)}, ValueError, "^b: got shape"),
        ({"nonlinearity": "sigmoid"}, ValueError, "^nonlinearity: got 'sigmoid'"),
    ],
    ids=str,
)
def test_wrong_arguments_of_indrnn_are_refused(change, error, message):
    given = {"x": np.ones((5, 2, 3)), "h0": np.ones((2, 4)), "W_x": np.ones((3, 4)), "u": np.ones(4), "b": np.ones(4)}
    with pytest.raises(error, match=message):
        recurrent.indrnn_forward(**(given | change))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"W_x": np.ones((3, 9))}, ValueError, r"^W_x: got shape \(3, 9\), expected \(3, 8\)"),
        ({"W_x": np.ones((3, 1))}, ValueError, r"^W_x: got shape \(3, 1\), expected at least one column"),
        ({"W_x": None}, TypeError, "^W_x: got None"),
        ({"h0": np.ones((2, 5))}, ValueError, "^h0: got shape"),
        ({"positive": 1.5}, TypeError, "^positive: got 1.5"),
        ({"candidate_scale": "two"}, TypeError, "^candidate_scale: got"),
    ],
    ids=str,
)
def test_wrong_arguments_of_mingru_are_refused(change, error, message):
    given = {"x": np.ones((5, 2, 3)), "h0": np.ones((2, 4)), "W_x": np.ones((3, 8)), "b": np.ones(8)}
    with pytest.raises(error, match=message):
        recurrent.mingru_forward(**(given | change))


@pytest.mark.parametrize("positive", [False, True])
def test_a_candidate_of_zero_and_infinities(level, positive):
    """Where the positive form changes its branch, and at the ends of its range."""
    x = np.array([0.0, -0.0, 1e30, -1e30, 3.5]).reshape(1, 5, 1)
    W_x, b = np.array([[0.0, 1.0]]), np.array([50.0, 0.0])
    for dtype in (np.float32, np.float64):
        given = (x.astype(dtype), np.zeros((5, 1), dtype), W_x.astype(dtype), b.astype(dtype))
        h, tape = recurrent.mingru_forward(*given, positive=positive)
        expected = [0.5, 0.5, 1e30, 0.0, 4.0] if positive else x.ravel()
        np.testing.assert_allclose(h.ravel(), np.array(expected, dtype), rtol=1e-6, atol=1e-30)
        slopes = recurrent.mingru_backward(np.ones_like(h), tape).dx.ravel()
        np.testing.assert_allclose(slopes, [1, 1, 1, 0, 1] if positive else 1, rtol=1e-6, atol=1e-30)


def test_gates_near_zero_still_share(level):
    """Where sigma itself is lost in float32, f / (f + i) is not."""
    a_f, a_i = np.array([-60.0, -75.0, 70.0, -400.0]), np.array([-58.0, -75.0, -70.0, -400.0])
    for dtype in (np.float32, np.float64):
        W_x = np.concatenate([a_f, a_i, np.zeros(4)])[None].astype(dtype)
        x, h0, b = np.ones((1, 1, 1), dtype), np.ones((1, 4), dtype), np.zeros(12, dtype)
        h, tape = recurrent.minlstm_forward(x, h0, W_x, b)
        expected = 1 / (1 + np.exp(np.logaddexp(0, -a_f) - np.logaddexp(0, -a_i)))
        np.testing.assert_allclose(h[0, 0], expected, rtol=2e-5)
        db = recurrent.minlstm_backward(np.ones_like(h), tape).db
        np.testing.assert_allclose(db[:4], expected * (1 - expected) / (1 + np.exp(a_f)), rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("cell", FORMS)
def test_wrong_places_are_refused_by_name(cell):
    arguments, dh = arguments_of(cell, (3, 2, 3, 4), np.float64)
    _, tape = getattr(recurrent, f"{cell}_forward")(*arguments)
    backward = getattr(recurrent, f"{cell}_backward")
    count = len(arguments) - 2
    with pytest.raises(ValueError, match=f"^out: got {count + 1} arrays, expected at most {count}"):
        backward(dh, tape, (dh,) * (count + 1))
    with pytest.raises(TypeError, match=f"^tape: got .*, expected the tape of {cell}_forward"):
        backward(
            dh,
            recurrent.rnn_forward(np.ones((3, 2, 3)), np.ones((2, 4)), np.ones((3, 4)), np.ones((4, 4)), np.ones(4))[1],
        )


# ---- Layers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"bidirectional": True, "merge": "sum", "learned_state": True}, {"bias": False}]
)
@pytest.mark.parametrize(("cell", "form"), EVERY)
def test_gradients_of_a_stack_against_finite_differences(cell, form, options):
    layer = getattr(fd.nn, LAYERS[cell])(3, 5, 2, rng=1, dtype=np.float64, **form, **options)
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
@pytest.mark.parametrize("cell", FORMS)
def test_checkpoints_and_truncation(cell, reverse, lengths):
    def trained(**options):
        layer = getattr(fd.nn, LAYERS[cell])(3, 5, 2, rng=1, dtype=np.float64, reverse=reverse, **options)
        rng = np.random.default_rng(2)
        y = layer.forward(rng.standard_normal((9, 3, 3)), lengths=lengths)
        return [y, layer.backward(rng.standard_normal(y.shape)), *(one.grad for one in layer.parameters())]

    plain, cut = trained(), trained(truncate=4)
    for one, other in zip(plain, trained(checkpoint=True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    for one, other in zip(plain, trained(truncate=9), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(plain[0], cut[0], rtol=1e-12, atol=1e-13)
    assert np.abs(plain[1] - cut[1]).max() > 1e-6


@pytest.mark.parametrize("cell", FORMS)
def test_a_layer_is_the_same_on_both_backends_and_goes_step_by_step(cell):
    kind = getattr(fd.nn, LAYERS[cell])
    x = np.random.default_rng(0).standard_normal((6, 3, 4))

    def trained():
        layer = kind(4, 5, 2, 0.2, rng=1, dtype=np.float64, zoneout=0.2, input_dropout=0.1)
        y, state = layer.forward(x, return_state=True)
        return [y, state, layer.backward(np.ones_like(y), state), *(one.grad for one in layer.parameters())]

    mine = trained()
    with fd.backend("reference"):
        theirs = trained()
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)
    layer = kind(4, 5, 2, rng=1, dtype=np.float64).eval()
    y, state = layer.forward(x), None
    for one, expected in zip(x, y, strict=True):
        got, state = layer.step(one, state)
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", FORMS)
def test_a_layer_has_one_bias_and_keeps_its_state(cell):
    kind = getattr(fd.nn, LAYERS[cell])
    layer, other = kind(3, 4, 2, rng=0), kind(3, 4, 2, rng=1)
    assert {"weight_ih_l0", "bias_l0", "bias_l1"} <= set(layer.state_dict())
    assert not any("bias_ih" in name for name in layer.state_dict())
    other.load_state_dict(layer.state_dict())
    x = np.ones((3, 2, 3), np.float32)
    np.testing.assert_array_equal(layer.forward(x), other.forward(x))
    with pytest.raises(TypeError, match="^bias: got 'single', expected"):
        kind(3, 4, bias="single")
    assert not hasattr(kind, "export_weights")  # no other framework has the cell
    assert repr(kind(3, 4, 2, bias=False, reverse=True)).startswith(
        f"{LAYERS[cell]}(3, 4, num_layers=2, bias=False, reverse=True"
    )
