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

/* MEMBERS_NAME_BYTES is a name's most, its quotes included: a member whose name is longer is passed over. */
enum { MEMBERS_WINDOW = 64, MEMBERS_NAME_BYTES = 31 };

struct members {
    const char *data, *end;
    const char *window;      /* what is looked at */
    uint64_t quotes, colons; /* a bit for each of its bytes; of the colons, those that are left */
    uint64_t earlier;        /* quotes of the window before it */
};

struct member {
    const char *name; /* at its first quote; length with both */
    size_t length;
    const char *value; /* its first byte */
};

struct members members_of(const char *data, size_t length);
/* Goes on to the next window. */
void members_look_on(struct members *members);
/* members_quote_before for a place before the window. */
const char *members_look_back(const struct members *members, const char *place);

static inline bool members_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The last quote before a place; NULL if it is too far for a name. */
static inline const char *members_quote_before(const struct members *members, const char *place)
{
    uint64_t before;

    if (place < members->window) /* there are blanks between a name and its colon */
        return members_look_back(members, place);
    before = members->quotes & ((UINT64_C(1) << (place - members->window)) - 1);
    if (before)
        return members->window + (MEMBERS_WINDOW - 1 - __builtin_clzll(before));
    return members->earlier ? members->window - 1 - __builtin_clzll(members->earlier) : NULL;
}

/* Whether the colon is a member's. */
static inline bool members_read(const struct members *members, const char *colon, struct member *member)
{
    const char *last = colon, *first, *value = colon + 1;

    while (last > members->data && members_is_blank(last[-1]))
        last--;
    if (last == members->data || *--last != '"')
        return false;
    first = members_quote_before(members, last);
    if (!first || last - first >= MEMBERS_NAME_BYTES || (first > members->data && first[-1] == '\\'))
        return false;
    while (value < members->end && members_is_blank(*value))
        value++;
    *member = (struct member){ first, (size_t)(last - first) + 1, value };
    return value < members->end;
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
        members_look_on(members);
    }
}

#endif
