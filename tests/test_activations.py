"""Activations: all of the table against the reference, differences and torch; what a definition makes."""

import copy
import inspect
import pickle
from pathlib import Path

import numpy as np
import pytest
from awkward import awkward_arrays

import fastdl as fd
from fastdl import dense
from fastdl._dispatch import kernels
from fastdl.dense._pointwise import ACTIVATIONS
from fastdl.reference import dense as reference

LAYERS = {
    one._definition.name: name
    for name in fd.nn.__all__
    if isinstance(one := getattr(fd.nn, name), type) and hasattr(one, "_definition")
}
SETTINGS = {  # beside the defaults
    "leaky_relu": [{"negative_slope": 0.3}, {"negative_slope": -0.5}],
    "elu": [{"alpha": 2.0}],
    "hardtanh": [{"min_val": -2.0, "max_val": 0.5}],
    "softplus": [{"beta": 3.0, "threshold": 5.0}],
    "gelu": [{"approximate": "tanh"}],
    "softmax": [{"axis": 0}],
    "log_softmax": [{"axis": 0}],
}
CASES = [pytest.param(name, given, id=f"{name}{given or ''}") for name in ACTIVATIONS for given in
         ({}, *SETTINGS.get(name, []))]  # fmt: skip


def along(name):
    return "axis" in ACTIVATIONS[name].settings


def backward(topic, name, dy, x, **settings):
    kept = x if ACTIVATIONS[name].kept == "x" else getattr(topic, name)(x, **settings)
    return getattr(topic, f"{name}_backward")(dy, kept, **settings)


def test_each_activation_has_its_layer_its_gradient_and_its_row_in_the_docs():
    assert LAYERS.keys() == ACTIVATIONS.keys()
    assert {f"{name}{end}" for name in ACTIVATIONS for end in ("", "_backward")} <= set(fd.dense.__all__)
    page = (Path(fd.__file__).parents[1] / "docs" / "dense.md").read_text()
    for name, one in ACTIVATIONS.items():
        assert one.docs_row() in page, f"docs/dense.md: write {one.docs_row()}"
        for function in (getattr(fd, name), getattr(fd, f"{name}_backward")):
            assert list(inspect.signature(function).parameters)[-len(one.settings) or 99 :] == list(one.settings)
        layer = getattr(fd.nn, LAYERS[name])
        assert inspect.signature(layer).parameters == one.settings


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "given"), CASES)
def test_awkward_arrays(level, name, given, dtype):
    info = np.finfo(dtype)
    for label, x in awkward_arrays(dtype):
        if along(name) and x.ndim == 0:
            continue
        before, plain = x.copy(), x.astype(dtype)
        with np.errstate(all="ignore"):
            y, expected = getattr(dense, name)(x, **given), getattr(reference, name)(plain, **given)
            # A row's exponentials are of differences, which have the rounding of the row's largest number; the
            # reference's erfc is of x / sqrt(2), rounded.
            slack = 64 if along(name) or name == "gelu" else 16
        np.testing.assert_allclose(y, expected, rtol=slack * info.eps, atol=100 * info.tiny + along(name) * info.eps,
                                   err_msg=label)  # fmt: skip
        assert y.dtype == dtype
        np.testing.assert_array_equal(x, before)
        dy = np.cos(np.arange(x.size, dtype=dtype)).reshape(x.shape)
        with np.errstate(all="ignore"):
            found, expected = backward(dense, name, dy, x, **given), backward(reference, name, dy, plain, **given)
        slack *= max(1, np.abs(np.nan_to_num(dy.sum())) if along(name) else 1)
        np.testing.assert_allclose(found, expected, rtol=slack * info.eps, atol=slack * info.eps, err_msg=label)


