/* fd_tile_float or fd_tile_double, as FD_REAL says: mr rows x `wide` neighbouring registers of C = start + A @ B, of which
 * a panel has two.
 *
 * mr, wide and unroll are constants where this is inlined, so the loops marked FD_UNROLL disappear and `sum` is registers.
 * With start.row 0 one row of start serves all rows; else that of the tile below is asked for ahead of time. */
#define FD_JOIN2(a, b) a##b
#define FD_JOIN(a, b) FD_JOIN2(a, b)
#define FD_VEC FD_JOIN(fd_vec_, FD_REAL)
#define FD_LOOSE FD_JOIN(fd_loose_, FD_REAL)
#define FD_LANES (FD_VECTOR_BYTES / (ptrdiff_t)sizeof(FD_REAL))

/* One k: sum[mr, wide] += a[mr] * b[wide]. */
static inline FD_IN_LINE void FD_JOIN(fd_step_, FD_REAL)(
    FD_VEC *sum, const int mr, const int wide, const FD_REAL *a, const FD_REAL *lower, ptrdiff_t a_row,
    const FD_REAL *b, ptrdiff_t b_panel) {
    FD_VEC row[8];
    FD_UNROLL
    for (int q = 0; q < wide; q++) {
        row[q] = *(const FD_LOOSE *)(b + q / 2 * b_panel + q % 2 * FD_LANES);
        if (wide == 4 && mr == 3) { /* larger tiles have no register left, smaller ones do with 16 */
            FD_LOADED(row[q]);
        }
    }
    FD_UNROLL
    for (int r = 0; r < mr; r++) {
        const FD_REAL *from = r < mr / 2 ? a + r * a_row : lower + (r - mr / 2) * a_row;
        const FD_VEC value = *from - (FD_VEC){0}; /* in every lane */
        FD_UNROLL
        for (int q = 0; q < wide; q += 2) { /* by two: sums stay in their registers (docs/profiling.md) */
            FD_JOIN(FD_ADD_PRODUCT_, FD_REAL)(sum[r * wide + q], value, row[q]);
            if (q + 1 < wide) FD_JOIN(FD_ADD_PRODUCT_, FD_REAL)(sum[r * wide + q + 1], value, row[q + 1]);
        }
    }
}

static inline FD_IN_LINE void FD_JOIN(fd_tile_, FD_REAL)(
    const int mr, const int wide, const int unroll, FD_REAL *c, const fd_product *o) {
    const FD_REAL *a = o->a.at, *b = o->b.at, *start = o->start.at;
    const ptrdiff_t a_row = o->a.row, a_k = o->a.step, b_k = o->b.row, b_panel = o->b.step;
    const ptrdiff_t start_row = o->start.row, c_row = o->c_row;
    FD_VEC sum[2 * FD_MR]; /* mr * wide is no more */
    const FD_REAL *lower = a + mr / 2 * a_row; /* rows from mr / 2 on */
    /* B's pointer counts the steps, so nothing else has to: its rows are b.row apart, which is never 0. */
    const FD_REAL *const end = b + o->k * b_k, *const whole = b + o->k / unroll * unroll * b_k;
    FD_OPAQUE(lower);
    FD_UNROLL
    for (int r = 0; r < mr; r++) {
        FD_UNROLL
        for (int q = 0; q < wide; q++) {
            const FD_REAL *from = start + r * start_row + q * FD_LANES;
            sum[r * wide + q] = *(const FD_LOOSE *)from;
            if (mr == FD_MR || (wide == 4 && mr == FD_PAIR_MR))
                fd_prefetch(from + mr * start_row);
        }
    }
    while (b != whole) {
        FD_UNROLL
        for (int u = 0; u < unroll; u++)
            FD_JOIN(fd_step_, FD_REAL)(sum, mr, wide, a + u * a_k, lower + u * a_k, a_row, b + u * b_k, b_panel);
        a += unroll * a_k;
        lower += unroll * a_k;
        b += unroll * b_k;
    }
    while (unroll > 1 && b != end) {
        FD_JOIN(fd_step_, FD_REAL)(sum, mr, wide, a, lower, a_row, b, b_panel);
        a += a_k;
        lower += a_k;
        b += b_k;
    }
    FD_UNROLL
    for (int r = 0; r < mr; r++) {
        FD_UNROLL
        for (int q = 0; q < wide; q++)
            *(FD_LOOSE *)(c + r * c_row + q * FD_LANES) = sum[r * wide + q];
    }
}

#undef FD_JOIN2
#undef FD_JOIN
#undef FD_VEC
#undef FD_LOOSE
#undef FD_LANES
