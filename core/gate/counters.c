/* counters.c - see counters.h. A set's lock is taken to make a series and to read; counting takes none. */
#include "gate/counters.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { MOST_SERIES = 10000, BUCKETS = 4096, STEPS = 14 };

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const struct family {
    const char *name;
    enum kind kind;
    const char *help;
} families[] = {
    { "moongate_requests_total", COUNTER,
      "Requests answered, by surface, serving provider and model, and HTTP status." },
    { "moongate_request_seconds", HISTOGRAM, "From a request's last byte to its answer's last byte." },
    { "moongate_upstream_seconds", HISTOGRAM, "Time spent waiting for providers, per request." },
    { "moongate_overhead_seconds", HISTOGRAM, "What the gateway itself added, per request." },
    { "moongate_tokens_total", COUNTER, "Tokens as the providers counted them, by kind." },
    { "moongate_billed_tokens_total", COUNTER, "Tokens after the billing multiplier." },
    { "moongate_cost_microusd_total", COUNTER, "Cost in millionths of a US dollar." },
    { "moongate_attempts_total", COUNTER, "Upstream calls begun, by how they ended." },
    { "moongate_policy_reloads_total", COUNTER, "Policy files loaded, by result." },
    { "moongate_policy_seconds", HISTOGRAM, "Time spent inside a policy." },
    { "moongate_policy_faults_total", COUNTER, "Policies that failed while deciding, by kind of fault." },
    { "moongate_spend_alarms_total", COUNTER, "Answers that reported a cost under zero_spend, by target." },
    { "moongate_streams_open", GAUGE, "Streamed answers under way." },
};
enum { FAMILIES = sizeof families / sizeof families[0] };

/* Upper bounds in seconds: from policies (microseconds) to long generations. */
static const double steps[STEPS] = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120
};

struct series {
    int family;
    int next; /* in its hash chain, -1 at the end */
    char *labels;
    int64_t value;        /* counters and gauges; a histogram's count */
    int64_t microseconds; /* a histogram's sum */
    int64_t *within;      /* a histogram's steps, not cumulative */
};

struct counters {
    pthread_mutex_t lock;
    struct series *series;
    size_t count, capacity;
    int chains[BUCKETS];
};

struct counters *counters_new(void)
{
    struct counters *counters = mem_zero(sizeof *counters);

    pthread_mutex_init(&counters->lock, NULL);
    for (int i = 0; i < BUCKETS; i++)
        counters->chains[i] = -1;
    return counters;
}

void counters_free(struct counters *counters)
{
    if (!counters)
        return;
    for (size_t i = 0; i < counters->count; i++) {
        mem_free(counters->series[i].labels);
        mem_free(counters->series[i].within);
    }
    mem_free(counters->series);
    pthread_mutex_destroy(&counters->lock);
    mem_free(counters);
}

static unsigned hash_of(int family, const char *labels)
{
    unsigned hash = 5381u + (unsigned)family;

    for (; *labels; labels++)
        hash = hash * 33 + (unsigned char)*labels;
    return hash % BUCKETS;
}

static int find(const struct counters *counters, int family, const char *labels)
{
    int at = counters->chains[hash_of(family, labels)];

    while (at >= 0 && (counters->series[at].family != family || strcmp(counters->series[at].labels, labels) != 0))
        at = counters->series[at].next;
    return at;
}

static int make(struct counters *counters, int family, const char *labels)
{
    unsigned hash = hash_of(family, labels);
    struct series *series;

    pthread_mutex_lock(&counters->lock);
    if (counters->count == counters->capacity) {
        counters->capacity = counters->capacity ? 2 * counters->capacity : 64;
        counters->series = mem_resize(counters->series, counters->capacity * sizeof *counters->series);
    }
    series = &counters->series[counters->count];
    *series = (struct series){ .family = family, .labels = mem_text(labels), .next = counters->chains[hash] };
    if (families[family].kind == HISTOGRAM)
        series->within = mem_zero(STEPS * sizeof *series->within);
    counters->chains[hash] = (int)counters->count++;
    pthread_mutex_unlock(&counters->lock);
    return counters->chains[hash];
}

/* -1: there is none of that name. */
static int family_of(const char *name)
{
    for (int family = 0; family < FAMILIES; family++)
        if (strcmp(families[family].name, name) == 0)
            return family;
    return -1;
}

