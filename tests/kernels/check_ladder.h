/* check_ladder.h */
#ifndef UPG_TESTS_CHECK_LADDER_H
#define UPG_TESTS_CHECK_LADDER_H

/* Which tier upg_kernels_init() chooses, and what it says; returns the number of failures. */
int check_ladder(void);

#endif
