/* json_search.h - looks for strings in a scanned text. */
#ifndef BASE_JSON_SEARCH_H
#define BASE_JSON_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

struct json_index;

enum { JSON_STARTS_MOST = 4 };

/* With a letter first, and without anything that would be escaped. */
struct json_start {
    const char *text;
    size_t length;
};

/* Whether a string anywhere, as it is written, begins with one of so many (at most JSON_STARTS_MOST). Opens nothing. */
bool json_begins(const char *text, const struct json_index *index, const struct json_start *starts, size_t count);

#endif
