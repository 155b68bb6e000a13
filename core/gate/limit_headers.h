/*
 * limit_headers.h - rate-limit headers read without a table of them: every
 * answer has some. Which names there are is said by
 * lua/moongate/limit_headers.lua, which also reads what is written in a way
 * that is not understood here.
 */
#ifndef GATE_LIMIT_HEADERS_H
#define GATE_LIMIT_HEADERS_H

#include <stdbool.h>
#include <stddef.h>

struct headers;

/* What a header tells of a limit. FIELD_OTHER: something that is not read here. */
enum limit_field { LIMIT_FIELD_LIMIT, LIMIT_FIELD_REMAINING, LIMIT_FIELD_RESET, LIMIT_FIELD_OTHER };

enum { LIMIT_HEADERS_MAX = 16 }; /* limits that one answer tells of */

struct limit_told {
    const char *metric, *window;      /* the grammar's */
    double values[LIMIT_FIELD_OTHER]; /* by field; negative: not told. A reset is seconds from now, at most 31 days */
};

struct limit_grammar;

/* no_zeros: a limit of nothing of which nothing remains is not known. */
struct limit_grammar *limit_grammar_new(bool no_zeros);
/*
 * A header's name, in lower case. Of headers that tell the same of the same metric and window, the first one added
 * counts. The texts are copied.
 */
void limit_grammar_add(struct limit_grammar *grammar, const char *name, enum limit_field field, const char *metric,
                       const char *window);
void limit_grammar_free(struct limit_grammar *grammar);

/* How many limits the headers tell of; -1: they say something that has to be read elsewhere. now: unix seconds. */
int limit_headers_read(const struct limit_grammar *grammar, const struct headers *headers, double now,
                       struct limit_told told[static LIMIT_HEADERS_MAX]);

#endif
