/* histogram.h -- counting times for upg_scheduler_stats. */
#ifndef UPG_ENGINE_HISTOGRAM_H
#define UPG_ENGINE_HISTOGRAM_H

#include "upg/upg.h"

void upg_histogram_add(upg_histogram *histogram, double seconds);

#endif
