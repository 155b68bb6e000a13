/*
 * json_scan.c - see json_scan.h. One pass, no recursion: while a container is
 * open, its node's `next` holds the index of its parent, so the index is its
 * own stack. An open object's `end` has a bit for what each of its names looks
 * like, and `escaped` tells that two of them may be the same.
 */
#include "base/json_scan.h"

#include <limits.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_digits.h"
#include "base/json_names.h"
#include "base/json_skip.h"
#include "base/json_string.h"
#include "base/json_window.h"
#include "base/mem.h"
#include "base/utf8.h"

#define INLINE inline __attribute__((always_inline))

enum {
    NO_PARENT = UINT32_MAX,
    FOLD_LEAST = 64 /* what has fewer bytes is no matter */
};

/* What is folded is called so, in its object. */
static const char FOLDED[] = "properties";

/*
 * It never leaves scan_all and what is part of it there, so that it lies in registers: what lies in memory is read
 * again after each node that is written. What scans something takes the offset of its first byte, and answers the one
 * behind it.
 */
struct scanner {
    const char *text;
    size_t length;
    struct json_node *nodes;
    size_t count, capacity;
    struct json_window window;
    bool is_utf8, folding;
    const char *message; /* set: scanning failed at `wrong` */
    size_t wrong;
};

/* Instead of an offset: no more is scanned. */
static const size_t FAILED = SIZE_MAX;

static INLINE size_t fail(struct scanner *s, size_t at, const char *message)
{
    s->wrong = at;
    s->message = message;
    return FAILED;
}

/* By half: the index of a large text is already several times its size. */
static size_t next_capacity(size_t capacity)
{
    return capacity ? capacity + capacity / 2 : 64;
}

static inline void set_kind(struct json_node *node, enum json_type type, bool name, bool escaped, unsigned levels)
{
    struct json_node whole = { .type = type, .name = name, .escaped = escaped, .levels = levels };

    memcpy((char *)node + offsetof(struct json_node, size) + sizeof node->size,
           (const char *)&whole + offsetof(struct json_node, size) + sizeof node->size, sizeof(uint32_t));
}

/* What it holds is for whoever asked for it. */
static INLINE struct json_node *add_node(struct scanner *s)
{
    if (s->count == s->capacity) {
        s->capacity = next_capacity(s->capacity);
        s->nodes = mem_resize(s->nodes, s->capacity * sizeof *s->nodes);
    }
    return &s->nodes[s->count++];
}

/* Neither a string nor a container. */
static INLINE size_t add_plain(struct scanner *s, enum json_type type, size_t start, size_t end)
{
    struct json_node *node = add_node(s);

    *node =
        (struct json_node){ .start = (uint32_t)start, .end = (uint32_t)end, .next = (uint32_t)s->count, .type = type };
    return end;
}

/* Each kind of node is written with all that tells of its kind in one piece: parts of it that are told apart, and then
 * read together, would be waited for. */
static INLINE void add_string(struct scanner *s, size_t start, size_t end, size_t saved, bool name)
{
    struct json_node *node = add_node(s);

    node->start = (uint32_t)start;
    node->end = (uint32_t)end + 1;
    node->next = (uint32_t)s->count;
    node->size = (uint32_t)(end - start - 1 - saved);
    if (saved > 0)
        set_kind(node, JSON_STRING, name, true, 0);
    else
        set_kind(node, JSON_STRING, name, false, 0);
}

/* At the opening quote. */
static INLINE size_t scan_string(struct scanner *s, size_t start, bool name)
{
    size_t end = start + 1;
    struct json_string string;

    if (s->is_utf8) {
        end = json_window_next(&s->window, s->text, s->length, end);
        if (end < s->length && s->text[end] == '"') {
            add_string(s, start, end, 0, name);
            return end + 1;
        }
    }
    string = json_string(s->text, end, s->length, s->is_utf8);
    if (string.message)
        return fail(s, string.end, string.message);
    add_string(s, start, string.end, string.saved, name);
    return string.end + 1;
}

static INLINE size_t scan_number(struct scanner *s, size_t start)
{
    const char *message = NULL;
    size_t end = json_digits(s->text, start, s->length, &message);

    return message ? fail(s, end, message) : add_plain(s, JSON_NUMBER, start, end);
}

static INLINE size_t scan_word(struct scanner *s, size_t at, const char *word, enum json_type type)
{
    size_t length = strlen(word);

    if (s->length - at < length || memcmp(s->text + at, word, length) != 0)
        return fail(s, at, "expected a value");
    return add_plain(s, type, at, at + length);
}

/* Neither a string nor a container. */
static INLINE size_t scan_plain(struct scanner *s, size_t at)
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

