/* utf8.h - what is well-formed UTF-8 (RFC 3629) and what is not. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The length in bytes (1-4) of the character that text begins with; 0 if it is malformed or cut off. */
size_t utf8_length(const char *text, size_t available);
/* Whether all of the text is well-formed. */
bool utf8_is_valid(const char *text, size_t length);

#endif
