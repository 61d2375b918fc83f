/* unit.h -- cmocka with the headers that it wants, and what upg's tests say often. */
#ifndef UPG_TESTS_UNIT_H
#define UPG_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "upg/upg.h"

/* Builds that compute ten times slower (sanitizers, an emulated CPU) check the same on fewer or
 * shorter inputs. */
#ifdef UPG_SLOW_BUILD
enum { SLOW_BUILD = 1 };
#else
enum { SLOW_BUILD = 0 };
#endif

/* The call succeeded; its message is shown when it did not.  `err` is a upg_error variable. */
#define assert_ok(call, err)                                                                       \
    do {                                                                                           \
        const upg_status status_ = (call);                                                         \
        if (status_ != UPG_OK)                                                                     \
            fail_msg("%s: %s: %s", #call, upg_status_name(status_), (err).message);                \
    } while (0)

/* The call failed with this status, and its message contains this part. */
#define assert_fails(call, expected, err, part)                                                    \
    do {                                                                                           \
        const upg_status status_ = (call);                                                         \
        if (status_ != (expected))                                                                 \
            fail_msg("%s: %s instead of %s: %s", #call, upg_status_name(status_),                  \
                     upg_status_name(expected), (err).message);                                    \
        assert_int_equal((err).status, expected);                                                  \
        if (!strstr((err).message, part))                                                          \
            fail_msg("%s: the message has no '%s': %s", #call, part, (err).message);               \
    } while (0)

#endif