@pytest.mark.parametrize("shape", [(1,), (1, 4), (3, 1), (7, 5), (2, 3, 4)])
@pytest.mark.parametrize(("name", "given"), CASES)
def test_gradients_are_those_of_differences(level, name, given, shape):
    rng = np.random.default_rng(0)
    x, dy = 3 * rng.standard_normal((2, *shape))
    x[np.abs(x) < 0.1] += 0.5  # away from kinks
    found = backward(dense, name, dy, x, **given)
    for at in np.ndindex(shape):
        step = np.zeros(shape)
        step[at] = 1e-6
        above, below = (getattr(dense, name)(x + sign * step, **given) for sign in (1, -1))
        np.testing.assert_allclose(found[at], ((above - below) * dy).sum() / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_any_number_of_threads_gives_the_same_bits(level, name, given, monkeypatch):
    monkeypatch.setattr(dense._grains, "ELEMENTS", 1)
    x, dy = 3 * np.random.default_rng(0).standard_normal((2, 41, 123)).astype(np.float32)
    results = []
    for count in (1, 2, 3, 8):
        fd.set_num_threads(count)
        results.append((getattr(dense, name)(x, **given), backward(dense, name, dy, x, **given)))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_layer_is_its_function(name, given):
    rng = np.random.default_rng(0)
    x, other, dy = rng.standard_normal((3, 4, 5))
    layer = getattr(fd.nn, LAYERS[name])(**given)
    assert repr(layer).startswith(f"{LAYERS[name]}({', '.join(f'{key}={value!r}' for key, value in given.items())})")
    first, second = layer.forward(x), layer(other)
    np.testing.assert_array_equal(first, getattr(fd, name)(x, **given))
    for one in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(one.eval().forward(x), first)
    for input_, _ in ((other, second), (x, first)):  # the last forward first
        np.testing.assert_array_equal(layer.backward(dy), backward(fd, name, dy, input_, **given))
    layer.eval()
    layer.forward(x)
    with pytest.raises(RuntimeError, match="no forward to undo"):
        layer.backward(dy)


def test_settings_count_from_the_next_forward_on():
    layer = fd.nn.LeakyReLU()
    x = -np.ones(2)
    layer.forward(x)
    layer.negative_slope = 0.5
    np.testing.assert_array_equal(layer.backward(np.ones(2)), [0.01, 0.01])
    np.testing.assert_array_equal(layer.forward(x), [-0.5, -0.5])
    layer.negative_slope = "steep"
    with pytest.raises(TypeError, match="^negative_slope: got 'steep', expected a number"):
        layer.forward(x)
    assert len(layer._tape) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fd.gelu(np.ones(2), "erf"), "approximate: got 'erf', expected one of 'none', 'tanh'"),
        (lambda: fd.nn.GELU("erf"), "approximate: got 'erf'"),
        (lambda: fd.softplus(np.ones(2), 0), r"beta: got 0, expected a number in \(0, inf\]"),
        (lambda: fd.nn.Hardtanh(1, 1), "min_val: got 1, expected less than max_val, 1"),
        (lambda: fd.softmax(np.ones(2), 1), "axis: got 1, expected from -1 to 0"),
        (lambda: fd.softmax(np.array(1.0)), r"x: got shape \(\), expected at least one axis"),
        (lambda: fd.silu_backward(np.ones(2), np.ones(3)), r"x: got shape \(3,\), expected \(2,\)"),
        (lambda: fd.silu_backward(dy=np.ones(2), x=np.ones(3)), r"x: got shape \(3,\), expected \(2,\)"),
        (lambda: fd.relu_backward(np.ones(2), np.ones(2, np.float32)), "y: got dtype float32, expected float64"),
        (lambda: fd.elu([1.0]), "x: got list, expected a numpy array"),
        (lambda: fd.nn.ELU(1.0, 2.0), "too many positional arguments"),
        (lambda: fd.nn.Softmax(dim=1), "unexpected keyword argument 'dim'"),
    ],
)
def test_refusals(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if not along(name)])
def test_infinities_have_their_limits(level, name):
    for dtype in (np.float32, np.float64):
        far, one = np.array([-np.inf, np.inf, np.nan], dtype), np.ones(3, dtype)
        large = np.array([-1e30, 1e30, np.nan], dtype)
        y, slope = getattr(dense, name)(far), backward(dense, name, one, far)
        assert np.isnan([y[2], getattr(dense, name)(large)[2]]).all()
        np.testing.assert_allclose(slope[:2], backward(dense, name, one, large)[:2], atol=1e-37)
        if name != "leaky_relu":
            np.testing.assert_allclose(y[0], getattr(dense, name)(large)[0], atol=1e-37)


