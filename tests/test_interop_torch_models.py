"""torch's models on fastdl's layers: exchanged in place, and made into each other. torch is the oracle."""

import numpy as np
import pytest

import fastdl as fd

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
ft = fd.interop.torch
KINDS = ("LSTM", "GRU", "RNN")
OWN = [("MinGRU", {"positive": True}), ("MinLSTM", {"normalized": False}), ("IndRNN", {}), ("sLSTM", {})]


# ---- replace ----------------------------------------------------------------------------------------------------


class Own(torch.nn.LSTM):
    pass


def test_replace_exchanges_in_place():
    model = torch.nn.ModuleDict(
        {"a": torch.nn.LSTM(3, 4), "b": torch.nn.ModuleList([torch.nn.GRU(3, 4), torch.nn.RNN(3, 4)])}
    )
    model["again"] = model["a"]
    model["tied"] = torch.nn.LSTM(3, 4)
    model["tied"].weight_hh_l0 = model["a"].weight_hh_l0
    model.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    x, before = torch.randn(5, 2, 3), dict(model.named_parameters())
    expected = [one(x)[0] for one in (model["a"], *model["b"])]
    assert fd.interop.torch.replace(model) is model
    assert [type(one) for one in (model["a"], *model["b"])] == [ft.LSTM, ft.GRU, ft.RNN]
    assert all(one is before[name] for name, one in model.named_parameters())
    assert model["tied"].weight_hh_l0 is model["a"].weight_hh_l0
    assert not model["a"].training
    for one, other in zip(expected, (model["a"], *model["b"]), strict=True):
        torch.testing.assert_close(one, other(x)[0])
    model["a"](x)[0].sum().backward()
    optimizer.step()
    assert not torch.equal(model["a"](x)[0], expected[0])
    alone = torch.nn.GRU(3, 4)
    assert ft.replace(alone) is alone
    assert type(alone) is ft.GRU


def test_replace_says_what_it_leaves():
    normed = torch.nn.utils.parametrizations.weight_norm(torch.nn.LSTM(3, 4), "weight_hh_l0")
    flat = torch.zeros(1000)
    tied = torch.nn.GRU(3, 4)
    tied.weight_ih_l0.data, tied.weight_hh_l0.data = flat[:36].view(12, 3), flat[36:84].view(12, 4)
    left = [normed, Own(3, 4), torch.nn.GRU(3, 4).half(), torch.nn.GRU(3, 4, device="meta"), tied]
    left.append(torch.nn.RNN(3, 4).share_memory())
    kinds = [type(one) for one in left]
    words = "0: its weights are made anew.*1: Own is a class.*2: .*float16; 3: .*meta; 4: .*tied.*; 5: .*tied"
    with pytest.warns(UserWarning, match=words):
        ft.replace(torch.nn.ModuleList(left))
    assert [type(one) for one in left] == kinds
    with pytest.raises(TypeError, match="model: got int"):
        ft.replace(3)


# ---- models both ways -------------------------------------------------------------------------------------------


def assert_both_ways(module, x, turn=False):
    module.eval()
    model, y = ft.from_torch(module), module(x).detach().numpy()
    x = np.ascontiguousarray(x.numpy().transpose(2, 0, 1)) if turn else x.numpy()
    y = y.transpose(2, 0, 1) if turn else y
    np.testing.assert_allclose(model.forward(x), y, rtol=1e-5, atol=1e-6)
    back = ft.to_torch(model)
    np.testing.assert_allclose(back(torch.from_numpy(x)).detach(), y, rtol=1e-5, atol=1e-6)
    assert len(list(back.parameters())) == len(list(module.parameters()))
    assert not back.training
    return model


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    "settings",
    [{}, {"num_layers": 2, "bidirectional": True, "dropout": 0.3}, {"bias": False, "batch_first": True}],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_recurrent_chains_go_both_ways(kind, settings, last):
    ways = 1 + settings.get("bidirectional", False)
    for of in (torch.nn, ft):
        head = torch.nn.Linear(5 * ways, 2)
        chain = torch.nn.Sequential(getattr(of, kind)(3, 5, **settings), ft.Output(last, ways), head)
        assert_both_ways(chain, torch.randn(6, 4, 3))


