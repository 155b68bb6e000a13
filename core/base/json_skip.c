/*
 * json_skip.c - see json_skip.h. What is open stands on a small stack, and so do
 * the names of open objects, since none may come twice. The text that is looked
 * at ends with a bracket, so that no step among spaces can leave it.
 */
#include "base/json_skip.h"

#include <string.h>

#include "base/json_digits.h"
#include "base/json_string.h"
#include "base/json_window.h"

#define INLINE inline __attribute__((always_inline))

enum { LEVELS_MOST = 32, NAMES_MOST = 128 };

/* Instead of an offset: a scan has to look. */
static const size_t FAILED = SIZE_MAX;

struct level {
    uint64_t looks; /* a bit for each of its names */
    uint32_t names; /* how many there are before those */
    char closing;
};

struct name {
    uint32_t start, end;
};

/* Apart from both stacks, so that it lies in registers. */
struct skipper {
    const char *text;
    size_t last; /* the place of the last bracket */
    struct json_window window;
    struct name *names;
    uint32_t name_count, firsts;
    size_t string_bytes;
};

static INLINE size_t skip_space(const struct skipper *s, size_t at)
{
    /* Mostly there is none. */
    if ((unsigned char)s->text[at] > ' ')
        return at;
    while (s->text[at] == ' ' || s->text[at] == '\n' || s->text[at] == '\r' || s->text[at] == '\t')
        at++;
    return at;
}

/* The rest of a string that is long, or has escapes. */
static __attribute__((noinline)) size_t skip_rest(struct skipper *s, size_t at, bool name)
{
    struct json_string string = json_string(s->text, at, s->last, true);

    s->string_bytes -= string.saved;
    return string.message || (name && string.saved > 0) ? FAILED : string.end;
}

/* At the opening quote; the place behind the other. */
static INLINE size_t skip_string(struct skipper *s, size_t start, bool name)
{
    size_t end = json_window_next(&s->window, s->text, s->last, start + 1);

    if (s->text[end] != '"') {
        end = skip_rest(s, end, name);
        if (end == FAILED)
            return FAILED;
    }
    if (!name)
        s->string_bytes += end - start - 1;
    /* How long strings are is not to be foreseen: no branch goes by it. */
    s->firsts |= (uint32_t)(end - start > JSON_FIRSTS_LEAST) << json_skip_first(s->text[start + 1]);
    return end + 1;
}

/* Whether none of the names of an object is like the last. */
static bool is_new(const char *text, const struct name *names, const struct name *last)
{
    for (; names < last; names++)
        if (names->end - names->start == last->end - last->start &&
            memcmp(text + names->start, text + last->start, last->end - last->start) == 0)
            return false;
    return true;
}

/* A name and its colon: it answers where the value begins. */
static INLINE size_t skip_name(struct skipper *s, size_t at, struct level *level)
{
    struct name *name = &s->names[s->name_count];
    size_t end;
    uint64_t look, others = level->looks;

    if (s->text[at] != '"' || s->name_count == NAMES_MOST)
        return FAILED;
    end = skip_string(s, at, true);
    if (end == FAILED)
        return FAILED;
    *name = (struct name){ (uint32_t)at, (uint32_t)end };
    s->name_count++;
    look = UINT64_C(1) << (((end - at) * 5 + (unsigned char)s->text[end - 2]) & 63);
    level->looks = others | look;
    if ((others & look) && !is_new(s->text, s->names + level->names, name))
        return FAILED;
    at = skip_space(s, end);
    return s->text[at] == ':' ? skip_space(s, at + 1) : FAILED;
}

static size_t skip_word(const struct skipper *s, size_t at, const char *word, size_t length)
{
    return s->last - at > length && memcmp(s->text + at, word, length) == 0 ? at + length : FAILED;
}

/* Neither a string nor a container. */
static size_t skip_plain(struct skipper *s, size_t at)
{
    const char *message = NULL;

    switch (s->text[at]) {
    case 't':
        return skip_word(s, at, "true", 4);
    case 'f':
        return skip_word(s, at, "false", 5);
    case 'n':
        return skip_word(s, at, "null", 4);
    case '-':
    case '0' ... '9':
        at = json_digits(s->text, at, s->last, &message);
        return message ? FAILED : at;
    default:
        return FAILED;
    }
}

/* The place of the last bracket of the text; 0: it ends otherwise, or is too long. */
static size_t last_bracket(const char *text, size_t length)
{
    while (length > 0 && (unsigned char)text[length - 1] <= ' ')
        length--;
    return length > 0 && length < UINT32_MAX && (text[length - 1] == '}' || text[length - 1] == ']') ? length - 1 : 0;
}

bool json_skip(const char *text, size_t start, size_t length, size_t depth, struct json_skipped *skipped)
{
    /* The first stands for the outside, which nothing closes. */
    struct level levels[LEVELS_MOST + 1] = { 0 }, *level = levels, *deepest = levels;
    const struct level *end = levels + 1 + (depth < LEVELS_MOST ? depth : LEVELS_MOST);
    struct name names[NAMES_MOST];
    struct skipper s = { .text = text, .names = names, .window = JSON_WINDOW_NONE, .last = last_bracket(text, length) };
    size_t at = start;

    if (start >= s.last || (text[start] != '{' && text[start] != '['))
        return false;
    for (;;) {
        if (text[at] == '"') {
            at = skip_string(&s, at, false);
        } else if (text[at] == '{' || text[at] == '[') {
            if (++level == end || at == s.last)
                return false;
            if (level > deepest)
                deepest = level;
            *level = (struct level){ .names = s.name_count, .closing = (char)(text[at] + 2) };
            at = skip_space(&s, at + 1);
            if (text[at] != level->closing) {
                if (level->closing == '}')
                    at = skip_name(&s, at, level);
                if (at == FAILED)
                    return false;
                continue;
            }
        } else {
            at = skip_plain(&s, at);
        }
        if (at == FAILED)
            return false;
        at = skip_space(&s, at);
        /* All that ends here; then there is more behind a comma. */
        while (text[at] == level->closing) {
            if (level == levels + 1) {
                *skipped = (struct json_skipped){ at + 1, s.name_count, (uint32_t)(deepest - levels), s.firsts,
                                                  s.string_bytes };
                return true;
            }
            if (at == s.last)
                return false;
            s.name_count = level->names;
            level--;
            at = skip_space(&s, at + 1);
        }
        if (text[at] != ',')
            return false;
        at = skip_space(&s, at + 1);
        if (level->closing == '}')
            at = skip_name(&s, at, level);
        if (at == FAILED)
            return false;
    }
}