static INLINE size_t skip_space(const struct scanner *s, size_t at)
{
    /* Mostly there is none. */
    if (at < s->length && (unsigned char)s->text[at] > ' ')
        return at;
    while (at < s->length && (s->text[at] == ' ' || s->text[at] == '\n' || s->text[at] == '\r' || s->text[at] == '\t'))
        at++;
    return at;
}

/* The next byte that is no space; FAILED at the end of the text, where that would be missing. */
static INLINE size_t reach(struct scanner *s, size_t at, const char *missing)
{
    at = skip_space(s, at);
    return at < s->length ? at : fail(s, at, missing);
}

/* Where it stands among brackets. */
struct nesting {
    uint32_t parent; /* the innermost container; NO_PARENT: the text is over */
    unsigned open;
    bool before_name; /* what comes next is the name of a member */
};

/* Whether the object that begins now is one that is folded. */
static INLINE bool is_to_fold(const struct scanner *s)
{
    const struct json_node *name;

    if (!s->folding || !s->is_utf8 || s->count == 0)
        return false;
    name = &s->nodes[s->count - 1];
    return name->name && name->size == sizeof FOLDED - 1 &&
           memcmp(s->text + name->start + 1, FOLDED, sizeof FOLDED - 1) == 0;
}

/* It contains one of so many levels. */
static INLINE void tell_levels(struct scanner *s, uint32_t container, uint32_t levels)
{
    if (container != NO_PARENT && s->nodes[container].levels <= levels)
        s->nodes[container].levels = levels < UINT16_MAX ? (uint16_t)(levels + 1) : UINT16_MAX;
}

/* At the bracket of an object: leaves one node of all that is inside. False: it is scanned like any other. */
static INLINE bool fold(struct scanner *s, size_t *at, uint32_t parent, size_t depth)
{
    struct json_node *node;
    struct json_skipped inside;

    /* Once only: of what lies in each other, each would be looked at in vain. */
    s->folding = json_skip(s->text, *at, s->length, depth, &inside);
    if (!s->folding || inside.end - *at < FOLD_LEAST)
        return false;
    node = add_node(s);
    *node = (struct json_node){ .start = (uint32_t)*at, .end = (uint32_t)inside.end, .next = (uint32_t)s->count + 1 };
    node->size = inside.members;
    node->levels = (uint16_t)inside.levels;
    node->type = JSON_OBJECT;
    node->folded = 1;
    tell_levels(s, parent, inside.levels);
    node = add_node(s);
    *node = (struct json_node){ .end = inside.firsts, .next = (uint32_t)s->count };
    node->size = (uint32_t)inside.string_bytes;
    node->type = JSON_FOLDED;
    *at = inside.end;
    return true;
}

/* At an opening bracket. It is on the first item or name behind it, or on the bracket that closes an empty one. */
static INLINE size_t scan_opening(struct scanner *s, size_t at, struct nesting *nesting)
{
    bool is_array = s->text[at] == '[';
    struct json_node *node;

    node = add_node(s);
    node->start = (uint32_t)at;
    node->end = node->size = 0;
    node->next = nesting->parent;
    if (is_array)
        set_kind(node, JSON_ARRAY, false, false, 1);
    else
        set_kind(node, JSON_OBJECT, false, false, 1);
    nesting->parent = (uint32_t)(s->count - 1);
    nesting->open++;
    at = reach(s, at + 1, is_array ? "the text ends inside an array" : "the text ends inside an object");
    if (at == FAILED || s->text[at] == (is_array ? ']' : '}'))
        return at;
    node->size = 1;
    nesting->before_name = !is_array;
    return at;
}

/* A name, the last node, has been read: notes what it looks like. */
static INLINE void note_name(struct scanner *s, const struct nesting *nesting)
{
    const struct json_node *name = &s->nodes[s->count - 1];
    struct json_node *object = &s->nodes[nesting->parent];
    uint32_t bit = UINT32_C(1) << ((name->size * 5 + (unsigned char)s->text[name->end - 2]) & 31);

    if ((object->end & bit) || name->escaped)
        object->escaped = true;
    object->end |= bit;
}

/* At the bracket that closes the innermost container. */
static INLINE size_t scan_closing(struct scanner *s, size_t at, struct nesting *nesting)
{
    struct json_node *node = &s->nodes[nesting->parent];
    uint32_t outer = node->next;

    node->end = (uint32_t)at + 1;
    node->next = (uint32_t)s->count;
    if (node->escaped) {
        const struct json_node *twice = json_duplicate(s->text, s->nodes, s->count, nesting->parent);

        node->escaped = 0;
        if (twice)
            return fail(s, twice->start, "a member of that name is already in the object");
    }
    tell_levels(s, outer, node->levels);
    nesting->open--;
    nesting->parent = outer;
    return at + 1;
}

