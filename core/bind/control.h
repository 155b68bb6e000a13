/*
 * control.h - the control thread's Lua: reads and checks configuration and
 * policies before any worker sees them, and runs the commands that are
 * written in Lua.
 */
#ifndef BIND_CONTROL_H
#define BIND_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

struct control;
struct policyset;
struct settings;

/* NULL: the program's own Lua does not load (said on standard error). */
struct control *control_new(void);
void control_free(struct control *control);

/*
 * Reads the configuration at path; NULL: ./moongate.lua, or what the environment offers if there is none. addresses
 * (may be none) replace its `listen`. NULL with one line a problem in *error, which is the caller's.
 */
struct settings *control_load(struct control *control, const char *path, const char *const *addresses, size_t count,
                              char **error);
/* Tries the policies and keeps what is wrong with them for control_problems. */
void control_install(struct control *control, struct policyset *policies);
/* What is wrong now, as a JSON array for /ready; the caller's. */
char *control_problems(struct control *control);
/* Those of them that are in the operator's own files: configuration, certificates, policies. The same way. */
char *control_mistakes(struct control *control);
/* Notes what is wrong with the "configuration", or the "certificate": one line a problem (NULL: nothing any more). */
void control_note(struct control *control, const char *what, const char *error);
/* The gateway's own store, now that it is open: it is not asked for from outside any more. */
struct store;
void control_attach(struct control *control, struct store *store);
/* Whether models were imported, by another gateway, that the configuration in force does not have yet. */
bool control_is_outdated(struct control *control);
/*
 * What workers order, see orders.h: the answer, a new text; or NULL: load the configuration again first, and take the
 * answer with control_answer then.
 */
char *control_order(struct control *control, const char *name, const char *text, size_t length);
char *control_answer(struct control *control);
/* Runs lua/moongate/commands/<name>.lua with the words behind its name; its exit code. */
int control_command(struct control *control, const char *name, int count, char **words);

#endif
