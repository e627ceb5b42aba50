/* ranks_parts.c - the meetings of runtime/mpi where a part is longer than one message may be: run by mpirun with any number
 * of ranks.  Messages are short here, so that every part is many of them. */
#include <stdint.h>
static int64_t message_most = 1000;
#define DEQ_MPI_MOST message_most
#include "mpi.c"

static int rank_, count_, wrong;

static void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "rank %d of %d: %s with messages of %lld bytes\n", rank_, count_, what, (long long)message_most);
    wrong = 1;
}

/* Byte i of what rank `from` has for rank `to`. */
static char byte_of(int from, int to, int64_t i) { return (char)(131 * from + 17 * to + i * (i >> 7) + i); }

/* From none to many messages. */
static int64_t size_of(int from, int to) { return (from * 5 + to * 3) % 7 * 733; }

static void try_gather(void) {
    int64_t *at = calloc(2 * (size_t)count_ + 1, sizeof *at), *bytes = at + count_ + 1, n = 0;
    for (int p = 0; p < count_; p++) at[p] = n, bytes[p] = size_of(p, 0), n += bytes[p];
    char *all_bytes = malloc((size_t)n + 1);
    for (int64_t i = 0; i < bytes[rank_]; i++) all_bytes[at[rank_] + i] = byte_of(rank_, 0, i);
    gather(all_bytes, (deq_ranks_parts){at, bytes});
    for (int p = 0; p < count_; p++)
        for (int64_t i = 0; i < bytes[p]; i++) check(all_bytes[at[p] + i] == byte_of(p, 0, i), "gather");
    free(all_bytes);
    free(at);
}

static void try_exchange(void) {
    int64_t *at = calloc(4 * (size_t)count_ + 1, sizeof *at), *bytes = at + count_, *from_at = bytes + count_,
            *from_bytes = from_at + count_, n = 0, m = 0;
    for (int p = 0; p < count_; p++) {
        at[p] = n, bytes[p] = size_of(rank_, p), n += bytes[p];
        from_at[p] = m, from_bytes[p] = size_of(p, rank_), m += from_bytes[p];
    }
    char *out = malloc((size_t)n + 1), *in = calloc(1, (size_t)m + 1);
    for (int p = 0; p < count_; p++)
        for (int64_t i = 0; i < bytes[p]; i++) out[at[p] + i] = byte_of(rank_, p, i);
    exchange(out, (deq_ranks_parts){at, bytes}, in, (deq_ranks_parts){from_at, from_bytes});
    for (int p = 0; p < count_; p++)
        for (int64_t i = 0; i < from_bytes[p]; i++) check(in[from_at[p] + i] == byte_of(p, rank_, i), "exchange");
    free(out);
    free(in);
    free(at);
}

static void try_share(void) {
    char bytes[4321];
    for (int i = 0; i < (int)sizeof bytes; i++) bytes[i] = rank_ ? 0 : byte_of(0, 0, i);
    share(bytes, sizeof bytes);
    for (int i = 0; i < (int)sizeof bytes; i++) check(bytes[i] == byte_of(0, 0, i), "share");
}

int main(void) {
    int neighbours;
    char why[200];
    if (!begin(&rank_, &count_, &neighbours, why, sizeof why)) return fprintf(stderr, "%s\n", why), 1;
    const int64_t each[] = {1, 64, 1000, 733, INT_MAX};
    for (size_t k = 0; k < sizeof each / sizeof *each; k++) {
        message_most = each[k];
        try_gather();
        try_exchange();
        try_share();
    }
    int64_t sum = 0;
    for (int i = 0; i < 100; i++) sum += take(1, 1) >= 0;
    check(sum == 100, "a counter");
    int64_t *at = calloc(2 * (size_t)count_, sizeof *at), *bytes = at + count_,
            *got = calloc((size_t)count_, sizeof *got);
    for (int p = 0; p < count_; p++) at[p] = 8 * p, bytes[p] = 8;
    gather(got, (deq_ranks_parts){at, bytes}); /* all have taken */
    check(take(1, 0) == 100 * count_, "a counter of all");
    gather(got, (deq_ranks_parts){at, bytes});
    free(got);
    free(at);
    finish();
    if (!wrong && !rank_) printf("parts of %d ranks are whole\n", count_);
    return wrong;
}
