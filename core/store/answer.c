/* answer.c - see answer.h. */
#include "store/answer.h"

#include "base/mem.h"
#include "store/row.h"

struct kept_news {
    struct answer answer;
    bool kept;
};

struct row_news {
    struct row_answer answer;
    struct row *row;
};

struct answer answer_of(const struct store_home *home, void (*on_done)(void *arg, bool kept), void *arg)
{
    struct answer answer = { .on_done = on_done, .arg = arg };

    if (home)
        answer.home = *home;
    return answer;
}

static void on_kept_home(void *arg)
{
    struct kept_news *news = arg;

    news->answer.on_done(news->answer.arg, news->kept);
    mem_free(news);
}

void answer_give(struct answer *answer, bool kept)
{
    struct answer told = *answer;
    struct kept_news *news;

    *answer = (struct answer){ 0 };
    if (!told.on_done)
        return;
    if (!told.home.post) {
        told.on_done(told.arg, kept);
        return;
    }
    news = mem_alloc(sizeof *news);
    *news = (struct kept_news){ told, kept };
    told.home.post(told.home.loop, on_kept_home, news);
}

void answer_give_here(struct answer *answer, bool kept)
{
    answer->home = (struct store_home){ 0 };
    answer_give(answer, kept);
}

static void on_row_home(void *arg)
{
    struct row_news *news = arg;

    news->answer.on_row(news->answer.arg, news->row ? row_fields(news->row) : NULL);
    row_drop(news->row);
    mem_free(news);
}

void answer_give_row(const struct row_answer *answer, struct row *row)
{
    struct row_news *news = mem_alloc(sizeof *news);

    *news = (struct row_news){ *answer, row };
    if (answer->home.post)
        answer->home.post(answer->home.loop, on_row_home, news);
    else
        on_row_home(news);
}
