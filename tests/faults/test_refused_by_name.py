"""Optimizers and curvature refuse by the name that the caller wrote, and a refused call changes nothing."""

import numpy as np
import pytest

import fastdl as fd

curvature = fd.curvature


def pairs():
    return [(np.ones(3), np.full(3, 0.5)), (np.ones(2), np.ones(2))]


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (1j, "rates: got complex"),
        ("x", "rates: got str"),
        ([0.1, 0.2], "rates: got 2, expected 1"),
        (np.ones(3), "rates: got 3, expected 1"),
        ([np.nan], r"rates\[0\]: got nan"),
        ([1e308], r"rates\[0\]: got settings"),
    ],
)
def test_rates(rates, message):
    optimizer = fd.optim.SGD(pairs(), 0.1, weight_decay=10.0, decoupled_weight_decay=True)
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        optimizer.set_rates(rates)
    assert optimizer.lr == 0.1


def test_the_rate_of_a_schedule():
    optimizer = fd.optim.SGD([(np.ones(2, np.float32), np.ones(2, np.float32))], 1.0)
    with pytest.raises(ValueError, match=r"^schedule\(step\): got 1e\+300"):
        fd.optim.Scheduler(optimizer, lambda step: 1e300)
    scheduler = fd.optim.Scheduler(optimizer, lambda step: 1.0)
    with pytest.raises(ValueError, match=r"^state\['base'\]: got 1e\+300"):
        scheduler.load_state_dict({"step_number": 1, "base": [1e300]})
    assert optimizer.lr == 1.0


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"params": [0], "speed": 1}, r"groups\[0\]: got speed, expected settings of RMSProp"),
        ({"params": [0], 3: 1}, r"groups\[0\]: got 3, expected settings"),
        ({"params": [0], "lr": -1}, r"groups\[0\]\['lr'\]: got -1"),
        ({"params": [np.ones(2)]}, r"groups\[0\]\['params'\]: got an array"),
    ],
)
def test_settings_of_groups(group, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        fd.optim.RMSProp(pairs(), groups=[group])
    with pytest.raises(TypeError, match="^speed: got speed, expected settings"):
        fd.optim.RMSProp(pairs(), speed=1)


def test_states_with_arrays_in_them():
    array = np.ones(2)
    optimizer = fd.optim.Adam(pairs())
    state = optimizer.state_dict()
    group = state["groups"][0]
    for wrong in (
        state | {"rule": array},
        state | {"groups": [group | {"names": [array, "1"]}]},
        state | {"groups": [group | {"shapes": [array, [2]]}]},
        state | {"groups": [group | {"settings": group["settings"] | {"variant": array}}]},
        state | {"groups": [group | {"settings": group["settings"] | {"lr": array}}]},
    ):
        with pytest.raises((TypeError, ValueError), match=r"^state.*: got .*an array"):
            optimizer.load_state_dict(wrong)
    for one in (fd.optim.ExponentialAverage(pairs()), fd.optim.ReduceOnPlateau(optimizer), curvature.LBFGS(pairs())):
        for key in {"average", "mode", "rule", "shapes"} & set(one.state_dict()):
            with pytest.raises((TypeError, ValueError), match="^state.*: got .*(an array|ndarray)"):
                one.load_state_dict(one.state_dict() | {key: array})


@pytest.mark.parametrize("clip", [fd.optim.clip_grad_norm_, fd.optim.clip_each_grad_norm_])
def test_clipping_that_is_refused_settles_no_gradient(clip):
    model = fd.nn.Linear(2, 2, rng=0)
    parameters = model.parameters()
    for limit, ord in (("x", 2), (1.0, [1])):
        with pytest.raises(TypeError, match="^(max_norm|ord): got"):
            clip(parameters, limit, ord)
    assert not parameters._written


def point():
    model = fd.nn.Sequential(fd.nn.LSTM(3, 4, rng=0), fd.nn.Linear(4, 2, rng=1))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 2, 3)).astype(np.float32), rng.standard_normal((5, 2, 2)).astype(np.float32)
    return curvature.LossPoint(model, fd.mse_loss, (x, y))


