"""A vector is a value: `vec` is one register of numbers, float or double, on which + - * / act lane by lane.

To Cython it is a number, so point functions are the equations of docs/recurrent.md; to C it is a vector type of gcc and
clang (_vec.h). A `vec*` may point to any element: p[q] is the q-th register from there. What compares or chooses lane
by lane is a function here, since Cython would take a < b for one truth.

A function of the fused type is named with its specialization where no argument tells it: f[vfloat](NULL).
"""
from libc.stdint cimport uint8_t


cdef extern from "_vec.h" nogil:
    ctypedef float vfloat "fd_vfloat"
    ctypedef double vdouble "fd_vdouble"
    enum:
        FD_VECTOR_BYTES
    vfloat fd_sigmoid_vfloat(vfloat x)
    vdouble fd_sigmoid_vdouble(vdouble x)
    vfloat fd_tanh_vfloat(vfloat x)
    vdouble fd_tanh_vdouble(vdouble x)
    vfloat fd_decay_vfloat(vfloat x)
    vdouble fd_decay_vdouble(vdouble x)
    vfloat fd_log_sigmoid_vfloat(vfloat x)
    vdouble fd_log_sigmoid_vdouble(vdouble x)
    vfloat fd_either_vfloat(vfloat s, vfloat a, vfloat b)
    vdouble fd_either_vdouble(vdouble s, vdouble a, vdouble b)
    vfloat fd_greater_vfloat(vfloat a, vfloat b)
    vdouble fd_greater_vdouble(vdouble a, vdouble b)
    vfloat fd_clamp_vfloat(vfloat x, float limit)
    vdouble fd_clamp_vdouble(vdouble x, double limit)
    vfloat fd_all_vfloat(double number)
    vdouble fd_all_vdouble(double number)
    vfloat fd_load_vfloat(const vfloat* p, Py_ssize_t width)
    vdouble fd_load_vdouble(const vdouble* p, Py_ssize_t width)
    void fd_store_vfloat(vfloat* p, vfloat x, Py_ssize_t width)
    void fd_store_vdouble(vdouble* p, vdouble x, Py_ssize_t width)
    vfloat* fd_shift_vfloat(const vfloat* p, Py_ssize_t count)
    vdouble* fd_shift_vdouble(const vdouble* p, Py_ssize_t count)
    vfloat fd_part_vfloat(vfloat x, Py_ssize_t width)
    vdouble fd_part_vdouble(vdouble x, Py_ssize_t width)
    vfloat fd_choose_vfloat(const uint8_t* mask, Py_ssize_t width, vfloat a, vfloat b)
    vdouble fd_choose_vdouble(const uint8_t* mask, Py_ssize_t width, vdouble a, vdouble b)
    vfloat fd_mark_vfloat(vfloat gate, vfloat a, float clip)
    vdouble fd_mark_vdouble(vdouble gate, vdouble a, double clip)
    vfloat fd_unmark_vfloat(vfloat gate, vfloat low, vfloat high)
    vdouble fd_unmark_vdouble(vdouble gate, vdouble low, vdouble high)
    vfloat fd_unmarked_vfloat(vfloat gate, vfloat slope)
    vdouble fd_unmarked_vdouble(vdouble gate, vdouble slope)
    vfloat fd_within_vfloat(vfloat x, vfloat s, float limit)
    vdouble fd_within_vdouble(vdouble x, vdouble s, double limit)
    vfloat fd_positive_vfloat(vfloat x, vfloat s)
    vdouble fd_positive_vdouble(vdouble x, vdouble s)
    vfloat fd_relu_vfloat(vfloat x)
    vdouble fd_relu_vdouble(vdouble x)
    double fd_total_vfloat(vfloat x)
    double fd_total_vdouble(vdouble x)
    double fd_mean_of_vfloat(vfloat sums, Py_ssize_t count)
    double fd_lane_vfloat(const vfloat* p, Py_ssize_t n)
    void fd_set_lane_vfloat(vfloat* p, Py_ssize_t n, double number)
    double fd_mean_of_vdouble(vdouble sums, Py_ssize_t count)
    double fd_lane_vdouble(const vdouble* p, Py_ssize_t n)
    void fd_set_lane_vdouble(vdouble* p, Py_ssize_t n, double number)

ctypedef fused vec:
    vfloat
    vdouble


cdef inline Py_ssize_t lanes(Py_ssize_t itemsize) noexcept nogil:
    """Numbers of a register."""
    return FD_VECTOR_BYTES // itemsize


cdef inline vec sigmoid(vec x) noexcept nogil:
    if vec is vfloat:
        return fd_sigmoid_vfloat(x)
    else:
        return fd_sigmoid_vdouble(x)


cdef inline vec tanh(vec x) noexcept nogil:
    if vec is vfloat:
        return fd_tanh_vfloat(x)
    else:
        return fd_tanh_vdouble(x)


cdef inline vec decay(vec x) noexcept nogil:
    """e^-abs(x)"""
    if vec is vfloat:
        return fd_decay_vfloat(x)
    else:
        return fd_decay_vdouble(x)


