/*
 * firewall.h - what no script can talk the gateway into: the last look at a
 * call before it leaves, on its final target, address and body.
 */
#ifndef GATE_FIREWALL_H
#define GATE_FIREWALL_H

#include <stddef.h>

struct exchange;
struct headers;

/* NULL: it may go. Else why not, as a sentence that lives as long as the settings. url NULL: a call without network. */
const char *firewall_refuses(const struct exchange *exchange, const char *target, const char *url, const char *body,
                             size_t length);
/* The same for its headers: none may lead it elsewhere than its address says. */
const char *firewall_refuses_headers(const struct exchange *exchange, const struct headers *headers);

#endif
