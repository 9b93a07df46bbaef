/*
 * jsonb_writer.h
 *		JSON text as jsonb, in memory in proportion to the text.
 *
 * jsonb_in() builds a tree first, which may take two hundred times the text.
 * What comes out here is the same, byte for byte.
 */
#ifndef CLARI_JSONB_WRITER_H
#define CLARI_JSONB_WRITER_H

#include "utils/jsonb.h"

#include "core/json.h"

/*
 * The jsonb of a text that json_read() has read, in the database's encoding, in
 * the current memory context. Errors: 22P02 and 22P05 for what jsonb does not
 * hold, 54000 where it is too large for jsonb, or needs more than max_memory
 * bytes besides the text and the jsonb.
 */
extern Jsonb *jsonb_write(Json json, Size max_memory);

#endif							/* CLARI_JSONB_WRITER_H */
