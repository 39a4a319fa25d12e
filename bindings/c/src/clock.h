/* Time, and waiting for others until some of it has passed. */
#ifndef VGS_CLOCK_H
#define VGS_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Microseconds of a clock that only goes forward. */
int64_t vgs_now(void);
/* The same to within some milliseconds, at a fraction of the cost. */
int64_t vgs_about_now(void);

#define VGS_NEVER INT64_MAX

/* When a timeout of so many milliseconds is over; VGS_NEVER below 0. */
int64_t vgs_until(int64_t millis);
/* Milliseconds that are left, -1 for ever. */
int vgs_left(int64_t until);

/* A condition whose waits are of that clock. */
void vgs_condition(pthread_cond_t *c);
/* Waits for a signal; false where the time is over. */
bool vgs_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until);

/* Starts a thread that nobody waits for. */
void vgs_thread(void *(*run)(void *), void *of);

#endif
