/*
 * api_key_file.h
 *		Reads an API key from a file, as it was then: it may rotate.
 */
#ifndef CLARI_API_KEY_FILE_H
#define CLARI_API_KEY_FILE_H

/*
 * The key in a file, without the white space around it, in the current memory
 * context. Errors: those of the file's access; 22023 if it is no regular file
 * or does not hold a key.
 */
extern char *api_key_file_read(const char *path);

#endif							/* CLARI_API_KEY_FILE_H */
