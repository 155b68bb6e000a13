/* piece.c - see piece.h. */
#include "store/piece.h"

#include <string.h>

#include "store/counter.h"
#include "store/row.h"

static const int64_t NO_TEXT = -1;

void piece_add_number(struct buf *bytes, int64_t number)
{
    buf_add(bytes, &number, sizeof number);
}

/* With its NUL, so that it can be read where it lies. */
void piece_add_text(struct buf *bytes, const char *text)
{
    size_t length = text ? strlen(text) + 1 : 0;

    piece_add_number(bytes, text ? (int64_t)length : NO_TEXT);
    buf_add(bytes, text, length);
}

void piece_add_row(struct buf *bytes, const struct ledger_row *row)
{
    struct ledger_row fields = *row;

    for (int i = 0; i < ROW_COLUMNS; i++) {
        if (row_columns[i].type == ROW_TEXT)
            piece_add_text(bytes, *row_text(&fields, &row_columns[i]));
        else
            piece_add_number(bytes, row_integer(&fields, &row_columns[i]));
    }
    piece_add_text(bytes, fields.detail);
}

void piece_add_counter(struct buf *bytes, const struct counter_state *counter)
{
    piece_add_text(bytes, counter->key);
    piece_add_text(bytes, window_name(counter->window));
    piece_add_text(bytes, zone_name(counter->zone));
    piece_add_number(bytes, counter->sliding);
    piece_add_number(bytes, counter->at);
    piece_add_number(bytes, counter->ends);
    piece_add_number(bytes, counter->settled);
}

int64_t piece_number(struct piece *piece)
{
    int64_t number = 0;

    if (!piece->data || piece->length < sizeof number) {
        piece->data = NULL;
        return 0;
    }
    memcpy(&number, piece->data, sizeof number);
    piece->data += sizeof number;
    piece->length -= sizeof number;
    return number;
}

const char *piece_text(struct piece *piece)
{
    int64_t length = piece_number(piece);
    const char *text = piece->data;

    if (length == NO_TEXT || !text)
        return NULL;
    if (length < 1 || (uint64_t)length > piece->length || text[length - 1] != '\0') {
        piece->data = NULL;
        return NULL;
    }
    piece->data += length;
    piece->length -= (size_t)length;
    return text;
}

bool piece_read_row(struct piece piece, struct ledger_row *row)
{
    *row = (struct ledger_row){ 0 };
    for (int i = 0; i < ROW_COLUMNS; i++) {
        if (row_columns[i].type == ROW_TEXT)
            *row_text(row, &row_columns[i]) = piece_text(&piece);
        else
            row_set_integer(row, &row_columns[i], piece_number(&piece));
    }
    row->detail = piece_text(&piece);
    return piece.data && piece.length == 0 && row->row_id;
}

bool piece_read_counter(struct piece piece, struct counter_state *counter)
{
    const char *key = piece_text(&piece), *window = piece_text(&piece), *zone = piece_text(&piece);

    *counter = (struct counter_state){ .key = (char *)key };
    counter->sliding = piece_number(&piece) != 0;
    counter->at = piece_number(&piece);
    counter->ends = piece_number(&piece);
    counter->settled = piece_number(&piece);
    if (!piece.data || piece.length > 0 || !key || !window || !zone || !window_parse(window, &counter->window))
        return false;
    counter->slot = counter->sliding && counter->at >= 0 ? (int)(counter->at % COUNTER_SLOTS) : 0;
    counter->zone = zone_find(zone);
    return counter->zone != NULL;
}