def test_the_samples_of_a_chain():
    at = point()
    at.gradient  # noqa: B018  (what hvp continues)
    linear, kept = at._linear, [part._turned_back for part in at._linear.plain.parts]
    for axis in (0, 7, "x"):
        with pytest.raises((TypeError, ValueError), match="^axis: got"):
            at.sample_gradients(axis)
    with pytest.raises((TypeError, ValueError), match="^u: got"):
        at.vjp(np.ones(3))
    assert at._at_gradient
    assert [part._turned_back for part in linear.plain.parts] == kept
    slots = {one: curvature._slots.Slot(np.zeros((2, one.size), np.float32), 0, one.size) for one in linear._parameters}
    one = linear._parameters[0]
    for wrong in (
        None,
        {},
        slots | {one: "x"},
        slots | {one: curvature._slots.Slot(np.zeros((3, one.size), np.float32), 0, one.size)},
        slots | {one: curvature._slots.Slot(np.zeros((2, one.size), np.float32), 0, one.size - 1)},
    ):
        with pytest.raises((TypeError, ValueError), match="^out: got"):
            linear.sample_gradients(at.loss.gradient, 1, wrong, True)
    for flag in (np.ones(2, bool), -0.5):
        with pytest.raises(TypeError, match="^need_input: got"):
            linear.sample_gradients(at.loss.gradient, 1, slots, flag)
        with pytest.raises(TypeError, match="^need_input: got"):
            linear.backward(at.loss.gradient, None, flag)
    assert linear._turned_back
    assert not any(slot.rows.any() for slot in slots.values())


def test_points():
    model, x = fd.nn.Linear(2, 1, rng=0), np.ones((3, 2), np.float32)
    with pytest.raises(ValueError, match=r"^x: got shape \(3, 3\), expected \(3, 2\)"):
        curvature.ModelPoint(model, np.ones((3, 3), np.float32))
    with pytest.raises(TypeError, match=r"^data\[0\]: got type"):
        curvature.LossPoint(model, fd.mse_loss, (int, x))
    with pytest.raises(ValueError, match=r"^data\[1\]: got shape \(3, 2\), expected \(3, 1\)"):
        curvature.LossPoint(model, fd.mse_loss, (x, x))
    with pytest.raises(ValueError, match=r"^parameters: got an array"):
        point().places([np.ones(2)])
    at = curvature.FunctionPoint(lambda x: (x**2).sum(), np.ones(3))
    for offset in (np.float64(1), np.ones(2), np.ones(3, [("a", float)]), "x"):
        with pytest.raises((TypeError, ValueError), match="^offset: got"):
            at.value_at(offset)
    for name in ("gradient", "jacobian", "hessian"):
        with pytest.raises(TypeError, match="^return_error: got"):
            getattr(curvature, name)(lambda x: (x**2).sum(), np.ones(3), return_error=np.ones(2))


def test_losses_of_ones_own():
    for loss, make in ((5, abs), ([], abs), (lambda z, y: 0, 5)):
        with pytest.raises(TypeError, match="^(loss|make): got"):
            curvature.register_loss(loss, make)
    for result in (5, (1, 2, 3), ("x", np.ones((2, 1)))):

        def loss(z, y, result=result):
            return result

        curvature.register_loss(loss, lambda *_: None)
        with pytest.raises(TypeError, match="^loss: got"):
            curvature.LossPoint(fd.nn.Linear(2, 1, rng=0), loss, (np.ones((2, 2), np.float32), None))


@pytest.mark.parametrize("u", [set(), np.ones((2, 2)), np.ones((2, 1), np.float32)], ids=["set", "shape", "dtype"])
@pytest.mark.parametrize("loss", [fd.mse_loss, fd.softmax_cross_entropy])
def test_products_with_a_losses_hessian(loss, u):
    targets = np.zeros((2, 1)) if loss is fd.mse_loss else np.zeros(2, np.int64)
    point = curvature.LossPoint(fd.nn.Linear(2, 1, rng=0, dtype=np.float64), loss, (np.ones((2, 2)), targets))
    with pytest.raises((TypeError, ValueError), match="^u: got"):
        point.loss.hvp(u)


