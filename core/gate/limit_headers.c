/* limit_headers.c - see limit_headers.h. Spellings mean what lua/moongate/time.lua says that they mean. */
#include "gate/limit_headers.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/headers.h"
#include "base/mem.h"
#include "base/zone.h"

enum { SLOTS = 512, NAMES_MAX = SLOTS / 2, VALUE_MAX = 100 };

static const double LARGEST = 9007199254740991.0, LONGEST_S = 31 * 86400.0;
/* From these on, a number is a moment, and no wait. */
static const double EPOCH_SECONDS = 1e9, EPOCH_MILLISECONDS = 1e11;

struct entry {
    char *name, *metric, *window;
    size_t length;
    uint32_t code;
    enum limit_field field;
    int rank;
};

struct limit_grammar {
    bool no_zeros;
    int count;
    struct entry *slots[SLOTS];
};

struct limit_grammar *limit_grammar_new(bool no_zeros)
{
    struct limit_grammar *grammar = mem_zero(sizeof *grammar);

    grammar->no_zeros = no_zeros;
    return grammar;
}

/* Of a name without regard to case, eight letters at a time. Only names of the grammar are put under it. */
static uint32_t code_of(const char *name, size_t length)
{
    static const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15), lower = BYTES_ONES * 0x20;
    uint64_t code = length * factor;

    for (; length >= 8; name += 8, length -= 8)
        code = (code ^ (code >> 32) ^ (bytes_word(name) | lower)) * factor;
    for (; length; name++, length--)
        code = (code ^ (code >> 32) ^ (unsigned char)(*name | 0x20)) * factor;
    return (uint32_t)(code >> 32);
}

static const struct entry *find(const struct limit_grammar *grammar, const char *name, uint32_t code, size_t length)
{
    const struct entry *entry;

    for (uint32_t at = code % SLOTS; (entry = grammar->slots[at]); at = (at + 1) % SLOTS)
        if (entry->code == code && entry->length == length && strncasecmp(entry->name, name, length) == 0)
            return entry;
    return NULL;
}

void limit_grammar_add(struct limit_grammar *grammar, const char *name, enum limit_field field, const char *metric,
                       const char *window)
{
    struct entry *entry;
    size_t length = strlen(name);
    uint32_t code = code_of(name, length), at = code % SLOTS;

    if (grammar->count >= NAMES_MAX || find(grammar, name, code, length))
        return;
    entry = mem_zero(sizeof *entry);
    *entry =
        (struct entry){ mem_text(name), mem_text(metric), mem_text(window), length, code, field, grammar->count++ };
    while (grammar->slots[at])
        at = (at + 1) % SLOTS;
    grammar->slots[at] = entry;
}

void limit_grammar_free(struct limit_grammar *grammar)
{
    for (int i = 0; grammar && i < SLOTS; i++) {
        if (!grammar->slots[i])
            continue;
        mem_free(grammar->slots[i]->name);
        mem_free(grammar->slots[i]->metric);
        mem_free(grammar->slots[i]->window);
        mem_free(grammar->slots[i]);
    }
    mem_free(grammar);
}

/* "12" or "12.5" at *text, which moves behind it; negative: something else. */
static double read_number(const char **text)
{
    const char *start = *text, *at = start;
    double number = 0;

    while (isdigit((unsigned char)*at))
        number = number * 10 + (*at++ - '0');
    if (at == start)
        return -1;
    if (*at == '.') {
        if (!isdigit((unsigned char)at[1]))
            return -1;
        number = strtod(start, NULL); /* digits and a point: no sign, no exponent */
        for (at++; isdigit((unsigned char)*at); at++)
            ;
    }
    *text = at;
    return number <= LARGEST ? number : -1;
}

/* A limit, or what remains of it; some write more behind a comma or semicolon. */
static double read_figure(const char *text)
{
    double number = read_number(&text);

    return *text == '\0' || *text == ',' || *text == ';' ? number : -1;
}

/* Seconds a unit has, as Go writes them; *text moves behind it. */
static double read_unit(const char **text)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = { { "ms", 1e-3 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };

    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t length = strlen(units[i].name);

        if (strncmp(*text, units[i].name, length) == 0) {
            *text += length;
            return units[i].seconds;
        }
    }
    return -1;
}