def test_all_other_layers_go_both_ways():
    nn = torch.nn
    x = torch.randn(6, 3, 4)
    plain = [
        nn.GELU("tanh"), nn.GELU(), nn.SiLU(), nn.LeakyReLU(0.2), nn.ELU(0.5), nn.Softplus(2), nn.Hardtanh(-0.5, 0.5),
        nn.Sigmoid(), nn.Tanh(), nn.ReLU(True), nn.Softmax(1), nn.LogSoftmax(-1), nn.Identity(), nn.AlphaDropout(0.2),
        nn.Dropout(0.3), nn.LayerNorm((3, 4)), nn.LayerNorm(4, elementwise_affine=False), nn.LayerNorm(4, bias=False),
        nn.Flatten(), nn.Flatten(0, 1), nn.Linear(4, 2, bias=False),
    ]  # fmt: skip
    for one in plain:
        assert_both_ways(nn.Sequential(one), x)
    for kind, settings in OWN:
        assert_both_ways(nn.Sequential(getattr(ft, kind)(4, 6, **settings), ft.Output()), x)
    turned = nn.Sequential(
        nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(6, 4, 2, groups=2, bias=False), nn.AvgPool1d(2, 1),
    )  # fmt: skip
    assert_both_ways(turned, torch.randn(3, 4, 9), turn=True)
    chain = nn.Sequential(ft.TimeMajor(nn.Conv1d(4, 6, 3)), nn.LSTM(6, 3), ft.Output(True), nn.BatchNorm1d(3))
    assert_both_ways(chain, torch.randn(9, 3, 4))
    assert_both_ways(nn.Sequential(nn.Linear(4, 3).double()), x.double())


def test_ties_freezing_and_containers_go_both_ways():
    nn = torch.nn
    table, head = nn.Embedding(7, 4, padding_idx=0), nn.Linear(4, 7)
    head.weight = table.weight
    words = torch.randint(0, 7, (5, 3))
    model = assert_both_ways(nn.Sequential(table, nn.GRU(4, 4), ft.Output(), head), words)
    assert model[2].tied
    back = ft.to_torch(model)
    assert back[0].weight is back[3].weight
    frozen = nn.Sequential(nn.Linear(2, 3))
    frozen[0].weight.requires_grad_(False)
    model = ft.from_torch(frozen)
    assert (model[0].weight.frozen, model[0].bias.frozen) == (True, False)
    assert not ft.to_torch(model)[0].weight.requires_grad
    both = ft.from_torch(nn.ModuleDict({"a": nn.Linear(2, 3), "b": nn.ModuleList([nn.Tanh()])}))
    assert str(ft.to_torch(both)["b"][0]) == "Tanh()"
    single = fd.nn.Sequential(fd.nn.LSTM(3, 4, bias="single", rng=0), fd.nn.Linear(4, 2, rng=1))
    x = np.ones((5, 2, 3), np.float32)
    np.testing.assert_allclose(ft.to_torch(single)(torch.from_numpy(x)).detach(), single.forward(x), atol=1e-6)


def test_what_one_side_lacks_is_refused_with_its_place():
    nn = torch.nn
    for module, words in [
        (nn.Sequential(nn.Tanh(), nn.Bilinear(2, 2, 2)), "1: got Bilinear, expected a layer that fd.nn has"),
        (nn.Sequential(nn.Conv1d(2, 2, 1), nn.Linear(2, 2)), r"1: got Linear behind \(B, C, T\)"),
        (nn.Conv1d(2, 2, 1, padding_mode="circular"), "the module: Conv1d: got padding_mode='circular'"),
        (nn.Embedding(3, 2, max_norm=1.0), "Embedding: got max_norm"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            ft.from_torch(module)
    for model, words in [
        (fd.nn.LSTM(2, 3, peepholes=True), "the model: LSTM: got peepholes=True"),
        (fd.nn.Sequential(fd.nn.GRU(2, 3, zoneout=0.1)), "0: GRU: got zoneout=0.1"),
        (fd.nn.Conv1d(2, 3, 2, padding="causal"), "padding='causal'"),
        (fd.nn.Flatten(batch_dim=1), "batch_dim=1"),
        (fd.nn.Dropout(0.1, broadcast_axes=0), "broadcast_axes"),
        (fd.nn.GaussianNoise(), "got GaussianNoise, expected a layer that torch has"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            ft.to_torch(model)
