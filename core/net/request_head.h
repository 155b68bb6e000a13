/*
 * request_head.h - what the parts of a request's head must look like, beyond
 * what llhttp asks of them. Pure functions, for request_reader.c.
 */
#ifndef NET_REQUEST_HEAD_H
#define NET_REQUEST_HEAD_H

#include <stdbool.h>
#include <stddef.h>

struct headers;

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
/* There is one host, and it is one; of HTTP/1.0 (old) there may be none. As request_head_check. */
int request_head_check_host(const struct headers *headers, bool old, const char **message);
/* The fields tell where the body ends, and so as the parser understood them. As request_head_check. */
int request_head_check_framing(const struct headers *headers, bool old, bool is_chunked, bool is_sized,
                               const char **message);

#endif
