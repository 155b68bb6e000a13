/*
 * canned.h - plays a scripted reply through the same hooks as a real transfer:
 * what the built-in mock protocol answers with, without a network.
 */
#ifndef NET_CANNED_H
#define NET_CANNED_H

#include <stddef.h>

#include "base/headers.h"
#include "net/transfer.h"

struct loop;

struct canned_piece {
    double delay_s; /* before it */
    char *data;
    size_t length;
};

struct canned_reply {
    double delay_s; /* before the head */
    int status;
    struct headers headers;
    struct canned_piece *pieces;
    size_t piece_count;
    enum transfer_end end; /* TRANSFER_DONE, or how it breaks off after the last piece */
};

/* Takes the reply over, and frees it at the end. No hook is called before this returns. */
struct transfer *canned_play(struct loop *loop, struct canned_reply *reply, const struct transfer_hooks *hooks,
                             void *arg);
void canned_reply_free(struct canned_reply *reply);

#endif
