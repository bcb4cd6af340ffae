"""Pictures: what was drawn, and that nothing else was touched."""

import subprocess
import sys

import numpy as np
import pytest

import fastdl as fd

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.colors import to_rgba  # noqa: E402

RNG = np.random.default_rng(0)
FLOW = fd.curvature.GradientFlow(0.5 ** np.arange(1, 31.0)[None, None, :, None] * np.array([1.0, 0.5, 0.1]))


def history():
    made = fd.training.History()
    made.losses += [3.0, 2.5, 2.0, 1.5, 1.2, 1.0]
    for epoch, (loss, held) in enumerate(((2.75, 2.6), (1.75, None), (1.1, 2.0)), 1):
        made.epochs.append({"epoch": epoch, "step": 2 * epoch, "loss": loss, "validation_loss": held})
    return made


def model():
    made = fd.nn.Sequential(fd.nn.LSTM(3, 8, rng=0), fd.nn.Linear(8, 4, rng=1))
    x = RNG.standard_normal((5, 2, 3)).astype(np.float32)
    _, slope = fd.softmax_cross_entropy(made.forward(x), RNG.integers(0, 4, (5, 2)))
    made.backward(slope)
    return made


DRAWN = {
    "learning_curve": lambda **o: fd.plots.learning_curve(history(), **o),
    "confusion_matrix": lambda **o: fd.plots.confusion_matrix([[3, 1], [0, 4]], ["no", "yes"], **o),
    "reliability_diagram": lambda **o: fd.plots.reliability_diagram([0, 1, 1, 1], [0.2, 0.7, 0.7, 0.9], bins=5, **o),
    "forecast": lambda **o: fd.plots.forecast(
        [3.0, 4.0, 5.0], past=[1.0, 2.0], y_true=[3.5, np.nan, 4.0],
        intervals={0.5: ([2.9, 3.8, 4.7], [3.1, 4.2, 5.3]), 0.9: ([2.5, 3.0, 3.5], [3.5, 5.0, 6.5])}, **o,
    ),
    "attention_map": lambda **o: fd.plots.attention_map(np.eye(3, 4), source="abc$", target=[1, 2, 3], **o),
    "gates": lambda **o: fd.plots.gates({"f": np.full((5, 3), 0.5), "c": -2 * np.ones((5, 3))}, steps="hello", **o),
    "gradient_flow": lambda **o: fd.plots.gradient_flow({"RNN": FLOW, "LSTM": FLOW}, **o),
    "weight_histogram": lambda **o: fd.plots.weight_histogram(model(), **o),
    "gradient_histogram": lambda **o: fd.plots.gradient_histogram(model(), **o),
    "optimizer_path": lambda **o: fd.plots.optimizer_path(
        lambda x: x[0] ** 2 + 4 * x[1] ** 2, {"SGD": [[2, 1], [1, 0.5], [0.2, 0.1]], "Adam": [[2, 1], [0, 0]]},
        minimum=[0, 0], **o,
    ),
    "spectrum": lambda **o: fd.plots.spectrum([-0.5, 0.0, 0.1, 3.0], **o),
}  # fmt: skip
EVERY = [pytest.param(name, draw, id=name) for name, draw in DRAWN.items()]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def first(drawn):
    return drawn[0] if isinstance(drawn, list) else drawn


def legend(ax):
    return [one.get_text() for one in ax.get_legend().get_texts()]


def colour(artist):
    return to_rgba(artist.get_color())


def test_every_picture_is_tested():
    assert set(DRAWN) == set(fd.plots.__all__)


