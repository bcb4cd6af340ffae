"""Arguments of curvature and of the sparsity report are refused by name, and before anything is computed."""

import re

import numpy as np
import pytest

import fastdl as fd
from fastdl import curvature


class Uncomputed:
    """A point that none may ask anything."""

    def __getattr__(self, name):
        raise AssertionError(name)


@pytest.fixture
def point():
    model = fd.nn.Linear(2, 1, rng=0, dtype=np.float64)
    return curvature.LossPoint(model, fd.mse_loss, (np.ones((3, 2)), np.zeros((3, 1))))


@pytest.mark.parametrize("name", ["tolerance", "gradient_tolerance"])
def test_a_tolerance_is_refused_before_the_point_is_asked(name):
    with pytest.raises(ValueError, match=f"^{name}: got -1"):
        curvature.Landscape.at(Uncomputed(), **{name: -1})


@pytest.mark.parametrize(
    ("given", "named"),
    [({"points": 1}, "points"), ({"points": 2.5}, "points"), ({"radius": 0}, "radius"), ({"radius": "a"}, "radius")],
)
def test_a_landscape_refuses_what_it_cannot_draw(point, given, named, tmp_path):
    with pytest.raises((ValueError, TypeError), match=f"^{named}: got"):
        curvature.Landscape.at(point).plot(tmp_path / "x.png", **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("offset", [b"ab", np.zeros(2), [0.0, 0.0, 0.0], np.zeros(3, "M8[s]")])
def test_an_offset_is_refused_by_name(point, offset):
    with pytest.raises((ValueError, TypeError), match="^offset: got"):
        point.value_at(offset)


@pytest.mark.parametrize("names", [(), int, 3, np.zeros(2)])
def test_names_of_parameters_are_refused_by_name(point, names):
    with pytest.raises((ValueError, TypeError), match="^parameters: got"):
        point.hessian(names)


@pytest.mark.parametrize("rule", [curvature.LBFGS, curvature.Newton, curvature.NewtonCG])
def test_a_closure_is_a_function(rule):
    with pytest.raises(TypeError, match="^closure: got NoneType"):
        rule([(np.ones(2), np.zeros(2))]).step(None)


@pytest.mark.parametrize("values", [[[[[1.0]]]], np.ones(()), np.ones((1, 2)), None])
def test_values_of_a_flow_have_four_axes(values):
    with pytest.raises((ValueError, TypeError), match="^values: got"):
        curvature.GradientFlow(values)


def test_flows_are_compared_with_flows(tmp_path):
    flow = curvature.GradientFlow(np.ones((1, 1, 2, 2)))
    with pytest.raises(TypeError, match=re.escape("others['a']: got ndarray")):
        flow.plot(tmp_path / "x.png", {"a": np.ones(2)})
    with pytest.raises(TypeError, match="^others: got int"):
        flow.plot(tmp_path / "x.png", 3)


@pytest.mark.parametrize(("layer", "make", "named"), [([], len, "layer"), (int, len, "layer"), (fd.nn.Tanh, 1, "make")])
def test_what_registers_a_layer_is_refused_by_name(layer, make, named):
    with pytest.raises(TypeError, match=f"^{named}: got"):
        curvature.register(layer, make)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (3, "named_parameters"),
        ([("a",)], "named_parameters[0]"),
        ([("a", np.ones(1)), 3], "named_parameters[1]"),
        ([("a", 3)], "named_parameters[0][1]"),
        ([("a", np.ones(1, object))], "named_parameters[0][1]"),
        ([(3, np.ones(1))], "named_parameters[0][0]"),
    ],
)
def test_a_sparsity_report_names_what_is_no_parameter(given, named):
    with pytest.raises((ValueError, TypeError), match=f"^{re.escape(named)}: got"):
        fd.norms.sparsity_report(given)


def test_places_for_gradients_do_not_overlap_what_is_read():
    layer = fd.nn.Linear(2, 2, rng=0)
    line = fd.curvature.linearize(layer, np.ones((2, 2), np.float32))
    dy = np.ones((2, 2), np.float32)
    out = {one: np.zeros(one.shape, one.dtype) for one in layer.parameters()}
    weight = next(iter(out))
    with pytest.raises(ValueError, match="^out"):
        line.backward(dy, {**out, weight: dy}, False)
    line.jvp(None, None)
    line.backward(dy, out, False)
    with pytest.raises(ValueError, match="^out"):
        line.jvp_backward(dy, None, {**out, weight: dy}, False)
