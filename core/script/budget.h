/*
 * budget.h - runs a policy's Lua within a time and a memory budget. A watchdog
 * thread signals a worker whose call is over its time; the handler arms a hook
 * that unwinds the script. Memory is bounded by the vm's allocator, only inside
 * the guarded call.
 */
#ifndef SCRIPT_BUDGET_H
#define SCRIPT_BUDGET_H

#include <signal.h>
#include <stddef.h>

#include <lua.h>

enum budget_end {
    BUDGET_FINE,
    BUDGET_ERROR,  /* the script raised */
    BUDGET_TIME,   /* over its milliseconds */
    BUDGET_MEMORY, /* over its bytes */
    BUDGET_DEPTH   /* too deep in calls, callbacks or coroutines */
};

/* Once a process, before and after all workers. */
void budget_start(void);
void budget_stop(void);

/*
 * Like lua_pcall, inside the budget. Not fine: one string is left instead of the results ("file:line: message" where
 * known, never the script's own table or a call of its __tostring). May not be nested, may not wait.
 */
enum budget_end budget_call(lua_State *L, int arguments, int results, double milliseconds, size_t bytes);
const char *budget_end_name(enum budget_end end); /* "time", "memory", ... */

/* For C code that may run long inside a guarded call: not 0 once the time of this thread's call is up. */
const volatile sig_atomic_t *budget_over(void);
/* For C code that calls back into Lua: raises when a guarded call has nested that too deeply; else nothing. */
void budget_check_depth(lua_State *L);

#endif
