/* progress.c -- drawing the bar. */
#include "cli/progress.h"

#include "cli/interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double first_after_s = 1.0; /* what is over sooner needs no bar */
static const double every_s = 0.1;
enum { MAX_BAR_WIDTH = 40, TEXT_WIDTH = 24 /* of percent and time */ };

double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool terminal_can_draw(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

static int terminal_width(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void progress_begin(struct progress *progress, const char *label, bool enabled)
{
    const char *no_color = getenv("NO_COLOR"); /* no-color.org */

    memset(progress, 0, sizeof *progress);
    progress->color = !no_color || !*no_color;
    progress->enabled = enabled && terminal_can_draw();
    progress->label = label;
    progress->start = seconds_now();
}

static void draw_bar(int width, double fraction)
{
    const int filled = (int)(fraction * width);

    fputs("  [", stderr);
    for (int i = 0; i < width; i++)
        fputc(i < filled ? '=' : i == filled ? '>' : ' ', stderr);
    fputc(']', stderr);
}

static void draw(const struct progress *progress, const char *stage, double now, uint64_t done,
                 uint64_t total)
{
    const double elapsed = now - progress->start;
    const double fraction = done < total ? (double)done / (double)total : 1;
    const int name_width =
        (int)strlen(stage) + (progress->label ? (int)strlen(progress->label) + 2 : 0);
    int bar_width = terminal_width() - name_width - TEXT_WIDTH;

    if (bar_width < 0) /* the line would be broken, and half of it stay */
        return;
    fputs("\r\033[K", stderr);
    if (progress->label)
        fprintf(stderr, "%s: ", progress->label);
    fprintf(stderr, progress->color ? "\033[36m%s\033[m" : "%s", stage);
    if (total == 0) {
        fprintf(stderr, "  %llu  %.0f s", (unsigned long long)done, elapsed);
        return;
    }
    if (bar_width > MAX_BAR_WIDTH)
        bar_width = MAX_BAR_WIDTH;
    if (bar_width >= 4)
        draw_bar(bar_width, fraction);
    fprintf(stderr, " %3.0f%%", 100 * fraction);
    if (done > 0) {
        const double left = elapsed / fraction - elapsed;
        fprintf(stderr, "  %d:%02d left", (int)left / 60, (int)left % 60);
    }
}

int progress_update(void *context, const char *stage, uint64_t done, uint64_t total)
{
    struct progress *progress = context;
    const double now = seconds_now();

    if (interrupt_seen())
        return 1;
    if (!progress->enabled)
        return 0;
    if (!progress->stage || strcmp(progress->stage, stage) != 0) {
        progress->stage = stage;
        progress->start = now;
    }
    if (now - progress->start >= first_after_s && now - progress->last_drawn >= every_s) {
        progress->last_drawn = now;
        progress->drawn = true;
        draw(progress, stage, now, done, total);
        fflush(stderr);
    }
    return 0;
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->drawn = false;
}
