"""A forward of several layers that fails leaves nothing in any of them: not on its tape, not in what it draws."""

import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import fastdl as fd

X = np.ones((4, 3), np.float32)
TOKENS, LENGTHS = np.ones((3, 2), np.int64), np.array([3, 2])


def kept(model: Any) -> tuple[list[int], str]:
    return [len(one._tape) for one in model.modules()], str(model.random_state())


class Two(fd.nn.Module):
    """Somebody's own: the second layer refuses what the first has made."""

    def __init__(self) -> None:
        super().__init__()
        self.first = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Dropout(0.5, rng=1))
        self.second = fd.nn.Linear(5, 2, rng=0)

    def forward(self, x: np.ndarray) -> np.ndarray:
        return self.second.forward(self.first.forward(x))


class Wider(fd.nn.Linear):
    """A layer with another inside, made of one that has none."""

    def __init__(self) -> None:
        super().__init__(3, 4, rng=0)
        self.inner = fd.nn.Tanh()

    def forward(self, x: np.ndarray) -> np.ndarray:
        return super().forward(self.inner.forward(x))


def generator() -> Any:
    return fd.models.SequenceGenerator(2, steps=3, features=1, levels=3, hidden=4, rng=0)


def translator() -> Any:
    return fd.models.Seq2Seq(5, 5, hidden=4, rng=0)


CASES = {
    "a chain": (lambda: fd.nn.Sequential(fd.nn.Dropout(0.5, rng=0), fd.nn.Linear(9, 2, rng=0)), lambda m: m.forward(X)),
    "one's own": (Two, lambda m: m.forward(X)),
    "called": (Two, lambda m: m(X)),
    "a subclass": (Wider, lambda m: m.forward(X[:, :2])),
    "noise before": (lambda: fd.models.Classifier(5, 2, hidden=4, noise=0.1, rng=0), lambda m: m.forward(X)),
    "a state": (generator, lambda m: m.forward((np.array([0, 1]), np.zeros((3, 2, 1), np.int64)), 3)),
    "a decoder's state": (translator, lambda m: m.decode(TOKENS, 3, np.zeros((3, 2, 4), np.float32), LENGTHS)),
}


@pytest.mark.parametrize("backend", ["compiled", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_a_refused_forward_leaves_all_layers_alone(case: str, backend: str) -> None:
    make, call = CASES[case]
    model = make()
    before = kept(model)
    with fd.backend(backend), pytest.raises((TypeError, ValueError)):
        call(model)
    assert kept(model) == before


def test_one_that_somebody_ends_too() -> None:
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Dropout(0.5, rng=1))
    model.forward(X)
    before = kept(model)
    model[1]._apply = lambda x, where: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        model.forward(X)
    assert kept(model) == before
    del model[1]._apply
    model.backward(np.ones((4, 4), np.float32))
    assert kept(model)[0] == [0, 0, 0]


def test_a_layer_that_joins_is_watched_and_copies_watch_their_own() -> None:
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Tanh())
    model.forward(X)
    setattr(model, "2", fd.nn.Sequential(fd.nn.Dropout(0.5, rng=1), fd.nn.Linear(9, 2, rng=0)))
    for one in (model, pickle.loads(pickle.dumps(model))):
        before = kept(one)
        with pytest.raises(ValueError, match=r"^x: "):
            one.forward(X)
        assert kept(one) == before
    assert kept(model)[0] == [0, 1, 1, 0, 0, 0]


def test_what_watches_keeps_no_model_alive() -> None:
    model = fd.nn.Sequential(fd.nn.Linear(3, 4, rng=0), fd.nn.Sequential(fd.nn.Dropout(0.5, rng=1)))
    model.forward(X)
    gone = [weakref.ref(one) for one in model.modules()]
    gc.disable()
    try:
        del model
        assert [one() for one in gone] == [None] * 4
    finally:
        gc.enable()


def test_a_translator_asks_for_dy_before_it_forgets_its_forward() -> None:
    model = translator()
    y = model.forward((TOKENS, LENGTHS, TOKENS))
    before = kept(model)
    for wrong in (y[1:], y[:, :1], y[..., :2], y.astype(np.float64), None):
        with pytest.raises((TypeError, ValueError), match=r"^dy: "):
            model.backward(wrong)
        assert kept(model) == before
    model.backward(y)
    with pytest.raises(ValueError, match=r"^x\[2\]: .*expected at least one token"):
        model.forward((TOKENS, LENGTHS, TOKENS[:0]))
