"""The optimizers beside Adam's kin."""

from typing import Any

import torch

from ....optim import (
    adadelta_update,
    adafactor_update,
    adagrad_update,
    asgd_update,
    muon_update,
    rmsprop_update,
    rprop_update,
    sgd_update,
)
from ....optim._define import rule_of
from ._bunch import Move, Values
from ._fused import Fused
from ._settings import Group, plain, planned, settings_of


class SGD(Fused, torch.optim.SGD):
    """torch.optim.SGD in one pass: with momentum, Nesterov's or none.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, momentum, dampening, weight_decay, nesterov, maximize, foreach, differentiable, fused
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
        settings = settings_of(group, "momentum", "dampening")
        if not settings["dampening"]:
            return super()._fresh(group, param, name)
        first = param * settings["weight_decay"] + (-param.grad if settings["maximize"] else param.grad)
        return torch.empty_like(param).copy_(first * (settings["dampening"] / settings["momentum"]))

    def _move(self, group: Group, values: Values) -> Move:
        settings = settings_of(group, "momentum", "dampening", nesterov=group["nesterov"])
        rule = rule_of(sgd_update)
        return Move(rule, settings, *rule.plan(2, settings))


class RMSprop(Fused, torch.optim.RMSprop):
    """torch.optim.RMSprop in one pass, centered or not, with momentum or none.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, alpha, eps, weight_decay, momentum, centered, capturable, foreach, maximize, differentiable
        As of :class:`torch.optim.RMSprop`; `foreach` makes no difference.

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
        settings = settings_of(group, "eps", "momentum", rho=plain(group["alpha"]), centered=bool(group["centered"]))
        return planned(rmsprop_update, settings, values)

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
        return planned(adagrad_update, settings_of(group, "lr_decay", "eps"), values)


class Adadelta(Fused, torch.optim.Adadelta):
    """torch.optim.Adadelta in one pass.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, rho, eps, weight_decay, foreach, capturable, maximize, differentiable
        As of :class:`torch.optim.Adadelta`; `foreach` makes no difference.

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
        return planned(adadelta_update, settings_of(group, "rho", "eps"), values)


class ASGD(Fused, torch.optim.ASGD):
    """torch.optim.ASGD in one pass: SGD with a mean of the parameters beside it.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, lambd, alpha, t0, weight_decay, foreach, maximize, differentiable, capturable
        As of :class:`torch.optim.ASGD`; `foreach` makes no difference.

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
            return plain(group["lr"]) if name == "eta" else 1.0
        return super()._fresh(group, param, name)

    def _move(self, group: Group, values: Values) -> Move:
        settings = settings_of(group, "lambd", "alpha", "t0")
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
        As of :class:`torch.optim.Rprop`; `foreach` makes no difference.

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
        return fresh + plain(group["lr"]) if name == "step_size" else fresh

    def _move(self, group: Group, values: Values) -> Move:
        settings = settings_of(group, "etas", "step_sizes")
        scalars = settings["lr"], *settings["etas"], *settings["step_sizes"]
        return Move(rule_of(rprop_update), settings, "rprop", scalars, (values[0] + 1,))


class Adafactor(Fused, torch.optim.Adafactor):
    """torch.optim.Adafactor in three passes: the state of a matrix is a number for each row and column.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, beta2_decay, eps, d, weight_decay, foreach, maximize
        As of :class:`torch.optim.Adafactor`; `foreach` makes no difference.

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
        eps1, eps2 = plain(group["eps"])
        settings = settings_of(group, "beta2_decay", "d", eps1=eps1, eps2=eps2, decoupled_weight_decay=True)
        return planned(adafactor_update, settings, values)


class Muon(Fused, torch.optim.Muon):
    """torch.optim.Muon, for matrices; it multiplies in the parameters' type, where torch takes bfloat16.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn
        As of :class:`torch.optim.Muon`.

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
        settings = settings_of(
            group, "momentum", "ns_coefficients", "eps", nesterov=group["nesterov"], ns_steps=group["ns_steps"],
            adjust_lr_fn=group["adjust_lr_fn"] or "original", decoupled_weight_decay=True,
        )  # fmt: skip
        return planned(muon_update, settings, values)


def _factor(name: str, shape: tuple[int, int]) -> tuple[int, int]:
    return (shape[0], 1) if name == "row_var" else (1, shape[1])
