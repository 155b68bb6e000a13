/*
 * clock.h - the two clocks. Wall time is read through libc, so that it can be
 * shifted under the gateway; the monotonic one is for measuring only.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);      /* since 1970, milliseconds */
int64_t clock_monotonic_us(void); /* since some start, microseconds */

/*
 * The same as this thread read it last, since the last clock_refresh or the system's last tick (of 1 to 10 ms): a
 * request asks for the time dozens of times, and the clock's own price is high where a machine is a guest. Not for
 * measuring what is short.
 */
int64_t clock_recent_wall_ms(void);
int64_t clock_recent_monotonic_us(void);
/* Something has come from outside: what is told of its time must not be older. */
void clock_refresh(void);

#endif
