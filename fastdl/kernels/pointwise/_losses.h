/* Losses, a row each: NAME_term of a prediction p, a target t and a setting a, with its derivative by p in `slope`. Terms are
 * double: the square of a float may be no float. Nothing branches, looks up a table or calls, so the loops vectorize.
 */
#ifndef FASTDL_LOSSES_H
#define FASTDL_LOSSES_H

#include <stddef.h>
#include "_math.h"

#define FD_LOSSES(ROW) ROW(squared) ROW(absolute) ROW(smooth) ROW(huber) ROW(quantile) ROW(logistic)

#define FD_ROW(NAME) #NAME,
static const char *const fd_losses[] = {FD_LOSSES(FD_ROW) NULL};
#undef FD_ROW

enum { FD_SUMS = 16 };

#define FD_TYPE float
#define FD_NAME(name) fd_##name##_float
#define FD_SINGLE 1
#include "_losses_body.h"
#define FD_TYPE double
#define FD_NAME(name) fd_##name##_double
#define FD_SINGLE 0
#include "_losses_body.h"

#endif
