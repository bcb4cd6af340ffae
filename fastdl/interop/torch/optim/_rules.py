"""The optimizers: what torch calls the states and settings of each of fastdl's rules."""

import math
from typing import Any

import torch

from ....optim import (
    adadelta_update,
    adafactor_update,
    adagrad_update,
    adam_update,
    adamax_update,
    amsgrad_update,
    asgd_update,
    muon_update,
    nadam_update,
    radam_update,
    rmsprop_update,
    rprop_update,
    sgd_update,
)
from ....optim._define import rule_of
from ._bunch import Move, Values
from ._fused import Fused

Group = dict[str, Any]


def _settings(group: Group, *names: str, **own: Any) -> dict[str, Any]:
    """What a rule asks for, of a group's settings, in plain numbers."""
    plain = {name: _plain(group[name]) for name in ("lr", *names)}
    decay = {"weight_decay": _plain(group.get("weight_decay", 0.0)), "decoupled_weight_decay": False, "l1": 0.0}
    decay["decoupled_weight_decay"] = bool(group.get("decoupled_weight_decay", False))
    return {"variant": "torch", "maximize": bool(group.get("maximize", False))} | decay | plain | own


def _plain(value: Any) -> Any:
    """A number of a number or a tensor; of a pair, a pair."""
    if isinstance(value, (tuple, list)):
        return tuple([_plain(one) for one in value])
    return value if value is None or isinstance(value, (bool, str)) else float(value)


def _planned(update: Any, settings: dict[str, Any], values: Values) -> Move:
    """The next step as the rule itself plans it, where torch counts steps alone."""
    rule = rule_of(update)
    step = int(values[0]) + 1 if values else 1
    kernel, scalars = rule.plan(step, settings)
    return Move(rule, settings, kernel, scalars, tuple([float(step) for _ in values]))


class SGD(Fused, torch.optim.SGD):
    """torch.optim.SGD in one pass: with momentum, Nesterov's or none.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, momentum, dampening, weight_decay, nesterov, maximize, foreach, fused
        As of :class:`torch.optim.SGD`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.SGD([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    _counters = ()

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("momentum_buffer",) if group["momentum"] else ()

    def _fresh(self, group: Group, param: Any, name: str) -> Any:
        """What the first step makes the gradient of, undampened."""
        settings = _settings(group, "momentum", "dampening")
        if not settings["dampening"]:
            return super()._fresh(group, param, name)
        first = param * settings["weight_decay"] + (-param.grad if settings["maximize"] else param.grad)
        return torch.empty_like(param).copy_(first * (settings["dampening"] / settings["momentum"]))

    def _move(self, group: Group, values: Values) -> Move:
        settings = _settings(group, "momentum", "dampening", nesterov=group["nesterov"])
        rule = rule_of(sgd_update)
        return Move(rule, settings, *rule.plan(2, settings))


class Adam(Fused, torch.optim.Adam):
    """torch.optim.Adam in one pass, and AMSGrad.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, amsgrad, foreach, maximize, capturable, differentiable, fused, \
