/* json_string.h - the inside of a string: a part of json_scan.c. */
#ifndef BASE_JSON_STRING_H
#define BASE_JSON_STRING_H

#include <stdbool.h>
#include <stddef.h>

/* What a string is found to be. */
struct json_string {
    size_t end;          /* the place of its closing quote; without one, of what is wrong */
    size_t saved;        /* how many bytes shorter it is unescaped */
    const char *message; /* what is wrong; NULL: nothing */
};

/* Looks at the string whose first byte, behind its quote, is at `at`. is_utf8: the text is known to be well-formed. */
struct json_string json_string(const char *text, size_t at, size_t length, bool is_utf8);
/* The four digits of \uXXXX at text; -1 if there are not four. */
int json_string_unit(const char *text, size_t available);

#endif
