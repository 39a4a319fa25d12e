#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(is)                                                          \
	do {                                                                   \
		if (!(is)) {                                                       \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #is); \
			abort();                                                       \
		}                                                                  \
	} while (0)

/* An error is of a code, and says so. */
#define CHECK_ERROR(call, is, says)                                                                           \
	do {                                                                                                      \
		vegas_error e_ = {0};                                                                                 \
		vegas_code c_ = (call);                                                                               \
		if (c_ != (is) || e_.code != (is) || (strstr(e_.text, says) == NULL && strstr(e_.remedy, says) == NULL)) { \
			fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, vegas_code_name(c_), e_.text, e_.remedy); \
			abort();                                                                                          \
		}                                                                                                     \
	} while (0)

#define CHECK_OK(call)                                                                                          \
	do {                                                                                                        \
		vegas_error e_ = {0};                                                                                   \
		vegas_code c_ = (call);                                                                                 \
		if (c_ != VEGAS_OK) {                                                                                   \
			fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, vegas_code_name(c_), e_.text, e_.remedy); \
			abort();                                                                                            \
		}                                                                                                       \
	} while (0)

#endif
