/*
 * api_key_file.c
 *		Reads an API key from a file, as it was then: it may rotate.
 *
 * No message tells the path, nor what the file holds.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"

#include "clari/account_options.h"
#include "clari/api_key_file.h"

/*
 * Open the file that holds a key. Nothing but a regular file will do: a pipe
 * or a device could keep us waiting, and could be somebody's trigger. So it is
 * looked at before it is opened, and again in case it was replaced.
 */
static int
open_file(const char *path)
{
	int			fd = -1;
	struct stat status;
	bool		failed = stat(path, &status) != 0;

	if (!failed && S_ISREG(status.st_mode))
	{
		fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		failed = fd < 0 || fstat(fd, &status) != 0;
	}
	if (failed)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open the file of option \"api_key_file\": %m")));
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file of option \"api_key_file\" is not a regular file")));
	return fd;
}

/* Read from a file until the buffer is full or the file ends. */
static size_t
read_fully(int fd, char *buffer, size_t size)
{
	size_t		length = 0;
	ssize_t		n;

	while (length < size && (n = read(fd, buffer + length, size - length)) != 0)
	{
		if (n < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read the file of option \"api_key_file\": %m")));
		length += (size_t) n;
	}
	return length;
}

char *
api_key_file_read(const char *path)
{
	char		buffer[API_KEY_MAX_LENGTH + 2];
	int			fd = open_file(path);
	size_t		size = read_fully(fd, buffer, sizeof(buffer) - 1);
	char	   *key = buffer;

	CloseTransientFile(fd);
	while (size > 0 && isspace((unsigned char) buffer[size - 1]))
		size--;
	buffer[size] = '\0';
	while (isspace((unsigned char) *key))
		key++;
	if (strlen(key) != size - (size_t) (key - buffer) || !api_key_is_valid(key))
	{
		explicit_bzero(buffer, sizeof(buffer));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the file of option \"api_key_file\" does not hold an API key"),
				 errhint("It must hold the key and nothing else: printable characters without spaces, at most %d.",
						 API_KEY_MAX_LENGTH)));
	}
	key = pstrdup(key);
	explicit_bzero(buffer, sizeof(buffer));
	return key;
}
