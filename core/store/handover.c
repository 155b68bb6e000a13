/* handover.c - see handover.h. A piece is its kind, its length and its fields: numbers in 8 bytes, texts by length. */
#include "store/handover.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/batch.h"
#include "store/row.h"
#include "store/store.h"

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
    size_t count;
    const struct counter_state *counters = batch_counters(batch, &count);
    bool is_sent = true;

    for (struct change *change = batch_changes(batch); is_sent && change; change = change->next) {
        if (change->kind == CHANGE_CLOSE)
            is_sent = send_row(socket, row_fields(change->row), &bytes);
        else
            answer_give(&change->answer, false);
    }
    for (size_t i = 0; is_sent && i < count; i++)
        is_sent = send_counter(socket, &counters[i], &bytes);
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

enum handover_kind handover_receive(int socket, struct handover *piece)
{
    struct head head;
    struct rest rest;
    bool is_good = receive_all(socket, &head, sizeof head) && head.length <= PIECE_MOST;

    piece->kind = HANDOVER_BROKEN;
    if (!is_good)
        return HANDOVER_BROKEN;
    buf_clear(&piece->bytes);
    buf_reserve(&piece->bytes, head.length + 1);
    if (!receive_all(socket, piece->bytes.data, head.length))
        return HANDOVER_BROKEN;
    piece->bytes.length = head.length;
    rest = (struct rest){ piece->bytes.data, head.length };
    if (head.kind == HANDOVER_END || (head.kind == HANDOVER_ROW && read_row(&piece->row, rest)) ||
        (head.kind == HANDOVER_COUNTER && read_counter(&piece->counter, rest)))
        piece->kind = (enum handover_kind)head.kind;
    return piece->kind;
}

bool handover_answer(int socket, bool is_safe)
{
    char byte = is_safe;

    return send_all(socket, &byte, 1);
}
