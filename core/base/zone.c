/*
 * zone.c - see zone.h. Reads the 64-bit part of a TZif file (RFC 8536) and
 * carries its closing rule on to the year 2100, so that nothing here depends
 * on the process's own zone.
 */
#include "base/zone.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { DAY = 86400, FILE_MAX = 64 * 1024, LAST_YEAR = 2100 };

struct change {
    int64_t at;
    int32_t offset; /* seconds east of Greenwich from then on */
};

struct zone {
    struct zone *next;
    char *name;
    int32_t first_offset; /* before the first change */
    struct change *changes;
    size_t count;
};

static const struct zone utc = { .name = "UTC" };
static struct zone *known;
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[] = { "second", "10s", "minute", "hour", "5h", "day", "week", "month", "none" };

bool window_parse(const char *name, enum window *window)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0) {
            *window = (enum window)i;
            return true;
        }
    }
    return false;
}

const char *window_name(enum window window)
{
    return names[window];
}

/* ---- the calendar, in days since 1970 ---- */

static int64_t floor_div(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

int64_t zone_day(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void month_of(int64_t day, int64_t *year, int *month)
{
    int64_t since = day + 719468, era = floor_div(since, 146097), in_era = since - era * 146097;
    int64_t year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int counted = (int)((5 * day_of_year + 2) / 153);

    *month = counted < 10 ? counted + 3 : counted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static int64_t weekday_of(int64_t day) /* 0 is Sunday */
{
    return day + 4 - 7 * floor_div(day + 4, 7);
}

/* ---- reading a zone ---- */

static int64_t big_endian(const unsigned char *bytes, int size)
{
    uint64_t value = bytes[0] & 0x80 ? UINT64_MAX : 0;

    for (int i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

static void add_change(struct zone *zone, int64_t at, int32_t offset)
{
    if (zone->count && zone->changes[zone->count - 1].at >= at)
        return;
    if ((zone->count & (zone->count - 1)) == 0)
        zone->changes = mem_resize(zone->changes, (zone->count ? zone->count * 2 : 1) * sizeof *zone->changes);
    zone->changes[zone->count++] = (struct change){ at, offset };
}

static const char *skip_name(const char *rule)
{
    if (*rule == '<')
        return rule + strcspn(rule, ">") + (strchr(rule, '>') != NULL);
    while (isalpha((unsigned char)*rule))
        rule++;
    return rule;
}

/* [+-]h[:m[:s]] in seconds. */
static int64_t read_time(const char **rule)
{
    int64_t seconds = 0;
    int sign = **rule == '-' ? -1 : 1;

    *rule += **rule == '-' || **rule == '+';
    for (int unit = 3600; unit > 0; unit /= 60) {
        int64_t part = 0;

        while (isdigit((unsigned char)**rule) && part < 1000)
            part = part * 10 + *(*rule)++ - '0';
        seconds += part * unit;
        if (**rule != ':')
            break;
        ++*rule;
    }
    return sign * seconds;
}

/* "M3.2.0/2": the second Sunday of March at two. False: another kind of rule, or none. */
struct switch_day {
    int month, week, weekday;
    int64_t time;
};

static bool read_switch(const char **rule, struct switch_day *day)
{
    int length = 0;

    if (sscanf(*rule, ",M%2d.%1d.%1d%n", &day->month, &day->week, &day->weekday, &length) != 3 || day->month < 1 ||
        day->month > 12 || day->week < 1 || day->week > 5 || day->weekday > 6)
        return false;
    *rule += length;
    day->time = 7200;
    if (**rule == '/') {
        ++*rule;
        day->time = read_time(rule);
    }
    return true;
}

static int64_t switch_time(const struct switch_day *rule, int64_t year)
{
    int64_t first = zone_day(year, rule->month, 1);
    int64_t next = rule->month == 12 ? zone_day(year + 1, 1, 1) : zone_day(year, rule->month + 1, 1);
    int64_t day = first + (rule->weekday - weekday_of(first) + 7) % 7 + (rule->week - 1) * INT64_C(7);

    while (day >= next)
        day -= 7;
    return day * DAY + rule->time;
}

/* The rule behind the data, "PST8PDT,M3.2.0,M11.1.0": changes from where the data ends. */
static void follow_rule(struct zone *zone, const char *rule)
{
    struct switch_day to_summer, to_winter;
    int32_t winter, summer;
    int64_t year = 1970;
    int month;

    rule = skip_name(rule);
    winter = (int32_t)-read_time(&rule);
    rule = skip_name(rule);
    summer = *rule && *rule != ',' ? (int32_t)-read_time(&rule) : winter + 3600;
    if (!read_switch(&rule, &to_summer) || !read_switch(&rule, &to_winter))
        return;
    if (zone->count)
        month_of(floor_div(zone->changes[zone->count - 1].at, DAY), &year, &month);
    for (; year <= LAST_YEAR; year++) {
        int64_t summer_at = switch_time(&to_summer, year) - winter, winter_at = switch_time(&to_winter, year) - summer;

        if (summer_at < winter_at) {
            add_change(zone, summer_at, summer);
            add_change(zone, winter_at, winter);
        } else {
            add_change(zone, winter_at, winter);
            add_change(zone, summer_at, summer);
        }
    }
}

/* The six counts in a TZif header. */
enum { IS_UT, IS_STD, LEAPS, TIMES, TYPES, CHARS, COUNTS };

static bool read_header(const unsigned char *data, size_t length, size_t counts[COUNTS])
{
    if (length < 44 || memcmp(data, "TZif", 4) != 0 || data[4] < '2')
        return false;
    for (int i = 0; i < COUNTS; i++) {
        int64_t count = big_endian(data + 20 + 4 * i, 4);

        if (count < 0 || count > FILE_MAX)
            return false;
        counts[i] = (size_t)count;
    }
    return true;
}

static size_t body_size(const size_t counts[COUNTS], size_t time_size)
{
    return counts[TIMES] * (time_size + 1) + counts[TYPES] * 6 + counts[CHARS] + counts[LEAPS] * (time_size + 4) +
           counts[IS_STD] + counts[IS_UT];
}

static bool read_zone(struct zone *zone, const unsigned char *data, size_t length)
{
    size_t counts[COUNTS], size;
    const unsigned char *types, *kinds;
    char rule[128];

    if (!read_header(data, length, counts))
        return false;
    size = 44 + body_size(counts, 4);
    if (size > length)
        return false;
    data += size;
    length -= size;
    if (!read_header(data, length, counts) || 44 + body_size(counts, 8) > length || counts[TYPES] == 0)
        return false;
    size = 44 + body_size(counts, 8);
    types = data + 44 + counts[TIMES] * 8;
    kinds = types + counts[TIMES];
    zone->first_offset = (int32_t)big_endian(kinds, 4);
    for (size_t i = 0; i < counts[TIMES]; i++) {
        if (types[i] >= counts[TYPES])
            return false;
        add_change(zone, big_endian(data + 44 + i * 8, 8), (int32_t)big_endian(kinds + types[i] * (size_t)6, 4));
    }
    snprintf(rule, sizeof rule, "%.*s", (int)(length - size), (const char *)data + size);
    if (rule[0] == '\n')
        follow_rule(zone, rule + 1);
    return true;
}

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && !strchr("/_+-", name[i]))
            return false; /* so no dots: nothing outside the folder */
    return length > 0 && length < 64 && name[0] != '/';
}

static struct zone *load(const char *name)
{
    char path[128];
    unsigned char *data = mem_alloc(FILE_MAX);
    struct zone *zone = mem_zero(sizeof *zone);
    size_t length = 0;
    FILE *file;

    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    file = fopen(path, "rbe");
    if (file) {
        length = fread(data, 1, FILE_MAX, file);
        fclose(file);
    }
    if (!read_zone(zone, data, length)) {
        mem_free(zone->changes);
        mem_free(zone);
        zone = NULL;
    } else {
        zone->name = mem_text(name);
    }
    mem_free(data);
    return zone;
}

const struct zone *zone_find(const char *name)
{
    struct zone *zone;

    if (strcmp(name, "UTC") == 0)
        return &utc;
    if (!is_name(name))
        return NULL;
    pthread_mutex_lock(&known_lock);
    for (zone = known; zone && strcmp(zone->name, name) != 0;)
        zone = zone->next;
    if (!zone) {
        zone = load(name);
        if (zone) {
            zone->next = known;
            known = zone;
        }
    }
    pthread_mutex_unlock(&known_lock);
    return zone;
}

const char *zone_name(const struct zone *zone)
{
    return zone ? zone->name : utc.name;
}

/* ---- windows ---- */

/* How many changes are at or before that time. */
static size_t changes_until(const struct zone *zone, int64_t time)
{
    size_t low = 0, high = zone->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (zone->changes[middle].at <= time)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t offset_after(const struct zone *zone, size_t changes)
{
    return changes && zone->changes ? zone->changes[changes - 1].offset : zone->first_offset;
}

/* When the clocks there begin to follow that change, counted from 1. */
static int64_t begin_of(const struct zone *zone, size_t changes)
{
    if (changes == 0)
        return INT64_MIN;
    return changes <= zone->count && zone->changes ? zone->changes[changes - 1].at : INT64_MAX;
}

/* The first second at which clocks there show the beginning of that day or more: midnights can be skipped. */
static int64_t midnight(const struct zone *zone, int64_t day)
{
    int64_t local = day * DAY, time;
    size_t passed = changes_until(zone, local - 2 * DAY);

    for (;; passed++) {
        time = local - offset_after(zone, passed);
        if (time < begin_of(zone, passed))
            time = begin_of(zone, passed);
        if (time < begin_of(zone, passed + 1))
            return time;
    }
}

/* The day on which the window around that day begins, or the next one does. */
static int64_t window_day(enum window window, int64_t day, int ahead)
{
    int64_t year;
    int month;

    if (window == WINDOW_DAY)
        return day + ahead;
    if (window == WINDOW_WEEK)
        return day - (weekday_of(day) + 6) % 7 + 7 * ahead;
    month_of(day, &year, &month);
    month += ahead;
    return month > 12 ? zone_day(year + 1, 1, 1) : zone_day(year, month, 1);
}

void zone_window(const struct zone *zone, enum window window, int64_t now, int64_t *start, int64_t *end)
{
    static const int lengths[] = { 1, 10, 60, 3600, 5 * 3600 };
    int64_t day;

    if (window == WINDOW_NONE) {
        *start = 0;
        *end = INT64_MAX;
        return;
    }
    if (window < WINDOW_DAY) {
        *start = floor_div(now, lengths[window]) * lengths[window];
        *end = *start + lengths[window];
        return;
    }
    if (!zone)
        zone = &utc;
    day = floor_div(now + offset_after(zone, changes_until(zone, now)), DAY);
    *start = midnight(zone, window_day(window, day, 0));
    *end = midnight(zone, window_day(window, day, 1));
    /* Clocks put back over midnight show yesterday again; its window was over. */
    while (now >= *end) {
        day = floor_div(*end + offset_after(zone, changes_until(zone, *end)), DAY);
        *start = *end;
        *end = midnight(zone, window_day(window, day, 1));
    }
}
