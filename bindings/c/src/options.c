#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static vegas_options *options(bool producer) {
	vegas_options *o = vgs_alloc_zero(sizeof *o);
	o->of = producer ? "producer" : "consumer";
	o->table = producer ? vgs_producer_options : vgs_consumer_options;
	o->count = producer ? vgs_producer_option_count : vgs_consumer_option_count;
	o->given = vgs_alloc_zero(o->count * sizeof *o->given);
	return o;
}

vegas_options *vegas_producer_options(void) { return options(true); }
vegas_options *vegas_consumer_options(void) { return options(false); }

void vegas_options_free(vegas_options *o) {
	if (o == NULL) {
		return;
	}
	for (size_t i = 0; i < o->count; i++) {
		vgs_free_buffer(&o->given[i]);
	}
	free(o->given);
	free(o);
}

vegas_options *vgs_options_copy(const vegas_options *o, bool producer) {
	vegas_options *copy = options(producer);
	if (o == NULL) {
		return copy;
	}
	if (o->table != copy->table) {
		vegas_options_free(copy);
		return NULL;
	}
	struct vgs_buffer *given = copy->given;
	*copy = *o;
	copy->given = given;
	for (size_t i = 0; i < o->count; i++) {
		vgs_put(&given[i], o->given[i].at, o->given[i].size);
	}
	return copy;
}

static size_t find(const vegas_options *o, const char *name) {
	size_t i = 0;
	while (i < o->count && strcmp(o->table[i].name, name) != 0) {
		i++;
	}
	return i;
}

/* How many letters have to be changed, added or removed to make b of a. */
static size_t distance(const char *a, const char *b) {
	size_t row[41], m = strlen(b);
	if (m > 40 || strlen(a) > 40) {
		return 41;
	}
	for (size_t k = 0; k <= m; k++) {
		row[k] = k;
	}
	for (size_t i = 0; a[i]; i++) {
		size_t left = row[0];
		row[0] = i + 1;
		for (size_t k = 0; k < m; k++) {
			size_t d = left;
			if (a[i] != b[k]) {
				d = left < row[k] ? left : row[k];
				d = 1 + (d < row[k + 1] ? d : row[k + 1]);
			}
			left = row[k + 1];
			row[k + 1] = d;
		}
	}
	return row[m];
}

static vegas_code unknown(const vegas_options *o, const char *name, vegas_error *err) {
	size_t best = strlen(name) / 2 + 1;
	const char *nearest = NULL;
	for (size_t i = 0; i < o->count; i++) {
		size_t d = distance(name, o->table[i].name);
		if (d < best) {
			best = d;
			nearest = o->table[i].name;
		}
	}
	char remedy[100] = "";
	if (nearest != NULL) {
		snprintf(remedy, sizeof remedy, "did you mean %s?", nearest);
	}
	return vgs_fail(err, VEGAS_BAD_OPTION, remedy, "a %s has no option %.80s", o->of, name);
}

struct unit {
	const char *name;
	double times;
};

static const struct unit durations[] = {
    {"", 1}, {"us", 1}, {"ms", 1e3}, {"s", 1e6}, {"min", 60e6}, {"h", 3600e6}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"", 1}, {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1099511627776.0}, {NULL, 0},
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

/* A number of 0 or more with a unit. */
static bool measure(const char *text, const struct unit *units, int64_t *n) {
	char *unit;
	if (*text < '0' || *text > '9') {
		return false;
	}
	errno = 0;
	long long whole = strtoll(text, &unit, 10);
	double real = (double)whole;
	bool exact = errno == 0 && *unit != '.';
	if (*unit == '.') {
		if (strspn(unit + 1, "0123456789") == 0) {
			return false;
		}
		for (double digit = 0.1; *++unit >= '0' && *unit <= '9'; digit /= 10) {
			real += digit * (*unit - '0');
		}
	}
	unit += strspn(unit, " ");
	for (; units->name != NULL; units++) {
		if (strcmp(unit, units->name) == 0) {
			if (errno != 0 || real * units->times >= 9e18) {
				return false;
			}
			*n = exact ? (int64_t)whole * (int64_t)units->times : (int64_t)(real * units->times + 0.5);
			return exact || units->times > 1;
		}
	}
	return false;
}

/* Days from 1970 to a day of the Gregorian calendar. */
static int64_t days(int64_t year, int64_t month, int64_t day) {
	year -= month <= 2;
	int64_t of = (month + 9) % 12; /* months since March */
	int64_t era = year / 400, in = year % 400;
	return era * 146097 + in * 365 + in / 4 - in / 100 + (153 * of + 2) / 5 + day - 1 - 719468;
}

/* A time such as 2026-01-31T12:00:00.5Z, in microseconds. */
static bool moment(const char *text, int64_t *n) {
	int year, month, day, hour, minute, read = 0;
	double second;
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%lf%n", &year, &month, &day, &hour, &minute, &second, &read) != 6 ||
	    strcmp(text + read, "Z") != 0) {
		return false;
	}
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
	    minute > 59 || !(second >= 0 && second < 61)) {
		return false;
	}
	int64_t seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60;
	*n = seconds * 1000000 + (int64_t)(second * 1e6 + 0.5);
	return true;
}

static bool has_word(const char *words, const char *word) {
	size_t size = strlen(word);
	for (const char *at = words; size > 0 && (at = strstr(at, word)) != NULL; at += size) {
		if ((at == words || at[-1] == ' ') && (at[size] == ' ' || at[size] == 0)) {
			return true;
		}
	}
	return false;
}

