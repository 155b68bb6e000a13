/*
 * json_scan.h - reads a JSON text once, strictly, and leaves an index of it:
 * an array of nodes in document order. Nothing is copied and nothing is
 * built; a caller looks up what it needs and cuts the text by offsets.
 *
 * Strict means RFC 8259 and more: well-formed UTF-8, no lone surrogates, no
 * NUL escape, no duplicate member names in one object, no number beyond a
 * double, a bound on depth, one value and nothing after it.
 */
#ifndef BASE_JSON_SCAN_H
#define BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT, JSON_FOLDED };

/*
 * One value. Children of a container follow it; `next` is the index of the
 * first node behind the whole value. In an object, each member is its name (a
 * JSON_STRING node) followed by its value.
 */
struct json_node {
    uint32_t start;       /* offset of the first byte; for a string, of its quote */
    uint32_t end;         /* offset behind the last byte */
    uint32_t next;        /* index of the node after this value */
    uint32_t size;        /* items of an array, members of an object, bytes of a string, unescaped */
    uint32_t type : 8;    /* enum json_type; no byte of its own: a store to one may be to anything, by C's rules */
    uint32_t escaped : 1; /* a string that holds a backslash */
    uint32_t name : 1;    /* a string that is the name of a member */
    uint32_t folded : 1;  /* an object of which there are no nodes yet; see json_open */
    uint32_t levels : 16; /* of arrays and objects in one, itself among them; at most 65,535 are told */
};

struct json_index {
    struct json_node *nodes; /* nodes[0] is the whole text */
    size_t count;
    size_t capacity;
};

struct json_fault {
    size_t offset;       /* bytes from the start */
    size_t line, column; /* from 1; the column counts bytes */
    const char *message; /* static text: what was found and what was expected */
};

/*
 * Reads text into index (its memory is used again). False: fault says where
 * and why, and the index is empty. depth bounds the nesting. Texts of 4 GiB and
 * more are refused.
 */
bool json_scan(const char *text, size_t length, unsigned depth, struct json_index *index, struct json_fault *fault);
/*
 * The same, checked as strictly, for bodies: most of what lies in a long list
 * of tools is the insides of schemas, which hardly anybody asks for. An object
 * that is some member's value by the name of "properties" is folded, unless it
 * is small, or unusual (see json_skip.h): behind its node stands, for all that
 * is inside of it, one node of the type JSON_FOLDED, whose size is
 * json_string_bytes of it, and whose end has the bits of its strings' firsts.
 */
bool json_scan_folding(const char *text, size_t length, unsigned depth, struct json_index *index,
                       struct json_fault *fault);
/*
 * Where the nodes of the container at node stand. Those of a folded one are
 * made now, and added at the end of the index, with one for the object itself;
 * what it then is to the nodes before, it is by its old number. Nodes may move.
 */
size_t json_open(const char *text, struct json_index *index, size_t node);
/* The bytes, unescaped, of all strings among these nodes; names do not count. */
size_t json_string_bytes(const struct json_node *nodes, size_t from, size_t to);
void json_index_free(struct json_index *index);

/* The value of the member of that name (exact, case counts) of the object at node, which is open; 0: there is none. */
size_t json_member(const char *text, const struct json_index *index, size_t node, const char *name, size_t length);
/* True if the string at node, unescaped, is just that text. */
bool json_equals(const char *text, const struct json_index *index, size_t node, const char *value, size_t length);
/* Appends the string at node, unescaped, as UTF-8. */
void json_unescape(const char *text, const struct json_node *node, struct buf *out);

#endif
