"""torch's optimizers on fastdl's rules: torch is the oracle, of steps and states."""

import copy
import io
import pickle

import pytest

import fastdl as fd

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")]
ours = fd.interop.torch.optim

CASES = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    ("Adam", {}), ("Adam", {"amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"decoupled_weight_decay": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {}), ("AdamW", {"amsgrad": True, "lr": 0.01}), ("RMSprop", {}), ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.9, "weight_decay": 0.01}), ("RMSprop", {"centered": True, "momentum": 0.5}),
    ("NAdam", {}), ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}), ("RAdam", {}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}), ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.1}), ("Adadelta", {}),
    ("Adadelta", {"weight_decay": 0.1, "lr": 0.5}), ("Adamax", {}), ("Adamax", {"weight_decay": 0.1}), ("ASGD", {}),
    ("ASGD", {"t0": 3, "lambd": 0.1, "alpha": 0.5}), ("Rprop", {}), ("Rprop", {"maximize": True}), ("Adafactor", {}),
    ("Adafactor", {"weight_decay": 0.1, "lr": 0.1}), ("Muon", {}), ("Muon", {"adjust_lr_fn": "match_rms_adamw"}),
]  # fmt: skip
LOOSE = {"Muon": 0.02, "NAdam": 1e-6}  # torch multiplies in bfloat16, and keeps a product in float32


def parameters(dtype, name):
    """Of all forms: by rows, by columns, of no, one and three axes, and with no element."""
    torch.manual_seed(1)
    found = [torch.randn(5, 3, dtype=dtype), torch.randn(3, 7, dtype=dtype).t()]
    if name != "Muon":
        found += [torch.randn(4, dtype=dtype), torch.randn(2, 3, 4, dtype=dtype), torch.randn((), dtype=dtype)]
    if name not in ("Muon", "Adafactor"):  # torch's divides by the number of elements
        found.append(torch.zeros(0, dtype=dtype))
    return [torch.nn.Parameter(one) for one in found]


def set_gradients(params, seed):
    generator = torch.Generator().manual_seed(seed)
    for at, one in enumerate(params):
        grad = torch.randn(one.shape, generator=generator, dtype=torch.float64).to(one.dtype)
        one.grad = None if (at, seed) == (1, 2) else grad


def assert_states(one, other, tolerance):
    assert list(one["state"]) == list(other["state"])
    for mine, theirs in zip(one["state"].values(), other["state"].values(), strict=True):
        assert sorted(mine) == sorted(theirs)
        for key in mine:
            torch.testing.assert_close(mine[key], theirs[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_steps_and_states_are_torchs(name, settings, dtype):
    tolerance = LOOSE.get(name, 1e-9) if dtype == torch.float64 else max(2e-5, LOOSE.get(name, 0))
    both = [parameters(dtype, name) for _ in range(2)]
    kinds = getattr(torch.optim, name), getattr(ours, name)
    made = [kind(params, **settings) for kind, params in zip(kinds, both, strict=True)]
    assert isinstance(made[1], kinds[0])
    for step in range(7):
        if step == 4:  # each goes on from the other's state
            states = [copy.deepcopy(one.state_dict()) for one in made]
            assert_states(*states, 10 * tolerance)
            made = [kind(params, **settings) for kind, params in zip(kinds, both, strict=True)]
            made[0].load_state_dict(states[1])
            made[1].load_state_dict(states[0])
        schedulers = [torch.optim.lr_scheduler.StepLR(one, 2, 0.7) for one in made]
        for optimizer, params, scheduler in zip(made, both, schedulers, strict=True):
            set_gradients(params, step)
            optimizer.step()
            scheduler.step()
        for mine, theirs in zip(*both, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "NAdam", "ASGD"])
def test_copies_and_files_go_on(name):
    params = parameters(torch.float32, name)
    settings = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    optimizer = getattr(ours, name)(params, lr=0.01, **settings)
    for step in range(3):
        set_gradients(params, step)
        optimizer.step()
    file = io.BytesIO()
    torch.save([params, optimizer], file)
    file.seek(0)
    others = [torch.load(file, weights_only=False), copy.deepcopy([params, optimizer])]
    others.append(pickle.loads(pickle.dumps([params, optimizer])))
    others.append([copy.deepcopy(params), None])
    others[-1][1] = getattr(ours, name)(others[-1][0], lr=0.01, **settings)
    others[-1][1].load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for of, one in [(params, optimizer), *others]:
        set_gradients(of, 3)
        one.step()
    for of, _ in others:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(of, params, strict=True))