/* "6m0s" from behind its first number on. */
static double read_duration(double number, const char *text)
{
    double sum = 0;

    for (;;) {
        double unit = read_unit(&text);

        if (number < 0 || unit < 0)
            return -1;
        sum += number * unit;
        if (*text == '\0')
            return sum;
        number = read_number(&text);
    }
}

/* So many digits and what stands behind them. */
static int read_digits(const char **text, int count, char mark)
{
    int number = 0;

    for (; count > 0; count--, (*text)++) {
        if (!isdigit((unsigned char)**text))
            return -1;
        number = number * 10 + (**text - '0');
    }
    return *(*text)++ == mark ? number : -1;
}

/* "2026-10-01T12:01:30Z" in unix seconds. */
static double read_date(const char *text)
{
    static const struct {
        int digits, most;
        char mark;
    } parts[] = { { 4, 9999, '-' }, { 2, 12, '-' }, { 2, 31, 'T' }, { 2, 23, ':' }, { 2, 59, ':' }, { 2, 59, 'Z' } };
    int64_t day, next;
    int values[6];

    for (size_t i = 0; i < 6; i++) {
        values[i] = read_digits(&text, parts[i].digits, parts[i].mark);
        if (values[i] < (i == 1 || i == 2) || values[i] > parts[i].most)
            return -1;
    }
    day = zone_day(values[0], values[1], values[2]);
    next = values[1] == 12 ? zone_day(values[0] + 1, 1, 1) : zone_day(values[0], values[1] + 1, 1);
    if (*text || day >= next)
        return -1;
    return (double)(day * 86400 + values[3] * 3600 + values[4] * 60 + values[5]);
}

/* Seconds until a reset: a number of seconds, a moment, a duration or a date. */
static double read_reset(const char *text, double now)
{
    const char *at = text;
    double number = read_number(&at), seconds;

    if (number < 0)
        return -1;
    if (*at == '-') {
        number = read_date(text);
        seconds = number < 0 ? -1 : number > now ? number - now : 0;
    } else if (*at) {
        seconds = read_duration(number, at);
    } else if (number >= EPOCH_SECONDS) {
        number = number >= EPOCH_MILLISECONDS ? number / 1000 : number;
        seconds = number > now ? number - now : 0;
    } else {
        seconds = number;
    }
    return seconds < LONGEST_S ? seconds : LONGEST_S;
}

struct reading {
    struct limit_told *told;
    int ranks[LIMIT_HEADERS_MAX][LIMIT_FIELD_OTHER];
    int count;
};

/* False: there are too many. */
static bool note(struct reading *reading, const struct entry *entry, double value)
{
    struct limit_told *told = reading->told;
    int i = 0;

    for (; i < reading->count; i++)
        if (strcmp(told[i].metric, entry->metric) == 0 && strcmp(told[i].window, entry->window) == 0)
            break;
    if (i == LIMIT_HEADERS_MAX)
        return false;
    if (i == reading->count)
        told[reading->count++] = (struct limit_told){ entry->metric, entry->window, { -1, -1, -1 } };
    if (told[i].values[entry->field] < 0 || entry->rank < reading->ranks[i][entry->field]) {
        told[i].values[entry->field] = value;
        reading->ranks[i][entry->field] = entry->rank;
    }
    return true;
}

static void forget_zeros(struct limit_told *told, int count)
{
    for (int i = 0; i < count; i++) {
        double *values = told[i].values;

        if (values[LIMIT_FIELD_LIMIT] == 0 && values[LIMIT_FIELD_REMAINING] == 0)
            values[LIMIT_FIELD_LIMIT] = values[LIMIT_FIELD_REMAINING] = -1;
    }
}

int limit_headers_read(const struct limit_grammar *grammar, const struct headers *headers, double now,
                       struct limit_told told[static LIMIT_HEADERS_MAX])
{
    struct reading reading = { .told = told };

    for (size_t i = 0; i < headers->count; i++) {
        const char *name = headers->fields[i].name, *text = headers->fields[i].value;
        size_t length = strlen(name);
        const struct entry *entry = find(grammar, name, code_of(name, length), length);
        double value;

        if (!entry)
            continue;
        if (entry->field == LIMIT_FIELD_OTHER || strnlen(text, VALUE_MAX) == VALUE_MAX)
            return -1;
        value = entry->field == LIMIT_FIELD_RESET ? read_reset(text, now) : read_figure(text);
        if (value < 0 || !note(&reading, entry, value))
            return -1;
    }
    if (grammar->no_zeros)
        forget_zeros(told, reading.count);
    return reading.count;
}
