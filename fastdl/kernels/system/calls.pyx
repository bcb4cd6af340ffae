"""Functions with a backward of their own on the record of a derived forward: one call of them, there and back.

What refuses, and what seldom happens, is written in Python (nn/_derivatives/_functions.py), which makes a class of
:class:`Caller`.
"""
from numpy import asarray, zeros_like
from numpy import ndarray as _ndarray

from ..ground._build cimport FD_LEVEL

LEVEL = FD_LEVEL.decode()
cdef frozenset PLAIN = frozenset((type(None), bool, int, float, str))  # what holds no array


cdef class Called:
    """A call on the record: it may read whatever it was given, as it was handed in, and what it gave."""

    cdef readonly Caller row
    cdef readonly list parents, results, places  # numbers, and for each parent (argument, place within it)
    cdef readonly dict values
    cdef readonly tuple yields
    reads = True

    def back(self, walk):
        """Hand what reached the results on to the arguments."""
        cdef list dys = [], needed = walk.needed
        cdef bint some = False
        cdef Py_ssize_t k
        for k in range(len(self.results)):
            at = self.results[k]
            dy = None if at is None else walk.take(at)
            if dy is not None:
                some = True
                if k >= self.row.results:
                    self.row.refuse_result(k)
            if k < self.row.results:
                dys.append(dy)
        if not some:
            return
        if len(dys) > 1:
            dys = [zeros_like(self.yields[k]) if dys[k] is None else dys[k] for k in range(len(dys))]
        found = self.row.back(dys, self.yields, self.values)
        for k in range(len(self.parents)):
            if needed[self.parents[k]]:
                name, place = <tuple> self.places[k]
                gradient = found.get(name)
                walk.add(self.parents[k], gradient[place] if isinstance(gradient, tuple) else gradient)


cdef class Caller:
    """A row of the table of derivatives for such a function.

    Parameters
    ----------
    function : callable
        As users call it.
    differentiated : tuple of str
        Names of the arguments that have a gradient.
    results : int
        How many results have one, from the first on.
    back : callable
        Of the gradients of the results, the results and all arguments by name: the gradients by argument.
    places : tuple of str
        The arguments that may be given in their places; `least` of them have to be given.
    defaults : dict
        Of the arguments that have one.
    """

    cdef readonly object function, back
    cdef readonly tuple differentiated, places
    cdef readonly Py_ssize_t results, least
    cdef readonly dict defaults

    def __init__(self, function, differentiated, results, back, places, least, defaults):
        self.function, self.back, self.results, self.least = function, back, results, least
        self.differentiated, self.places, self.defaults = tuple(differentiated), tuple(places), dict(defaults)

    def __call__(self, *args, **options):
        here = self.here
        trace = here.trace
        kind = trace.stand_in
        cdef dict values = self.defaults.copy()
        cdef list places = [], parents = []
        cdef bint trains = False
        for name, one in self.by_name(args, options).items():
            if type(one) is kind:
                if one._trace is not trace:
                    self.refuse_record(one._trace)
                if name not in self.differentiated:
                    self.refuse_argument(name)
                values[name] = one._value
                places.append((name, 0))
                parents.append(one._at)
            elif type(one) in PLAIN:
                values[name] = one
            else:
                values[name] = self.held(name, one, places, parents)
        for at in parents:
            trains = trains or trace.facts[at][2]
        here.trace = None
        try:
            found = self.function(**values)
        finally:
            here.trace = trace
        return self.recorded(trace, parents, places, values, found, trains)

    cdef recorded(self, trace, list parents, list places, dict values, found, bint trains):
        """The call on the record, with stand-ins for those of its results that are arrays."""
        cdef Called call = Called.__new__(Called)
        cdef tuple yields = found if isinstance(found, tuple) else (found,)
        cdef list shown = list(yields), numbers = []
        cdef Py_ssize_t k
        for k in range(len(yields)):
            at, one = None, yields[k]
            if k < self.results or self.is_float(one):
                value = one if type(one) is _ndarray else asarray(one)
                at = trace.number(value, trains)
                shown[k] = trace.stand(at, value if value.ndim else value[()])
            numbers.append(at)
        call.row, call.parents, call.results, call.places = self, parents, numbers, places
        call.values, call.yields = values, yields
        trace.operations.append(call)
        if not isinstance(found, tuple):
            return shown[0]
        return type(found)(*shown) if hasattr(found, "_fields") else tuple(shown)

    cdef dict by_name(self, tuple args, dict options):
        """What was given by the names of the arguments; as the function itself says where it does not fit."""
        cdef dict given = {}
        cdef Py_ssize_t k, count = len(args)
        if count > len(self.places):
            return self.bound(args, options)
        for k in range(count):
            given[self.places[k]] = args[k]
        if options:
            given.update(options)
            if len(given) != count + len(options):
                return self.bound(args, options)
        for k in range(self.least):
            if self.places[k] not in given:
                return self.bound(args, options)
        for name in options:
            if name not in self.places and name not in self.defaults:
                return self.bound(args, options)
        return given