vegas_code vegas_options_set(vegas_options *o, const char *name, const char *value, vegas_error *err) {
	size_t i = find(o, name);
	if (i == o->count) {
		return unknown(o, name, err);
	}
	const struct vgs_option *option = &o->table[i];
	struct vgs_buffer made = {0};
	const char *want = NULL;
	int64_t n = 0;
	vegas_error why = {0};
	if (option->type == VGS_FUNCTION) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the option %s is a function: it is set by vegas_options_%s", name, name);
	}
	if (option->host) {
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "there is no option %s here: the engine is in this library", name);
	}
	if (value == NULL) { /* the default */
		vgs_free_buffer(&o->given[i]);
		return VEGAS_OK;
	}
	switch (option->type) {
	case VGS_FLAG:
		if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
			want = "true or false";
		}
		vgs_put_flag(&made, *value == 't');
		break;
	case VGS_NUMBER:
	case VGS_SIZE:
	case VGS_DURATION:
		if (!measure(value, option->type == VGS_NUMBER ? plain : option->type == VGS_SIZE ? sizes : durations, &n)) {
			n = 0;
			want = option->type == VGS_NUMBER ? "a whole number, 0 or more"
			     : option->type == VGS_SIZE   ? "a size such as 64MiB, or a number of bytes"
			                                  : "a duration such as 5ms, or a number of microseconds";
		}
		vgs_put_whole(&made, n);
		break;
	case VGS_WORD:
		if (!has_word(option->words, value)) {
			want = option->words;
		}
		vgs_put_string(&made, value);
		break;
	case VGS_START:
		if (strcmp(value, "trim_horizon") == 0 || strcmp(value, "latest") == 0) {
			vgs_put_string(&made, value);
		} else if (moment(value, &n) || measure(value, plain, &n)) {
			vgs_put_whole(&made, n);
		} else {
			want = "trim_horizon, latest, a time such as 2026-01-31T12:00:00Z or microseconds since 1970";
		}
		break;
	case VGS_LIST:
		if (!vgs_from_json(&made, value, &why)) {
			want = why.text;
		} else if (made.at[0] != VGS_ITEMS) {
			want = "a list, as JSON";
		}
		break;
	default:
		if (vgs_characters((struct vgs_view){(const unsigned char *)value, strlen(value)}) < 0) {
			want = "UTF-8";
		}
		vgs_put_string(&made, value);
	}
	if (want != NULL) {
		vgs_free_buffer(&made);
		return vgs_fail(err, VEGAS_BAD_OPTION, NULL, "the option %s is \"%.80s\": want %s", name, value, want);
	}
	vgs_free_buffer(&o->given[i]);
	o->given[i] = made;
	return VEGAS_OK;
}

void vegas_options_on_stats(vegas_options *o, vegas_on_stats *call, void *context) {
	o->on_stats = call;
	o->stats_context = context;
}

void vegas_options_poll(vegas_options *o) {
	o->results = VGS_RESULTS_POLLED;
	o->on_result = NULL;
}

void vegas_options_on_result(vegas_options *o, vegas_on_result *call, void *context) {
	o->results = call ? VGS_RESULTS_CALLED : VGS_RESULTS_DROPPED;
	o->on_result = call;
	o->result_context = context;
}

void vegas_options_dead_letter(vegas_options *o, vegas_dead_letter *call, void *context) {
	o->dead_letters = true;
	o->dead_letter = call;
	o->dead_letter_context = context;
}

void vegas_options_external(vegas_options *o, vegas_external *call, void *context) {
	o->external = call;
	o->external_context = context;
}

/* Whether an option of the type function is there. */
static bool function(const vegas_options *o, const char *name) {
	return (strcmp(name, "dead_letter") == 0 && o->dead_letters) || (strcmp(name, "external") == 0 && o->external != NULL);
}

void vgs_put_options(struct vgs_buffer *b, const vegas_options *o) {
	uint32_t count = 0;
	size_t every = find(o, "stats_every");
	bool by_default = o->on_stats != NULL && o->given[every].size == 0;
	vgs_put_map(b, 0);
	size_t start = b->size - 4;
	for (size_t i = 0; i < o->count; i++) {
		const struct vgs_option *option = &o->table[i];
		bool has = option->type == VGS_FUNCTION && function(o, option->name);
		if (o->given[i].size == 0 && !has && !(i == every && by_default)) {
			continue;
		}
		count++;
		vgs_put_key(b, option->name);
		if (has) {
			vgs_put_flag(b, true);
		} else if (i == every && by_default) {
			vgs_put_whole(b, 10000000);
		} else {
			vgs_put(b, o->given[i].at, o->given[i].size);
		}
	}
	vgs_store32(b->at + start, count);
}

static struct vgs_value value_of(const vegas_options *o, const char *name) {
	size_t i = find(o, name);
	if (i == o->count || o->given[i].size == 0) {
		return (struct vgs_value){.tag = VGS_NOTHING};
	}
	struct vgs_view v = vgs_view_of(&o->given[i]);
	return vgs_read(&v);
}

int64_t vgs_option_number(const vegas_options *o, const char *name) {
	struct vgs_value v = value_of(o, name);
	switch (v.tag) {
	case VGS_WHOLE:
		return v.whole;
	case VGS_TRUE:
	case VGS_FALSE:
		return v.tag == VGS_TRUE;
	default:
		return o->table[find(o, name)].otherwise;
	}
}

bool vgs_option_given(const vegas_options *o, const char *name) { return value_of(o, name).text.size > 0; }

bool vgs_option_is(const vegas_options *o, const char *name, const char *word) {
	struct vgs_value v = value_of(o, name);
	return v.tag == VGS_STRING && vgs_same(v.text, word);
}
