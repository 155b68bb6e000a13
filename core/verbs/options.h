/* options.h - what serve and check are told on the command line. */
#ifndef VERBS_OPTIONS_H
#define VERBS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { OPTIONS_LISTEN_MAX = 16 };

struct options {
    const char *config; /* NULL: ./moongate.lua if it is there */
    const char *listen[OPTIONS_LISTEN_MAX];
    size_t listen_count;
    bool help;
};

/* False: said on standard error what is wrong with the words. */
bool options_read(struct options *options, const char *verb, int count, char **words);

#endif