def test_what_is_registered_gives_what_it_should():
    def loss(z, y):
        return 0.0, np.zeros_like(z)

    curvature.register_loss(loss, lambda *_: "x")
    with pytest.raises(TypeError, match="^loss: got str from its make, expected a LossAt"):
        curvature.LossPoint(fd.nn.Linear(2, 1, rng=0), loss, (np.ones((2, 2), np.float32), None))

    class Layer(fd.nn.Module):
        pass

    for made, name in (("x", "str"), (None, "NoneType"), (curvature.Linearization(), "Linearization")):
        curvature.register(Layer, lambda layer, x, made=made: made)
        with pytest.raises(TypeError, match=f"^layer: got {name} from the make of Layer, expected a Linearization"):
            curvature.linearize(Layer(), np.ones((2, 2)))


def test_closures_and_betas():
    x, grad = np.ones(2), np.full(2, 0.5)
    for kind in (curvature.LBFGS, curvature.LevenbergMarquardt, curvature.Newton):
        with pytest.raises(TypeError, match="^closure: got str, expected a function"):
            kind([(x, grad)]).step("x")
    assert (grad == 0.5).all()
    with pytest.raises(TypeError, match="^closure's jacobian: got"):
        curvature.LevenbergMarquardt([(x, grad)]).step(lambda: curvature.Residuals(np.ones(2), "x"))
    for betas in (1j, (0.9,), None):
        with pytest.raises(TypeError, match="^betas: got"):
            curvature.AdaHessian([(x, grad)], betas=betas)


def test_pictures(tmp_path):
    flow = curvature.GradientFlow(np.ones((1, 1, 2, 3)))
    landscape = curvature.Landscape.at(curvature.FunctionPoint(lambda x: (x**2).sum(), np.zeros(2)))
    for draw in (flow.plot, landscape.plot):
        for path in ((one for one in "x"), 5, "a\0b.png", "\ud800"):
            with pytest.raises((TypeError, ValueError), match="^path: got"):
                draw(path)
    with pytest.raises(ValueError, match="^path: got"):
        flow.plot(tmp_path / "flow.txt")
    flow.plot(tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_bytes()[:4] == b"\x89PNG"


def test_singular_values_that_are_none(capfd):
    for values in (np.full((1, 1, 4, 3), np.nan), np.ones((0, 1, 4, 3))):
        with pytest.raises(ValueError, match="^values: got"):
            curvature.GradientFlow(values)
    assert capfd.readouterr() == ("", "")  # LAPACK's own complaint


def test_rates_and_dampings_that_are_infinite(capfd):
    for kind in (curvature.LBFGS, curvature.Newton, curvature.NewtonCG, curvature.AdaHessian):
        with pytest.raises(ValueError, match="^lr: got inf"):
            kind(pairs(), lr=np.inf)
    for kind in (curvature.LevenbergMarquardt, curvature.Newton, curvature.NewtonCG):
        with pytest.raises(ValueError, match="^damping: got inf"):
            kind(pairs(), damping=np.inf)
    b = np.array([1.0])
    optimizer = curvature.LevenbergMarquardt([(b, np.empty(1))], damping=1e300)
    optimizer.step(lambda: curvature.Residuals(1e150 * (b - 2), np.array([[1e150]])))
    assert capfd.readouterr() == ("", "")  # LAPACK's complaint about a matrix with infinities


def test_a_prediction_from_logits_that_are_not_finite_names_what_they_came_from():
    model = fd.models.Classifier(2, 3, hidden=4, rng=0)
    for parameter in model.parameters():
        parameter.data = np.full_like(parameter.data, 3e38)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="^x: the model's logits"):
        model.predict(np.full((1, 2), 3e38, np.float32))


def test_a_state_too_many_or_too_few_is_refused_with_the_settings():
    p, g = np.ones(3), np.ones(3)
    with pytest.raises(TypeError, match="^velocity: got None, expected an array with .*momentum=0.9"):
        fd.optim.sgd_update(p, g, None, lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="^velocity: got an array, expected None with .*momentum=0.0"):
        fd.optim.sgd_update(p, g, np.zeros(3), lr=0.1, momentum=0.0)
