/*
 * members.h - the members of a JSON text, by its colons: one behind a string in
 * quotes is a member's. Nothing is parsed, and there are few colons. What stands
 * within a string is no member: its quotes are escaped. Used by signs.c.
 */
#ifndef GATE_MEMBERS_H
#define GATE_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MEMBERS_WINDOW = 64 };

struct members {
    const char *data, *end;
    const char *window; /* what is looked at */
    uint64_t colons;    /* a bit for each of its bytes; those that are left */
};

struct member {
    const char *behind; /* its name and the quote that ends it: there are three bytes before it at least */
    const char *colon;
};

/* The colons of the window that begins there, with a bit for each. */
uint64_t members_colons(const char *data, const char *end, const char *window);

static inline struct members members_of(const char *data, size_t length)
{
    return (struct members){ data, data + length, data, length > 0 ? members_colons(data, data + length, data) : 0 };
}

static inline bool members_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether the colon is a member's. */
static inline bool members_read(const struct members *members, const char *colon, struct member *member)
{
    const char *behind = colon;

    while (behind - members->data > 2 && behind[-1] != '"') {
        if (!members_is_blank(behind[-1]))
            return false;
        behind--;
    }
    *member = (struct member){ behind, colon };
    return behind - members->data > 2;
}

/* False: there are no more. Here, since it is called for each of them. */
static inline __attribute__((always_inline)) bool members_next(struct members *members, struct member *member)
{
    for (;;) {
        while (members->colons) {
            const char *colon = members->window + __builtin_ctzll(members->colons);

            members->colons &= members->colons - 1;
            if (members_read(members, colon, member))
                return true;
        }
        if (members->end - members->window <= MEMBERS_WINDOW)
            return false;
        members->window += MEMBERS_WINDOW;
        members->colons = members_colons(members->data, members->end, members->window);
    }
}

/* Whether it has that name, which stands in its quotes. */
static inline bool members_is(const struct members *members, const struct member *member, const char *name,
                              size_t length)
{
    const char *first;

    if ((size_t)(member->behind - members->data) < length)
        return false;
    first = member->behind - length;
    return *first == '"' && memcmp(first, name, length) == 0 && (first == members->data || first[-1] != '\\');
}

/* The first byte of its value; NULL: there is none. */
static inline const char *members_value(const struct members *members, const struct member *member)
{
    const char *value = member->colon + 1;

    while (value < members->end && members_is_blank(*value))
        value++;
    return value < members->end ? value : NULL;
}

#endif
