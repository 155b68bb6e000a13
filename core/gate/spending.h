/*
 * spending.h - the bodies that may not go out under zero_spend: rules written
 * by lua/moongate/spending.lua, held against the final bytes of a call. Knows
 * no target and no address; never changes a body.
 */
#ifndef GATE_SPENDING_H
#define GATE_SPENDING_H

#include <stddef.h>

struct cJSON;
struct spending;

/* From { path, steps, values | names | model, refusal }, a list; NULL is an empty one. */
struct spending *spending_new(const struct cJSON *rules);
void spending_free(struct spending *spending); /* NULL is fine */

/*
 * NULL: nothing in the body would spend. Else why not, in words that live as
 * long as the rules. model is the target's name at its provider; named_by_path:
 * the call's address names it, and the body need not.
 */
const char *spending_refuses(const struct spending *spending, const char *body, size_t length, const char *model,
                             int named_by_path);

#endif
