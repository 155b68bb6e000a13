/*
 * samples.c - see samples.h.
 */
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void samples_add(struct samples *samples, int64_t microseconds)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 4096;
        samples->values = mem_resize(samples->values, samples->capacity * sizeof *samples->values);
    }
    samples->values[samples->count++] = microseconds > 0 ? (uint32_t)microseconds : 0;
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return a < b ? -1 : a > b;
}

static unsigned at(const struct samples *samples, double share)
{
    return samples->count ? samples->values[(size_t)((double)(samples->count - 1) * share)] : 0;
}

void samples_print(struct samples *samples, const char *name)
{
    if (samples->count > 1) {
        qsort(samples->values, samples->count, sizeof *samples->values, compare);
    }
    printf("\"%s\":{\"count\":%zu,\"p50\":%u,\"p90\":%u,\"p99\":%u,\"p999\":%u,\"max\":%u},", name, samples->count,
           at(samples, 0.5), at(samples, 0.9), at(samples, 0.99), at(samples, 0.999), at(samples, 1));
}

void samples_free(struct samples *samples)
{
    mem_free(samples->values);
    *samples = (struct samples){ 0 };
}
