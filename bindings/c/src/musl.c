/* The beginning of the engine's runtime with musl. It is a constructor that reads the
 * arguments of main, which glibc gives to constructors and musl does not: there the
 * Makefile makes a list of its own of it, and it is called from here. */
#include "engine.h"

#ifdef VGS_MUSL
extern char **environ;
extern void (*const __start_vegas_runtime[])(int, char **, char **);
extern void (*const __stop_vegas_runtime[])(int, char **, char **);

void vgs_start_runtime(void) {
	/* As the kernel has put them: their count, the arguments, NULL, the environment. */
	char **end = environ - 1, **argv = end;
	while (argv[-1] != (char *)(end - argv)) {
		argv--;
	}
	for (void (*const *start)(int, char **, char **) = __start_vegas_runtime; start < __stop_vegas_runtime; start++) {
		(*start)((int)(end - argv), argv, environ);
	}
}
#endif