cdef inline vec log_sigmoid(vec x) noexcept nogil:
    if vec is vfloat:
        return fd_log_sigmoid_vfloat(x)
    else:
        return fd_log_sigmoid_vdouble(x)


cdef inline vec either(vec s, vec a, vec b) noexcept nogil:
    """a where s > 0, else b."""
    if vec is vfloat:
        return fd_either_vfloat(s, a, b)
    else:
        return fd_either_vdouble(s, a, b)


cdef inline vec greater(vec a, vec b) noexcept nogil:
    """The greater of both; b where it is NaN."""
    if vec is vfloat:
        return fd_greater_vfloat(a, b)
    else:
        return fd_greater_vdouble(a, b)


cdef inline vec clamp(vec x, double limit) noexcept nogil:
    """x within [-limit, limit]; NaN passes."""
    if vec is vfloat:
        return fd_clamp_vfloat(x, <float> limit)
    else:
        return fd_clamp_vdouble(x, limit)


cdef inline vec every(vec like, double number) noexcept nogil:
    """The number in every lane of a register, of the kind of `like`."""
    if vec is vfloat:
        return fd_all_vfloat(number)
    else:
        return fd_all_vdouble(number)


cdef inline vec load(const vec* p, Py_ssize_t width) noexcept nogil:
    """A register of which `width` numbers exist; the others read as 0."""
    if vec is vfloat:
        return fd_load_vfloat(p, width)
    else:
        return fd_load_vdouble(p, width)


cdef inline void store(vec* p, vec x, Py_ssize_t width) noexcept nogil:
    if vec is vfloat:
        fd_store_vfloat(p, x, width)
    else:
        fd_store_vdouble(p, x, width)


cdef inline vec* shift(const vec* p, Py_ssize_t count) noexcept nogil:
    """So many numbers on from p, where p + q goes by whole registers."""
    if vec is vfloat:
        return fd_shift_vfloat(p, count)
    else:
        return fd_shift_vdouble(p, count)


cdef inline vec part(vec x, Py_ssize_t width) noexcept nogil:
    """x, and 0 beyond `width`."""
    if vec is vfloat:
        return fd_part_vfloat(x, width)
    else:
        return fd_part_vdouble(x, width)


cdef inline vec choose(const uint8_t* mask, Py_ssize_t width, vec a, vec b) noexcept nogil:
    """a where `width` bytes of a mask are set, else b. What is not chosen may be NaN."""
    if vec is vfloat:
        return fd_choose_vfloat(mask, width, a, b)
    else:
        return fd_choose_vdouble(mask, width, a, b)


cdef inline vec mark(vec gate, vec a, double clip) noexcept nogil:
    """The gate, 2 where a > clip and -2 where a < -clip."""
    if vec is vfloat:
        return fd_mark_vfloat(gate, a, <float> clip)
    else:
        return fd_mark_vdouble(gate, a, clip)


cdef inline vec unmark(vec gate, vec low, vec high) noexcept nogil:
    """The gate, `high` where it is 2 and `low` where it is -2."""
    if vec is vfloat:
        return fd_unmark_vfloat(gate, low, high)
    else:
        return fd_unmark_vdouble(gate, low, high)


cdef inline vec unmarked(vec gate, vec slope) noexcept nogil:
    """The slope, 0 where the gate is 2 or -2."""
    if vec is vfloat:
        return fd_unmarked_vfloat(gate, slope)
    else:
        return fd_unmarked_vdouble(gate, slope)


cdef inline vec within(vec x, vec s, double limit) noexcept nogil:
    """x where s lies within [-limit, limit], else 0."""
    if vec is vfloat:
        return fd_within_vfloat(x, s, <float> limit)
    else:
        return fd_within_vdouble(x, s, limit)


cdef inline vec positive(vec x, vec s) noexcept nogil:
    """x where s > 0, else 0."""
    if vec is vfloat:
        return fd_positive_vfloat(x, s)
    else:
        return fd_positive_vdouble(x, s)


cdef inline vec relu(vec x) noexcept nogil:
    """x where it is positive or NaN, else 0."""
    if vec is vfloat:
        return fd_relu_vfloat(x)
    else:
        return fd_relu_vdouble(x)


cdef inline double total(vec x) noexcept nogil:
    """The sum of all lanes, by halves."""
    if vec is vfloat:
        return fd_total_vfloat(x)
    else:
        return fd_total_vdouble(x)


cdef inline double mean_of(vec sums, Py_ssize_t count) noexcept nogil:
    """The sum of all lanes over `count`."""
    if vec is vfloat:
        return fd_mean_of_vfloat(sums, count)
    else:
        return fd_mean_of_vdouble(sums, count)


cdef inline double lane(const vec* p, Py_ssize_t n) noexcept nogil:
    """The n-th number from p on."""
    if vec is vfloat:
        return fd_lane_vfloat(p, n)
    else:
        return fd_lane_vdouble(p, n)


cdef inline void set_lane(vec* p, Py_ssize_t n, double number) noexcept nogil:
    if vec is vfloat:
        fd_set_lane_vfloat(p, n, number)
    else:
        fd_set_lane_vdouble(p, n, number)
