"""Predicting, sampling and measuring in the middle of training leave no trace in it."""

import itertools
import threading

import numpy as np
import pytest
from model_cases import CASES, TEXT, same

import fastdl as fd


class Ask(fd.training.Callback):
    """Asks the model after every step and every epoch."""

    def __init__(self, case):
        self.case = case

    def on_step_end(self, run):
        self.case.ask(run.model)
        fd.training.evaluate(run.model, self.case.batches(run.model), loss=self.case.loss)

    on_epoch_end = on_step_end


@pytest.mark.parametrize("name", CASES)
def test_asking_in_a_callback_does_not_change_a_bit_of_training(name):
    case = CASES[name]
    one, other = case.make(), case.make()
    losses = case.train(one, epochs=3).losses
    assert case.train(other, epochs=3, callbacks=[Ask(case)]).losses == losses
    assert same(one, other)


@pytest.mark.parametrize("name", CASES)
def test_asking_between_forward_and_backward_leaves_the_backward_its_forward(name):
    case = CASES[name]
    gradients = []
    for ask in (False, True):
        model = case.make()
        x, y = next(iter(case.batches(model)))
        _, gradient = case.loss(model.forward(x), y)
        if ask:
            case.ask(model)
        model.backward(gradient)
        model.parameters().settle_gradients()
        gradients.append(model.parameters().grad.copy())
    np.testing.assert_array_equal(*gradients)


@pytest.mark.parametrize("name", CASES)
def test_each_module_gets_its_own_mode_back(name):
    case = CASES[name]
    model = case.make()
    modules = list(model.modules())
    for k, module in enumerate(modules):
        module.training = k % 2 == 0
    case.ask(model)
    assert [module.training for module in modules] == [k % 2 == 0 for k in range(len(modules))]


def test_a_mode_comes_back_after_an_error_too():
    model = CASES["Classifier"].make()
    model.parameters().data[...] = np.nan
    with pytest.raises(ValueError, match="logits"):
        model.predict(np.ones((1, 3)))
    assert all(module.training for module in model.modules())


def test_a_writer_that_is_not_read_to_its_end_leaves_training_alone():
    case = CASES["CharLM"]
    model = case.make()
    letters = model.generate("the", rng=0)
    next(letters)
    assert all(module.training for module in model.modules())
    case.train(model, epochs=1)
    assert len("".join(itertools.islice(letters, 5))) == 5


def test_threads_may_ask_a_model_at_once_that_is_in_training_mode():
    model = fd.models.Classifier(3, 2, 8, noise=5.0, rng=0)
    x = np.random.default_rng(0).random((600, 3), dtype=np.float32)
    expected, wrong = model.predict(x), []

    def ask():
        for _ in range(20):
            if not np.array_equal(model.predict(x), expected):
                wrong.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert all(module.training and not len(module._tape) for module in model.modules())


def test_evaluation_draws_no_forced_tokens():
    case = CASES["Seq2Seq"]
    model = case.make()
    before = model.rng.state_dict()
    measured = [fd.training.evaluate(model, case.batches(model), loss=case.loss) for _ in range(2)]
    assert measured[0] == measured[1]
    assert model.rng.state_dict() == before


def test_a_prompt_is_a_str():
    model = fd.models.CharLM(fd.text.Vocabulary(TEXT), 2, 2, rng=0)
    for prompt in (b"a", 5, None, 0, ["a"]):
        with pytest.raises(TypeError, match="prompt: got "):
            model.generate(prompt)