def test_softmax_of_rows_that_are_large_or_impossible(level):
    x = np.array([[1e30, 1e30, 0.0], [-1e30, -1e30, -1e30], [0.0, -np.inf, 0.0]])
    third = 1 / 3
    np.testing.assert_allclose(fd.softmax(x), [[0.5, 0.5, 0], [third] * 3, [0.5, 0, 0.5]], rtol=1e-15)
    np.testing.assert_allclose(fd.log_softmax(x)[2], [-np.log(2), -np.inf, -np.log(2)])
    assert np.isnan(fd.softmax(np.full((1, 3), -np.inf))).all()
    assert fd.softmax(np.zeros((3, 0))).shape == (3, 0)
    # A probability too small for the softmax has its logarithm.
    np.testing.assert_allclose(fd.log_softmax(np.array([0.0, -1000.0], np.float32)), [0, -1000])


def test_softmax_along_any_axis(level):
    x, dy = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    for name in ("softmax", "log_softmax"):
        last, back = getattr(fd, name), getattr(fd, f"{name}_backward")
        for axis in range(-3, 3):
            turned, turned_dy = (np.moveaxis(one, axis, -1) for one in (x, dy))
            y = last(x, axis)
            np.testing.assert_array_equal(np.moveaxis(y, axis, -1), last(turned))
            np.testing.assert_array_equal(np.moveaxis(back(dy, y, axis), axis, -1), back(turned_dy, last(turned)))
            assert y.flags.c_contiguous


# ---- promised errors --------------------------------------------------------------------------------------------


def every_float32(low, high, chunk=1 << 22):
    """All float32 values with low <= x < high (both positive), in chunks."""
    first, last = np.array([low, high], np.float32).view(np.uint32)
    for start in range(int(first), int(last), chunk):
        yield np.arange(start, min(start + chunk, int(last)), dtype=np.uint32).view(np.float32)


def worst_ulp(x, y, exact):
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return float((np.abs(y.astype(np.float64) - exact) / spacing).max())


@pytest.mark.compiled_only("the error of the polynomials")
def test_promised_error_over_every_float32():
    # Below 2^-13 tanh x is x to within a quarter unit, and sigmoid 1/2 + x/4: a sample will do. From
    # there to saturation every float is tried.
    tiny = np.geomspace(1e-45, 2**-13, 200_001).astype(np.float32)
    assert worst_ulp(tiny, dense.tanh(tiny), np.tanh(tiny.astype(np.float64))) <= 3
    worst = {"tanh": 0.0, "sigmoid": 0.0, "exp": 0.0}
    for x in every_float32(2**-13, 9.1):
        worst["tanh"] = max(worst["tanh"], worst_ulp(x, dense.tanh(x), np.tanh(x.astype(np.float64))))
    for x in every_float32(2**-13, 87.3):
        wide = np.exp(-x.astype(np.float64))
        y = np.empty_like(x)
        kernels.dense.exp_nonpositive(-x, y)
        worst["exp"] = max(worst["exp"], worst_ulp(x, y, wide))
        for sign in (1, -1):
            exact = 1 / (1 + wide) if sign > 0 else wide / (1 + wide)
            worst["sigmoid"] = max(worst["sigmoid"], worst_ulp(x, dense.sigmoid(sign * x), exact))
    assert worst["tanh"] <= 3, worst
    assert worst["exp"] <= 2, worst
    assert worst["sigmoid"] <= 3, worst
    saturated = np.array([9.1, 50, 1e30, np.inf], np.float32)
    np.testing.assert_array_equal(dense.tanh(saturated), 1)
    np.testing.assert_array_equal(dense.tanh(-saturated), -1)
    assert (dense.sigmoid(np.array([-88, -200, -np.inf], np.float32)) < 1.2e-38).all()


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_error_in_double_precision(level, name):
    x = np.concatenate([np.linspace(-40, 40, 400_001), np.geomspace(1e-300, 1, 100_001)])
    wide = x.astype(np.longdouble)
    exact = np.tanh(wide) if name == "tanh" else 1 / (1 + np.exp(-wide))
    error = np.abs(getattr(dense, name)(x) - exact) / np.spacing(np.abs(exact).astype(np.float64))
    assert float(error.max()) <= 4


