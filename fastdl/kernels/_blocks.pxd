"""The reduction of one block of a row, and how blocks combine: see norms.pyx for why in this order."""
from cython cimport floating
from libc.math cimport INFINITY, fabs

from ._norms cimport (
    ABS, COUNT, CUBE, EIGHTH, FIFTH, FOURTH, INVERSE, LARGEST, MILD, POWER, QUICK, ROOT, SEVENTH, SIXTH, SMALLEST,
    SQUARE, WHOLE, further, plus_term,
)
from ._power cimport is_mild
from ._stream cimport fd_prefetch_apart


cdef enum:
    BLOCK = 8192  # 32 KB of float32: long enough to hide the fold, short enough to share out
    LANES = 32    # doubles: four AVX-512 registers
    WIDE = 64     # lanes of the largest and the smallest, which stay in the type


cdef inline double fold(double* total) noexcept nogil:
    cdef Py_ssize_t j, width = LANES // 2
    while width:
        for j in range(width):
            total[j] += total[j + width]
        width //= 2
    return total[0]


cdef inline Py_ssize_t turn_of(const floating* unused) noexcept nogil:
    """Elements of 8 cache lines, which are summed after each call of `fetch`."""
    return 8 * 64 // sizeof(floating)


cdef inline void fetch(const floating* ahead, Py_ssize_t i) noexcept nogil:
    """While elements i to i + turn of a window of BLOCK are summed, their share of the window at `ahead`."""
    fd_prefetch_apart(ahead, <size_t> i % BLOCK // turn_of(ahead), BLOCK * sizeof(floating) // 8)


cdef inline double sum_of(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, int kind, double p
) noexcept nogil:
    cdef double total[LANES]
    cdef Py_ssize_t i, j, k, turn = turn_of(x) // LANES, turns = n // LANES // turn, whole = n // LANES * LANES
    for j in range(LANES):
        total[j] = 0.0
    for i in range(turns):
        fetch(ahead, at + i * turn * LANES)
        for k in range(i * turn, (i + 1) * turn):
            for j in range(LANES):
                total[j] = plus_term(total[j], x[k * LANES + j], kind, p)
    for k in range(turns * turn, n // LANES):
        for j in range(LANES):
            total[j] = plus_term(total[j], x[k * LANES + j], kind, p)
    for j in range(n - whole):
        total[j] = plus_term(total[j], x[whole + j], kind, p)
    return fold(total)


cdef inline void raise_to(double* base, double* raised, Py_ssize_t p) noexcept nogil:
    """raised = base^p by repeated squaring, LANES at a time."""
    cdef Py_ssize_t j
    for j in range(LANES):
        raised[j] = 1.0
    while p:
        if p & 1:
            for j in range(LANES):
                raised[j] *= base[j]
        p >>= 1
        for j in range(LANES):
            base[j] *= base[j]


cdef inline double whole_power_of(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, Py_ssize_t p
) noexcept nogil:
    cdef double total[LANES]
    cdef double base[LANES]
    cdef double raised[LANES]
    cdef Py_ssize_t i, j, whole = n // LANES * LANES
    for j in range(LANES):
        total[j] = 0.0
    for i in range(n // LANES):
        if i * LANES % turn_of(x) == 0:
            fetch(ahead, at + i * LANES)
        for j in range(LANES):
            base[j] = fabs(x[i * LANES + j])
        raise_to(base, raised, p)
        for j in range(LANES):
            total[j] += raised[j]
    for j in range(LANES):
        base[j] = fabs(x[whole + j]) if whole + j < n else 0.0
    raise_to(base, raised, p)
    for j in range(LANES):
        total[j] += raised[j]
    return fold(total)


cdef inline double extreme_of(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, int kind
) noexcept nogil:
    cdef floating best[WIDE]
    cdef Py_ssize_t i, j, whole = n // WIDE * WIDE
    for j in range(WIDE):
        best[j] = <floating> 0.0 if kind == LARGEST else <floating> INFINITY
    for i in range(n // WIDE):
        if i * WIDE % turn_of(x) == 0:
            fetch(ahead, at + i * WIDE)
        for j in range(WIDE):
            best[j] = further(best[j], x[i * WIDE + j], kind)
    for j in range(n - whole):
        best[j] = further(best[j], x[whole + j], kind)
    for j in range(1, WIDE):
        best[0] = further(best[0], best[j], kind)
    return <double> best[0]


cdef inline double block_of(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, int kind, double p
) noexcept nogil:
    """The reduction of x. The cache is told of what comes next: x begins at element `at` of a window of BLOCK, and the
    one to be read after it is at `ahead`. So many short rows are read ahead as one long row is."""
    # One call per kind: with the kind a constant, the choice inside the loop folds away.
    if kind == LARGEST:
        return extreme_of(x, ahead, at, n, LARGEST)
    if kind == SMALLEST:
        return extreme_of(x, ahead, at, n, SMALLEST)
    if kind == COUNT:
        return sum_of(x, ahead, at, n, COUNT, p)
    if kind == ABS:
        return sum_of(x, ahead, at, n, ABS, p)
    if kind == SQUARE:
        return sum_of(x, ahead, at, n, SQUARE, p)
    if kind == CUBE:
        return sum_of(x, ahead, at, n, CUBE, p)
    if kind == FOURTH:
        return sum_of(x, ahead, at, n, FOURTH, p)
    if kind == FIFTH:
        return sum_of(x, ahead, at, n, FIFTH, p)
    if kind == SIXTH:
        return sum_of(x, ahead, at, n, SIXTH, p)
    if kind == SEVENTH:
        return sum_of(x, ahead, at, n, SEVENTH, p)
    if kind == EIGHTH:
        return sum_of(x, ahead, at, n, EIGHTH, p)
    if kind == QUICK:
        if floating is float and is_mild(<const float*> x, n, p):
            return sum_of(x, ahead, at, n, MILD, p)
        return sum_of(x, ahead, at, n, QUICK, p)
    if kind == ROOT:
        return sum_of(x, ahead, at, n, ROOT, p)
    if kind == INVERSE:
        return sum_of(x, ahead, at, n, INVERSE, p)
    if kind == WHOLE:
        return whole_power_of(x, ahead, at, n, <Py_ssize_t> p)
    return sum_of(x, ahead, at, n, POWER, p)


cdef inline double combined(const double* part, Py_ssize_t n, int kind) noexcept nogil:
    # Neumaier's compensated sum: what an addition rounds away is kept, and added at the end.
    cdef double total = part[0], lost = 0.0, new
    cdef Py_ssize_t i
    if kind >= LARGEST:
        for i in range(1, n):
            total = further(total, part[i], kind)
        return total
    for i in range(1, n):
        new = total + part[i]
        lost += (total - new) + part[i] if total >= part[i] else (part[i] - new) + total
        total = new
    # An infinite total makes `lost` NaN, and a sum that overflowed must stay an infinity.
    return total + lost if lost == lost else total
