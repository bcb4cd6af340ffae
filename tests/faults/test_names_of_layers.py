"""A layer's refusal begins with the argument as its caller wrote it, and leaves the layer as it was."""

from typing import Any

import numpy as np
import pytest

import fastdl as fd

X = np.ones((3, 2, 4), np.float32)
WRONG = {"a shape": X[1:], "a type": X.astype(np.float64), "a list": X.tolist(), "a kind": X.astype(int)}
ACTS = np.array([[1, 2], [0, 3], [1, 1]])


def layers() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    return {
        "Tanh": (fd.nn.Tanh(), (X,)),
        "Sigmoid": (fd.nn.Sigmoid(), (X,)),
        "ReLU": (fd.nn.ReLU(), (X,)),
        "Linear": (fd.nn.Linear(4, 4, rng=0), (X,)),
        "LinearCrossEntropy": (fd.nn.LinearCrossEntropy(4, 4, rng=0), (X,)),
        "AdaptiveLogSoftmaxWithLoss": (fd.nn.AdaptiveLogSoftmaxWithLoss(4, 4, [2], rng=0), (X,)),
        "Dropout": (fd.nn.Dropout(rng=0), (X,)),
        "AlphaDropout": (fd.nn.AlphaDropout(rng=0), (X,)),
        "GaussianDropout": (fd.nn.GaussianDropout(rng=0), (X,)),
        "GaussianNoise": (fd.nn.GaussianNoise(rng=0), (X,)),
        "Zoneout": (fd.nn.Zoneout(rng=0), (X, X)),
        "EmbeddingDropout": (fd.nn.EmbeddingDropout(fd.nn.Embedding(5, 4, rng=0), 5, rng=0), (ACTS,)),
        "DotAttention": (fd.nn.DotAttention(), (X, X)),
        "AdditiveAttention": (fd.nn.AdditiveAttention(4, 4, 2, rng=0), (X, X)),
        "LSTM": (fd.nn.LSTM(4, 4, rng=0), (X,)),
        "LayerNorm": (fd.nn.LayerNorm((2, 4)), (X,)),
        "BatchNorm1d": (fd.nn.BatchNorm1d(4), (X,)),
        "Conv1d": (fd.nn.Conv1d(4, 4, 3, padding="same", rng=0), (X,)),
        "MaxPool1d": (fd.nn.MaxPool1d(3, 1, 1), (X,)),
        "AvgPool1d": (fd.nn.AvgPool1d(3, 1, 1), (X,)),
        "Flatten": (fd.nn.Flatten(), (X,)),
        "Residual": (fd.nn.Residual(fd.nn.Linear(4, 4, rng=0)), (X,)),
        "Sequential": (fd.nn.Sequential(fd.nn.Linear(4, 4, rng=0), fd.nn.Tanh()), (X,)),
    }


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", layers())
def test_a_backward_names_dy_and_can_be_called_again(name: str, wrong: Any) -> None:
    layer, inputs = layers()[name]
    y = layer.forward(*inputs)
    with pytest.raises((TypeError, ValueError), match="^dy: "):
        layer.backward(wrong)
    layer.backward(np.ones_like(y))


FLAGS = {
    "bias": lambda flag: fd.nn.Linear(2, 2, flag),
    "scaled": lambda flag: fd.nn.DotAttention(flag),
    "transposed": lambda flag: fd.nn.Parameter("a", X, transposed=flag),
    "by_rows": lambda flag: fd.nn.Parameter("a", X, by_rows=flag),
    "written": lambda flag: setattr(fd.nn.Parameter("a", X), "written", flag),
    "frozen": lambda flag: setattr(fd.nn.Parameter("a", X), "frozen", flag),
    "requires_grad": lambda flag: setattr(fd.nn.Parameter("a", X), "requires_grad", flag),
    "mode": lambda flag: fd.nn.Tanh().train(flag),
    "return_weights": lambda flag: fd.nn.DotAttention().forward(X, X, return_weights=flag),
    "return_state": lambda flag: fd.nn.Sequential(fd.nn.Tanh()).forward(X, return_state=flag),
    "keepdims": lambda flag: fd.norm(X, keepdims=flag),
    "training": lambda flag: fd.dropout_forward(X, training=flag),
    "accumulate": lambda flag: (
        fd.embedding_backward(np.ones((1, 2)), np.array([0]), np.ones((3, 2)), None, flag)
        if flag is None
        else fd.embedding_backward(np.ones((1, 2)), np.array([0]), np.ones((3, 2)), np.ones((3, 2)), flag)
    ),
    "input_gradient": lambda flag: fd.linear_backward(X, X, np.eye(4, dtype=np.float32), input_gradient=flag),
    "reverse": lambda flag: fd.last_step(X, reverse=flag),
    "zero_infinity": lambda flag: fd.ctc_loss(X, np.ones((2, 1), int), zero_infinity=flag),
}


