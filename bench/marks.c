/* What a program tells the valgrind it runs under; outside of valgrind both do nothing. */
#include <valgrind/callgrind.h>

void toggle(void) { CALLGRIND_TOGGLE_COLLECT; }
void dump(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
