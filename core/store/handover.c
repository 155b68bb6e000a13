/* handover.c - see handover.h. What is sent is its kind, its length and its fields. */
#include "store/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/batch.h"
#include "store/piece.h"
#include "store/row.h"

enum { PIECE_MOST = 16 * 1024 * 1024, ANSWER_MS = 30 * 1000 };

struct head {
    uint32_t kind;
    uint32_t length;
};

/* ---- writing ---- */

static bool send_all(int socket, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        ssize_t n = send(socket, at, length, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

static bool send_piece(int socket, enum handover_kind kind, struct buf *bytes)
{
    struct head head = { kind, (uint32_t)bytes->length };
    bool is_sent = send_all(socket, &head, sizeof head) && send_all(socket, bytes->data, bytes->length);

    buf_clear(bytes);
    return is_sent;
}

static bool send_row(int socket, const struct ledger_row *row, struct buf *bytes)
{
    piece_add_row(bytes, row);
    return send_piece(socket, HANDOVER_ROW, bytes);
}

static bool send_counter(int socket, const struct counter_state *counter, struct buf *bytes)
{
    piece_add_counter(bytes, counter);
    return send_piece(socket, HANDOVER_COUNTER, bytes);
}

static bool send_mark(int socket, const struct mark_state *mark, struct buf *bytes)
{
    piece_add_text(bytes, mark->target);
    piece_add_text(bytes, mark->reason);
    piece_add_number(bytes, mark->until);
    piece_add_number(bytes, mark->step);
    piece_add_number(bytes, mark->pardoned);
    return send_piece(socket, HANDOVER_MARK, bytes);
}

static bool send_learnt(int socket, const struct store_learnt *word, struct buf *bytes)
{
    piece_add_text(bytes, word->provider);
    piece_add_text(bytes, word->model);
    piece_add_text(bytes, word->metric);
    piece_add_text(bytes, word->window);
    piece_add_text(bytes, word->source);
    piece_add_number(bytes, word->limit);
    piece_add_number(bytes, word->remaining);
    piece_add_number(bytes, word->reset_at);
    piece_add_number(bytes, word->seen_at);
    return send_piece(socket, HANDOVER_LEARNT, bytes);
}

/* Whoever is silent for so long is taken for dead. */
static bool is_safe_there(int socket)
{
    struct pollfd answer = { .fd = socket, .events = POLLIN };
    char byte = 0;
    int n;

    do
        n = poll(&answer, 1, ANSWER_MS);
    while (n < 0 && errno == EINTR);
    if (n > 0 && recv(socket, &byte, 1, 0) == 1)
        return byte == 1;
    shutdown(socket, SHUT_RDWR);
    return false;
}

bool handover_send(int socket, struct batch *batch)
{
    struct buf bytes = { 0 };
    size_t count, mark_count, learnt_count;
    const struct counter_state *counters = batch_counters(batch, &count);
    const struct mark_state *marks = batch_marks(batch, &mark_count);
    const struct store_learnt *learnt = batch_learnt(batch, &learnt_count);
    bool is_sent = true;

    for (struct change *change = batch_changes(batch); is_sent && change; change = change->next) {
        if (change->kind == CHANGE_CLOSE)
            is_sent = send_row(socket, row_fields(change->row), &bytes);
        else
            answer_give(&change->answer, false);
    }
    for (size_t i = 0; is_sent && i < count; i++)
        is_sent = send_counter(socket, &counters[i], &bytes);
    for (size_t i = 0; is_sent && i < mark_count; i++)
        is_sent = send_mark(socket, &marks[i], &bytes);
    for (size_t i = 0; is_sent && i < learnt_count; i++)
        is_sent = send_learnt(socket, &learnt[i], &bytes);
    is_sent = is_sent && send_piece(socket, HANDOVER_END, &bytes) && is_safe_there(socket);
    buf_free(&bytes);
    return is_sent;
}

/* ---- reading ---- */

static bool receive_all(int socket, void *data, size_t length)
{
    char *at = data;

    while (length > 0) {
        ssize_t n = recv(socket, at, length, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        length -= (size_t)n;
    }
    return true;
}

static bool read_mark(struct mark_state *mark, struct piece bytes)
{
    *mark = (struct mark_state){ .target = (char *)piece_text(&bytes) };
    mark->reason = (char *)piece_text(&bytes);
    mark->until = piece_number(&bytes);
    mark->step = piece_number(&bytes);
    mark->pardoned = piece_number(&bytes);
    return bytes.data && bytes.length == 0 && mark->target && mark->reason;
}

static void take_name(struct piece *bytes, char *name, size_t size)
{
    const char *text = piece_text(bytes);

    if (text && strlen(text) < size)
        memcpy(name, text, strlen(text) + 1);
    else
        bytes->data = NULL;
}

static bool read_learnt(struct store_learnt *word, struct piece bytes)
{
    *word = (struct store_learnt){ 0 };
    take_name(&bytes, word->provider, sizeof word->provider);
    take_name(&bytes, word->model, sizeof word->model);
    take_name(&bytes, word->metric, sizeof word->metric);
    take_name(&bytes, word->window, sizeof word->window);
    take_name(&bytes, word->source, sizeof word->source);
    word->limit = piece_number(&bytes);
    word->remaining = piece_number(&bytes);
    word->reset_at = piece_number(&bytes);
    word->seen_at = piece_number(&bytes);
    return bytes.data && bytes.length == 0;
}

static bool read_piece(struct handover *piece, uint32_t kind, struct piece bytes)
{
    switch (kind) {
    case HANDOVER_ROW:
        return piece_read_row(bytes, &piece->row);
    case HANDOVER_COUNTER:
        return piece_read_counter(bytes, &piece->counter);
    case HANDOVER_MARK:
        return read_mark(&piece->mark, bytes);
    case HANDOVER_LEARNT:
        return read_learnt(&piece->learnt, bytes);
    default:
        return kind == HANDOVER_END;
    }
}

enum handover_kind handover_receive(int socket, struct handover *piece)
{
    struct head head;
    bool is_good = receive_all(socket, &head, sizeof head) && head.length <= PIECE_MOST;

    piece->kind = HANDOVER_BROKEN;
    if (!is_good)
        return HANDOVER_BROKEN;
    buf_clear(&piece->bytes);
    buf_reserve(&piece->bytes, head.length + 1);
    if (!receive_all(socket, piece->bytes.data, head.length))
        return HANDOVER_BROKEN;
    piece->bytes.length = head.length;
    if (read_piece(piece, head.kind, (struct piece){ piece->bytes.data, head.length }))
        piece->kind = (enum handover_kind)head.kind;
    return piece->kind;
}

bool handover_answer(int socket, bool is_safe)
{
    char byte = is_safe;

    return send_all(socket, &byte, 1);
}
