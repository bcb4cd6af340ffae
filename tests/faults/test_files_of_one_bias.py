"""Files from when a recurrent layer had one bias: models load as they were, what an optimizer remembers is refused."""

import numpy as np
import pytest

import fastdl as fd


def test_a_model_of_one_bias_computes_the_same_with_two(tmp_path):
    one = fd.models.CharLM(fd.text.Vocabulary("abc"), 4, 6, layers=2, rng=0)
    one.lstm = fd.nn.LSTM(4, 6, 2, bias="single", rng=1)
    one.save(tmp_path / "model")
    two = fd.models.CharLM.load(tmp_path / "model")
    assert two.lstm.bias is True
    np.testing.assert_array_equal(two.lstm.bias_ih_l1.data, one.lstm.bias_l1.data)
    assert not two.lstm.bias_hh_l1.data.any()
    x = np.array([[1, 2], [3, 0], [2, 2]])
    np.testing.assert_array_equal(two.forward(x), one.eval().forward(x))


def run(path, bias, resume=False):
    lstm = fd.nn.LSTM(3, 4, bias=bias, rng=0)
    optimizer = fd.optim.Adam(lstm.parameters())
    x = np.ones((5, 2, 3), np.float32)
    data = [(x, np.zeros((5, 2, 4), np.float32))]
    options = {"loss": fd.mse_loss, "checkpoint": path, "progress": False, "resume": resume}
    return lstm, lambda: fd.training.fit(lstm, optimizer, data, epochs=2 + resume, **options)


def test_a_checkpoint_of_one_bias_is_refused_by_name(tmp_path):
    path = tmp_path / "checkpoint"
    run(path, "single")[1]()
    model, resumed = run(path, True, resume=True)
    before = model.parameters().data.copy()
    with pytest.raises(ValueError, match=r"missing \['bias_ih_l0', 'bias_hh_l0'\], unknown \['bias_l0'\]"):
        resumed()
    np.testing.assert_array_equal(model.parameters().data, before)
    run(path, "single", resume=True)[1]()
