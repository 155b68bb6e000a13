/*
 * json_scan.c - see json_scan.h. One pass, no recursion: while a container is
 * open, its node's `next` holds the index of its parent, so the index is its
 * own stack.
 */
#include "base/json_scan.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/buf.h"
#include "base/json_names.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { NO_PARENT = UINT32_MAX };

/*
 * Where it stands is handed from function to function, not kept in here: what lies in memory is read again after each
 * node that is written. What scans something takes the offset of its first byte, and answers the one behind it.
 */
struct scanner {
    const char *text;
    size_t length;
    struct json_index *index;
    const char *message; /* set: scanning failed at `wrong` */
    size_t wrong;
};

/* Instead of an offset: no more is scanned. */
static const size_t FAILED = SIZE_MAX;

static size_t fail(struct scanner *s, size_t at, const char *message)
{
    s->wrong = at;
    s->message = message;
    return FAILED;
}

static void grow(struct json_index *index)
{
    /* By half: the index of a large text is already several times its size. */
    index->capacity = index->capacity ? index->capacity + index->capacity / 2 : 64;
    index->nodes = mem_resize(index->nodes, index->capacity * sizeof *index->nodes);
}

/* What it holds is for whoever asked for it. */
static inline struct json_node *add_node(struct scanner *s)
{
    struct json_index *index = s->index;

    if (index->count == index->capacity)
        grow(index);
    return &index->nodes[index->count++];
}

/* Neither a string nor a container. */
static void add_plain(struct scanner *s, enum json_type type, size_t start, size_t end)
{
    struct json_node *node = add_node(s);

    *node = (struct json_node){
        .start = (uint32_t)start, .end = (uint32_t)end, .next = (uint32_t)s->index->count, .type = type
    };
}

/* The place, among STEP bytes, of the first that is not plain ASCII inside a string; STEP: there is none. */
#ifdef __SSE2__
enum { STEP = 16 };

static inline unsigned first_special(const char *text)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    /* The comparison is signed: UTF-8 beyond ASCII is less than a space too. */
    __m128i other = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '));
    unsigned found = (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), other));

    return (unsigned)__builtin_ctz(found | 1u << STEP);
}
#else
enum { STEP = 8 };

static inline unsigned first_special(const char *text)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t bytes, quote, slash, found;

    memcpy(&bytes, text, STEP);
    bytes = le64toh(bytes);
    quote = bytes ^ ones * '"';
    slash = bytes ^ ones * '\\';
    found = (bytes | (bytes - ones * 0x20) | (quote - ones) | (slash - ones)) & highs;
    /* A borrow may mark the bytes behind a found one, never one before it. */
    return found ? (unsigned)__builtin_ctzll(found) / 8 : STEP;
}
#endif

