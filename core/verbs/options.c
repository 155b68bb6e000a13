/* options.c - see options.h. */
#include "verbs/options.h"

#include <stdio.h>
#include <string.h>

/* The value of "--name=VALUE", or of "--name" with the next word, which is then used up; NULL if word is another
 * option. */
static const char *value_of(const char *name, const char *word, const char *next, int *used)
{
    size_t length = strlen(name);

    if (strncmp(word, name, length) == 0 && word[length] == '=')
        return word + length + 1;
    if (strcmp(word, name) != 0)
        return NULL;
    ++*used;
    return next;
}

bool options_read(struct options *options, const char *verb, int count, char **words)
{
    *options = (struct options){ 0 };
    for (int i = 0; i < count; i++) {
        const char *word = words[i] ? words[i] : "", *value;
        const char *next = i + 1 < count && words[i + 1] ? words[i + 1] : "";

        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            options->help = true;
            return true;
        }
        value = value_of("-c", word, next, &i);
        if (!value)
            value = value_of("--config", word, next, &i);
        if (value && *value) {
            options->config = value;
            continue;
        }
        if (!value)
            value = value_of("--listen", word, next, &i);
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
