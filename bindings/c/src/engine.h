/* The engine, as cmd/vegas/libvegas exports it: the bridge protocol by calls. */
#ifndef VGS_ENGINE_H
#define VGS_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* Starts an engine, and gives the number to speak to it by. */
int32_t vegas_engine_open(void);
/* Gives it bytes; -1 where it has ended. */
int32_t vegas_engine_write(int32_t engine, void *from, size_t size);
/* Takes bytes: how many, 0 where there are none within the timeout (below 0: without
 * end), -1 where there will be none any more. One thread reads. */
int64_t vegas_engine_read(int32_t engine, void *into, size_t room, int32_t millis);
/* Ends what it reads, and waits for its end; -1 where that has not come by then. */
int32_t vegas_engine_close(int32_t engine, int32_t millis);

#ifdef VGS_MUSL
/* Starts its runtime, before main. */
void vgs_start_runtime(void);
#endif

#endif
