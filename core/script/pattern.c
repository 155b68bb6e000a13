/* pattern.c - see pattern.h. A backtracking matcher; recursion is bounded by the items of the pattern. */
#include "script/pattern.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { DEPTH_MOST = 200 };

static const char *match(struct pattern *p, const char *at, const char *from) __attribute__((nonnull));

static const char *fail(struct pattern *p, const char *fault)
{
    if (!p->fault)
        p->fault = fault;
    return NULL;
}

/* Looked at on every step, so that no step is long. */
static bool is_over(struct pattern *p)
{
    if (*p->stop)
        fail(p, "out of time in a pattern");
    return p->fault != NULL;
}

/* Behind the single-character class that begins at from. */
static const char *class_end(struct pattern *p, const char *from)
{
    if (*from++ == '%') {
        if (from == p->pattern_end)
            return fail(p, "malformed pattern (ends with '%')");
        return from + 1;
    }
    if (from[-1] != '[')
        return from;
    if (from < p->pattern_end && *from == '^')
        from++;
    /* A ] in first place is one of the set. */
    do {
        if (from == p->pattern_end)
            return fail(p, "malformed pattern (missing ']')");
        if (*from++ == '%' && from < p->pattern_end)
            from++;
    } while (from == p->pattern_end || *from != ']');
    return from + 1;
}

static bool in_class(int c, int class)
{
    bool in;

    switch (tolower(class)) {
    case 'a':
        in = isalpha(c);
        break;
    case 'c':
        in = iscntrl(c);
        break;
    case 'd':
        in = isdigit(c);
        break;
    case 'g':
        in = isgraph(c);
        break;
    case 'l':
        in = islower(c);
        break;
    case 'p':
        in = ispunct(c);
        break;
    case 's':
        in = isspace(c);
        break;
    case 'u':
        in = isupper(c);
        break;
    case 'w':
        in = isalnum(c);
        break;
    case 'x':
        in = isxdigit(c);
        break;
    case 'z':
        in = c == 0;
        break;
    default:
        return class == c;
    }
    return isupper(class) ? !in : in;
}

/* set is at its [, last at its ]. */
static bool in_set(int c, const char *set, const char *last)
{
    bool listed = true;

    if (set[1] == '^') {
        listed = false;
        set++;
    }
    while (++set < last) {
        if (*set == '%') {
            if (in_class(c, (unsigned char)*++set))
                return listed;
        } else if (set[1] == '-' && set + 2 < last) {
            if ((unsigned char)set[0] <= c && c <= (unsigned char)set[2])
                return listed;
            set += 2;
        } else if ((unsigned char)*set == c) {
            return listed;
        }
    }
    return !listed;
}

static bool is_single(const struct pattern *p, const char *at, const char *from, const char *end)
{
    int c;

    if (at >= p->subject_end)
        return false;
    c = (unsigned char)*at;
    switch (*from) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)from[1]);
    case '[':
        return in_set(c, from, end - 1);
    default:
        return (unsigned char)*from == c;
    }
}

static const char *match_balance(struct pattern *p, const char *at, const char *from)
{
    size_t open = 1;

    if (p->pattern_end - from < 2)
        return fail(p, "unbalanced pattern");
    if (at >= p->subject_end || *at != from[0])
        return NULL;
    while (++at < p->subject_end && !is_over(p)) {
        if (*at == from[1]) {
            if (--open == 0)
                return at + 1;
        } else if (*at == from[0]) {
            open++;
        }
    }
    return NULL;
}

static const char *match_longest(struct pattern *p, const char *at, const char *from, const char *end)
{
    ptrdiff_t count = 0;

    while (is_single(p, at + count, from, end) && !is_over(p))
        count++;
    for (; count >= 0 && !is_over(p); count--) {
        const char *found = match(p, at + count, end + 1);

        if (found)
            return found;
    }
    return NULL;
}

static const char *match_shortest(struct pattern *p, const char *at, const char *from, const char *end)
{
    for (;;) {
        const char *found = match(p, at, end + 1);

        if (found)
            return found;
        if (is_over(p) || !is_single(p, at, from, end))
            return NULL;
        at++;
    }
}

