"""What every linearization is asked for and given, compared with the point in one place.

The passes hand their arrays to kernels that believe the shapes. So whatever a layer's linearization is, ours or one
that was registered, it is met through a :class:`Guard`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .._validate import check_apart, flag, float_array, integer, out_array, plain_array, shown
from ..nn import Module, Parameter
from ._slots import Slot

Arrays = Mapping[Parameter, np.ndarray]  # one array per parameter: a direction, or where a result is added


class Linearization:
    """A layer at an input. Subclasses say how; ``y`` is the output there.

    The passes come in this order: :meth:`jvp` any time; :meth:`backward`; then :meth:`jvp_backward` for the direction
    of the last ``jvp``, any number of times. Everything is linear in what it is given. None stands for zero.

    What :func:`linearize` returns compares every argument with the point before a pass begins.

    Raises
    ------
    TypeError
        If an array has another type than the layer's.
    ValueError
        If an array has another shape than what it stands for, or `jvp_backward` comes before the other two.

    Notes
    -----
    The passes are (2.3) of docs/curvature.md, layer by layer. A layer of one's own takes part once it is registered
    (:func:`register`). Parameters' arrays come in mappings from :class:`fastdl.nn.Parameter` to array.

    Examples
    --------
    >>> import numpy as np, fastdl as fd
    >>> linear = fd.curvature.linearize(fd.nn.Sigmoid(), np.zeros((1, 2)))
    >>> linear.y
    array([[0.5, 0.5]])
    >>> linear.jvp(np.array([[1.0, 2.0]]), None)
    array([[0.25, 0.5 ]])
    >>> linear.backward(np.ones((1, 2)), None, True)
    array([[0.25, 0.25]])
    """

    y: np.ndarray

    def jvp(self, tx: np.ndarray | None, direction: Arrays | None) -> np.ndarray | None:
        """The tangent of the output, from those of the input and of the parameters.

        Parameters
        ----------
        tx : ndarray, of the input's shape, or None
            The input's tangent.
        direction : mapping of Parameter to ndarray, or None
            The parameters' tangents, each of its parameter's shape.

        Returns
        -------
        ndarray of the output's shape, or None
            None for zero.

        Raises
        ------
        TypeError
            Where a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} defines no jvp")

    def backward(self, dy: np.ndarray, out: Arrays | None, need_input: bool) -> np.ndarray | None:
        """The gradient with respect to the input; the parameters' are added to `out`.

        Parameters
        ----------
        dy : ndarray, of the output's shape
            Gradient with respect to the output.
        out : mapping of Parameter to ndarray, or None
            Where the parameters' gradients are added; None where they are not wanted.
        need_input : bool
            Whether the gradient with respect to the input is wanted.

        Returns
        -------
        ndarray of the input's shape, or None
            None where it is not wanted.

        Raises
        ------
        TypeError
            Where a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} defines no backward")

    def jvp_backward(
        self, tdy: np.ndarray | None, direction: Arrays | None, out: Arrays | None, need_input: bool
    ) -> np.ndarray | None:
        """The tangent of :meth:`backward`: both its results' derivatives along the direction of the last :meth:`jvp`.

        Parameters
        ----------
        tdy : ndarray, of the output's shape, or None
            The tangent of the output's gradient.
        direction : mapping of Parameter to ndarray, or None
            That of the last :meth:`jvp`.
        out : mapping of Parameter to ndarray, or None
            Where the tangents of the parameters' gradients are added.
        need_input : bool
            Whether the tangent of the input's gradient is wanted.

        Returns
        -------
        ndarray of the input's shape, or None
            None for zero, and where it is not wanted.

        Raises
        ------
        TypeError
            Where a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} defines no jvp_backward")

    def sample_gradients(
        self, dy: np.ndarray, axis: int, out: Mapping[Parameter, Any], need_input: bool
    ) -> np.ndarray | None:
        """As :meth:`backward`, but the parameters' gradients are kept apart for each index along an axis.

        Parameters
        ----------
        dy : ndarray, of the output's shape
            Gradient with respect to the output.
        axis : int
            The samples' axis of the output, before its last.
        out : mapping of Parameter to slot
            Each has ``add_products(x, dy)`` and ``add_sums(dy)``, of arrays (T, samples, ...), and ``columns``
            (samples, size) to write into.
        need_input : bool
            Whether the gradient with respect to the input is wanted.

        Returns
        -------
        ndarray of the input's shape, or None
            None where it is not wanted.

        Raises
        ------
        TypeError
            Where a subclass does not define it.
        """
        raise TypeError(f"{type(self).__name__} defines no sample_gradients")

    def check_axis(self, axis: int) -> None:
        """Refuse an axis that :meth:`sample_gradients` cannot go by, before it begins; here none is refused.

        Parameters
        ----------
        axis : int
            An axis of the output.
        """


