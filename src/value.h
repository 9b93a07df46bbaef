/*
 * value.h
 *		Texts and times of Clari's as PostgreSQL's.
 */
#ifndef CLARI_VALUE_H
#define CLARI_VALUE_H

#include "datatype/timestamp.h"

/*
 * A text of Clari's (UTF-8) in the database's encoding; characters that it
 * lacks become question marks.
 */
extern char *text_from_clari(const char *text);

/*
 * A time of Clari's, in milliseconds since 1970, as a timestamp; DT_NOBEGIN if
 * there is none.
 */
extern TimestampTz time_from_clari(int64 milliseconds);

#endif							/* CLARI_VALUE_H */
