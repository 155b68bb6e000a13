/* handover.c - see handover.h. A piece is its kind, its length and its fields: numbers in 8 bytes, texts by length. */
#include "store/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/batch.h"
#include "store/row.h"

enum { PIECE_MOST = 16 * 1024 * 1024, ANSWER_MS = 30 * 1000 };
static const int64_t NO_TEXT = -1;

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

static void add_number(struct buf *bytes, int64_t number)
{
    buf_add(bytes, &number, sizeof number);
}

/* With its NUL, so that it can be read where it lies. */
static void add_text(struct buf *bytes, const char *text)
{
    size_t length = text ? strlen(text) + 1 : 0;

    add_number(bytes, text ? (int64_t)length : NO_TEXT);
    buf_add(bytes, text, length);
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
    struct ledger_row fields = *row;

    for (int i = 0; i < ROW_COLUMNS; i++) {
        if (row_columns[i].type == ROW_TEXT)
            add_text(bytes, *row_text(&fields, &row_columns[i]));
        else
            add_number(bytes, row_integer(&fields, &row_columns[i]));
    }
    add_text(bytes, fields.detail);
    return send_piece(socket, HANDOVER_ROW, bytes);
}

static bool send_counter(int socket, const struct counter_state *counter, struct buf *bytes)
{
    add_text(bytes, counter->key);
    add_text(bytes, window_name(counter->window));
    add_text(bytes, zone_name(counter->zone));
    add_number(bytes, counter->sliding);
    add_number(bytes, counter->at);
    add_number(bytes, counter->ends);
    add_number(bytes, counter->settled);
    return send_piece(socket, HANDOVER_COUNTER, bytes);
}

static bool send_mark(int socket, const struct mark_state *mark, struct buf *bytes)
{
    add_text(bytes, mark->target);
    add_text(bytes, mark->reason);
    add_number(bytes, mark->until);
    add_number(bytes, mark->step);
    add_number(bytes, mark->pardoned);
    return send_piece(socket, HANDOVER_MARK, bytes);
}

static bool send_learnt(int socket, const struct store_learnt *word, struct buf *bytes)
{
    add_text(bytes, word->provider);
    add_text(bytes, word->model);
    add_text(bytes, word->metric);
    add_text(bytes, word->window);
    add_text(bytes, word->source);
    add_number(bytes, word->limit);
    add_number(bytes, word->remaining);
    add_number(bytes, word->reset_at);
    add_number(bytes, word->seen_at);
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

/* What is left of a piece; data NULL: it was not what it should be. */
struct rest {
    const char *data;
    size_t length;
};

static int64_t take_number(struct rest *rest)
{
    int64_t number = 0;

    if (!rest->data || rest->length < sizeof number) {
        rest->data = NULL;
        return 0;
    }
    memcpy(&number, rest->data, sizeof number);
    rest->data += sizeof number;
    rest->length -= sizeof number;
    return number;
}

static const char *take_text(struct rest *rest)
{
    int64_t length = take_number(rest);
    const char *text = rest->data;

    if (length == NO_TEXT || !text)
        return NULL;
    if (length < 1 || (uint64_t)length > rest->length || text[length - 1] != '\0') {
        rest->data = NULL;
        return NULL;
    }
    rest->data += length;
    rest->length -= (size_t)length;
    return text;
}

static bool read_row(struct ledger_row *row, struct rest rest)
{
    *row = (struct ledger_row){ 0 };
    for (int i = 0; i < ROW_COLUMNS; i++) {
        if (row_columns[i].type == ROW_TEXT)
            *row_text(row, &row_columns[i]) = take_text(&rest);
        else
            row_set_integer(row, &row_columns[i], take_number(&rest));
    }
    row->detail = take_text(&rest);
    return rest.data && rest.length == 0 && row->row_id;
}

static bool read_counter(struct counter_state *counter, struct rest rest)
{
    const char *key = take_text(&rest), *window = take_text(&rest), *zone = take_text(&rest);

    *counter = (struct counter_state){ .key = (char *)key };
    counter->sliding = take_number(&rest) != 0;
    counter->at = take_number(&rest);
    counter->ends = take_number(&rest);
    counter->settled = take_number(&rest);
    if (!rest.data || rest.length > 0 || !key || !window || !zone || !window_parse(window, &counter->window))
        return false;
    counter->zone = zone_find(zone);
    return counter->zone != NULL;
}

static bool read_mark(struct mark_state *mark, struct rest rest)
{
    *mark = (struct mark_state){ .target = (char *)take_text(&rest) };
    mark->reason = (char *)take_text(&rest);
    mark->until = take_number(&rest);
    mark->step = take_number(&rest);
    mark->pardoned = take_number(&rest);
    return rest.data && rest.length == 0 && mark->target && mark->reason;
}

static void take_name(struct rest *rest, char *name, size_t size)
{
    const char *text = take_text(rest);

    if (text && strlen(text) < size)
        memcpy(name, text, strlen(text) + 1);
    else
        rest->data = NULL;
}

static bool read_learnt(struct store_learnt *word, struct rest rest)
{
    *word = (struct store_learnt){ 0 };
    take_name(&rest, word->provider, sizeof word->provider);
    take_name(&rest, word->model, sizeof word->model);
    take_name(&rest, word->metric, sizeof word->metric);
    take_name(&rest, word->window, sizeof word->window);
    take_name(&rest, word->source, sizeof word->source);
    word->limit = take_number(&rest);
    word->remaining = take_number(&rest);
    word->reset_at = take_number(&rest);
    word->seen_at = take_number(&rest);
    return rest.data && rest.length == 0;
}

static bool read_piece(struct handover *piece, uint32_t kind, struct rest rest)
{
    switch (kind) {
    case HANDOVER_ROW:
        return read_row(&piece->row, rest);
    case HANDOVER_COUNTER:
        return read_counter(&piece->counter, rest);
    case HANDOVER_MARK:
        return read_mark(&piece->mark, rest);
    case HANDOVER_LEARNT:
        return read_learnt(&piece->learnt, rest);
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
    if (read_piece(piece, head.kind, (struct rest){ piece->bytes.data, head.length }))
        piece->kind = (enum handover_kind)head.kind;
    return piece->kind;
}

bool handover_answer(int socket, bool is_safe)
{
    char byte = is_safe;

    return send_all(socket, &byte, 1);
}