int counters_series(struct counters *counters, const char *name, const char *labels)
{
    int family = family_of(name), at;

    if (family < 0)
        return -1;
    at = find(counters, family, labels);
    if (at >= 0)
        return at;
    if (counters->count >= MOST_SERIES) {
        labels = "overflow=\"true\"";
        at = find(counters, family, labels);
    }
    return at >= 0 ? at : make(counters, family, labels);
}

/* Only the owner writes, so plain sums would do for it; readers on other threads need them whole. */
static void grow(int64_t *value, int64_t amount)
{
    __atomic_store_n(value, *value + amount, __ATOMIC_RELAXED);
}

void counters_add(struct counters *counters, int series, int64_t amount)
{
    if (series >= 0 && (size_t)series < counters->count)
        grow(&counters->series[series].value, amount);
}

void counters_observe(struct counters *counters, int series, double seconds)
{
    struct series *at;
    int step = 0;

    if (series < 0 || (size_t)series >= counters->count || !counters->series[series].within)
        return;
    at = &counters->series[series];
    if (!(seconds > 0))
        seconds = 0; /* a clock that was set back, or not a number */
    while (step < STEPS && seconds > steps[step])
        step++;
    grow(&at->microseconds, (int64_t)(seconds * 1e6));
    grow(&at->value, 1);
    /* Last, and read first: no step ever counts more than the whole. */
    if (step < STEPS)
        __atomic_store_n(&at->within[step], at->within[step] + 1, __ATOMIC_RELEASE);
}

enum { EVERY_FAMILY = -1 };

static void merge(struct counters *sum, struct counters *set, int family)
{
    pthread_mutex_lock(&set->lock);
    for (size_t i = 0; i < set->count; i++) {
        const struct series *from = &set->series[i];
        struct series *to;
        int at;

        if (family != EVERY_FAMILY && family != from->family)
            continue;
        at = find(sum, from->family, from->labels);
        if (at < 0)
            at = make(sum, from->family, from->labels);
        to = &sum->series[at];
        for (int step = 0; from->within && step < STEPS; step++)
            to->within[step] += __atomic_load_n(&from->within[step], __ATOMIC_ACQUIRE);
        to->value += __atomic_load_n(&from->value, __ATOMIC_RELAXED);
        to->microseconds += __atomic_load_n(&from->microseconds, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&set->lock);
}

void counters_each(struct counters *const *sets, size_t count, const char *name,
                   void (*each)(void *arg, const char *labels, int64_t value, double seconds), void *arg)
{
    struct counters *sum = counters_new();
    int family = family_of(name);

    for (size_t i = 0; family >= 0 && i < count; i++)
        merge(sum, sets[i], family);
    for (size_t i = 0; i < sum->count; i++)
        each(arg, sum->series[i].labels, sum->series[i].value, (double)sum->series[i].microseconds / 1e6);
    counters_free(sum);
}

static void write_histogram(const char *name, const struct series *series, struct buf *out)
{
    const char *labels = series->labels, *comma = *labels ? "," : "";
    int64_t below = 0;

    for (int step = 0; step < STEPS; step++) {
        below += series->within[step];
        buf_add_format(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", name, labels, comma, steps[step], (long long)below);
    }
    buf_add_format(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", name, labels, comma, (long long)series->value);
    buf_add_format(out, *labels ? "%s_sum{%s} %.6f\n" : "%s_sum%s %.6f\n", name, labels,
                   (double)series->microseconds / 1e6);
    buf_add_format(out, *labels ? "%s_count{%s} %lld\n" : "%s_count%s %lld\n", name, labels, (long long)series->value);
}

void counters_write(struct counters *const *sets, size_t count, struct buf *out)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };
    struct counters *sum = counters_new();

    for (size_t i = 0; i < count; i++)
        merge(sum, sets[i], EVERY_FAMILY);
    for (int family = 0; family < FAMILIES; family++) {
        const struct family *of = &families[family];

        buf_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", of->name, of->help, of->name, kinds[of->kind]);
        for (size_t i = 0; i < sum->count; i++) {
            const struct series *series = &sum->series[i];

            if (series->family != family)
                continue;
            if (of->kind == HISTOGRAM)
                write_histogram(of->name, series, out);
            else
                buf_add_format(out, *series->labels ? "%s{%s} %lld\n" : "%s%s %lld\n", of->name, series->labels,
                               (long long)series->value);
        }
    }
    counters_free(sum);
}
