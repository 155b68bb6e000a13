/*
 * request_head.h - what the parts of a request's head must look like, beyond
 * what llhttp asks of them. Pure functions, for request_reader.c.
 */
#ifndef NET_REQUEST_HEAD_H
#define NET_REQUEST_HEAD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * "METHOD target HTTP/1.x" with single spaces and a target that is a path. Returns 0, or the status to refuse it with
 * and a sentence in message.
 */
int request_head_check(const char *line, size_t length, size_t target_bytes, const char **message);
/*
 * Copies the target; path is its part before the "?", percent-decoded, and query what follows, both in the same block
 * (free it with mem_free). NULL if the path is not well encoded or holds a NUL.
 */
char *request_head_split(const char *text, size_t length, const char **path, const char **query);
/* A name, an IPv4 or a bracketed IPv6 address, with a port or without. */
bool request_head_is_host(const char *host);

#endif
