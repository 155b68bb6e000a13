/* usage.c - see usage.h. */
#include "store/usage.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "store/backend.h"
#include "store/row.h"

enum { PAGE_ROWS = 500, DAY_NAME = 24 };
static const int64_t DAY_MS = INT64_C(86400) * 1000;

struct group {
    struct usage_sums sums;
    char name[];
};

struct usage {
    struct store_usage_query query; /* its texts are its own */
    struct usage_sums totals;
    struct hash by_name;
    struct group **groups;
    struct row **rows; /* held */
    size_t count, capacity;
    bool is_over;
    struct store_place place;
    atomic_bool is_cancelled;
    atomic_int takers;
    int64_t day; /* whose name is in day_name */
    char day_name[DAY_NAME];
};

static const struct {
    const char *name;
    size_t offset;
} dimensions[] = {
    [STORE_BY_MODEL] = { "model", offsetof(struct ledger_row, model) },
    [STORE_BY_PROVIDER] = { "provider", offsetof(struct ledger_row, provider) },
    [STORE_BY_TASK] = { "task", offsetof(struct ledger_row, task) },
    [STORE_BY_KEY] = { "key", offsetof(struct ledger_row, key) },
    [STORE_BY_LABEL] = { "label", offsetof(struct ledger_row, label) },
    [STORE_BY_ORG] = { "org", offsetof(struct ledger_row, org) },
    [STORE_BY_TIER] = { "tier", offsetof(struct ledger_row, tier) },
    [STORE_BY_DAY] = { "day", 0 },
    [STORE_BY_REQUEST] = { "request", 0 },
};

const char *usage_by_name(int by)
{
    return by >= 0 && by < (int)(sizeof dimensions / sizeof dimensions[0]) ? dimensions[by].name : NULL;
}

struct usage *usage_new(const struct store_usage_query *query)
{
    struct usage *usage = mem_zero(sizeof *usage);

    atomic_init(&usage->takers, 1);
    usage->query = *query;
    usage->query.org = mem_text(query->org);
    usage->query.key = mem_text(query->key);
    usage->place = query->after;
    if (usage->place.time < query->from)
        usage->place = (struct store_place){ query->from, 0 };
    usage->day = INT64_MIN;
    return usage;
}

struct usage *usage_take(const struct usage *usage)
{
    struct usage *taken = (struct usage *)usage;

    atomic_fetch_add(&taken->takers, 1);
    return taken;
}

void usage_free(struct usage *usage)
{
    if (!usage || atomic_fetch_sub(&usage->takers, 1) > 1)
        return;
    for (size_t i = 0; usage->groups && i < usage->count; i++)
        mem_free(usage->groups[i]);
    for (size_t i = 0; usage->rows && i < usage->count; i++)
        row_drop(usage->rows[i]);
    hash_free(&usage->by_name);
    mem_free(usage->groups);
    mem_free(usage->rows);
    mem_free((char *)usage->query.org);
    mem_free((char *)usage->query.key);
    mem_free(usage);
}

const struct store_usage_query *usage_query(const struct usage *usage)
{
    return &usage->query;
}

void usage_cancel(struct usage *usage)
{
    atomic_store(&usage->is_cancelled, true);
}

bool usage_is_cancelled(const struct usage *usage)
{
    return atomic_load(&usage->is_cancelled);
}

/* ---- adding ---- */

static void add(int64_t *sum, int64_t amount)
{
    if (__builtin_add_overflow(*sum, amount, sum))
        *sum = amount > 0 ? INT64_MAX : INT64_MIN;
}

void usage_sums_add(struct usage_sums *sums, const struct ledger_row *row, int64_t requests)
{
    add(&sums->requests, requests);
    add(&sums->input_tokens, row->input_tokens);
    add(&sums->output_tokens, row->output_tokens);
    add(&sums->billed_tokens, row->billed_tokens);
    add(&sums->cost_microusd, row->cost_microusd);
    add(&sums->savings_microusd, row->savings_microusd);
}

static bool is_text(const char *text, const char *wanted)
{
    return !wanted || strcmp(text ? text : "", wanted) == 0;
}

static bool is_asked_for(const struct usage *usage, const struct ledger_row *row)
{
    const struct store_usage_query *query = &usage->query;

    return row->time >= query->from && row->time < query->to && is_text(row->org, query->org) &&
           is_text(row->key, query->key);
}

/* Rows come mostly by time: the name of a day is made once. */
static const char *day_name(struct usage *usage, int64_t time)
{
    int64_t day = time / DAY_MS - (time % DAY_MS < 0);
    time_t seconds = (time_t)(day * (DAY_MS / 1000));
    struct tm date;

    if (day == usage->day)
        return usage->day_name;
    usage->day = day;
    if (!gmtime_r(&seconds, &date) || !strftime(usage->day_name, sizeof usage->day_name, "%Y-%m-%d", &date))
        snprintf(usage->day_name, sizeof usage->day_name, "?");
    return usage->day_name;
}

static const char *name_of(struct usage *usage, const struct ledger_row *row)
{
    const char *name;

    if (usage->query.by == STORE_BY_DAY)
        return day_name(usage, row->time);
    name = *(const char *const *)(const void *)((const char *)row + dimensions[usage->query.by].offset);
    return name ? name : "";
}

