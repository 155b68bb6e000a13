/* firewall.c - see firewall.h. Reads the settings that C itself keeps, never what Lua says of a target. */
#include "gate/firewall.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "gate/exchange.h"
#include "gate/settings.h"
#include "gate/worker.h"

/* The same host and folder: what stands behind the address may not go on in its last word ("api.groq.com.evil"). */
static bool is_below(const char *url, const char *base)
{
    size_t length = strcspn(base, "?#");

    while (length > 0 && base[length - 1] == '/')
        length--;
    return strncmp(url, base, length) == 0 && (url[length] == '/' || url[length] == '?' || url[length] == '\0');
}

const char *firewall_refuses(const struct exchange *exchange, const char *target, const char *url)
{
    const struct settings *settings = exchange->worker->settings;
    const struct settings_target *known = settings_target(settings, target);

    if (!known)
        return "the target is not in the configuration";
    if (exchange->private && !known->is_local)
        return "the request is private and the target is not on this machine";
    if (settings->zero_spend && !known->costs_nothing)
        return "zero_spend is on and the target is not known to cost nothing";
    if (!url != !known->base_url)
        return "the call does not go the target's way";
    if (url && !is_below(url, known->base_url))
        return "the call's address is not the target's";
    return NULL;
}