def test_groups_closures_and_what_moves():
    both = [parameters(torch.float32, "Adam") for _ in range(2)]
    made = []
    for kind, params in zip((torch.optim.AdamW, ours.AdamW), both, strict=True):
        made.append(kind([{"params": params[:2], "lr": 0.1}, {"params": params[2:4], "weight_decay": 0.0}]))
        made[-1].add_param_group({"params": params[4:], "betas": (0.5, 0.9)})
    for step in range(8):
        for optimizer, params in zip(made, both, strict=True):
            set_gradients(params, step)
            if step == 3:  # memory that moves, states that vanish, gradients that lie otherwise
                params[0].data = params[0].data.clone()
            if step == 4:
                del optimizer.state[params[2]]
            if step == 5:
                params[0].grad = params[0].grad.t().contiguous().t()
            if step == 6:
                optimizer.state[params[3]]["step"].fill_(1)
            assert optimizer.step(lambda: torch.is_grad_enabled())
    for mine, theirs in zip(*both, strict=True):
        torch.testing.assert_close(mine, theirs)
    assert "OneCycle" in type(torch.optim.lr_scheduler.OneCycleLR(made[1], 0.1, 10)).__name__
    made[1].zero_grad()
    assert both[1][0].grad is None
    made[1].step()  # of nothing


def test_a_module_of_ours_is_trained_as_torchs_is():
    found = []
    for layers, optimizers in ((torch.nn, torch.optim), (fd.interop.torch, ours)):
        torch.manual_seed(0)
        module, head = layers.LSTM(3, 8), torch.nn.Linear(8, 1)
        optimizer = optimizers.NAdam([*module.parameters(), *head.parameters()], lr=0.02)
        x = torch.randn(12, 4, 3)
        for _ in range(30):
            optimizer.zero_grad()
            loss = (head(module(x)[0])[..., 0] - x.sum(-1).cumsum(0).tanh()).square().mean()
            loss.backward()
            optimizer.step()
        found.append(loss.item())
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert found[0] < 0.3


def test_what_cannot_be_updated_is_refused_before_anything_is():
    good = torch.nn.Parameter(torch.ones(3))
    good.grad = torch.ones(3)
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    optimizer = ours.Adam([{"params": [good]}, {"params": table.parameters()}])
    with pytest.raises(TypeError, match=r"Adam: got a sparse gradient on cpu, expected a dense one of torch.float32"):
        optimizer.step()
    optimizer = ours.Adam([good], lr=torch.tensor(0.1))
    optimizer.param_groups[0]["lr"] = float("nan")
    with pytest.raises(ValueError, match="lr: got settings"):
        optimizer.step()
    assert torch.equal(good, torch.ones(3))
    assert not optimizer.state
    for bad, error, words in [
        (torch.ones(2, dtype=torch.complex64), TypeError, "Adam: got a parameter of torch.complex64"),
        (torch.ones(2, dtype=torch.float16), TypeError, "Adam: got a parameter of torch.float16"),
        (torch.ones(2, device="meta"), ValueError, "Adam: got a parameter on meta"),
    ]:
        with pytest.raises(error, match=words):
            optimizer.add_param_group({"params": torch.nn.Parameter(bad)})
    assert len(optimizer.param_groups) == 1
    with pytest.raises(ValueError, match="differentiable: got True"):
        ours.RMSprop([good], differentiable=True)
    gaps = torch.nn.Parameter(torch.ones(4, 4)[:, :2])
    gaps.grad = torch.ones(4, 2)
    with pytest.raises(ValueError, match=r"SGD: got a parameter of strides \(4, 1\)"):
        ours.SGD([gaps], lr=0.1).step()
