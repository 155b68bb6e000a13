/*
 * clock.h - the two clocks. Wall time is read through libc, so that it can be
 * shifted under the gateway; the monotonic one is for measuring only.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);      /* since 1970, milliseconds */
int64_t clock_monotonic_us(void); /* since some start, microseconds */

#endif
