/*
 * reply.h - a reply as bytes: status line, fields, date, and the frame round
 * its body. It lets nothing through that could split a reply in two.
 */
#ifndef NET_REPLY_H
#define NET_REPLY_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct headers;

enum { REPLY_CHUNK_EXTRA = 20 }; /* what frames a chunk, at most */
enum reply_framing { REPLY_SIZED, REPLY_CHUNKED, REPLY_UNTIL_CLOSE };

/* Whether reply_add_field may be given that name: it is a word, and frames no message. */
bool reply_may_name(const char *name, size_t length);
/* Makes a field of a head ready, if its value is clean. Many replies have the same names: they are asked for once. */
void reply_add_field(struct buf *ready, const char *name, size_t name_length, const char *value, size_t value_length);
/*
 * Appends the head. connection is "close", "keep-alive" or NULL. ready (NULL: none) is what reply_add_field has made;
 * headers (NULL: none) come behind it. Fields that frame the message are written here alone: those in headers are left
 * out, and so are fields that are not clean.
 */
void reply_add_head(struct buf *out, int status, const struct buf *ready, const struct headers *headers,
                    enum reply_framing framing, size_t length, const char *connection);
/* data must not be empty: an empty chunk is the last one. */
void reply_add_chunk(struct buf *out, const void *data, size_t length);
void reply_add_last_chunk(struct buf *out);

#endif
