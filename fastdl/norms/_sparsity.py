"""How many weights of a model are 0, by parameter (docs/norms.md 1.11: reported, not differentiated)."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .._validate import attribute, iterated, parts
from ._axes import real_array
from ._values import l0


class Sparsity(NamedTuple):
    """One line of a sparsity report.

    Attributes
    ----------
    name : str
        Of the parameter, or "total".
    size : int
        Its entries.
    nonzero : int
        Those that are not 0. NaN counts.
    """

    name: str
    size: int
    nonzero: int

    @property
    def sparsity(self) -> float:
        """The share of zeros; 0 for no entries."""
        return 1 - self.nonzero / self.size if self.size else 0.0


class SparsityReport(tuple[Sparsity, ...]):
    """The lines, with :attr:`total`; printed as a table.

    Parameters
    ----------
    iterable : iterable of Sparsity, default ()
        The lines, one a parameter.

    Attributes
    ----------
    total : Sparsity
        All of them together.
    """

    __slots__ = ()

    @property
    def total(self) -> Sparsity:
        """All lines together, as a line named "total"."""
        return Sparsity("total", sum(line.size for line in self), sum(line.nonzero for line in self))

    def __str__(self) -> str:
        lines = [*self, self.total]
        width = max(len(line.name) for line in lines)
        return "\n".join(
            f"{line.name:<{width}} {line.nonzero:>12,} of {line.size:>12,} {line.sparsity:8.2%} zeros" for line in lines
        )


def sparsity_report(named_parameters: Iterable[tuple[str, Any]]) -> SparsityReport:
    """Count the entries that are not 0 in every parameter (docs/norms.md 1.1).

    Parameters
    ----------
    named_parameters : iterable of (str, parameter or ndarray)
        For example ``model.named_parameters()``.

    Returns
    -------
    SparsityReport
        A tuple of :class:`Sparsity` (name, size, nonzero, sparsity), with ``total``; prints as a table.

    Raises
    ------
    TypeError, ValueError
        If something is no pair of a name and a parameter.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> report = fd.norms.sparsity_report([("weight", np.array([1.0, 0.0, 0.0])), ("bias", np.ones(1))])
    >>> print(report)
    weight            1 of            3   66.67% zeros
    bias              1 of            1    0.00% zeros
    total             2 of            4   50.00% zeros
    """
    lines = []
    wanted = "pairs (name, parameter)"
    for i, pair in enumerate(iterated("named_parameters", named_parameters, wanted, (str, bytes, np.ndarray))):
        at = f"named_parameters[{i}]"
        name, parameter = parts(at, pair, "name", "parameter")
        if not isinstance(name, str):
            raise TypeError(f"{at}[0]: got {type(name).__name__}, expected a name")
        data = parameter if isinstance(parameter, np.ndarray) else attribute(f"{at}[1]", parameter, "data")
        data = real_array(f"{at}[1]", data)
        lines.append(Sparsity(name, data.size, int(l0(data, dtype=np.float64))))
    return SparsityReport(lines)
