/*
 * imports.h - imported models in memory: what each source brought last, and
 * what the newest imports changed. Any thread. Called by store.c; ledger.c takes
 * copies.
 */
#ifndef STORE_IMPORTS_H
#define STORE_IMPORTS_H

#include "store/store.h"

struct imports;

struct imports *imports_new(void);
void imports_free(struct imports *imports); /* NULL is fine */
void imports_add(struct imports *imports, const struct store_import *import);
/* Both run under the lock: copy and return. */
void imports_each_source(struct imports *imports, void (*each)(void *arg, const struct store_import *), void *arg);
void imports_each(struct imports *imports, int64_t since, void (*each)(void *arg, const struct store_import *),
                  void *arg);

/* One block, with its texts behind it: mem_free frees it whole. */
struct store_import *imports_copy(const struct store_import *import);

#endif