@pytest.mark.parametrize("flag", [np.ones(2), np.zeros(1), "yes", 2])
@pytest.mark.parametrize("name", FLAGS)
def test_what_is_neither_true_nor_false_is_refused_by_name(name: str, flag: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name}: got .*, expected True or False"):
        FLAGS[name](flag)


def recurrent(**options: Any) -> Any:
    arrays = (X, np.ones((2, 5), np.float32), np.ones((4, 15), np.float32), np.ones((5, 15), np.float32))
    return fd.gru_forward(*arrays, np.ones(20, np.float32), **options)


@pytest.mark.parametrize("name", ["training", "reset_after", "reverse"])
def test_a_recurrent_function_has_its_flags_named(name: str) -> None:
    with pytest.raises(TypeError, match=f"^{name}: "):
        recurrent(**{name: np.ones(2)})


def test_no_tape_is_put_together() -> None:
    h, tape = recurrent()
    with pytest.raises(TypeError, match="^tape: got tuple, expected the tape of gru_forward"):
        fd.gru_backward(np.ones_like(h), (tape.cell, tape.x))
    with pytest.raises(TypeError, match="^accumulate: "):
        fd.gru_backward(np.ones_like(h), tape, accumulate="no")
    assert not isinstance(tape, tuple)


@pytest.mark.parametrize("index", ["x", None, 0.5, np.ones(2)])
def test_an_index_is_named_and_one_past_the_end_ends_iteration(index: Any) -> None:
    model = fd.nn.Sequential(fd.nn.Linear(2, 2, rng=0), fd.nn.Tanh())
    for items in (model, model.parameters()):
        with pytest.raises(TypeError, match="^index: got "):
            items[index]
        with pytest.raises(IndexError, match="^index: got 2, expected from -2 to 1"):
            items[2]
        assert items[-1] is items[np.int64(1)]
        assert len(items[:1]) == 1


@pytest.mark.parametrize("rows", [[[1], [2, [3]]], np.array([3]), np.array([0.5]), "x"])
def test_rows_that_a_gradient_has_not_are_refused(rows: Any) -> None:
    parameter = fd.nn.Parameter("a", np.ones((3, 2)), by_rows=True)
    with pytest.raises((TypeError, ValueError), match="^rows: "):
        parameter.claim_grad(rows)
    assert not parameter.written


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_buffer_that_no_float_holds_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="^value: "):
        fd.nn.Tanh().register_buffer("kept", value)


def test_names_that_are_no_names_are_refused() -> None:
    for names in (1j, None, "weight"):
        with pytest.raises(TypeError, match="^names: "):
            fd.nn.DropConnect(fd.nn.Linear(2, 2), names=names)


def test_a_chain_that_refuses_forgets_the_layers_before() -> None:
    drop = fd.nn.Dropout(0.5, rng=0)
    model = fd.nn.Sequential(fd.nn.Sequential(fd.nn.Linear(4, 4, rng=0), drop), fd.nn.LSTM(4, 3, zoneout=0.1, rng=0),
                             fd.nn.Linear(5, 2, rng=0))  # fmt: skip
    before = model.random_state()
    with pytest.raises(ValueError, match="^x: "):
        model.forward(X)
    assert [len(one._tape) for one in model.modules()] == [0] * 6
    assert str(model.random_state()) == str(before)
    with pytest.raises(TypeError, match="^x: "):
        fd.nn.EmbeddingDropout(fd.nn.Embedding(5, 4, rng=0), 5, rng=0).forward(X)


