"""The record of a derived forward, as far as every operation of it passes through: there, and on the way back.

What refuses, and what seldom happens, is written in Python by those who stand on these classes: nn/_trace.py on
:class:`Record`, nn/_traced.py on :class:`StandIn` and :class:`Row`.
"""
cimport numpy as cnp
from numpy import add as plus, asarray, broadcast_to, where, zeros
from numpy import integer as _integer

from ..ground._build cimport FD_LEVEL

cnp.import_array()

cdef extern from *:
    """
    /* An instance of a class that stands on one of ours, without a call of its __init__. */
    static CYTHON_INLINE PyObject *fd_instance(PyObject *kind, PyObject *nothing) {
        return ((PyTypeObject *)kind)->tp_new((PyTypeObject *)kind, nothing, NULL);
    }
    """
    object fd_instance(object kind, object nothing)

LEVEL = FD_LEVEL.decode()
cdef tuple NOTHING = ()
cdef dict OPERATORS = {}  # by the name of the operator the row of NumPy's function


def set_operators(rows):
    """Say what the operators of stand-ins do: for each name a function of one or two arguments."""
    OPERATORS.update(rows)


cdef class Record:
    """What a forward did: its operations in order, and what is known of each array by its number.

    Parameters
    ----------
    here : object
        Its attribute `trace` is the record of the thread that asks.
    stand_in : type
        A subclass of :class:`StandIn`.
    """

    cdef readonly list operations, facts  # a fact is the shape, the type, and whether it depends on what is trained
    cdef readonly object here, stand_in

    def __init__(self, here, stand_in):
        self.operations, self.facts, self.here, self.stand_in = [], [], here, stand_in

    cpdef number(self, value, trains):
        """A new number, for an array that is about to be known."""
        self.facts.append((value.shape, value.dtype, trains))
        return len(self.facts) - 1

    cpdef stand(self, at, value):
        """The stand-in of an array that has a number."""
        cdef StandIn found = fd_instance(self.stand_in, NOTHING)
        found._trace, found._at, found._value = self, at, value
        return found

    cdef bint is_here(self) except -1:
        return self.here.trace is self

    def go_back(self, Walk walk not None):
        """Go through the operations in reverse: hand what reached each result on to what it was made of."""
        cdef list gradients = walk.gradients
        cdef list needed = walk.needed
        for operation in reversed(self.operations):
            if type(operation) is not tuple:
                operation.back(walk)
                continue
            rules, at, parents, given, options, result = <tuple> operation
            dy = gradients[at]
            if dy is None:
                continue
            gradients[at] = None
            for place, parent in parents:
                if needed[parent]:
                    walk.add(parent, apply_rule(rules[place], dy, result, given, options))


cdef class Walk:
    """One way back through a record: the gradients found so far, by number, and of which numbers they are needed."""

    cdef readonly list gradients, needed, facts
    cdef readonly bint input_gradient
    cdef bytearray own  # whether the gradient is an array that nobody else holds

    def __init__(self, Record record not None, bint input_gradient):
        self.facts, self.input_gradient = record.facts, input_gradient
        self.gradients, self.own = [None] * len(self.facts), bytearray(len(self.facts))
        self.needed = [input_gradient or (<tuple> fact)[2] for fact in self.facts]

    cpdef add(self, Py_ssize_t at, gradient):
        """Add to the gradient of a number; what was spread out by broadcasting is summed."""
        cdef tuple fact = self.facts[at]
        if not is_like(gradient, fact):
            if gradient is None:
                return
            gradient = unbroadcast(asarray(gradient), fact[0]).astype(fact[1], copy=False)
        had = self.gradients[at]
        if had is None:
            self.gradients[at] = gradient
        elif self.own[at]:
            had += gradient
        else:
            self.gradients[at] = asarray(had + gradient)
            self.own[at] = True

    cpdef take(self, Py_ssize_t at):
        """The gradient of a number, which is done with."""
        found = self.gradients[at]
        self.gradients[at] = None
        return found

    def shape(self, Py_ssize_t at):
        return (<tuple> self.facts[at])[0]

    cpdef place(self, Py_ssize_t at):
        """The gradient of a number as an array to add to."""
        cdef tuple fact = self.facts[at]
        had = self.gradients[at]
        if had is None:
            had = self.gradients[at] = zeros(fact[0], fact[1])
        elif not self.own[at]:
            had = self.gradients[at] = had.copy()
        self.own[at] = True
        return had


cdef unbroadcast(gradient, tuple shape):
    """The sum over the axes along which an array of that shape was repeated."""
    cdef Py_ssize_t k, extra = gradient.ndim - len(shape)
    if gradient.shape == shape:
        return gradient
    if extra < 0:
        return broadcast_to(gradient, shape)
    axes = tuple([k for k in range(gradient.ndim) if k < extra or shape[k - extra] == 1 != gradient.shape[k]])
    total = gradient.sum(axis=axes, keepdims=True) if axes else gradient
    total = total.reshape(total.shape[extra:])
    return total if total.shape == shape else broadcast_to(total, shape)


