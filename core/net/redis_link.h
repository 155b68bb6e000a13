/*
 * redis_link.h - a Redis server as a loop sees it: nothing waits, commands are
 * pipelined, each has a deadline, and a lost connection comes back by itself.
 * All on the loop's thread. Every callback may close the link.
 */
#ifndef NET_REDIS_LINK_H
#define NET_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct loop;
struct redis_address;
struct redis_link;
struct redis_reply;
struct redis_script;
struct redis_word;

/*
 * Connects, and again with growing waits (20 ms to 1 s, with jitter) whenever the connection is lost; logs in, chooses
 * the database, and is up once the server has answered a PING. on_state (may be NULL, never comes before this returns):
 * it can take commands, or no more. A command unanswered deadline seconds after it was written (to some 5 ms; up
 * to three times that while Redis answers others, or where this machine is too busy to look in time), or a connection
 * that does not come about in half a second, costs the connection: whatever is under way gets no answer. A login or
 * database that is refused is logged, once until that changes.
 */
struct redis_link *redis_link_new(struct loop *loop, const struct redis_address *address, double deadline,
                                  void (*on_state)(void *arg, bool is_up), void *arg);
/* What is under way gets no answer: those calls come before this returns. NULL is fine. */
void redis_link_close(struct redis_link *link);
/* From on_state(true) on until the connection is lost, which is a moment before on_state(false). */
bool redis_link_is_up(const struct redis_link *link);
/* A sentence: why it is not up, or why it was not last; "" if it always was. Valid until the loop's next turn. */
const char *redis_link_fault(const struct redis_link *link);
/* Gives the present connection up and connects anew: what was late must not come through any more. */
void redis_link_reset(struct redis_link *link);
/*
 * Sends a command, at the end of the loop's present turn. on_reply (may be NULL) comes exactly once, never before this
 * returns; reply NULL: no answer, whether it was carried out is unknown (while the link is not up: it was not). The
 * reply is valid inside on_reply. The words are copied. Not for SUBSCRIBE, MONITOR and commands that block.
 */
void redis_link_send(struct redis_link *link, const struct redis_word *words, size_t count,
                     void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg);
/* The same for a script: keys first, then the other arguments. A server that does not know the script is told it and
 * asked again, with a deadline of its own. */
void redis_link_run(struct redis_link *link, struct redis_script *script, size_t key_count,
                    const struct redis_word *words, size_t count,
                    void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg);

#endif