def test_a_weight_of_rows_keeps_its_rows_where_a_masked_backward_is_refused() -> None:
    table = fd.nn.Embedding(5, 4, rng=0)
    layer = fd.nn.DropConnect(table, 0.5, rng=0)
    layer.backward(np.ones_like(layer.forward(ACTS)))
    table.zero_grad()
    table.backward(np.ones_like(table.forward(ACTS)))
    rows = table.weight.written_rows()
    layer.forward(ACTS)
    with pytest.raises(TypeError, match="^dy: "):
        layer.backward("x")
    assert table.weight.written_rows().tolist() == rows.tolist()


@pytest.mark.parametrize("place", [0, 1])
def test_no_gradient_is_written_over_what_it_is_made_of(place: int) -> None:
    x, W = np.ones((4, 4)), np.ones((4, 4))
    out = [np.zeros((4, 4)), np.zeros(4)]
    out[place] = x if place == 0 else x[0]
    with pytest.raises(ValueError, match=rf"^out\[{place}\]: overlaps x"):
        fd.linear_backward(np.ones((4, 4)), x, W, out=tuple(out))
    assert (x == 1).all()
    with pytest.raises(ValueError, match="^out: overlaps dy"):
        fd.embedding_backward(W, np.arange(4), np.ones((4, 4)), out=W)


def test_numbers_that_disagree_are_both_named() -> None:
    rng = fd.random.Generator(1)
    with pytest.raises(ValueError, match=r"^high: got 1\.0 with low 2\.0, expected from low"):
        rng.uniform(2.0, 1.0)
    with pytest.raises(ValueError, match="^high: got 2 with low 2, expected at least low"):
        rng.integers(2, 2)
    with pytest.raises(ValueError, match="^index: got values from 0 to 4, .* since num_embeddings is 2"):
        fd.embedding_dropout(np.ones((2, 1)), np.array([0, 4]), 2)
    with pytest.raises(ValueError, match=r"^ord: got 0, .* for 2 axes \(axis=None\)"):
        fd.norm(np.ones((2, 2)), 0)
    assert rng.state_dict()["block"] == 0


def test_a_seed_and_the_rest_are_named_as_they_are_written() -> None:
    for call in (lambda: fd.random.seed(2**64), lambda: fd.random.seed(None)):
        with pytest.raises((TypeError, ValueError), match="^n: "):
            call()
    with pytest.raises(TypeError, match="^ord: "):
        fd.global_norm(X, np.ones(2))
    with pytest.raises(TypeError, match="^targets: got dtype <U1, expected integers"):
        fd.softmax_cross_entropy(np.zeros((2, 3)), np.array(["a", "b"]), ignore_index=0)
    with pytest.raises(TypeError, match="^predict: got NoneType"):
        fd.monte_carlo(None)


def test_options_that_are_compared_first_are_named_too() -> None:
    for name in ("epsilon", "candidate_scale"):
        with pytest.raises(TypeError, match=f"^{name}: "):
            recurrent(**{name: np.ones(2)})
    with pytest.raises(ValueError, match=r"^lengths: got values from 1 to 5, expected 1 to 2, T of them"):
        fd.last_step_backward(np.ones((2, 1)), 2, [1, 5])
    with pytest.raises(ValueError, match="^targets: got values from -1 to 0, expected 0 to 2, or ignore_index, 1"):
        fd.softmax_cross_entropy(np.zeros((2, 3)), np.array([-1, 0]), ignore_index=1)
    with pytest.raises(TypeError, match="^radius, of ord 0: "):
        fd.project_ball(np.ones(3), 1.5, 0)
    with pytest.raises(TypeError, match="^named: "):
        fd.nn.Arena(None)  # type: ignore[arg-type]
    h, _, tape = fd.lstm_forward(X, *[np.ones((2, 4), np.float32)] * 2, *[np.ones((4, 16), np.float32)] * 2,
                                 np.ones(16, np.float32))  # fmt: skip
    with pytest.raises(TypeError, match="^dc: got list"):
        fd.lstm_backward(h, [[1], [2, [3]]], tape)  # type: ignore[arg-type]


def test_a_state_for_a_layer_that_carries_none_is_refused_before_any_layer_runs():
    chain = fd.nn.Sequential(fd.nn.LSTM(2, 3, rng=0), fd.nn.Linear(3, 1, rng=1))
    with pytest.raises(TypeError, match=r"^state\[1\]: got 0, expected None, since Linear carries no state"):
        chain.forward(np.ones((4, 1, 2), np.float32), [None, 0])
    assert not any(layer._tape for layer in chain.modules())
