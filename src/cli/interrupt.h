/* interrupt.h -- Ctrl-C asks for a clean end; a second one while that takes its time ends at once.
 */
#ifndef UPG_CLI_INTERRUPT_H
#define UPG_CLI_INTERRUPT_H

#include <stdbool.h>

/* Catch SIGINT from now on.  Blocking reads return with EINTR, if the signal does not come just
 * before them; who cannot bear that polls interrupt_fd(), too. */
void interrupt_catch(void);

/* Catch SIGTERM as well, in the same way. */
void interrupt_catch_termination(void);

/* Readable from a SIGINT until interrupt_forget(); -1 if there is none. */
int interrupt_fd(void);

/* Was there a SIGINT since the start, or since interrupt_forget()? */
bool interrupt_seen(void);
void interrupt_forget(void);

#endif