cdef apply_rule(rule, dy, y, given, options):
    """rule(dy, y, *given, **options), by the shortest way."""
    if options is None:
        if len(given) == 2:
            return rule(dy, y, given[0], given[1])
        if len(given) == 1:
            return rule(dy, y, given[0])
        return rule(*((dy, y) + tuple(given)))
    return rule(*((dy, y) + tuple(given)), **options)


cdef bint is_like(found, tuple fact) except -1:
    """Whether it is a plain array of the shape and type of a fact."""
    if not cnp.PyArray_CheckExact(found):
        return False
    cdef cnp.ndarray array = found
    cdef tuple shape = fact[0]
    cdef Py_ssize_t k, size
    if cnp.PyArray_NDIM(array) != len(shape) or <object> cnp.PyArray_DESCR(array) is not fact[1]:
        return False
    for k in range(len(shape)):
        size = shape[k]
        if cnp.PyArray_DIM(array, k) != size:
            return False
    return True


cdef class StandIn:
    """What stands for an array while a forward is derived: its values, and its number on the record."""

    cdef readonly Record _trace
    cdef readonly object _at, _value

    def __init__(self, Record trace not None, at, value):
        self._trace, self._at, self._value = trace, at, value

    def __neg__(self):
        return alone("neg", self)

    def __pos__(self):
        return alone("pos", self)

    def __abs__(self):
        return alone("abs", self)

    def __add__(self, other):
        return pair("add", self, other)

    def __radd__(self, other):
        return pair("add", other, self)

    def __sub__(self, other):
        return pair("sub", self, other)

    def __rsub__(self, other):
        return pair("sub", other, self)

    def __mul__(self, other):
        return pair("mul", self, other)

    def __rmul__(self, other):
        return pair("mul", other, self)

    def __truediv__(self, other):
        return pair("truediv", self, other)

    def __rtruediv__(self, other):
        return pair("truediv", other, self)

    def __floordiv__(self, other):
        return pair("floordiv", self, other)

    def __rfloordiv__(self, other):
        return pair("floordiv", other, self)

    def __mod__(self, other):
        return pair("mod", self, other)

    def __rmod__(self, other):
        return pair("mod", other, self)

    def __matmul__(self, other):
        return pair("matmul", self, other)

    def __rmatmul__(self, other):
        return pair("matmul", other, self)

    def __pow__(self, other, modulus):
        return NotImplemented if modulus is not None else pair("pow", self, other)

    def __rpow__(self, other, modulus):
        return NotImplemented if modulus is not None else pair("pow", other, self)


cdef alone(str name, one):
    row = OPERATORS[name]
    return (<Row> row).record((one,)) if isinstance(row, Row) else row(one)


cdef pair(str name, one, other):
    row = OPERATORS[name]
    return (<Row> row).record((one, other)) if isinstance(row, Row) else row(one, other)


cdef class Row:
    """A function with one result in the table of derivatives, and how a call of it comes onto the record.

    An operation on the record is (rules, number of the result, [(place, number) of what is traced], all arguments,
    options or None, result): a tuple, since most operations are such. Subclasses say what is refused, and how
    constants are kept: methods that are called here and not written here are theirs.
    """

    cdef readonly object function, direct  # as it is called, and the same of arrays and numbers alone
    cdef readonly tuple rules, names
    cdef readonly Py_ssize_t most
    cdef readonly bint linear

    def __init__(self, function, direct, rules, names, most, linear):
        self.function, self.direct, self.rules, self.names = function, direct, tuple(rules), tuple(names)
        self.most, self.linear = most, linear

    def __call__(self, *args, **options):
        if len(args) > self.most:
            self.refuse_argument(self.most)
        if options:
            args = self.in_places(args, options)
        return self.record(args, options or None)

    cdef tuple in_places(self, tuple args, dict options):
        """What is differentiated in its place though it was given by name; refused what no derivative knows."""
        cdef list placed
        cdef Py_ssize_t place
        for name in options:
            if name not in self.names:
                self.refuse_argument(name)
        if len(args) < len(self.rules):
            placed = list(args)
            for place in range(len(args), len(self.rules)):
                if place >= len(self.names) or self.names[place] not in options:
                    break
                placed.append(options.pop(self.names[place]))
            args = tuple(placed)
        for name, one in options.items():
            if one is not None and type(one) not in (int, bool, float):
                self.check_option(name, one)
        return args

    cpdef record(self, args, options=None):
        """The call, once its arguments are known to be such as the derivatives know."""
        cdef Record trace = None
        cdef StandIn stand
        cdef bint constants = False, trains = False
        cdef list values = [], parents = []
        cdef Py_ssize_t place
        for place in range(len(args)):
            one = args[place]
            if isinstance(one, StandIn):
                stand = one
                if stand._trace is not trace:
                    trace = stand._trace
                    if not trace.is_here():
                        self.refuse_record(trace)
                if place >= len(self.rules) or self.rules[place] is None:
                    self.refuse_gradient(place)
                trains = trains or (<tuple> trace.facts[stand._at])[2]
                values.append(stand._value)
                parents.append((place, stand._at))
            else:
                values.append(one)
                constants = constants or type(one) not in (int, float)
        if trace is None:
            return self.called(self.function, values, options)
        if constants:
            self.check_constants(values)
        y = self.called(self.function if constants else self.direct, values, options)
        if not cnp.PyArray_CheckExact(y) or (<cnp.ndarray> y).descr.kind != b"f":
            self.check_result(y)
        at = len(trace.facts)
        trace.facts.append((y.shape, y.dtype, trains))
        if self.linear:  # its rules read neither what went in nor what came out
            trace.operations.append((self.rules, at, parents, (None,) * len(values), options, None))
        else:
            if constants:
                self.keep_constants(args, values)
            trace.operations.append((self.rules, at, parents, values, options, y))
        return trace.stand(at, y)

    cdef called(self, function, list values, options):
        if options is not None:
            return function(*values, **options)
        if len(values) == 2:
            return function(values[0], values[1])
        if len(values) == 1:
            return function(values[0])
        return function(*values)


