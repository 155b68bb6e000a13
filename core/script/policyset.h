/*
 * policyset.h - the files of the policies folder as they were at one moment:
 * immutable, counted, shared by all workers. What they mean is Lua's business
 * (lua/moongate/policies.lua); this is their text.
 */
#ifndef SCRIPT_POLICYSET_H
#define SCRIPT_POLICYSET_H

#include <stddef.h>

struct policy_file {
    char *path; /* below the folder: "routing/free-tier.lua" */
    char *text;
    size_t length;
    char version[9]; /* first 8 hex digits of the text's SHA-256 */
};

struct policyset {
    struct policy_file *files; /* sorted by path */
    size_t count;
};

/* Reads every *.lua below folder (hidden files left out; at most 1 MiB each, 1000 files, 4 levels). NULL with a
 * sentence in error. */
struct policyset *policyset_read(const char *folder, char *error, size_t error_size);
/* The policies that ship inside the binary. */
struct policyset *policyset_builtin(void);
/* An empty one to fill, before it is shared. Texts are copied. */
struct policyset *policyset_new(void);
void policyset_add(struct policyset *set, const char *path, const char *text, size_t length);
struct policyset *policyset_take(struct policyset *set); /* any thread */
void policyset_drop(struct policyset *set);              /* any thread; the last one frees; NULL is fine */

#endif
