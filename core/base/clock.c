/* clock.c - see clock.h. */
#include "base/clock.h"

#include <time.h>

int64_t clock_wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static _Thread_local struct {
    struct timespec tick;
    int64_t wall_ms, monotonic_us; /* 0: not read since the tick */
} recent;

/* The time of the last tick costs next to nothing. */
static void forget_older_than_tick(void)
{
    struct timespec tick;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &tick);
    if (tick.tv_nsec == recent.tick.tv_nsec && tick.tv_sec == recent.tick.tv_sec)
        return;
    clock_refresh();
    recent.tick = tick;
}

int64_t clock_recent_wall_ms(void)
{
    forget_older_than_tick();
    if (!recent.wall_ms)
        recent.wall_ms = clock_wall_ms();
    return recent.wall_ms;
}

int64_t clock_recent_monotonic_us(void)
{
    forget_older_than_tick();
    if (!recent.monotonic_us)
        recent.monotonic_us = clock_monotonic_us();
    return recent.monotonic_us;
}

void clock_refresh(void)
{
    recent.wall_ms = recent.monotonic_us = 0;
}