static struct group *new_group(struct usage *usage, const char *name, size_t length)
{
    struct group *group = mem_zero(sizeof *group + length + 1);

    memcpy(group->name, name, length + 1);
    if (usage->count == usage->capacity) {
        usage->capacity = usage->capacity ? usage->capacity * 2 : 16;
        usage->groups = mem_resize(usage->groups, usage->capacity * sizeof(struct group *));
    }
    usage->groups[usage->count++] = group;
    hash_put(&usage->by_name, group->name, length, group);
    return group;
}

void usage_add_sums(struct usage *usage, const struct ledger_row *row, int64_t requests)
{
    struct group *group;
    const char *name;
    size_t length;

    if (!is_asked_for(usage, row))
        return;
    usage_sums_add(&usage->totals, row, requests);
    name = name_of(usage, row);
    length = strlen(name);
    group = hash_get(&usage->by_name, name, length);
    if (!group && usage->count >= (size_t)usage->query.most)
        usage->is_over = true;
    else
        usage_sums_add(group ? &group->sums : &new_group(usage, name, length)->sums, row, requests);
}

void usage_add(struct usage *usage, const struct ledger_row *row)
{
    usage_add_sums(usage, row, 1);
}

bool usage_add_row(struct usage *usage, struct row *row, struct store_place place)
{
    if (usage_room(usage) == 0 || !is_asked_for(usage, row_fields(row)))
        return false;
    if (usage->count == usage->capacity) {
        usage->capacity = usage->capacity ? usage->capacity * 2 : 16;
        usage->rows = mem_resize(usage->rows, usage->capacity * sizeof(struct row *));
    }
    usage->rows[usage->count++] = row_take(row);
    usage->place = place;
    usage_sums_add(&usage->totals, row_fields(row), 1);
    usage->is_over = usage_room(usage) == 0;
    return true;
}

int64_t usage_room(const struct usage *usage)
{
    return usage->query.most - (int64_t)usage->count;
}

/* ---- reading, where the backend has no way of its own ---- */

/* Which of the rows is the last one that fits. */
static int last_of(const struct usage *usage, struct row **rows, int got)
{
    int64_t room = usage_room(usage);

    for (int i = 0; i < got; i++)
        if (is_asked_for(usage, row_fields(rows[i])) && --room == 0)
            return i;
    return got - 1;
}

/* A page tells the place behind its last row alone: rows that do not all fit are read again, up to the last that does.
 */
static int read_page(struct usage *usage, struct store *store, struct store_place *place, struct row **rows)
{
    struct store_place begin = *place;
    int got = store->backend->read_rows(store, place, usage->query.to, PAGE_ROWS, rows), last;

    if (got <= 0 || usage->query.by != STORE_BY_REQUEST)
        return got;
    last = last_of(usage, rows, got);
    if (last == got - 1)
        return got;
    while (got > 0)
        row_drop(rows[--got]);
    *place = begin;
    return store->backend->read_rows(store, place, usage->query.to, last + 1, rows);
}

bool usage_read_pages(struct usage *usage, struct store *store)
{
    struct store_place place =
        usage->query.by == STORE_BY_REQUEST ? usage->place : (struct store_place){ usage->query.from, 0 };
    struct row *rows[PAGE_ROWS];
    int got;

    do {
        got = read_page(usage, store, &place, rows);
        for (int i = 0; i < got; i++) {
            if (usage->query.by == STORE_BY_REQUEST)
                usage_add_row(usage, rows[i], place);
            else
                usage_add(usage, row_fields(rows[i]));
            row_drop(rows[i]);
        }
    } while (got > 0 && !usage_is_cancelled(usage) && (usage->query.by != STORE_BY_REQUEST || usage_room(usage) > 0));
    return got >= 0 && !usage_is_cancelled(usage);
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *first = *(struct group *const *)a, *second = *(struct group *const *)b;

    if (first->sums.cost_microusd != second->sums.cost_microusd)
        return first->sums.cost_microusd > second->sums.cost_microusd ? -1 : 1;
    if (first->sums.requests != second->sums.requests)
        return first->sums.requests > second->sums.requests ? -1 : 1;
    return strcmp(first->name, second->name);
}

static int compare_days(const void *a, const void *b)
{
    return strcmp((*(struct group *const *)a)->name, (*(struct group *const *)b)->name);
}

bool usage_read(struct usage *usage, struct store *store)
{
    if (!(store->backend->usage ? store->backend->usage(store, usage) : usage_read_pages(usage, store)))
        return false;
    if (usage->groups)
        qsort(usage->groups, usage->count, sizeof(struct group *),
              usage->query.by == STORE_BY_DAY ? compare_days : compare_groups);
    return true;
}

/* ---- what came out ---- */

const struct usage_sums *usage_totals(const struct usage *usage)
{
    return &usage->totals;
}

bool usage_is_over(const struct usage *usage)
{
    return usage->is_over;
}

size_t usage_count(const struct usage *usage)
{
    return usage->count;
}

const struct usage_sums *usage_group(const struct usage *usage, size_t i, const char **name)
{
    *name = usage->groups[i]->name;
    return &usage->groups[i]->sums;
}

const struct ledger_row *usage_row(const struct usage *usage, size_t i)
{
    return row_fields(usage->rows[i]);
}

struct store_place usage_place(const struct usage *usage)
{
    return usage->place;
}
