/*
 * counters.h - what /metrics shows. Each worker counts into a set of its own
 * (only its thread writes); a reader sums the sets.
 */
#ifndef GATE_COUNTERS_H
#define GATE_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct counters;

struct counters *counters_new(void);
void counters_free(struct counters *counters);

/*
 * The number of the series of that name and labels (`surface="chat",status="200"` or ""); made on first use. Names and
 * kinds are those of the table in counters.c; -1 for a name that is not there. A set holds at most 10,000 series;
 * further ones of a family are counted together under `overflow="true"`.
 */
int counters_series(struct counters *counters, const char *name, const char *labels);
void counters_add(struct counters *counters, int series, int64_t amount);
/* Counts a duration into a histogram. */
void counters_observe(struct counters *counters, int series, double seconds);

/*
 * Each series of that name, summed over all sets: a histogram's value is its count, seconds its sum. Any thread.
 */
void counters_each(struct counters *const *sets, size_t count, const char *name,
                   void (*each)(void *arg, const char *labels, int64_t value, double seconds), void *arg);
/* The sum of all sets in Prometheus' text format. Any thread. */
void counters_write(struct counters *const *sets, size_t count, struct buf *out);

#endif
