/* notify.h - tells the service manager how we fare: systemd's protocol of $NOTIFY_SOCKET. Silent where there is none.
 */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

#include <stdint.h>

/* Lines such as "READY=1\nMAINPID=42". Any thread. */
void notify(const char *state);
/* "RELOADING=1", with the time that systemd asks for beside it. */
void notify_reloading(void);
/* How long the manager waits for a "WATCHDOG=1" before it restarts the gateway, in microseconds; 0: it does not. */
int64_t notify_watchdog_us(void);

#endif
