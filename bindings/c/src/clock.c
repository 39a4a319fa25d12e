#include "clock.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t clock) {
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t vgs_now(void) { return read_clock(CLOCK_MONOTONIC); }

#ifdef CLOCK_MONOTONIC_COARSE
int64_t vgs_about_now(void) { return read_clock(CLOCK_MONOTONIC_COARSE); }
#else
int64_t vgs_about_now(void) { return vgs_now(); }
#endif

int64_t vgs_until(int64_t millis) { return millis < 0 ? VGS_NEVER : vgs_now() + millis * 1000; }

int vgs_left(int64_t until) {
	if (until == VGS_NEVER) {
		return -1;
	}
	int64_t left = (until - vgs_now() + 999) / 1000;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Neither macOS nor Windows has conditions of that clock: there a wait is of the time of
 * day, and at worst as much longer as that is put back meanwhile. */
#if defined(__APPLE__) || defined(_WIN32)
#define VGS_TIME_OF_DAY
#endif

void vgs_condition(pthread_cond_t *c) {
#ifdef VGS_TIME_OF_DAY
	pthread_cond_init(c, NULL);
#else
	pthread_condattr_t of;
	pthread_condattr_init(&of);
	pthread_condattr_setclock(&of, CLOCK_MONOTONIC);
	pthread_cond_init(c, &of);
	pthread_condattr_destroy(&of);
#endif
}

bool vgs_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until) {
	if (until == VGS_NEVER) {
		pthread_cond_wait(c, lock);
		return true;
	}
#ifdef VGS_TIME_OF_DAY
	until += read_clock(CLOCK_REALTIME) - vgs_now();
#endif
	struct timespec t = {.tv_sec = (time_t)(until / 1000000), .tv_nsec = (long)(until % 1000000 * 1000)};
	return pthread_cond_timedwait(c, lock, &t) == 0;
}

static int start(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *of) {
#ifdef _WIN32
	return pthread_create(thread, attributes, run, of);
#else
	/* Signals are for the program's own threads. */
	sigset_t all, before;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGURG); /* by which the engine's runtime interrupts its own threads */
	sigdelset(&all, SIGPROF);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(thread, attributes, run, of);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
#endif
}

void vgs_thread(void *(*run)(void *), void *of) {
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	int failed = start(&thread, &attributes, run, of);
	pthread_attr_destroy(&attributes);
	if (failed) {
		fprintf(stderr, "vegas: a thread cannot be started: %s\n", strerror(failed));
		abort();
	}
}
