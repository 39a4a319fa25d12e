/* The beginning of the engine's runtime with musl. It is a constructor that reads the
 * arguments of main, which glibc gives to constructors and musl does not: there the
 * Makefile makes a list of its own of it, and it is called from here. */
#include "engine.h"

#ifdef VGS_MUSL
#include <elf.h>
#include <stdint.h>
#include <sys/auxv.h>

#include "bytes.h"

extern char **environ;
extern void (*const __start_vegas_runtime[])(int, char **, char **);
extern void (*const __stop_vegas_runtime[])(int, char **, char **);

/* What it reads of the kernel's own. */
static const unsigned long known[] = {AT_PAGESZ, AT_PLATFORM, AT_HWCAP, AT_HWCAP2, AT_SECURE, AT_RANDOM, AT_SYSINFO_EHDR};
enum { KNOWN = sizeof known / sizeof known[0] };

/* It wants them as the kernel puts them: arguments, NULL, the environment, NULL, pairs
 * of numbers. Where those lie cannot be said: whoever has called setenv before has moved
 * the environment. So they are made anew, and stay for as long as it runs. */
void vgs_start_runtime(void) {
	static char name[] = "vegas";
	size_t count = 0;
	while (environ != NULL && environ[count] != NULL) {
		count++;
	}
	char **arguments = vgs_alloc_zero((2 + count + 1) * sizeof(char *) + (KNOWN + 1) * 2 * sizeof(uintptr_t));
	char **at = arguments;
	*at = name;
	at += 2;
	for (size_t i = 0; i < count; i++) {
		*at++ = environ[i];
	}
	at++;
	for (size_t i = 0; i < KNOWN; i++) {
		unsigned long value = getauxval(known[i]);
		if (value != 0) {
			*at++ = (char *)known[i];
			*at++ = (char *)value;
		}
	}
	for (void (*const *start)(int, char **, char **) = __start_vegas_runtime; start < __stop_vegas_runtime; start++) {
		(*start)(1, arguments, arguments + 2);
	}
}
#endif
