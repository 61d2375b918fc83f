/* interrupt.c -- the only signal handler of the program. */
#include "cli/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t seen;

static void on_interrupt(int signal_number)
{
    if (seen) { /* nobody has looked since the first: the user means it */
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    seen = 1;
}

void interrupt_catch(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL); /* without SA_RESTART */
}

bool interrupt_seen(void)
{
    return seen != 0;
}

void interrupt_forget(void)
{
    seen = 0;
}
