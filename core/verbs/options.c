/* options.c - see options.h. */
#include "verbs/options.h"

#include <stdio.h>
#include <string.h>

/* "--name VALUE" or "--name=VALUE" at *at; NULL if it is another option. */
static const char *value_of(const char *name, int count, char **words, int *at)
{
    size_t length = strlen(name);

    if (strncmp(words[*at], name, length) == 0 && words[*at][length] == '=')
        return words[*at] + length + 1;
    if (strcmp(words[*at], name) != 0)
        return NULL;
    if (*at + 1 >= count)
        return "";
    return words[++*at];
}

bool options_read(struct options *options, const char *verb, int count, char **words)
{
    *options = (struct options){ 0 };
    for (int i = 0; i < count; i++) {
        const char *word = words[i], *value;

        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            options->help = true;
            return true;
        }
        value = value_of("-c", count, words, &i);
        if (!value)
            value = value_of("--config", count, words, &i);
        if (value && *value) {
            options->config = value;
            continue;
        }
        if (!value)
            value = value_of("--listen", count, words, &i);
        if (value && *value && options->listen_count < OPTIONS_LISTEN_MAX) {
            options->listen[options->listen_count++] = value;
            continue;
        }
        if (value)
            fprintf(stderr, "moongate %s: %s needs a value, and there may be %d of it at most\n", verb, word,
                    OPTIONS_LISTEN_MAX);
        else
            fprintf(stderr, "moongate %s: \"%s\" is not known; moongate %s --help tells what is\n", verb, word, verb);
        return false;
    }
    return true;
}