@pytest.mark.parametrize(("name", "draw"), EVERY)
class TestEvery:
    def test_settings_and_other_figures_stay(self, name, draw):
        other = plt.figure()
        with matplotlib.rc_context({"axes.grid": True, "figure.facecolor": "pink"}):
            before, shown = dict(matplotlib.rcParams), plt.get_fignums()
            drawn = first(draw())
            assert dict(matplotlib.rcParams) == before
        assert len(plt.get_fignums()) == len(shown) + 1
        assert not other.axes
        drawn.figure.canvas.draw()

    def test_it_is_drawn_where_it_is_told(self, name, draw):
        figure, grid = plt.subplots(2, 1)
        given = list(grid) if name == "gates" else grid[0]
        assert (draw(ax=given)) == given
        assert plt.get_fignums() == [figure.number]
        if name != "gates":
            assert not grid[1].has_data()

    def test_nothing_is_shown(self, name, draw, monkeypatch):
        monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("shown"))
        draw()

    def test_axes_have_names(self, name, draw):
        drawn = draw()
        last = drawn[-1] if isinstance(drawn, list) else drawn
        assert last.get_xlabel()
        assert last.get_ylabel() or name.endswith("histogram")

    def test_all_is_seen_on_light_and_on_dark(self, name, draw):
        """Every line and word stands out from what it is drawn on."""
        for style in ("default", "dark_background"):
            with plt.style.context(style):
                ax = first(draw())
                around = [*ax.texts] if name in ("weight_histogram", "gradient_histogram") else []
                back = np.array(to_rgba(ax.get_facecolor())[:3])
                for artist in [*ax.lines, *around]:
                    assert contrast(np.array(colour(artist)[:3]), back) > 1.9, (style, artist)
        light, dark = (draw_in(style, draw) for style in ("default", "dark_background"))
        if light.lines:
            assert colour(light.lines[-1]) != colour(dark.lines[-1])

    @pytest.mark.parametrize("ax", [3, "x", []])
    def test_what_are_no_axes_is_refused(self, name, draw, ax):
        with pytest.raises((TypeError, ValueError), match="^ax: got"):
            draw(ax=ax)


def draw_in(style, draw):
    with plt.style.context(style):
        return first(draw())


