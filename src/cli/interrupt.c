/* interrupt.c -- the only signal handler of the program.
 *
 * A flag tells who asks.  A pipe wakes up who sleeps: whichever thread the signal comes to, and
 * however shortly before the sleep (Bernstein's self-pipe trick). */
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t seen;
static int wake_up[2] = {-1, -1}; /* read end, write end; both non-blocking */

static void on_interrupt(int signal_number)
{
    const int saved_errno = errno;

    if (seen) { /* nobody has looked since the first: the user means it */
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    seen = 1;
    if (write(wake_up[1], "", 1) != 1)
        seen = 1; /* a pipe that is full wakes up as well */
    errno = saved_errno;
}

static void catch_signal(int signal_number)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL); /* without SA_RESTART */
}

void interrupt_catch(void)
{
    if (pipe(wake_up) == 0)
        for (int i = 0; i < 2; i++) {
            fcntl(wake_up[i], F_SETFL, O_NONBLOCK);
            fcntl(wake_up[i], F_SETFD, FD_CLOEXEC);
        }
    catch_signal(SIGINT);
}

void interrupt_catch_termination(void)
{
    catch_signal(SIGTERM);
}

int interrupt_fd(void)
{
    return wake_up[0];
}

bool interrupt_seen(void)
{
    return seen != 0;
}

void interrupt_forget(void)
{
    char byte;

    while (read(wake_up[0], &byte, 1) == 1)
        continue;
    seen = 0;
}
