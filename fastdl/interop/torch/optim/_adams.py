"""Adam and its kin."""

import math
from typing import Any

import torch

from ....optim import (
    adam_update,
    adamax_update,
    amsgrad_update,
    nadam_update,
    radam_update,
)
from ....optim._define import rule_of
from ._bunch import Move, Values
from ._fused import Fused
from ._settings import Group, planned, settings_of


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
        return planned(amsgrad_update if group["amsgrad"] else adam_update, settings_of(group, "betas", "eps"), values)


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


class NAdam(Fused, torch.optim.NAdam):
    """torch.optim.NAdam in one pass: Adam with Nesterov's momentum.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, momentum_decay, decoupled_weight_decay, foreach, maximize, capturable, differentiable
        As of :class:`torch.optim.NAdam`; `foreach` makes no difference.

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
        settings = settings_of(group, "betas", "eps", "momentum_decay")
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
        As of :class:`torch.optim.RAdam`; `foreach` makes no difference.

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
        return planned(radam_update, settings_of(group, "betas", "eps"), values)


class Adamax(Fused, torch.optim.Adamax):
    """torch.optim.Adamax in one pass: Adam in the infinity norm.

    Parameters
    ----------
    params : iterable of Parameter, of (name, Parameter), or of dict
        Parameters on the CPU, float32 or float64, or groups with settings of their own.
    lr, betas, eps, weight_decay, foreach, maximize, differentiable, capturable
        As of :class:`torch.optim.Adamax`; `foreach` makes no difference.

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
        return planned(adamax_update, settings_of(group, "betas", "eps"), values)


def _over(numerator: float, denominator: float) -> float:
    """A quotient; infinity, as of tensors, where the denominator is 0."""
    return numerator / denominator if denominator else math.inf
