/*
 * home.h
 *		In which database a request was made: a copy of that one leaves it alone.
 */
#ifndef CLARI_HOME_H
#define CLARI_HOME_H

/* Whether the database at hand is a copy of the one that a request's made_in names. */
extern bool home_is_elsewhere(const char *made_in);

/* Raise RC011 for a request that was made elsewhere, with what to do about it. */
extern void home_check(int64 request_id, const char *made_in);

/* This database, as made_in has it. */
extern char *home_here(void);

#endif							/* CLARI_HOME_H */
