/*
 * reply_reader.h - one reply of a provider out of bytes that come in any
 * pieces: llhttp, built strict, inside the checks and bounds that llhttp leaves
 * to us. Interim heads and trailers are read and thrown away. It knows no
 * socket and no clock.
 */
#ifndef NET_REPLY_READER_H
#define NET_REPLY_READER_H

#include <stdbool.h>
#include <stddef.h>

struct headers;
struct reply_reader;

/* Both tell whether to go on. Neither may free the reader. */
struct reply_reader_hooks {
    /* The fields may be taken over (and emptied). */
    bool (*on_head)(void *arg, int status, struct headers *headers);
    bool (*on_body)(void *arg, const char *data, size_t length);
};

enum reply_outcome { REPLY_MORE, REPLY_WHOLE, REPLY_STOPPED, REPLY_BROKEN };

/* A reader is for one reply. is_head: of a HEAD, which has no body whatever its head says. */
struct reply_reader *reply_reader_new(const struct reply_reader_hooks *hooks, void *arg, bool is_head);
void reply_reader_free(struct reply_reader *reader); /* NULL is fine */
/*
 * Reads on; used tells how many bytes belong to this reply (all of them, unless it is WHOLE). STOPPED: a hook said so.
 * Not to be called again but after MORE.
 */
enum reply_outcome reply_reader_read(struct reply_reader *reader, const char *data, size_t length, size_t *used);
/* The connection has been closed, properly: WHOLE if the body was to last until then; else it is cut, and BROKEN. */
enum reply_outcome reply_reader_end(struct reply_reader *reader);
/* After WHOLE: the connection may carry another request. */
bool reply_reader_keeps(const struct reply_reader *reader);
/* After BROKEN: a sentence why; NULL if it was cut. */
const char *reply_reader_fault(const struct reply_reader *reader);

#endif
