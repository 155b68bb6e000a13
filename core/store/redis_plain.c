/* redis_plain.c - see redis_plain.h. */
#include "store/redis_plain.h"

#include <string.h>

#include "store/limits.h"

enum { BALANCE_MS = 3600 * 1000, MINUTE_MS = 60 * 1000 };

struct choice {
    struct store_learnt word;
    bool is_there;
};

struct gathering {
    int64_t now;
    struct choice requests, tokens, balance;
};

static double share_left(const struct store_learnt *word)
{
    return word->remaining < 0 || word->limit <= 0 ? 1 : (double)word->remaining / (double)word->limit;
}

static void choose(struct choice *choice, const struct store_learnt *word)
{
    bool is_whole = !word->model[0], was_whole = choice->is_there && !choice->word.model[0];

    if (choice->is_there && (was_whole || (!is_whole && share_left(word) >= share_left(&choice->word))))
        return;
    choice->word = *word;
    choice->is_there = true;
}

static void on_word(void *arg, const struct store_learnt *word)
{
    struct gathering *gathering = arg;
    int64_t until = word->reset_at > 0 ? word->reset_at : word->seen_at + MINUTE_MS;

    if (strcmp(word->window, "none") == 0 && strcmp(word->metric, "microusd") == 0 && word->remaining >= 0)
        choose(&gathering->balance, word);
    if (strcmp(word->window, "minute") != 0 || word->limit < 0 || until <= gathering->now)
        return;
    if (strcmp(word->metric, "requests") == 0)
        choose(&gathering->requests, word);
    if (strcmp(word->metric, "tokens") == 0)
        choose(&gathering->tokens, word);
}

static void fill(const struct choice *choice, int64_t now, int64_t *max, int64_t *current, int64_t *lasting_ms)
{
    const struct store_learnt *word = &choice->word;

    *max = choice->is_there ? word->limit : -1;
    *current = choice->is_there && word->remaining >= 0 ? word->limit - word->remaining : -1;
    if (choice->is_there && word->remaining > word->limit)
        *current = 0;
    *lasting_ms = word->reset_at - now;
}

void redis_plain_gather(struct limits *limits, const char *provider, int64_t now, struct redis_told_plain *plain)
{
    struct gathering found = { .now = now };

    limits_each_learnt(limits, provider, on_word, &found);
    fill(&found.requests, now, &plain->rpm_max, &plain->rpm_current, &plain->rpm_ms);
    fill(&found.tokens, now, &plain->tpm_max, &plain->tpm_current, &plain->tpm_ms);
    plain->balance = found.balance.is_there ? found.balance.word.remaining : -1;
    plain->balance_ms = BALANCE_MS;
}