decoupled_weight_decay
        As of :class:`torch.optim.Adam`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Adam([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *("max_exp_avg_sq",) * bool(group["amsgrad"]))

    def _move(self, group: Group, values: Values) -> Move:
        return _planned(amsgrad_update if group["amsgrad"] else adam_update, _settings(group, "betas", "eps"), values)


class AdamW(Adam, torch.optim.AdamW):
    """torch.optim.AdamW in one pass: Adam with decoupled weight decay.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, amsgrad, maximize, foreach, capturable, differentiable, fused
        As of :class:`torch.optim.AdamW`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.AdamW([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """


class RMSprop(Fused, torch.optim.RMSprop):
    """torch.optim.RMSprop in one pass, centered or not, with momentum or none.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, alpha, eps, weight_decay, momentum, centered, capturable, foreach, maximize, differentiable
        As of :class:`torch.optim.RMSprop`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.RMSprop([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        centered, momentum = ("grad_avg",) * bool(group["centered"]), ("momentum_buffer",) * bool(group["momentum"])
        return ("square_avg", *centered, *momentum)

    def _move(self, group: Group, values: Values) -> Move:
        settings = _settings(group, "eps", "momentum", rho=_plain(group["alpha"]), centered=bool(group["centered"]))
        return _planned(rmsprop_update, settings, values)

    def state_dict(self) -> dict[str, Any]:
        """The state as torch's RMSprop has it.

        Returns
        -------
        dict
            "state" and "param_groups". Centered, "square_avg" is a new tensor here.
        """
        return self._with_squares(super().state_dict(), 1)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state, this class's or torch's.

        Parameters
        ----------
        state_dict : dict
            What :meth:`state_dict` gave, or that of torch.optim.RMSprop.

        Raises
        ------
        ValueError
            If it is of other groups.
        """
        super().load_state_dict(self._with_squares(state_dict, -1))

    @staticmethod
    def _with_squares(state_dict: dict[str, Any], sign: int) -> dict[str, Any]:
        """A state whose "square_avg" is the mean of squares instead of the variance, which cannot turn negative, and
        with sign -1 the other way round."""
        state = dict(state_dict["state"])
        for group in state_dict["param_groups"]:
            for at in group["params"] if group.get("centered") else ():
                if at in state:
                    mean, square = state[at]["grad_avg"], state[at]["square_avg"]
                    state[at] = state[at] | {"square_avg": (square + sign * mean * mean).clamp_(min=0)}
        return state_dict | {"state": state}


class NAdam(Fused, torch.optim.NAdam):
    """torch.optim.NAdam in one pass: Adam with Nesterov's momentum.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, foreach, maximize, capturable, differentiable
        As of :class:`torch.optim.NAdam`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.NAdam([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    _counters = ("step", "mu_product")

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _fresh(self, group: Group, param: Any, name: str) -> Any:
        return 1.0 if name == "mu_product" else super()._fresh(group, param, name)

    def _move(self, group: Group, values: Values) -> Move:
        settings = _settings(group, "betas", "eps", "momentum_decay")
        (lr, (beta1, beta2)), step = (settings["lr"], settings["betas"]), int(values[0]) + 1
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (at * settings["momentum_decay"])) for at in (step, step + 1))
        product = values[1] * mu
        fresh, rate = (_over(lr * part, 1 - to) for part, to in ((1 - mu, product), (following, product * following)))
        scalars = rate, fresh, beta1, beta2, 1 / math.sqrt(1 - beta2**step), settings["eps"]
        return Move(rule_of(nadam_update), settings, "nadam", scalars, (float(step), product))


class RAdam(Fused, torch.optim.RAdam):
    """torch.optim.RAdam in one pass: Adam with a rectified warm-up.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, decoupled_weight_decay, foreach, maximize, capturable, differentiable
        As of :class:`torch.optim.RAdam`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.RAdam([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _move(self, group: Group, values: Values) -> Move:
        return _planned(radam_update, _settings(group, "betas", "eps"), values)


class Adagrad(Fused, torch.optim.Adagrad):
    """torch.optim.Adagrad in one pass.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, lr_decay, weight_decay, initial_accumulator_value, eps, foreach, maximize, differentiable, fused
        As of :class:`torch.optim.Adagrad`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Adagrad([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("sum",)

    def _fresh(self, group: Group, param: Any, name: str) -> Any:
        fresh = super()._fresh(group, param, name)
        return fresh + group["initial_accumulator_value"] if name == "sum" else fresh

    def _move(self, group: Group, values: Values) -> Move:
        return _planned(adagrad_update, _settings(group, "lr_decay", "eps"), values)


class Adadelta(Fused, torch.optim.Adadelta):
    """torch.optim.Adadelta in one pass.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, rho, eps, weight_decay, foreach, capturable, maximize, differentiable
        As of :class:`torch.optim.Adadelta`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Adadelta([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _move(self, group: Group, values: Values) -> Move:
        return _planned(adadelta_update, _settings(group, "rho", "eps"), values)


class Adamax(Fused, torch.optim.Adamax):
    """torch.optim.Adamax in one pass: Adam in the infinity norm.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, foreach, maximize, differentiable, capturable
        As of :class:`torch.optim.Adamax`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Adamax([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _move(self, group: Group, values: Values) -> Move:
        return _planned(adamax_update, _settings(group, "betas", "eps"), values)


class ASGD(Fused, torch.optim.ASGD):
    """torch.optim.ASGD in one pass: SGD with a mean of the parameters beside it.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, lambd, alpha, t0, weight_decay, foreach, maximize, differentiable, capturable
        As of :class:`torch.optim.ASGD`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.ASGD([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    _counters = ("step", "eta", "mu")

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("ax",)

    def _fresh(self, group: Group, param: Any, name: str) -> Any:
        if name in ("eta", "mu"):
            return _plain(group["lr"]) if name == "eta" else 1.0
        return super()._fresh(group, param, name)

    def _move(self, group: Group, values: Values) -> Move:
        settings = _settings(group, "lambd", "alpha", "t0")
        lr, lambd, step = settings["lr"], settings["lambd"], values[0] + 1
        eta, mu = lr / (1 + lambd * lr * step) ** settings["alpha"], 1 / max(1.0, step - settings["t0"])
        return Move(rule_of(asgd_update), settings, "asgd", (values[1], lambd, values[2]), (step, eta, mu))


class Rprop(Fused, torch.optim.Rprop):
    """torch.optim.Rprop in one pass: steps that follow the signs of the gradient alone.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, etas, step_sizes, capturable, foreach, maximize, differentiable
        As of :class:`torch.optim.Rprop`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Rprop([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _fresh(self, group: Group, param: Any, name: str) -> Any:
        fresh = super()._fresh(group, param, name)
        return fresh + _plain(group["lr"]) if name == "step_size" else fresh

    def _move(self, group: Group, values: Values) -> Move:
        settings = _settings(group, "etas", "step_sizes")
        scalars = settings["lr"], *settings["etas"], *settings["step_sizes"]
        return Move(rule_of(rprop_update), settings, "rprop", scalars, (values[0] + 1,))


class Adafactor(Fused, torch.optim.Adafactor):
    """torch.optim.Adafactor in three passes: the state of a matrix is a number for each row and column.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, beta2_decay, eps, d, weight_decay, foreach, maximize
        As of :class:`torch.optim.Adafactor`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Adafactor([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("row_var", "col_var") if param.dim() > 1 else ("variance",)

    def _fresh(self, group: Group, param: Any, name: str) -> Any:
        if name in ("row_var", "col_var"):
            return param.new_zeros((*param.shape[:-2], *_factor(name, param.shape[-2:])))
        return super()._fresh(group, param, name)

    def _move(self, group: Group, values: Values) -> Move:
        eps1, eps2 = _plain(group["eps"])
        settings = _settings(group, "beta2_decay", "d", eps1=eps1, eps2=eps2, decoupled_weight_decay=True)
        return _planned(adafactor_update, settings, values)


class Muon(Fused, torch.optim.Muon):
    """torch.optim.Muon, for matrices; it multiplies in the parameters' type, where torch takes bfloat16.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn
        As of :class:`torch.optim.Muon`; `foreach` and `fused` make no difference.

    Raises
    ------
    TypeError, ValueError
        If a parameter or a setting is not as stated.

    Examples
    --------
    >>> import torch, fastdl as fd
    >>> param = torch.nn.Parameter(torch.full((2, 2), 3.0))
    >>> optimizer = fd.interop.torch.optim.Muon([param], lr=0.1)
    >>> (param**2).sum().backward()
    >>> optimizer.step()
    >>> bool((param < 3).all())
    True
    """

    _counters = ()

    def _keys(self, group: Group, param: Any) -> tuple[str, ...]:
        return ("momentum_buffer",)

    def _move(self, group: Group, values: Values) -> Move:
        settings = _settings(
            group, "momentum", "ns_coefficients", "eps", nesterov=group["nesterov"], ns_steps=group["ns_steps"],
            adjust_lr_fn=group["adjust_lr_fn"] or "original", decoupled_weight_decay=True,
        )  # fmt: skip
        return _planned(muon_update, settings, values)


def _over(numerator: float, denominator: float) -> float:
    """A quotient; infinity, as of tensors, where the denominator is 0."""
    return numerator / denominator if denominator else math.inf


def _factor(name: str, shape: tuple[int, int]) -> tuple[int, int]:
    return (shape[0], 1) if name == "row_var" else (1, shape[1])
