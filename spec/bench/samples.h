/*
 * samples.h - times of many requests, in microseconds: added one by one, told
 * as median and percentiles in JSON. Zero-initialised is empty.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
    uint32_t *values;
    size_t count, capacity;
};

void samples_add(struct samples *samples, int64_t microseconds);
/* Writes `"name":{...},` to standard output; sorts them. */
void samples_print(struct samples *samples, const char *name);
void samples_free(struct samples *samples);

#endif
