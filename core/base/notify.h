/* notify.h - tells the service manager how we fare: systemd's protocol of $NOTIFY_SOCKET. Silent where there is none.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdbool.h>

/* Lines such as "READY=1\nMAINPID=42". Any thread. */
void notify(const char *state);
/* "RELOADING=1", with the time that systemd asks for beside it. */
void notify_reloading(void);
/* True if the manager restarts a gateway that does not say "WATCHDOG=1" often enough. */
bool notify_is_watched(void);

#endif
