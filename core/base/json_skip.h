/* json_skip.h - an object that is checked, and of which no nodes are made: a part of json_scan.c. */
#ifndef BASE_JSON_SKIP_H
#define BASE_JSON_SKIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strings of fewer bytes have no bit among the firsts. */
enum { JSON_FIRSTS_LEAST = 8 };

struct json_skipped {
    size_t end; /* the place behind it */
    uint32_t members;
    uint32_t levels;     /* of arrays and objects in one, itself among them */
    uint32_t firsts;     /* json_skip_first of each string, as it is written, names too */
    size_t string_bytes; /* unescaped, of all strings; names do not count */
};

/*
 * The object at start, of a text that is well-formed UTF-8. Checks all that a
 * scan does. False: something is wrong in it, or it is so unusual (in its depth,
 * its names) that a scan has to look.
 */
bool json_skip(const char *text, size_t start, size_t length, size_t depth, struct json_skipped *skipped);

/* The bit for the first byte of a string; a letter has another than its capital. */
static inline unsigned json_skip_first(char byte)
{
    return ((unsigned char)byte ^ (unsigned char)byte >> 1) & 31;
}

#endif