cdef class Operation:
    """An operation on the record that is no row's, of several arrays or of a part of one: its backward reads none."""

    cdef readonly object at
    cdef readonly list parts  # (place, number) of what is traced
    reads = False

    @property
    def parents(self):
        return [at for _, at in self.parts]

    @property
    def results(self):
        return (self.at,)


cdef class Gathering(Operation):
    """x[key]: its gradient is added where it was read, in one array for all keys."""

    cdef object key

    def back(self, Walk walk not None):
        dy = walk.take(self.at)
        parent = (<tuple> self.parts[0])[1]
        if dy is None or not walk.needed[parent]:
            return
        place = walk.place(parent)
        if is_basic(self.key):
            place[self.key] += dy
        else:
            plus.at(place, self.key, dy)


cdef class Choice(Operation):
    """where(condition, a, b): each side gets dy where it was taken."""

    cdef object condition

    def back(self, Walk walk not None):
        dy = walk.take(self.at)
        if dy is None:
            return
        for place, parent in self.parts:
            if walk.needed[parent]:
                walk.add(parent, where(self.condition, dy, 0) if place == 0 else where(self.condition, 0, dy))


cdef class Joining(Operation):
    """Arrays one after the other, or side by side: each gets back its part of dy."""

    cdef object axis
    cdef list ends  # of concatenated ones, where each ends along the axis

    def back(self, Walk walk not None):
        dy = walk.take(self.at)
        if dy is None:
            return
        lead = () if self.axis is None else (slice(None),) * (self.axis % dy.ndim)
        for place, parent in self.parts:
            if not walk.needed[parent]:
                continue
            part = dy[(*lead, place if self.ends is None else slice(self.ends[place], self.ends[place + 1]))]
            walk.add(parent, part if self.axis is not None else part.reshape(walk.shape(parent)))


cdef bint is_basic(key) except -1:
    """Whether an index reads each element once: of whole numbers, slices, None and the ellipsis."""
    if type(key) is tuple:
        for one in <tuple> key:
            if not is_basic(one):
                return False
        return True
    return key is None or key is Ellipsis or type(key) in (int, slice) or isinstance(key, _integer)


cdef class Parts:
    """The arrays an operation is of: their values, which of them are traced, and the record of those."""

    cdef readonly Record record
    cdef readonly list values, parts
    cdef readonly bint trains, constants  # whether one depends on what is trained, and whether some are not traced

    def __init__(self, arrays, check):
        cdef StandIn stand
        self.values, self.parts = [], []
        for one in arrays:
            if isinstance(one, StandIn):
                stand = one
                if stand._trace is not self.record:
                    self.record = stand._trace
                    if not self.record.is_here():
                        check(self.record)
                self.parts.append((len(self.values), stand._at))
                self.trains = self.trains or (<tuple> self.record.facts[stand._at])[2]
                one = stand._value
            else:
                self.constants = True
            self.values.append(one)

    cdef put(self, Operation operation, y):
        operation.parts, operation.at = self.parts, self.record.number(y, self.trains)
        self.record.operations.append(operation)
        return self.record.stand(operation.at, y)

    def chosen(self, y, condition):
        """y = where(condition, a, b) on the record, with the condition as it is to be kept."""
        cdef Choice operation = Choice.__new__(Choice)
        operation.condition = condition
        return self.put(operation, y)

    def joined(self, y, axis, ends):
        """y made of the arrays along an axis on the record; `ends` of those that are concatenated, otherwise None."""
        cdef Joining operation = Joining.__new__(Joining)
        operation.axis, operation.ends = axis, ends
        return self.put(operation, y)


def gather(StandIn x not None, key, kept):
    """x[key], on the record with the key as it is to be kept."""
    cdef Gathering operation = Gathering.__new__(Gathering)
    cdef Record trace = x._trace
    value = x._value[key]
    operation.key, operation.parts = kept, [(0, x._at)]
    operation.at = trace.number(value, (<tuple> trace.facts[x._at])[2])
    trace.operations.append(operation)
    return trace.stand(operation.at, value)
