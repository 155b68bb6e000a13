/*
 * bind.h - the gate shown to Lua: one C file per module, opened on the first
 * `require "moongate.core.<name>"`. bind.c is the table of contents.
 */
#ifndef BIND_BIND_H
#define BIND_BIND_H

#include <stdbool.h>
#include <stddef.h>

#include <lua.h>

struct exchange;
struct gate_script;
struct vm;
struct worker;

/* How the gate reaches Lua on its workers. */
extern const struct gate_script bind_script;

/* What was read for so many targets, and is of no more use then, is given back at once. */
enum { TARGETS_MANY = 10000 };

void bind_open(struct vm *vm);
struct worker *bind_worker(lua_State *L);

/*
 * A handle: a block of so many bytes that Lua holds, whose first member is the address of its type's name. That tells
 * it from every other without a look at its metatable, and no script can make one. Raises on anything else.
 */
void *bind_handle(lua_State *L, int index, const char *type, size_t size);

/* The table of strings at index as a header list for the wire; raises on anything else. */
struct headers;
void bind_read_headers(lua_State *L, int index, struct headers *headers);
/* Leaves a table: lower-case name -> value, or a list of values where a name came more than once. */
void bind_push_headers(lua_State *L, const struct headers *headers);
/* A member of the table at index: what is there, or the other value. */
double bind_number(lua_State *L, int index, const char *name, double otherwise);
long long bind_integer(lua_State *L, int index, const char *name, long long otherwise);
/* A number of Lua's; the other one where it is none. */
long long bind_whole(double number, long long otherwise);
bool bind_flag(lua_State *L, int index, const char *name);
/* The string stays on the stack: pop it when done with it. NULL if there is none. */
const char *bind_text(lua_State *L, int index, const char *name);

/* Leaves a handle for the exchange; it is dead when the exchange ends. */
void bind_push_exchange(lua_State *L, struct exchange *exchange);
struct exchange *bind_exchange(lua_State *L, int index);

/* Leaves an array of { prefix, settings (JSON text), created, revoked }. */
struct store;
void bind_push_keys(lua_State *L, struct store *store);
/* What moongate.core.models goes by from here on: the store of the gateway that runs in this process. */
void bind_set_store(lua_State *L, struct store *store);
/* The limit in the table at index: { key, window, sliding, zone, max, strict }. Its strings stay on the stack. */
struct store_limit bind_read_limit(lua_State *L, int index);
/* Works out what finds its counter, and leaves that on the stack: it has to be kept as long as the limit is used. */
void bind_name_limit(lua_State *L, struct store_limit *limit);
/* Leaves a row of the ledger as a table. */
struct ledger_row;
void bind_push_row(lua_State *L, const struct ledger_row *row);
/*
 * What the table at index asks of usage: { by, from, to (unix seconds), org, key, most, after }, by and after being
 * texts. Its strings stay on the stack.
 */
struct store_usage_query;
struct store_usage_query bind_read_usage_query(lua_State *L, int index);
/*
 * Leaves { totals, is_over, next, each }: each() is the next group, or by request the next row, and nil at the end.
 * Sums are texts of digits, to be exact. is_over: there are more of them, by request behind next.
 */
struct usage;
void bind_push_usage(lua_State *L, const struct usage *usage);
/* Leaves an array of { path, text, version }. */
struct policyset;
void bind_push_policies(lua_State *L, const struct policyset *policies);

int bind_affinity_module(lua_State *L);
int bind_attempt_module(lua_State *L);
int bind_bulletin_module(lua_State *L);
int bind_clock_module(lua_State *L);
int bind_exchange_module(lua_State *L);
int bind_gate_module(lua_State *L);
int bind_gauge_module(lua_State *L);
int bind_health_module(lua_State *L);
int bind_http_module(lua_State *L);
int bind_keys_module(lua_State *L);
int bind_log_module(lua_State *L);
int bind_metrics_module(lua_State *L);
int bind_models_module(lua_State *L);
int bind_offline_module(lua_State *L);
int bind_orders_module(lua_State *L);
int bind_pages_module(lua_State *L);
int bind_process_module(lua_State *L);
int bind_sheet_module(lua_State *L);
int bind_store_module(lua_State *L);
int bind_terminal_module(lua_State *L);
int bind_ledger_module(lua_State *L);
int bind_turns_module(lua_State *L);
int bind_usage_module(lua_State *L);

#endif
