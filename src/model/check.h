/* check.h -- the parts of upg_model_check() that others use too. */
#ifndef UPG_MODEL_CHECK_H
#define UPG_MODEL_CHECK_H

#include "model/config.h"
#include "model/model.h"

/* UPG_ERR_FORMAT if one of values[n] is infinite or not a number; `name` is the tensor's. */
upg_status upg_check_finite(const char *where, const char *name, const float *values, size_t n,
                            upg_error *err);

/* All norms and scales are finite, and so are the weights: all of them, or a sample of each matrix.
 */
upg_status upg_model_check_values(const struct upg_model *model, bool all, upg_error *err);

#endif
