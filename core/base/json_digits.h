/* json_digits.h - the inside of a number: a part of json_scan.c. */
#ifndef BASE_JSON_DIGITS_H
#define BASE_JSON_DIGITS_H

#include <stddef.h>

/* From a digit or a minus at start: the place behind the number; or, where *message is set, of what is wrong. */
size_t json_digits(const char *text, size_t start, size_t length, const char **message);

#endif