static const char *open_capture(struct pattern *p, const char *at, const char *from, ptrdiff_t length)
{
    const char *found;

    if (p->level >= PATTERN_CAPTURES)
        return fail(p, "too many captures");
    p->captures[p->level].start = at;
    p->captures[p->level].length = length;
    p->level++;
    found = match(p, at, from);
    if (!found)
        p->level--;
    return found;
}

static const char *close_capture(struct pattern *p, const char *at, const char *from)
{
    const char *found;
    int level = p->level - 1;

    while (level >= 0 && p->captures[level].length != PATTERN_OPEN)
        level--;
    if (level < 0)
        return fail(p, "invalid pattern capture");
    p->captures[level].length = at - p->captures[level].start;
    found = match(p, at, from);
    if (!found)
        p->captures[level].length = PATTERN_OPEN;
    return found;
}

/* Behind what the capture of that digit has matched, if it is here again. */
static const char *match_again(struct pattern *p, const char *at, char digit)
{
    int level = digit - '1';
    size_t length;

    if (level < 0 || level >= p->level || p->captures[level].length == PATTERN_OPEN)
        return fail(p, "invalid capture index");
    if (p->captures[level].length == PATTERN_POSITION)
        return NULL;
    length = (size_t)p->captures[level].length;
    if ((size_t)(p->subject_end - at) < length || memcmp(p->captures[level].start, at, length) != 0)
        return NULL;
    return at + length;
}

/* %f[set]: the way from a character outside of the set into it. */
static bool is_frontier(const struct pattern *p, const char *at, const char *set, const char *end)
{
    int before = at == p->subject ? 0 : (unsigned char)at[-1];
    int here = at == p->subject_end ? 0 : (unsigned char)*at;

    return !in_set(before, set, end - 1) && in_set(here, set, end - 1);
}

/* An item that is no single character. *from moves behind it; *found is where it leaves the subject. False: it is one.
 */
static bool match_special(struct pattern *p, const char **at, const char **from)
{
    const char *item = *from, *end;

    if (*item != '%' || item + 1 == p->pattern_end)
        return false;
    if (item[1] == 'b') {
        *at = match_balance(p, *at, item + 2);
        *from = item + 4;
        return true;
    }
    if (item[1] == 'f') {
        if (item + 2 == p->pattern_end || item[2] != '[') {
            *at = fail(p, "missing '[' after '%f' in pattern");
            return true;
        }
        end = class_end(p, item + 2);
        if (!end || !is_frontier(p, *at, item + 2, end))
            *at = NULL;
        *from = end;
        return true;
    }
    if (isdigit((unsigned char)item[1])) {
        *at = match_again(p, *at, item[1]);
        *from = item + 2;
        return true;
    }
    return false;
}

static const char *match_items(struct pattern *p, const char *at, const char *from)
{
    while (from < p->pattern_end && !is_over(p)) {
        const char *end;

        if (*from == '(') {
            if (from + 1 < p->pattern_end && from[1] == ')')
                return open_capture(p, at, from + 2, PATTERN_POSITION);
            return open_capture(p, at, from + 1, PATTERN_OPEN);
        }
        if (*from == ')')
            return close_capture(p, at, from + 1);
        if (*from == '$' && from + 1 == p->pattern_end)
            return at == p->subject_end ? at : NULL;
        if (match_special(p, &at, &from)) {
            if (!at)
                return NULL;
            continue;
        }
        end = class_end(p, from);
        if (!end)
            return NULL;
        switch (end < p->pattern_end ? *end : '\0') {
        case '*':
            return match_longest(p, at, from, end);
        case '+':
            return is_single(p, at, from, end) ? match_longest(p, at + 1, from, end) : NULL;
        case '-':
            return match_shortest(p, at, from, end);
        case '?':
            if (is_single(p, at, from, end)) {
                const char *found = match(p, at + 1, end + 1);

                if (found)
                    return found;
            }
            from = end + 1;
            break;
        default:
            if (!is_single(p, at, from, end))
                return NULL;
            at++;
            from = end;
        }
    }
    return p->fault ? NULL : at;
}

static const char *match(struct pattern *p, const char *at, const char *from)
{
    const char *found;

    if (++p->depth > DEPTH_MOST)
        return fail(p, "pattern too complex");
    found = match_items(p, at, from);
    p->depth--;
    return found;
}

const char *pattern_match(struct pattern *pattern, const char *at, const char *from)
{
    pattern->level = 0;
    pattern->depth = 0;
    return match(pattern, at, from);
}
