/*
 * request_reader.h - one HTTP/1.x request out of bytes that come in any
 * pieces: llhttp, built strict, inside the checks that llhttp leaves to us.
 * It bounds everything a caller can size, and knows no socket and no clock.
 */
#ifndef NET_REQUEST_READER_H
#define NET_REQUEST_READER_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct client_limits;
struct client_request;
struct request_reader;

enum request_outcome { REQUEST_MORE, REQUEST_WHOLE, REQUEST_REFUSED };

/* A reader is for one request. limits and peer must outlive it. */
struct request_reader *request_reader_new(const struct client_limits *limits, const char *peer);
void request_reader_free(struct request_reader *reader);
/* Reads on; used tells how many bytes belong to this request. Not to be called again after WHOLE or REFUSED. */
enum request_outcome request_reader_read(struct request_reader *reader, const char *data, size_t length, size_t *used);
/*
 * Where the next bytes of a body whose length is known belong: up to *most of them may be put there, and are then read
 * as any others, without being copied. NULL, and *most is left alone: nothing of the kind is awaited.
 */
char *request_reader_room(struct request_reader *reader, size_t *most);
/* What has been read so far; it lives as long as the reader. */
const struct client_request *request_reader_request(const struct request_reader *reader);
/* The body of a request that is whole, which has none from then on. */
struct buf request_reader_take_body(struct request_reader *reader);
/* The body of a request that is whole is no longer needed. */
void request_reader_drop_body(struct request_reader *reader);
/* After REQUEST_REFUSED: the status to answer with, and a sentence why. */
int request_reader_refusal(const struct request_reader *reader, const char **message);

/* The head is whole and the body is awaited. */
bool request_reader_in_body(const struct request_reader *reader);
/* The caller waits for "100 Continue" before it sends its body. */
bool request_reader_wants_continue(const struct request_reader *reader);
/* HTTP/1.0: knows no chunks. */
bool request_reader_is_old(const struct request_reader *reader);

#endif