def test_promised_error_of_the_others(level):
    """Of float32, where the result is 100 times the smallest normal number or more: gelu 6 units in the last place far
    into its tail, silu, softplus and elu 4; gelu's derivative 2 units of 1."""
    special = pytest.importorskip("scipy.special")
    draws = np.random.default_rng(0).uniform(-13, 13, 400_000)
    x = np.concatenate([draws, -np.geomspace(1e-30, 13, 50_000), np.geomspace(1e-30, 13, 50_000)]).astype(np.float32)
    wide = x.astype(np.float64)
    exact = {
        "gelu": wide * special.erfc(-wide / np.sqrt(2)) / 2,
        "silu": wide / (1 + np.exp(-wide)),
        "softplus": np.log1p(np.exp(wide)),
        "elu": np.where(wide > 0, wide, np.expm1(wide)),
    }
    for name, most in {"gelu": 6, "silu": 4, "softplus": 4, "elu": 4}.items():
        y, right = getattr(dense, name)(x), exact[name]
        counts = np.abs(right) > 100 * np.finfo(np.float32).tiny
        assert worst_ulp(x[counts], y[counts], right[counts]) <= most, name
    slope = special.erfc(-wide / np.sqrt(2)) / 2 + wide * np.exp(-wide * wide / 2) / np.sqrt(2 * np.pi)
    assert np.abs(dense.gelu_backward(np.ones_like(x), x) - slope).max() <= 2 * np.finfo(np.float32).eps


def test_gelu_in_double_precision(level):
    """Against 40 digits of erfc."""
    exact = np.array(GELU)
    error = np.abs(dense.gelu(exact[:, 0].copy()) - exact[:, 1]) / np.spacing(np.abs(exact[:, 1]))
    assert error.max() <= 6, error


GELU = [
    (-36.5, -2.0238248852723182e-290),
    (-20.25, -3.596804726522879e-90),
    (-8.125, -1.817409802360835e-15),
    (-3.7, -0.00039885901386633657),
    (-1.0, -0.15865525393145705),
    (-0.75, -0.16997051428265114),
    (-0.1, -0.0460172162722971),
    (-1e-10, -4.999999999601058e-11),
    (1e-10, 5.000000000398942e-11),
    (0.3, 0.1853734266566858),
    (1.7, 1.6242387133104768),
    (5.5, 5.499999895557407),
]


# ---- torch ------------------------------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "given"), CASES)
def test_torch(name, given, dtype):
    torch = pytest.importorskip("torch")
    theirs = {"dim" if key == "axis" else key: value for key, value in ({"axis": -1} | given if along(name) else
              given).items()}  # fmt: skip
    layer, other = getattr(fd.nn, LAYERS[name])(**given), getattr(torch.nn, LAYERS[name])(**theirs)
    eps = np.finfo(dtype).eps
    for label, x in awkward_arrays(dtype):
        x = np.ascontiguousarray(x.astype(dtype))
        finite = np.isfinite(x)  # elsewhere torch's gradients are not those of a limit, or NaN
        if given.get("approximate") == "tanh":
            finite &= np.abs(x) < 1e10  # whose cube torch's derivative can hold
        if along(name) and (x.ndim == 0 or not x.size or not finite.all()):
            continue
        tensor = torch.from_numpy(x.copy()).requires_grad_()
        dy = np.cos(np.arange(x.size, dtype=dtype)).reshape(x.shape)
        y = other(tensor)
        y.backward(torch.from_numpy(dy))
        slack = 64 * eps
        with np.errstate(all="ignore"):
            y = y.detach().numpy()
            np.testing.assert_allclose(layer(x)[finite], y[finite], rtol=slack, atol=slack, err_msg=label)
            mine = layer.backward(dy)
        slack *= max(1, abs(np.nan_to_num(dy.sum())) if along(name) else 1)
        np.testing.assert_allclose(mine[finite], tensor.grad.numpy()[finite], rtol=slack, atol=slack, err_msg=label)
