"""The reduction of one block of a row, and how blocks combine: see norms.pyx for why in this order."""
from cython cimport floating
from libc.math cimport INFINITY, fabs
from libc.stdint cimport uint64_t

from ..ground._build cimport fd_flush_subnormals, fd_restore_subnormals
from ..ground._stream cimport fd_prefetch_page
from ._norms cimport (
    ABS, COUNT, CUBE, EIGHTH, FIFTH, float_power, FOURTH, further, INVERSE, LARGEST, plus_term, POWER, QUICK, ROOT,
    SEVENTH, SIXTH, SMALLEST, SQUARE, WHOLE,
)
from ._power cimport FOUR, is_mild, mild_powers


cdef enum:
    BLOCK = 8192  # 32 KB of float32: long enough to hide the fold, short enough to share out
    LANES = 32    # doubles: four AVX-512 registers
    WIDE = 64     # lanes of the largest and the smallest, which stay in the type


cdef inline double fold(double* total) noexcept nogil:
    # In halves down to the last four, by loops of constant length: so the sums stay in registers.
    cdef Py_ssize_t j
    for j in range(LANES // 2):
        total[j] += total[j + LANES // 2]
    for j in range(LANES // 4):
        total[j] += total[j + LANES // 4]
    for j in range(LANES // 8):
        total[j] += total[j + LANES // 8]
    return (total[0] + total[2]) + (total[1] + total[3])


cdef inline Py_ssize_t turn_of(const floating* unused) noexcept nogil:
    """Elements of 8 cache lines, which are summed after each call of `fetch`."""
    return 8 * 64 // sizeof(floating)


cdef inline void fetch(const floating* ahead, Py_ssize_t i) noexcept nogil:
    """Where the turn at element i of a window of BLOCK begins a page, the same page of the window at `ahead`.

    A row may end in the next window: so from i = BLOCK on it is the window after `ahead`. Past the end of the array
    there may be no memory, where a prefetch does nothing."""
    cdef size_t turn = turn_of(ahead), number = <size_t> i // turn
    if number % 8 == 0:
        fd_prefetch_page(ahead + number * turn)


cdef inline void fetch_last(const floating* ahead, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """What the whole turns of n elements from `at` on left out, where the next row begins with the turn after it."""
    cdef size_t turn = turn_of(ahead), begin = <size_t> at, count = <size_t> n
    if (begin + count) // turn > begin // turn + count // turn:
        fetch(ahead, begin + count // turn * turn)


cdef inline double sum_of(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, int kind, double p
) noexcept nogil:
    cdef double total[LANES]
    cdef floating rest[LANES]
    cdef Py_ssize_t i, j, k, turn = turn_of(x) // LANES, turns = n // LANES // turn, whole = n // LANES * LANES
    for j in range(LANES):
        total[j] = 0.0
    for i in range(turns):
        fetch(ahead, at + i * turn * LANES)
        for k in range(i * turn, (i + 1) * turn):
            for j in range(LANES):
                total[j] = plus_term(total[j], x[k * LANES + j], kind, p)
    fetch_last(ahead, at, n)
    for k in range(turns * turn, n // LANES):
        for j in range(LANES):
            total[j] = plus_term(total[j], x[k * LANES + j], kind, p)
    if kind <= EIGHTH:  # a 0 adds 0: so the rest is LANES terms too, and the sums stay in registers
        if whole < n:
            for j in range(LANES):
                rest[j] = 0
            for j in range(n - whole):
                rest[j] = x[whole + j]
            for j in range(LANES):
                total[j] = plus_term(total[j], rest[j], kind, p)
        return fold(total)
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
    fetch_last(ahead, at, n)
    for j in range(LANES):
        base[j] = fabs(x[whole + j]) if whole + j < n else 0.0
    raise_to(base, raised, p)
    for j in range(LANES):
        total[j] += raised[j]
    return fold(total)


cdef inline void powers_of(const float* x, int whole_p, double p, float* terms) noexcept nogil:
    """|x|^p of FOUR floats; whole_p is p if that is whole, else 0."""
    cdef Py_ssize_t j
    if whole_p == 0:
        mild_powers(x, p, terms)
    else:
        for j in range(FOUR):
            terms[j] = float_power(x[j], whole_p)


cdef inline void add_fours(const float* terms, double* total) noexcept nogil:
    """FOUR floats are added in fours before they become double, which takes more instructions than a whole power."""
    cdef float four[LANES]
    cdef Py_ssize_t j
    for j in range(LANES):
        four[j] = (terms[j] + terms[LANES + j]) + (terms[2 * LANES + j] + terms[3 * LANES + j])
    for j in range(LANES):
        total[j] += four[j]


cdef inline double float_powers_of(
    const float* x, const float* ahead, Py_ssize_t at, Py_ssize_t n, int whole_p, double p
) noexcept nogil:
    """The sum of |x|^p with terms, and sums of four of them, in float: trust it where `is_sound` says so."""
    cdef double total[LANES]
    cdef float terms[FOUR]
    cdef float rest[FOUR]
    cdef Py_ssize_t i, j, count = n % FOUR
    for j in range(LANES):
        total[j] = 0.0
    for i in range(n // FOUR):
        fetch(ahead, at + i * FOUR)
        powers_of(x + i * FOUR, whole_p, p, terms)
        add_fours(terms, total)
    fetch_last(ahead, at, n)
    if count:
        for j in range(FOUR):
            rest[j] = x[n - count + j] if j < count else <float> 1.0
        powers_of(rest, whole_p, p, terms)
        for j in range(count, FOUR):
            terms[j] = 0.0
        add_fours(terms, total)
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
    fetch_last(ahead, at, n)
    for j in range(n - whole):
        best[j] = further(best[j], x[whole + j], kind)
    for j in range(1, WIDE):
        best[0] = further(best[0], best[j], kind)
    return <double> best[0]


cdef inline bint is_sound(double total) noexcept nogil:
    """Whether a block's sum of terms that were computed in float, subnormals flushed to zero, is what double gives.

    No term overflowed, or the sum would be infinite or NaN; what vanished is below 2^-126 each, 2^-113 in all."""
    return 2.0 ** -60 <= total < INFINITY


cdef inline double in_float(
    const float* x, const float* ahead, Py_ssize_t at, Py_ssize_t n, int kind, double p
) noexcept nogil:
    """The sum of |x|^p with terms in float."""
    cdef uint64_t mode = fd_flush_subnormals()  # subnormal products are slow (docs/profiling.md)
    cdef double total
    if kind == CUBE:
        total = float_powers_of(x, ahead, at, n, 3, p)
    elif kind == FOURTH:
        total = float_powers_of(x, ahead, at, n, 4, p)
    elif kind == FIFTH:
        total = float_powers_of(x, ahead, at, n, 5, p)
    elif kind == SIXTH:
        total = float_powers_of(x, ahead, at, n, 6, p)
    elif kind == SEVENTH:
        total = float_powers_of(x, ahead, at, n, 7, p)
    elif kind == EIGHTH:
        total = float_powers_of(x, ahead, at, n, 8, p)
    elif kind == WHOLE and p < 16.0:
        total = float_powers_of(x, ahead, at, n, <int> p & 15, p)  # of four bits, as the compiler sees from this
    elif kind == WHOLE:
        total = float_powers_of(x, ahead, at, n, <int> p, p)
    else:
        total = float_powers_of(x, ahead, at, n, 0, p)
    fd_restore_subnormals(mode)
    return total


cdef inline double block_of(
    const floating* x, const floating* ahead, Py_ssize_t at, Py_ssize_t n, int kind, double p
) noexcept nogil:
    """The reduction of x. The cache is told of what comes next: x begins at element `at` of a window of BLOCK, and the
    one to be read after it is at `ahead`. So many short rows are read ahead as one long row is."""
    cdef double total
    if floating is float and (CUBE <= kind <= WHOLE or (kind == QUICK and p >= 1.0)):
        total = in_float(<const float*> x, <const float*> ahead, at, n, kind, p)
        if is_sound(total):
            return total
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
        if floating is float and p < 1.0 and is_mild(<const float*> x, n, p):
            return in_float(<const float*> x, <const float*> ahead, at, n, QUICK, p)
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
