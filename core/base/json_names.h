/* json_names.h - no two members of an object may have the same name. A part of json_scan.c. */
#ifndef BASE_JSON_NAMES_H
#define BASE_JSON_NAMES_H

#include <stddef.h>

struct json_node;

/* The second of two names that are the same, in the object at `object`, the last of these nodes; NULL: none. */
const struct json_node *json_duplicate(const char *text, const struct json_node *nodes, size_t count, size_t object);

#endif