def contrast(one, other):
    """Of WCAG 2: from 1 to 21."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    bright = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (bright[1] + 0.05) / (bright[0] + 0.05)


# ---- one by one


def test_learning_curve():
    ax = DRAWN["learning_curve"](scale=2.0, label="bits")
    each, training, held = ax.lines
    np.testing.assert_array_equal(each.get_xydata().T, [np.arange(1, 7), 2 * np.array(history().losses)])
    np.testing.assert_array_equal(training.get_xydata(), [[2, 5.5], [4, 3.5], [6, 2.2]])
    np.testing.assert_array_equal(held.get_xydata(), [[2, 5.2], [6, 4.0]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "bits")
    assert legend(ax) == ["training, each step", "training, epoch", "validation"]
    own = history()
    for row in own.epochs:
        row["accuracy"] = row["step"] / 10
    only = fd.plots.learning_curve(own, "accuracy")
    assert legend(only) == ["training, epoch"]
    assert only.get_ylabel() == "accuracy"
    with pytest.raises(ValueError, match="metric: got 'f1', expected one of 'epoch', 'loss'"):
        fd.plots.learning_curve(history(), "f1")
    with pytest.raises(TypeError, match="history: got list, expected a History"):
        fd.plots.learning_curve([1.0])
    assert not fd.plots.learning_curve(fd.training.History()).lines  # before the first step


def test_confusion_matrix():
    ax = DRAWN["confusion_matrix"]()
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert ax.images[0].get_clim() == (0, 1)
    words = {one.get_position(): one.get_text() for one in ax.texts}
    assert words == {(0, 0): "3", (1, 0): "1", (0, 1): "0", (1, 1): "4"}
    assert [one.get_text() for one in ax.get_yticklabels()] == ["no", "yes"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    for one in ax.texts:  # black on yellow, white on blue
        x, y = one.get_position()
        back = ax.images[0].cmap(ax.images[0].norm(ax.images[0].get_array()[y, x]))
        assert contrast(np.array(colour(one)[:3]), np.array(back[:3])) > 4.5
    assert not fd.plots.confusion_matrix(np.eye(30)).texts
    assert fd.plots.confusion_matrix([[0.5, 0], [0, 0]]).texts[0].get_text() == "0.5"


def test_reliability_diagram():
    ax = DRAWN["reliability_diagram"]()
    diagonal, line = ax.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(line.get_xydata(), [[0.2, 0], [0.7, 1], [0.9, 1]])
    points, gaps = ax.collections[1], ax.collections[0]
    assert len(gaps.get_segments()) == 3
    assert points.get_sizes()[1] > points.get_sizes()[0] == points.get_sizes()[2]
    assert ax.get_title() == "expected calibration error 0.225"  # (0.2 + 2 * 0.3 + 0.1) / 4
    many = fd.plots.reliability_diagram([2, 0], [[0.1, 0.2, 0.7], [0.4, 0.6, 0.0]])
    np.testing.assert_allclose(many.lines[1].get_xydata(), [[0.6, 0], [0.7, 1]])
    assert many.get_xlabel() == "probability of the likeliest class"
    with pytest.raises(ValueError, match="y_true: got values from 0 to 2, expected 0 to 1"):
        fd.plots.reliability_diagram([0, 2], [0.1, 0.2])


def test_forecast():
    ax = DRAWN["forecast"]()
    assert legend(ax) == ["past", "90 %", "50 %", "forecast", "came true"]
    past, predicted, true = ax.lines
    np.testing.assert_array_equal(past.get_xydata(), [[-1, 1], [0, 2]])
    np.testing.assert_array_equal(predicted.get_xydata(), [[1, 3], [2, 4], [3, 5]])
    np.testing.assert_array_equal(true.get_ydata(), [3.5, np.nan, 4.0])
    wide, narrow = (one.get_paths()[0].get_extents() for one in ax.collections)
    assert (wide.y0, wide.y1, narrow.y0, narrow.y1) == (2.5, 6.5, 2.9, 5.3)
    days = np.arange("2024-01-30", "2024-02-04", dtype="M8[D]")
    assert len(DRAWN["forecast"](times=days).lines) == 3
    assert len(DRAWN["forecast"](times=days.tolist()).lines) == 3
    with pytest.raises(TypeError, match="times: got objects, expected numbers or datetimes"):
        DRAWN["forecast"](times=["a", None, 3, 4, 10**400])
    with pytest.raises(ValueError, match=r"times: got shape \(4,\), expected \(5,\)"):
        DRAWN["forecast"](times=[1, 2, 3, 4])
    with pytest.raises(ValueError, match=r"intervals\[0.9\]: got lower ends above upper ones"):
        fd.plots.forecast([1.0], intervals={0.9: ([2.0], [1.0])})


def test_attention_map():
    ax = DRAWN["attention_map"]()
    np.testing.assert_array_equal(ax.images[0].get_array(), np.eye(3, 4))
    assert [one.get_text() for one in ax.get_xticklabels()] == ["a", "b", "c", r"\$"]
    assert [one.get_text() for one in ax.get_yticklabels()] == ["1", "2", "3"]
    bare = fd.plots.attention_map(np.zeros((2, 200)), source=range(200))
    assert len(bare.get_xticks()) < 30  # names that nobody could read are left out
    with pytest.raises(ValueError, match="source: got 2 of them, expected 4, one of each step"):
        fd.plots.attention_map(np.eye(3, 4), source="ab")


def test_gates():
    drawn = DRAWN["gates"]()
    assert [ax.get_title() for ax in drawn] == ["f", "c"]
    assert [ax.images[0].get_array().shape for ax in drawn] == [(3, 5), (3, 5)]
    assert [ax.images[0].get_clim() for ax in drawn] == [(0, 1), (-2, 2)]
    assert [one.get_text() for one in drawn[1].get_xticklabels()] == list("hello")
    assert drawn[0].figure is drawn[1].figure
    with pytest.raises(ValueError, match=r"values\['b'\]: got 3 steps, expected 2 like the first"):
        fd.plots.gates({"a": np.ones((2, 1)), "b": np.ones((3, 1))})


def test_gradient_flow(tmp_path):
    ax = DRAWN["gradient_flow"]()
    assert legend(ax) == ["RNN, largest", "RNN, median", "LSTM, largest", "LSTM, median"]
    np.testing.assert_array_equal(ax.lines[0].get_xydata().T, [FLOW.lags, FLOW.largest])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), FLOW.median)
    assert len(ax.collections) == 2
    assert ax.get_yscale() == "log"
    assert colour(ax.lines[0]) == colour(ax.lines[1]) != colour(ax.lines[2])
    assert legend(fd.plots.gradient_flow(FLOW)) == ["largest", "median"]
    with pytest.raises(TypeError, match=r"flows\['x'\]: got int, expected a GradientFlow"):
        fd.plots.gradient_flow({"x": 3})


@pytest.mark.parametrize("kind", ["weight", "gradient"])
def test_histograms(kind):
    made = model()
    names = [name for name, _ in made.named_parameters()]
    ax = getattr(fd.plots, f"{kind}_histogram")(made, bins=20)
    assert [one.get_text() for one in ax.get_yticklabels()] == names
    assert len(ax.patches) == 2 * len(names)
    assert len(ax.texts) == len(names)
    for row, (_, parameter) in enumerate(made.named_parameters()):
        values, edges, base = ax.patches[2 * row].get_data()
        assert base == row
        found = parameter.data if kind == "weight" else np.log10(np.abs(parameter.grad[parameter.grad != 0]))
        count = np.histogram(found, edges)[0]
        np.testing.assert_allclose(row - values, 0.85 * count / count.max(), atol=1e-12)
        assert count.sum() == found.size  # the axis has room for all
    assert ax.yaxis_inverted()


def test_histograms_of_what_is_odd():
    flat = fd.plots.weight_histogram({"same": np.ones(5), "one": [2.0], "none": []})
    assert [one.get_text() for one in flat.get_yticklabels()] == ["same", "one"]
    zero = fd.plots.gradient_histogram({"w": np.zeros(4)})
    assert zero.texts[0].get_text() == "norm 0, 100 % are 0"
    with pytest.raises(ValueError, match=r"parameters\['w'\]\[1\]: got nan"):
        fd.plots.gradient_histogram({"w": [0.0, np.nan]})
    with pytest.raises(ValueError, match="parameters: got none, expected one or more"):
        fd.plots.weight_histogram({})


def test_optimizer_path():
    ax = DRAWN["optimizer_path"]()
    sgd, adam, start, minimum = ax.lines
    np.testing.assert_array_equal(sgd.get_xydata(), [[2, 1], [1, 0.5], [0.2, 0.1]])
    np.testing.assert_array_equal(adam.get_xydata(), [[2, 1], [0, 0]])
    np.testing.assert_array_equal(start.get_xydata(), [[2, 1], [2, 1]])
    np.testing.assert_array_equal(minimum.get_xydata(), [[0, 0]])
    assert legend(ax) == ["SGD", "Adam", "start", "minimum"]
    np.testing.assert_allclose(ax.get_xlim(), (-1 / 3, 7 / 3))
    exact = DRAWN["optimizer_path"](limits=((-1, 1), (-2, 2)))
    assert (exact.get_xlim(), exact.get_ylim()) == ((-1, 1), (-2, 2))
    flat = fd.plots.optimizer_path(lambda x: 1.0, [[0, 0]])
    assert not flat.collections  # a plane has no lines of equal loss
    with pytest.raises(TypeError, match=r"surface\(point\): got 'x', expected a number"):
        fd.plots.optimizer_path(lambda x: "x", [[0, 0]])


def test_spectrum():
    ax = DRAWN["spectrum"]()
    curve, positive, negative, zero = ax.lines
    np.testing.assert_array_equal(positive.get_xdata(), [0.0, 0.1, 3.0])
    np.testing.assert_array_equal(negative.get_xdata(), [-0.5])
    assert list(zero.get_xdata()) == [0, 0]
    grid, density = curve.get_xydata().T
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    assert ax.get_title() == "25 % of the eigenvalues are negative"
    assert legend(ax) == ["density", "at least 0", "negative"]
    found = fd.curvature.SpectralDensity(np.array([-1.0, 2.0]), np.array([0.25, 0.75]), 100)
    same = fd.plots.spectrum(found, width=0.2, points=50)
    grid, density = same.lines[0].get_xydata().T
    np.testing.assert_allclose(density, np.maximum(found.density(grid, 0.2), 1e-6 * density.max()), rtol=1e-9)
    assert fd.plots.spectrum([2.0, 2.0]).get_title() == "0 % of the eigenvalues are negative"


# ---- without a window, without matplotlib

CODE = "import sys, os; os.environ.pop('DISPLAY', None); os.environ.pop('MPLBACKEND', None); import fastdl as fd; "


def run(code):
    return subprocess.run([sys.executable, "-c", CODE + code], capture_output=True, text=True, timeout=60)


def test_it_works_without_a_window_and_imports_late():
    done = run(
        "fd.plots; assert 'matplotlib' not in sys.modules; ax = fd.plots.spectrum([1.0]); ax.figure.canvas.draw()"
    )
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_the_extra_is_named():
    done = run("sys.modules['matplotlib'] = None; fd.plots.spectrum([1.0])")
    assert done.stderr.splitlines()[-1] == ('ImportError: fastdl.plots needs matplotlib: pip install "fastdl[plot]"')
