"""What losses return: a number that says how many targets it stands for."""


class LossValue(float):
    """A loss: a float that says how many targets it stands for (docs/dense.md).

    What the losses return (:func:`fastdl.softmax_cross_entropy`, :func:`fastdl.mse_loss`, :func:`fastdl.ctc_loss`),
    and what a loss of one's own may return, so that :mod:`fastdl.training` weighs batches by what counts in them.
    Sums and products with numbers, and with losses over as many targets, keep the count (a weight, a penalty that is
    added); all other arithmetic gives a plain float.

    Parameters
    ----------
    value : float
    count : int or float
        Targets that count; of a weighted mean, their total weight.
    reduction : {"mean", "sum"}, default "mean"
        Whether `value` is a mean or a sum over them.

    Attributes
    ----------
    count, reduction
        As given.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> loss, gradient = fd.softmax_cross_entropy(np.zeros((3, 2)), np.array([0, 1, -1]), ignore_index=-1)
    >>> round(loss, 4), loss.count
    (0.6931, 2)
    >>> (0.5 * loss + 1).count
    2
    """

    __slots__ = ("count", "reduction")
    count: float
    reduction: str

    def __new__(cls, value, count, reduction="mean"):
        return counted(value, count, reduction, cls)

    def __reduce__(self):
        return type(self), (float(self), self.count, self.reduction)


def counted(value, count, reduction, kind=LossValue):
    """A LossValue, without the detour through its class, which costs more than half of it."""
    loss = float.__new__(kind, value)
    loss.count, loss.reduction = count, reduction
    return loss


def _keeping(name):
    """A float's operator whose result stands for the same targets, where the other operand has none of its own."""
    plain = getattr(float, name)

    def operate(self, *others):
        result = plain(self, *others)
        for one in others:
            if result is NotImplemented or (
                isinstance(one, LossValue) and (one.count, one.reduction) != (self.count, self.reduction)
            ):
                return result
        return counted(result, self.count, self.reduction)

    return operate


for _name in ("add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "neg", "pos"):
    setattr(LossValue, f"__{_name}__", _keeping(f"__{_name}__"))
