/* signs.c - see signs.h. */
#include "gate/signs.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gate/members.h"

/* Past any count of tokens. */
static const int64_t COUNT_MAX = INT64_C(1000000000000);

enum kind { KIND_USAGE, KIND_ERROR, KIND_FINISH, KIND_HOLLOW, KIND_LAST, KIND_TYPE, KIND_TEXT, KIND_COUNT };

/* Where marks are whose names end so, with the quote behind them: nearly every other name leads to a place where there
 * is none. */
static size_t place_of(const char *behind)
{
    return (8u * (unsigned char)behind[-3] + (unsigned char)behind[-2]) % SIGNS_PLACES;
}

static void add_mark(struct signs_marks *prepared, const char *name, enum kind kind)
{
    size_t length = strlen(name);

    if (length < 3) /* a name has its quotes */
        return;
    prepared->places[place_of(name + length)] |= (uint16_t)(1 << prepared->count);
    prepared->list[prepared->count++] = (struct signs_mark){ name, length, kind };
}

struct signs_marks *signs_new(const struct attempt_marks *given)
{
    struct signs_marks *prepared = mem_zero(sizeof *prepared);
    const struct attempt_marks *marks = &prepared->marks;

    prepared->marks = *given;
    prepared->holders = 1;
    add_mark(prepared, marks->usage, KIND_USAGE);
    add_mark(prepared, marks->error, KIND_ERROR);
    add_mark(prepared, marks->finish, KIND_FINISH);
    add_mark(prepared, marks->hollow, KIND_HOLLOW);
    add_mark(prepared, marks->last, KIND_LAST);
    if (*marks->ends[0] || *marks->failed[0])
        add_mark(prepared, "\"type\"", KIND_TYPE);
    for (int i = 0; i < 4; i++) {
        add_mark(prepared, marks->text[i], KIND_TEXT);
        add_mark(prepared, marks->counts[i], KIND_COUNT);
    }
    return prepared;
}

struct signs_marks *signs_hold(struct signs_marks *marks)
{
    marks->holders++;
    return marks;
}

void signs_drop(struct signs_marks *marks)
{
    if (--marks->holders == 0)
        mem_free(marks);
}

static const char *past_blanks(const char *at, const char *end)
{
    while (at < end && members_is_blank(*at))
        at++;
    return at;
}

/* The marks that a member may be, by a bit for each. */
static unsigned marks_near(const struct signs_marks *marks, const struct member *member)
{
    return marks->places[place_of(member->behind)];
}

static bool is_mark(const struct members *members, const struct member *member, const struct signs_mark *mark)
{
    return members_is(members, member, mark->name, mark->length);
}

/* Bytes of the string that begins at its quote. */
static size_t string_bytes(const char *at, const char *end)
{
    const char *start = ++at, *quote = memchr(at, '"', (size_t)(end - at));

    if (quote && quote[-1] != '\\')
        return (size_t)(quote - start);
    while (at < end && *at != '"')
        at += *at == '\\' && at + 1 < end ? 2 : 1;
    return (size_t)(at - start);
}

static int64_t number_at(const char *at, const char *end)
{
    int64_t number = 0;

    for (; at < end && *at >= '0' && *at <= '9' && number < COUNT_MAX; at++)
        number = number * 10 + (*at - '0');
    return number;
}

static bool is_one_of(const char *value, const char *end, const char (*types)[32])
{
    size_t length = *value == '"' ? string_bytes(value, end) : 0;

    for (int i = 0; length && i < 4 && types[i][0]; i++)
        if (strlen(types[i]) == length && memcmp(value + 1, types[i], length) == 0)
            return true;
    return false;
}

/* Usage is an object, or figures beside it (then the mark may be one of them, or what is true where they are). */
static bool is_usage(char first)
{
    return first == '{' || first == 't' || (first >= '0' && first <= '9');
}

static void read_member(const struct signs_marks *marks, size_t mark, const char *value, const char *end,
                        uint32_t *read_once, struct signs *signs)
{
    bool is_first = !(*read_once >> mark & 1);
    const char *behind;

    *read_once |= UINT32_C(1) << mark;
    switch ((enum kind)marks->list[mark].kind) {
    case KIND_USAGE:
        signs->usage |= is_usage(*value);
        break;
    case KIND_ERROR:
        signs->maybe_error = true;
        break;
    case KIND_FINISH:
        signs->finish |= *value == '"';
        break;
    case KIND_HOLLOW:
        behind = past_blanks(value + 1, end);
        signs->hollow |= is_first && *value == '[' && behind < end && *behind == ']';
        break;
    case KIND_LAST:
        signs->maybe_last |= *value == 't';
        break;
    case KIND_TYPE:
        signs->maybe_ends |= is_one_of(value, end, marks->marks.ends);
        signs->maybe_failed |= is_one_of(value, end, marks->marks.failed);
        break;
    case KIND_TEXT:
        if (*value == '"')
            signs->text_bytes += (int64_t)string_bytes(value, end);
        break;
    case KIND_COUNT:
        if (is_first)
            signs->tokens += number_at(value, end);
        break;
    }
}

struct signs signs_read(const struct signs_marks *marks, const char *data, size_t length)
{
    struct members members = members_of(data, length);
    struct signs signs = { 0 };
    uint32_t read_once = 0;
    struct member member;
    const char *value;

    while (members_next(&members, &member))
        for (unsigned left = marks_near(marks, &member); left; left &= left - 1) {
            size_t mark = (size_t)__builtin_ctz(left);

            if (is_mark(&members, &member, &marks->list[mark]) && (value = members_value(&members, &member)))
                read_member(marks, mark, value, members.end, &read_once, &signs);
        }
    return signs;
}

void signs_add_text(const struct signs_marks *marks, const char *data, size_t length, struct buf *out)
{
    struct members members = members_of(data, length);
    struct member member;
    const char *value;

    while (members_next(&members, &member))
        for (unsigned left = marks_near(marks, &member); left; left &= left - 1) {
            const struct signs_mark *mark = &marks->list[__builtin_ctz(left)];

            if (mark->kind == KIND_TEXT && is_mark(&members, &member, mark) &&
                (value = members_value(&members, &member)) && *value == '"')
                buf_add(out, value + 1, string_bytes(value, members.end));
        }
}
