/*
 * pattern.h - matches Lua patterns (those of Lua 5.1, with %g), and stops when
 * told to: a pattern can take longer than any budget.
 */
#ifndef SCRIPT_PATTERN_H
#define SCRIPT_PATTERN_H

#include <signal.h>
#include <stddef.h>

enum { PATTERN_CAPTURES = 32, PATTERN_OPEN = -1, PATTERN_POSITION = -2 };

struct pattern {
    const char *subject, *subject_end;
    const char *pattern_end;
    const volatile sig_atomic_t *stop; /* not 0: give up */
    const char *fault;                 /* static text: the pattern is malformed, too complex, or was stopped */
    unsigned depth;
    int level; /* captures so far */
    struct {
        const char *start;
        ptrdiff_t length; /* or PATTERN_OPEN, PATTERN_POSITION */
    } captures[PATTERN_CAPTURES];
};

/* Matches at `at` only; the end of the match, or NULL (look at fault). Sets level and captures. */
const char *pattern_match(struct pattern *pattern, const char *at, const char *from) __attribute__((nonnull));

#endif
