/*
 * canned.c - see canned.h. Each step of the script is one turn of the loop, or
 * comes straight after the one before if it needs no delay. Pausing holds the
 * step that is due. It never touches a socket.
 */
#include "net/canned.h"

#include <stdbool.h>

#include "base/mem.h"
#include "net/loop.h"

struct canned {
    struct transfer transfer; /* first: a transfer is a canned */
    struct loop *loop;
    struct loop_timer *timer;
    struct canned_reply *reply;
    struct transfer_hooks hooks;
    void *arg;
    size_t next; /* the piece to play */
    bool headed; /* on_head was called */
    bool paused;
    bool due;    /* what comes next was held back by the pause */
    bool inside; /* a hook is running: it may cancel, and the memory must stay */
    bool cancelled;
};

void canned_reply_free(struct canned_reply *reply)
{
    if (!reply)
        return;
    headers_free(&reply->headers);
    for (size_t i = 0; i < reply->piece_count; i++)
        mem_free(reply->pieces[i].data);
    mem_free(reply->pieces);
    mem_free(reply);
}

static void canned_free(struct canned *canned)
{
    loop_forget(canned->timer);
    canned_reply_free(canned->reply);
    mem_free(canned);
}

static void play_end(struct canned *canned)
{
    enum transfer_end end = canned->reply->end;

    canned->inside = true;
    canned->hooks.on_end(canned->arg, end,
                         end == TRANSFER_DONE ? "the reply is complete" : "the script breaks off here");
    canned_free(canned);
}

static double next_delay(const struct canned *canned)
{
    return canned->next < canned->reply->piece_count ? canned->reply->pieces[canned->next].delay_s : 0;
}

static void on_due(void *arg)
{
    struct canned *canned = arg;
    struct canned_reply *reply = canned->reply;

    canned->timer = NULL;
    do {
        if (canned->headed && canned->paused) {
            canned->due = true;
            return;
        }
        if (canned->headed && canned->next == reply->piece_count) {
            play_end(canned);
            return;
        }
        canned->inside = true;
        if (!canned->headed) {
            canned->headed = true;
            canned->hooks.on_head(canned->arg, reply->status, &reply->headers);
        } else {
            struct canned_piece *piece = &reply->pieces[canned->next++];

            canned->hooks.on_data(canned->arg, piece->data, piece->length);
        }
        canned->inside = false;
        if (canned->cancelled) {
            canned_free(canned);
            return;
        }
    } while (next_delay(canned) <= 0);
    canned->timer = loop_after(canned->loop, next_delay(canned), on_due, canned);
}

static void canned_pause(struct transfer *transfer)
{
    ((struct canned *)transfer)->paused = true;
}

static void canned_resume(struct transfer *transfer)
{
    struct canned *canned = (struct canned *)transfer;

    canned->paused = false;
    if (!canned->due)
        return;
    canned->due = false;
    canned->timer = loop_after(canned->loop, 0, on_due, canned);
}

static void canned_cancel(struct transfer *transfer)
{
    struct canned *canned = (struct canned *)transfer;

    canned->cancelled = true;
    if (!canned->inside)
        canned_free(canned);
}

struct transfer *canned_play(struct loop *loop, struct canned_reply *reply, const struct transfer_hooks *hooks,
                             void *arg)
{
    struct canned *canned = mem_zero(sizeof *canned);

    canned->transfer = (struct transfer){ canned_pause, canned_resume, canned_cancel };
    canned->loop = loop;
    canned->reply = reply;
    canned->hooks = *hooks;
    canned->arg = arg;
    canned->timer = loop_after(loop, reply->delay_s, on_due, canned);
    return &canned->transfer;
}
