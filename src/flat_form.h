/*
 * flat_form.h
 *		Clari's CSV of a forecast as its flat form: an array of row objects.
 */
#ifndef CLARI_FLAT_FORM_H
#define CLARI_FLAT_FORM_H

/* Whether the text begins with a header that a forecast's CSV has. */
extern bool flat_form_is_csv(const char *text, size_t size);

/*
 * The flat form, as JSON in the current memory context; the text is in the
 * database's encoding. Raises an error (22P04) that names the line if it is no
 * such CSV, and one (54000) if jsonb cannot hold as much.
 */
extern char *flat_form_of_csv(const char *text, size_t size);

#endif							/* CLARI_FLAT_FORM_H */