/* The next byte that is not plain ASCII inside a string: a quote, a backslash, a control or a part of UTF-8. */
static inline size_t skip_plain(const char *text, size_t at, size_t length)
{
    for (; length - at >= STEP; at += STEP) {
        unsigned found = first_special(text + at);

        if (found < STEP)
            return at + found;
    }
    while (at < length) {
        unsigned char c = (unsigned char)text[at];

        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        at++;
    }
    return at;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits of \uXXXX at text; -1 if there are not four. */
static int hex_unit(const char *text, size_t available)
{
    int unit = 0;

    if (available < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(text[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* At a backslash. *meant: the bytes of UTF-8 that the escape stands for. */
static size_t scan_escape(struct scanner *s, size_t at, size_t *meant)
{
    size_t left = s->length - at;
    int unit;

    if (left < 2)
        return fail(s, s->length, "the text ends inside a string");
    switch (s->text[at + 1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        *meant = 1;
        return at + 2;
    case 'u':
        break;
    default:
        return fail(s, at, "unknown escape in a string");
    }
    unit = hex_unit(s->text + at + 2, left - 2);
    if (unit < 0)
        return fail(s, at, "\\u must be followed by four hexadecimal digits");
    if (unit == 0)
        return fail(s, at, "a NUL character is not allowed in a string");
    *meant = unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    if (unit <= 0xdbff && left >= 12 && s->text[at + 6] == '\\' && s->text[at + 7] == 'u') {
        unit = hex_unit(s->text + at + 8, left - 8);
        *meant = 4;
        if (unit >= 0xdc00 && unit <= 0xdfff)
            return at + 12;
    }
    return fail(s, at, "a lone surrogate is not a character");
}

/* On to the closing quote, from a byte at which skip_plain stopped. *saved: how much shorter it is unescaped. */
static size_t scan_special(struct scanner *s, size_t at, size_t *saved)
{
    const char *text = s->text;
    size_t length = s->length, size;

    for (;; at = skip_plain(text, at, length)) {
        if (at == length)
            return fail(s, at, "the text ends inside a string");
        if (text[at] == '"')
            return at;
        if (text[at] == '\\') {
            size_t after = scan_escape(s, at, &size);

            if (after == FAILED)
                return FAILED;
            *saved += after - at - size;
            at = after;
            continue;
        }
        if ((unsigned char)text[at] < 0x20)
            return fail(s, at, "a control character in a string must be escaped");
        size = utf8_length(text + at, length - at);
        if (size == 0)
            return fail(s, at, "a string must be well-formed UTF-8");
        at += size;
    }
}

/* At the opening quote. */
static inline size_t scan_string(struct scanner *s, size_t start, bool name)
{
    size_t at = skip_plain(s->text, start + 1, s->length), saved = 0;
    struct json_node *node;

    if (at == s->length || s->text[at] != '"') {
        at = scan_special(s, at, &saved);
        if (at == FAILED)
            return FAILED;
    }
    node = add_node(s);
    *node = (struct json_node){
        .start = (uint32_t)start,
        .end = (uint32_t)at + 1,
        .next = (uint32_t)s->index->count,
        .size = (uint32_t)(at - start - 1 - saved),
        .type = JSON_STRING,
        .escaped = saved > 0,
        .name = name,
    };
    return at + 1;
}

static size_t skip_digits(const struct scanner *s, size_t at)
{
    while (at < s->length && s->text[at] >= '0' && s->text[at] <= '9')
        at++;
    return at;
}

static bool is_finite(const char *text, size_t length)
{
    char *copy = mem_copy(text, length);
    double value = strtod(copy, NULL);

    mem_free(copy);
    return isfinite(value);
}

/* At a digit or a minus. */
static size_t scan_number(struct scanner *s, size_t start)
{
    size_t digits, at = start + (s->text[start] == '-');
    bool long_exponent = false;

    digits = skip_digits(s, at);
    if (digits == at)
        return fail(s, at, "a number must have a digit here");
    if (s->text[at] == '0' && digits > at + 1)
        return fail(s, at, "a number must not begin with a zero");
    at = digits;
    if (at < s->length && s->text[at] == '.') {
        digits = skip_digits(s, ++at);
        if (digits == at)
            return fail(s, at, "a number must have a digit after its point");
        at = digits;
    }
    if (at < s->length && (s->text[at] == 'e' || s->text[at] == 'E')) {
        at++;
        if (at < s->length && (s->text[at] == '+' || s->text[at] == '-'))
            at++;
        digits = skip_digits(s, at);
        if (digits == at)
            return fail(s, at, "a number must have a digit in its exponent");
        long_exponent = digits - at >= 3;
        at = digits;
    }
    if ((long_exponent || at - start > 300) && !is_finite(s->text + start, at - start))
        return fail(s, start, "a number beyond what a double can hold");
    add_plain(s, JSON_NUMBER, start, at);
    return at;
}

static size_t scan_word(struct scanner *s, size_t at, const char *word, enum json_type type)
{
    size_t length = strlen(word);

    if (s->length - at < length || memcmp(s->text + at, word, length) != 0)
        return fail(s, at, "expected a value");
    add_plain(s, type, at, at + length);
    return at + length;
}

/* Neither a string nor a container. */
static size_t scan_plain(struct scanner *s, size_t at)
{
    switch (s->text[at]) {
    case 't':
        return scan_word(s, at, "true", JSON_TRUE);
    case 'f':
        return scan_word(s, at, "false", JSON_FALSE);
    case 'n':
        return scan_word(s, at, "null", JSON_NULL);
    case '-':
    case '0' ... '9':
        return scan_number(s, at);
    default:
        return fail(s, at, "expected a value");
    }
}

static inline size_t skip_space(const struct scanner *s, size_t at)
{
    /* Mostly there is none. */
    if (at < s->length && (unsigned char)s->text[at] > ' ')
        return at;
    while (at < s->length && (s->text[at] == ' ' || s->text[at] == '\n' || s->text[at] == '\r' || s->text[at] == '\t'))
        at++;
    return at;
}

/* The next byte that is no space; FAILED at the end of the text, where that would be missing. */
static inline size_t reach(struct scanner *s, size_t at, const char *missing)
{
    at = skip_space(s, at);
    return at < s->length ? at : fail(s, at, missing);
}

static inline size_t scan_colon(struct scanner *s, size_t at)
{
    at = skip_space(s, at);
    if (at == s->length || s->text[at] != ':')
        return fail(s, at, "expected a colon after a member's name");
    return at + 1;
}

/* Where it stands among brackets. */
struct nesting {
    uint32_t parent; /* the innermost container; NO_PARENT: the text is over */
    unsigned open;
    bool before_name; /* what comes next is the name of a member */
};

/* At an opening bracket. It is on the first item or name behind it, or on the bracket that closes an empty one. */
static inline size_t scan_opening(struct scanner *s, size_t at, struct nesting *nesting)
{
    bool is_array = s->text[at] == '[';
    struct json_node *node = add_node(s);

    *node = (struct json_node){ .start = (uint32_t)at,
                                .next = nesting->parent,
                                .type = is_array ? JSON_ARRAY : JSON_OBJECT };
    nesting->parent = (uint32_t)(s->index->count - 1);
    nesting->open++;
    at = reach(s, at + 1, is_array ? "the text ends inside an array" : "the text ends inside an object");
    if (at == FAILED || s->text[at] == (is_array ? ']' : '}'))
        return at;
    node->size = 1;
    nesting->before_name = !is_array;
    return at;
}

/* At the bracket that closes the innermost container. */
static inline size_t scan_closing(struct scanner *s, size_t at, struct nesting *nesting)
{
    struct json_node *node = &s->index->nodes[nesting->parent];
    const struct json_node *twice = NULL;
    uint32_t outer = node->next;

    node->end = (uint32_t)at + 1;
    node->next = (uint32_t)s->index->count;
    if (node->type == JSON_OBJECT && node->size > 1)
        twice = json_duplicate(s->text, s->index, nesting->parent);
    if (twice)
        return fail(s, twice->start, "a member of that name is already in the object");
    nesting->open--;
    nesting->parent = outer;
    return at + 1;
}

/* What follows a value: it ends the containers that end with it, and goes on to where the next value or name begins. */
static inline size_t scan_between(struct scanner *s, size_t at, struct nesting *nesting)
{
    while (nesting->parent != NO_PARENT) {
        struct json_node *node = &s->index->nodes[nesting->parent];
        bool is_array = node->type == JSON_ARRAY;

        at = reach(s, at, "the text ends before all brackets are closed");
        if (at == FAILED)
            return FAILED;
        if (s->text[at] == ',') {
            node->size++;
            nesting->before_name = !is_array;
            return at + 1;
        }
        if (s->text[at] != (is_array ? ']' : '}'))
            return fail(s, at, is_array ? "expected a comma or ]" : "expected a comma or }");
        at = scan_closing(s, at, nesting);
        if (at == FAILED)
            return FAILED;
    }
    at = skip_space(s, at);
    return at == s->length ? at : fail(s, at, "expected nothing after the value");
}

/* One value, or its opening bracket, or a name and its colon; and what stands between it and the next. */
static inline size_t scan_next(struct scanner *s, size_t at, unsigned depth, struct nesting *nesting)
{
    const char *text = s->text;

    at = reach(s, at,
               nesting->before_name ? "the text ends inside an object" : "the text ends where a value is expected");
    if (at == FAILED)
        return FAILED;
    if (text[at] == '"') {
        at = scan_string(s, at, nesting->before_name);
        if (nesting->before_name && at != FAILED) {
            nesting->before_name = false;
            return scan_colon(s, at);
        }
    } else if (nesting->before_name) {
        return fail(s, at, "expected a member's name in double quotes");
    } else if (text[at] == '[' || text[at] == '{') {
        if (nesting->open == depth)
            return fail(s, at, "nested too deeply");
        at = scan_opening(s, at, nesting);
        if (at == FAILED || s->index->nodes[nesting->parent].size > 0)
            return at;
    } else {
        at = scan_plain(s, at);
    }
    return at == FAILED ? FAILED : scan_between(s, at, nesting);
}

static bool scan_all(struct scanner *s, unsigned depth)
{
    struct nesting nesting = { .parent = NO_PARENT };
    size_t at = 0;

    do {
        at = scan_next(s, at, depth, &nesting);
    } while (at != FAILED && nesting.parent != NO_PARENT);
    return at != FAILED;
}

static void tell(const struct scanner *s, struct json_fault *fault)
{
    *fault = (struct json_fault){ .offset = s->wrong, .line = 1, .column = 1, .message = s->message };
    for (size_t i = 0; i < s->wrong; i++) {
        fault->column++;
        if (s->text[i] == '\n') {
            fault->line++;
            fault->column = 1;
        }
    }
}

bool json_scan(const char *text, size_t length, unsigned depth, struct json_index *index, struct json_fault *fault)
{
    struct scanner s = { .text = text, .length = length, .index = index };

    index->count = 0;
    if (length >= UINT32_MAX)
        fail(&s, 0, "a text of 4 GiB or more");
    else if (scan_all(&s, depth))
        return true;
    index->count = 0;
    tell(&s, fault);
    return false;
}

void json_index_free(struct json_index *index)
{
    mem_free(index->nodes);
    *index = (struct json_index){ 0 };
}

bool json_equals(const char *text, const struct json_index *index, size_t node, const char *value, size_t length)
{
    const struct json_node *string = &index->nodes[node];
    struct buf plain = { 0 };
    bool equal;

    if (string->type != JSON_STRING || string->size != length)
        return false;
    if (!string->escaped)
        return memcmp(text + string->start + 1, value, length) == 0;
    json_unescape(text, string, &plain);
    equal = plain.length == length && memcmp(plain.data, value, length) == 0;
    buf_free(&plain);
    return equal;
}

size_t json_member(const char *text, const struct json_index *index, size_t node, const char *name, size_t length)
{
    const struct json_node *nodes = index->nodes;

    if (nodes[node].type != JSON_OBJECT)
        return 0;
    for (size_t at = node + 1; at < nodes[node].next; at = nodes[at + 1].next)
        if (nodes[at].size == length && json_equals(text, index, at, name, length))
            return at + 1;
    return 0;
}

static void add_character(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_add_char(out, (char)point);
    } else if (point < 0x800) {
        buf_add_char(out, (char)(0xc0 | point >> 6));
        buf_add_char(out, (char)(0x80 | (point & 0x3f)));
    } else {
        if (point < 0x10000) {
            buf_add_char(out, (char)(0xe0 | point >> 12));
        } else {
            buf_add_char(out, (char)(0xf0 | point >> 18));
            buf_add_char(out, (char)(0x80 | (point >> 12 & 0x3f)));
        }
        buf_add_char(out, (char)(0x80 | (point >> 6 & 0x3f)));
        buf_add_char(out, (char)(0x80 | (point & 0x3f)));
    }
}

void json_unescape(const char *text, const struct json_node *node, struct buf *out)
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *at = text + node->start + 1, *end = text + node->end - 1;

    buf_reserve(out, (size_t)(end - at));
    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t)(end - at)), *letter;
        uint32_t point;

        buf_add(out, at, (size_t)((slash ? slash : end) - at));
        if (!slash)
            break;
        at = slash + 2;
        if (slash[1] != 'u') {
            letter = strchr(letters, slash[1]);
            buf_add_char(out, letter ? meant[letter - letters] : slash[1]);
            continue;
        }
        /* The scan has seen that the digits and the second half of a pair are there. */
        point = (uint32_t)hex_unit(at, 4);
        at += 4;
        if (point >= 0xd800 && point <= 0xdbff) {
            point = 0x10000 + ((point - 0xd800) << 10) + ((uint32_t)hex_unit(at + 2, 4) - 0xdc00);
            at += 6;
        }
        add_character(out, point);
    }
}
