/*
 * zone.h - where windows begin and end: minutes, hours, days, weeks and months
 * in UTC or in a named time zone (daylight saving included), read from the
 * system's zone files.
 */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone;

enum window {
    WINDOW_SECOND,
    WINDOW_10S,
    WINDOW_MINUTE,
    WINDOW_HOUR,
    WINDOW_5H,
    WINDOW_DAY,
    WINDOW_WEEK,
    WINDOW_MONTH,
    WINDOW_NONE
};

/* "minute", "10s", ...; false if there is no such window. */
bool window_parse(const char *name, enum window *window);
const char *window_name(enum window window);

/* "UTC", "America/Los_Angeles"; NULL if the system has no such zone. Kept for the life of the process; any thread. */
const struct zone *zone_find(const char *name);
const char *zone_name(const struct zone *zone); /* NULL is "UTC" */
/*
 * The window around now: its first second and the first one behind it (unix seconds). zone NULL is UTC. A week begins
 * on Monday; windows shorter than a day are the same in every zone. WINDOW_NONE has no end: INT64_MAX.
 */
void zone_window(const struct zone *zone, enum window window, int64_t now, int64_t *start, int64_t *end);
/* Days from 1970-01-01 to that day of the Gregorian calendar. */
int64_t zone_day(int64_t year, int month, int day);

#endif
