/* verbs.h - the commands; main.c has their table. Each gets the words behind its name and returns the exit code. */
#ifndef VERBS_VERBS_H
#define VERBS_VERBS_H

int verb_serve(int count, char **words);
int verb_check(int count, char **words);
int verb_key(int count, char **words);
int verb_models(int count, char **words);
int verb_probe(int count, char **words);
int verb_reload(int count, char **words);
int verb_status(int count, char **words);
int verb_top(int count, char **words);
int verb_explain(int count, char **words);
int verb_replay(int count, char **words);
int verb_usage(int count, char **words);

#endif
