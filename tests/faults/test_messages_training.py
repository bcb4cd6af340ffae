"""What fit and evaluate say to those who call them wrongly: the argument, what came, what was expected."""
# ruff: noqa: E501  (the table's rows)

import numpy as np
import pytest

import fastdl as fd
from fastdl.training import ArrayBatches, Callback, EarlyStopping, SaveBest, evaluate, fit

X = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
Y = (X[:, :1] * 2).astype(np.float32)
PAIRS = r"expected \(x, y\), arrays or lists of examples, or an iterable of \(inputs, targets\)"


def setup():
    model = fd.nn.Linear(3, 1, rng=0)
    return model, fd.optim.SGD(model.parameters(), lr=0.1)


class Tensor:
    """What a DataLoader gives: an array in another library's clothes, whose size is a method."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)

    def __dlpack__(self):
        raise AssertionError("asked for by name alone")

    def size(self):
        return self.array.shape


class Remote(Tensor):
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on another device")


def plateau():
    return fd.optim.ReduceOnPlateau(setup()[1])


CASES = {
    "a generator": ({"validation": (pair for pair in [(X, Y)]), "epochs": 3}, ValueError, "validation: got an iterator, which can be read once"),
    "no validation": ({"validation": []}, ValueError, "validation: gave nothing"),
    "validation that is none": ({"validation": 3}, TypeError, "validation: got int, expected .x, y."),
    "a pair as validation": ({"validation": (X, Y[:3])}, ValueError, r"validation\[1\]: got 3 examples, expected 8, as many as of x"),
    "a bad validation batch": ({"validation": [(X, Y, Y)]}, ValueError, r"validation: got 3 parts as batch 1, expected \(inputs, targets\)"),
    "no batches": ({"batches": []}, ValueError, "batches: gave nothing"),
    "a used up iterator": ({"batches": iter([])}, ValueError, "batches: gave nothing in epoch 1"),
    "a pair": ({"batches": (X, Y[:3])}, ValueError, r"batches\[1\]: got 3 examples, expected 8, as many as of x"),
    "a size of batches": ({"batch_size": 3}, ValueError, r"batch_size: got 3, expected None, since batches \(\w+\) makes its own"),
    "an array": ({"batches": X}, TypeError, f"batches: got an array, {PAIRS}"),
    "a dict": ({"batches": {"x": X}}, TypeError, f"batches: got dict, {PAIRS}"),
    "a class": ({"batches": ArrayBatches}, TypeError, "batches: got the class ArrayBatches"),
    "a list of arrays": ({"batches": [X, Y]}, TypeError, r"batches: got an array of shape \(8, 3\) as batch 1"),
    "batches of three": ({"batches": [(X, Y, Y)]}, ValueError, r"batches: got 3 parts as batch 1, .*\(\(x, lengths\), y\)"),
    "batches of one": ({"batches": [(X, Y), (X,)]}, ValueError, "batches: got 1 parts as batch 2, expected"),
    "batches of dicts": ({"batches": [{"x": X, "y": Y}]}, TypeError, "batches: got dict as batch 1"),
    "numbers": ({"batches": [1, 2]}, TypeError, "batches: got int as batch 1"),
    "a tensor elsewhere": ({"batches": [(Remote(X), Y)]}, TypeError, "batches: got a Remote that is no array: on another device"),
    "a constant as loss": ({"loss": lambda z, y: 1.0}, TypeError, r"batches: in batch 1, loss: got float that does not depend on x"),
    "no loss": ({"loss": lambda z, y: None}, TypeError, r"loss: got NoneType, expected a number, or \(value, gradient"),
    "three of loss": ({"loss": lambda z, y: (1.0, z, y)}, ValueError, r"loss: got 3 values, expected two"),
    "losses": ({"loss": lambda z, y: fd.mse_loss(z, y, "none")}, ValueError, r"loss: got values of shape \(8, 1\), expected one number"),
    "a loss's name": ({"loss": "mse"}, TypeError, "loss: got 'mse', expected a function such as fastdl.mse_loss"),
    "a value that is no number": ({"loss": lambda z, y: ("a", z)}, TypeError, "loss: got a value of type str, expected a number"),
    "a count": ({"count": 3}, TypeError, "count: got int, expected a function of the targets"),
    "plateau as callback": ({"callbacks": [plateau()]}, TypeError, r"callbacks\[0\]: got ReduceOnPlateau, .*give a ReduceOnPlateau to fit as schedule="),
    "a callback alone": ({"callbacks": EarlyStopping()}, TypeError, "callbacks: got EarlyStopping, expected a list"),
    "a callback's class": ({"callbacks": [Callback(), EarlyStopping]}, TypeError, r"callbacks\[1\]: got the class EarlyStopping"),
    "a function": ({"callbacks": [print]}, TypeError, r"callbacks\[0\]: got builtin_function"),
    "a penalty alone": ({"penalties": fd.norms.L2(0.1)}, TypeError, "penalties: got L2, expected a list"),
    "a constraint as penalty": ({"penalties": [fd.norms.MaxNorm(1.0)]}, TypeError, r"penalties\[0\]: got MaxNorm, expected an object with add"),
    "a penalty as constraint": ({"constraints": [fd.norms.L2(0.1)]}, TypeError, r"constraints\[0\]: got L2, expected an object with apply"),
    "a checkpoint": ({"checkpoint": 3}, TypeError, "checkpoint: got int, expected the path of a file"),
    "metadata": ({"metadata": {"a": 1}}, TypeError, "metadata: got dict, expected a mapping of str to str"),
    "unit": ({"unit": 3}, TypeError, "unit: got int"),
    "loss_format": ({"loss_format": "{:.2f}"}, TypeError, "loss_format: got str, expected a function"),
    "epochs": ({"epochs": 0}, ValueError, "epochs: got 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_refusals(what):
    options, kind, reason = CASES[what]
    model, optimizer = setup()
    options = {"loss": fd.mse_loss, "progress": False} | options
    batches = options.pop("batches", [(X, Y)])
    with pytest.raises(kind, match=f"^{reason}"):
        fit(model, optimizer, batches, **options)


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        (lambda m, o: (m, X, Y), TypeError, "optimizer: got an array, expected one from fastdl.optim"),
        (lambda m, o: (o, m, [(X, Y)]), TypeError, "model: got SGD, expected a fastdl.nn.Module"),
        (lambda m, o: (m, fd.optim.SGD, [(X, Y)]), TypeError, "optimizer: got the class SGD"),
        (lambda m, o: (fd.nn.Linear, o, [(X, Y)]), TypeError, "model: got the class Linear"),
        (lambda m, o: (m, None, [(X, Y)]), TypeError, "optimizer: got NoneType"),
        (
            lambda m, o: (m, fd.curvature.LBFGS(m.parameters()), [(X, Y)]),
            TypeError,
            "optimizer: got LBFGS, expected one whose step needs no argument",
        ),
    ],
)
def test_arguments_in_the_wrong_place(arguments, kind, reason):
    with pytest.raises(kind, match=f"^{reason}"):
        fit(*arguments(*setup()), loss=fd.mse_loss, progress=False)


def test_evaluate_names_its_arguments():
    model, _ = setup()
    for arguments, options, reason in (
        ((3, [(X, Y)]), {}, "model: got int"),
        ((model, 3), {}, "batches: got int"),
        ((model, [(X, Y)]), {"loss": "mse"}, "loss: got 'mse'"),
        ((model, [(X, Y)]), {"loss": lambda z, y: "1.0"}, "loss: got str"),
    ):
        with pytest.raises(TypeError, match=f"^{reason}"):
            evaluate(*arguments, **options)
    assert model.training


def test_callbacks_name_their_arguments():
    with pytest.raises(TypeError, match="path: got int"):
        SaveBest(3)
    with pytest.raises(ValueError, match="patience: got 0"):
        EarlyStopping(0)


# ---- what is taken ----------------------------------------------------------------------------------
def weights(batches, **options):
    model, optimizer = setup()
    fit(model, optimizer, batches, loss=fd.mse_loss, progress=False, **options)
    return model.parameters().data.copy()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_batches_of_a_data_loader_are_taken(accumulate):
    expected = weights([(X, Y)] * 2, accumulate=accumulate)
    for batch in ([X, Y], [Tensor(X), Tensor(Y)], (Tensor(X), Y)):
        assert np.array_equal(weights([batch] * 2, accumulate=accumulate), expected)
    assert np.array_equal(weights(((X, Y), (X, Y)), accumulate=accumulate), expected)
    model, _ = setup()
    assert evaluate(model, [[Tensor(X), Tensor(Y)]], loss=fd.mse_loss) == evaluate(model, [(X, Y)], loss=fd.mse_loss)


class Heads(fd.nn.Module):
    """Two outputs of unlike shapes, as a tuple or a dict."""

    def __init__(self, kind):
        super().__init__()
        self.one, self.two, self.kind = fd.nn.Linear(3, 1, rng=0), fd.nn.Linear(3, 4, rng=1), kind

    def forward(self, x):
        outputs = self.one(x["x"]), self.two(x["x"])
        return outputs if self.kind is tuple else dict(zip("ab", outputs, strict=True))

    def backward(self, dy):
        first, second = dy if self.kind is tuple else (dy["a"], dy["b"])
        self.one.backward(first)
        self.two.backward(second)

    def loss(self, outputs, targets):
        parts = zip(*(one.values() if isinstance(one, dict) else one for one in (outputs, targets)), strict=True)
        (first, d_first), (second, d_second) = (
            fd.mse_loss(z, y) if y.ndim == 2 else fd.softmax_cross_entropy(z, y) for z, y in parts
        )
        gradients = d_first, d_second
        return first + second, gradients if self.kind is tuple else dict(zip("ab", gradients, strict=True))


@pytest.mark.parametrize("kind", [tuple, dict])
def test_two_heads_train_and_accumulate(kind):
    labels = np.arange(8) % 4

    def batch(part):
        targets = Y[part], labels[part]
        return {"x": X[part]}, targets if kind is tuple else dict(zip("ab", targets, strict=True))

    results, tokens = [], []
    for batches in ([batch(slice(None))], [batch(slice(0, 3)), batch(slice(3, None))]):
        model = Heads(kind)
        optimizer = fd.optim.SGD(model.parameters(), lr=0.1)
        history = fit(model, optimizer, batches, loss=model.loss, accumulate=2, progress=False, validation=batches)
        results.append(model.parameters().data.copy())
        tokens.append(history["tokens"])
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-6)
    assert tokens == [[8], [8]]  # the sum of two losses counts as each of them
