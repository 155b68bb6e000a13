/* http1_head.h - the head of a request as it is sent. */
#ifndef NET_HTTP1_HEAD_H
#define NET_HTTP1_HEAD_H

struct buf;
struct destination;
struct upstream_request;

/* Adds the whole head; hardly a field but those of the request. NULL, or why it cannot be sent. */
const char *http1_head_add(struct buf *head, const struct upstream_request *request,
                           const struct destination *destination);

#endif
