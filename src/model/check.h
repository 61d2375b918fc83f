/* check.h -- the part of upg_model_check() that upg_verify() and the compressor use too. */
#ifndef UPG_MODEL_CHECK_H
#define UPG_MODEL_CHECK_H

#include "model/model.h"

/* All norms and scales are finite, and so are the weights: all of them, or a sample of each matrix.
 */
upg_status upg_model_check_values(const struct upg_model *model, bool all, upg_error *err);

#endif
