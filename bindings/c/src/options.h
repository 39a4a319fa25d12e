/* Options: from texts to what the engine is told. */
#ifndef VGS_OPTIONS_H
#define VGS_OPTIONS_H

#include "wire.h"

enum vgs_results { VGS_RESULTS_DROPPED, VGS_RESULTS_POLLED, VGS_RESULTS_CALLED };

struct vegas_options {
	const char *of; /* "producer" or "consumer" */
	const struct vgs_option *table;
	size_t count;
	struct vgs_buffer *given; /* a value for each option; empty where it is not given */
	/* What stays here. */
	vegas_on_stats *on_stats;
	void *stats_context;
	enum vgs_results results;
	vegas_on_result *on_result;
	void *result_context;
	bool dead_letters; /* by chunks, where there is no function */
	vegas_dead_letter *dead_letter;
	void *dead_letter_context;
	vegas_external *external;
	void *external_context;
};

/* A copy; of NULL, one of that kind with nothing set. NULL where they are of the other
 * kind. */
vegas_options *vgs_options_copy(const vegas_options *o, bool producer);

/* Puts what crosses, as a value. */
void vgs_put_options(struct vgs_buffer *b, const vegas_options *o);

/* A number or a flag, given or by default. */
int64_t vgs_option_number(const vegas_options *o, const char *name);
/* Whether a text is given and not empty, or a word is that. */
bool vgs_option_given(const vegas_options *o, const char *name);
bool vgs_option_is(const vegas_options *o, const char *name, const char *word);

#endif
