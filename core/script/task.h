/*
 * task.h - a Lua coroutine that may wait for the loop. Only task.c resumes
 * Lua, always protected. Everything is on the vm's own thread.
 */
#ifndef SCRIPT_TASK_H
#define SCRIPT_TASK_H

#include <stdbool.h>

#include <lua.h>

struct task;
struct vm;

/*
 * Starts a task with the function and its arguments that lie on top of vm_state(vm), and runs it to its first wait. It
 * ends by returning or by an error; on_end(arg, NULL or the error with its traceback) is then called once, perhaps
 * before this returns (which is then NULL); the task is gone after it. Coroutines of ended tasks are used again.
 */
struct task *task_start(struct vm *vm, int arguments, void (*on_end)(void *arg, const char *error), void *arg);

/* The task that L runs in; raises a Lua error ("only inside a request ...") if it is none. */
struct task *task_here(lua_State *L);

/*
 * A binding that has to wait ends with `return task_wait(L, on_cancel, arg)`. Its call returns, in Lua, what task_wake
 * pushes. If the task is cancelled meanwhile, on_cancel(arg) takes the operation back (no wake may follow) and the call
 * returns nil and the reason.
 */
int task_wait(lua_State *L, void (*on_cancel)(void *arg), void *arg);
/* Resumes a waiting task: push(L, arg) leaves results and returns their number (NULL: none). Not from inside Lua. */
void task_wake(struct task *task, int (*push)(lua_State *L, void *arg), void *arg);

/*
 * Marks the task as cancelled: a wait under way ends as above; a later one returns nil and the reason at once, until
 * the task calls task_calm. reason is static text ("client_gone", "shutdown", "timeout").
 */
void task_cancel(struct task *task, const char *reason);
/* The reason or NULL. */
const char *task_cancelled(const struct task *task);
/* The task has seen it: from now on it can wait again (to settle and to log). */
void task_calm(struct task *task);

#endif
