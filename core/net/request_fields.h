/*
 * request_fields.h - which header fields a caller of upstream.h may put on a
 * wire, whoever carries the call.
 */
#ifndef NET_REQUEST_FIELDS_H
#define NET_REQUEST_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

struct headers;

/* False: one has a name or a value that must not reach a wire. bytes: of names and values together. */
bool request_fields_are_clean(const struct headers *headers, size_t *bytes);
/* What frames a message is for whoever carries the call alone: these are left out. */
bool request_fields_is_framing(const char *name);

#endif