/* What follows a value: it ends the containers that end with it, and goes on to where the next value or name begins. */
static INLINE size_t scan_between(struct scanner *s, size_t at, struct nesting *nesting)
{
    while (nesting->parent != NO_PARENT) {
        struct json_node *node = &s->nodes[nesting->parent];
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

/* A name and its colon. */
static INLINE size_t scan_name(struct scanner *s, size_t at, const struct nesting *nesting)
{
    at = reach(s, at, "the text ends inside an object");
    if (at == FAILED)
        return FAILED;
    if (s->text[at] != '"')
        return fail(s, at, "expected a member's name in double quotes");
    at = scan_string(s, at, true);
    if (at == FAILED)
        return FAILED;
    note_name(s, nesting);
    at = skip_space(s, at);
    if (at == s->length || s->text[at] != ':')
        return fail(s, at, "expected a colon after a member's name");
    return at + 1;
}

/* One value, or its opening bracket; and what stands between it and the next. */
static INLINE size_t scan_next(struct scanner *s, size_t at, unsigned depth, struct nesting *nesting)
{
    if (nesting->before_name) {
        at = scan_name(s, at, nesting);
        if (at == FAILED)
            return FAILED;
        nesting->before_name = false;
    }
    at = reach(s, at, "the text ends where a value is expected");
    if (at == FAILED)
        return FAILED;
    if (s->text[at] == '"') {
        at = scan_string(s, at, false);
    } else if (s->text[at] == '[' || s->text[at] == '{') {
        if (nesting->open == depth)
            return fail(s, at, "nested too deeply");
        if (s->text[at] == '{' && is_to_fold(s) && fold(s, &at, nesting->parent, depth - nesting->open))
            return scan_between(s, at, nesting);
        at = scan_opening(s, at, nesting);
        if (at == FAILED || s->nodes[nesting->parent].size > 0)
            return at;
    } else {
        at = scan_plain(s, at);
    }
    return at == FAILED ? FAILED : scan_between(s, at, nesting);
}

/* The value at `at`, and nothing behind it. False: index->nodes is kept, but holds nothing. */
static bool scan_all(struct scanner *outer, size_t at, unsigned depth)
{
    struct scanner s = *outer;
    struct nesting nesting = { .parent = NO_PARENT };

    do {
        at = scan_next(&s, at, depth, &nesting);
    } while (at != FAILED && nesting.parent != NO_PARENT);
    *outer = s;
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

static bool scan(struct json_index *index, const char *text, size_t length, unsigned depth, bool folding,
                 struct json_fault *fault)
{
    struct scanner s = {
        .text = text,
        .length = length,
        .nodes = index->nodes,
        .capacity = index->capacity,
        .folding = folding,
        .window = JSON_WINDOW_NONE,
    };
    bool fine = false;

    if (length >= UINT32_MAX) {
        fail(&s, 0, "a text of 4 GiB or more");
    } else {
        s.is_utf8 = utf8_is_valid(text, length);
        fine = scan_all(&s, 0, depth);
    }
    *index = (struct json_index){ s.nodes, fine ? s.count : 0, s.capacity };
    if (!fine)
        tell(&s, fault);
    return fine;
}

bool json_scan(const char *text, size_t length, unsigned depth, struct json_index *index, struct json_fault *fault)
{
    return scan(index, text, length, depth, false, fault);
}

bool json_scan_folding(const char *text, size_t length, unsigned depth, struct json_index *index,
                       struct json_fault *fault)
{
    return scan(index, text, length, depth, true, fault);
}

size_t json_open(const char *text, struct json_index *index, size_t at)
{
    const struct json_node *node = &index->nodes[at];
    struct scanner s = { .text = text, .nodes = index->nodes, .count = index->count, .capacity = index->capacity };
    uint32_t opened = (uint32_t)index->count;

    if (!node->folded)
        return at;
    if (node[1].start)
        return node[1].start;
    s.length = node->end;
    s.is_utf8 = true;
    s.window = JSON_WINDOW_NONE;
    scan_all(&s, node->start, UINT_MAX);
    *index = (struct json_index){ s.nodes, s.count, s.capacity };
    index->nodes[at + 1].start = opened;
    return opened;
}

size_t json_string_bytes(const struct json_node *nodes, size_t from, size_t to)
{
    size_t sum = 0;

    for (; from < to; from++)
        if ((nodes[from].type == JSON_STRING && !nodes[from].name) || nodes[from].type == JSON_FOLDED)
            sum += nodes[from].size;
    return sum;
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

    if (nodes[node].type != JSON_OBJECT || nodes[node].folded)
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
        point = (uint32_t)json_string_unit(at, 4);
        at += 4;
        if (point >= 0xd800 && point <= 0xdbff) {
            point = 0x10000 + ((point - 0xd800) << 10) + ((uint32_t)json_string_unit(at + 2, 4) - 0xdc00);
            at += 6;
        }
        add_character(out, point);
    }
}