class Guard(Linearization):
    """A linearization whose arguments are compared with the point: same interface, `plain` is the one behind it."""

    def __init__(self, layer: Module, x: np.ndarray, make: Callable[..., Linearization], lengths: Any = None) -> None:
        x = plain_array("x", x)
        self._x = float_array("x", x) if x.dtype.kind == "f" else x
        self.plain = make(layer, self._x) if lengths is None else make(layer, self._x, lengths)
        if not (isinstance(self.plain, Linearization) and isinstance(getattr(self.plain, "y", None), np.ndarray)):
            got = f"{type(self.plain).__name__} from the make of {type(layer).__name__}"
            raise TypeError(f"layer: got {got}, expected a Linearization with an array y")
        self.y = self.plain.y
        self._parameters = [one for _, one in layer.named_parameters()]  # its parts' too: refused before any writes
        self._along: bool | None = None  # whether the last jvp had a direction; None before the first
        self._turned_back = False

    def jvp(self, tx, direction):
        tx = self._tangent(tx)
        direction = self._plain_each("direction", direction, float_array)
        self._along = None  # a pass that fails leaves nothing to continue
        result = self.plain.jvp(tx, direction)
        self._along = direction is not None
        return result

    def backward(self, dy, out, need_input):
        dy = float_array("dy", dy, self.y.shape, self.y.dtype)
        out = self._apart(self._plain_each("out", out, out_array), dy=dy)
        need_input = flag("need_input", need_input)
        self._turned_back = False
        result = self.plain.backward(dy, out, need_input)
        self._turned_back = True
        return result

    def jvp_backward(self, tdy, direction, out, need_input):
        if self._along is None or not self._turned_back:
            raise ValueError("jvp_backward: called before jvp and backward, which it continues")
        if self._along != (direction is not None):
            raise ValueError("direction: expected that of the last jvp, got one where it had none or the reverse")
        tdy = None if tdy is None else float_array("tdy", tdy, self.y.shape, self.y.dtype)
        direction = self._plain_each("direction", direction, float_array)
        out = self._apart(self._plain_each("out", out, out_array), tdy=tdy)
        return self.plain.jvp_backward(tdy, direction, out, flag("need_input", need_input))

    def sample_gradients(self, dy, axis, out, need_input):
        dy = float_array("dy", dy, self.y.shape, self.y.dtype)
        self.check_axis(axis)
        axis = integer("axis", axis)
        self._check_slots(out, self.y.shape[axis])
        need_input = flag("need_input", need_input)
        self._turned_back = False
        result = self.plain.sample_gradients(dy, axis, out, need_input)
        self._turned_back = True
        return result

    def check_axis(self, axis):
        if self.y.ndim < 2:
            raise ValueError(f"axis: got {shown(axis)}, but the output's shape {self.y.shape} has no batch axis")
        # The last axis holds what one sample's output consists of.
        self.plain.check_axis(integer("axis", axis, 0, self.y.ndim - 2))

    def _check_slots(self, out: Any, samples: int) -> None:
        for one in self._parameters:
            slot = out.get(one) if isinstance(out, Mapping) else None
            if not isinstance(slot, Slot):
                got = "nothing" if slot is None else type(slot).__name__
                raise TypeError(f"out: got {got} for a parameter of shape {one.shape}, expected a slot each")
            out_array("out", slot.rows, (samples, None), one.dtype)
            if slot.columns.shape[1] != one.size:
                raise ValueError(f"out: got {slot.columns.shape[1]} columns for {one.size} parameters")

    def _tangent(self, tx: np.ndarray | None) -> np.ndarray | None:
        if tx is None or self._x.dtype.kind != "f":  # of integers there is no tangent, and the layer says so
            return tx
        return float_array("tx", tx, self._x.shape, self._x.dtype)

    def _apart(self, out: Arrays | None, **given: np.ndarray | None) -> Arrays | None:
        """`out`, of which no array may overlap what is given: it is written while that is read."""
        for array in () if out is None else out.values():
            for name, one in given.items():
                if one is not None:
                    check_apart(out=array, **{name: one})
        return out

    def _plain_each(self, name: str, arrays: Arrays | None, check: Callable[..., Any]) -> Arrays | None:
        """The array of each parameter, checked, as what kernels take: views of subclasses, copies of none."""
        if arrays is None:
            return None
        plain = {}
        for one in self._parameters:
            array = arrays.get(one) if isinstance(arrays, Mapping) else None
            if array is None:
                raise ValueError(f"{name}: got nothing for a parameter of shape {one.shape}, expected an array each")
            array = plain_array(name, array)
            plain[one] = check(name, array, one.shape, one.dtype)
            if plain[one] is not array:
                raise ValueError(f"{name}: got strides {array.strides}, expected C-contiguous, aligned, native arrays")
        return plain
