/* Formulas of some length stop being inlined at the third caller, and a call ends a loop's vectorization: 20 times as long.
 * From here on Cython's inline functions must be inlined. */
#ifndef FASTDL_INLINE_H
#define FASTDL_INLINE_H

#ifdef __GNUC__
#undef CYTHON_INLINE
#define CYTHON_INLINE inline __attribute__((always_inline))
#endif

#endif
