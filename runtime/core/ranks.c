/* ranks.c - see ranks.h: one rank, or the plug-in's. */
#define _GNU_SOURCE
#include "ranks.h"
#include "deq_ranks.h"
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLUGIN "libdeq_mpi.so"
/* After its failure a rank waits so long for others to fail alike: as long as rank 0 may take to write a checkpoint. */
#define END_SECONDS 60.0

static const deq_ranks_plugin *plugin; /* NULL: alone */
static int own, count = 1, neighbours = 1, slot;
static char *hosts; /* of all ranks, one after the other */
static int64_t *hosts_at;
static double reducing, reducing_waited; /* seconds; those of them that the plug-in counts as waiting */
static int64_t reduced;
static pthread_mutex_t taking = PTHREAD_MUTEX_INITIALIZER;

/* ---- the plug-in ---- */
/* mpirun of Open MPI, that of MPICH, srun.  In the script of sbatch itself, which is no step, there is one process. */
static const struct launcher {
    const char *rank, *count;
} launchers[] = {{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
                 {"PMI_RANK", "PMI_SIZE"},
                 {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS"}};

int deq_ranks_launched(void) {
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const char *number = getenv(launchers[i].count);
        if (getenv(launchers[i].rank) && number && atoi(number) > 0) return atoi(number);
    }
    return 1;
}

/* Beside the program or the library that this is part of, in lib/ beside the program's folder, or where the system looks. */
static void *load(int mode, char *why, size_t size) {
    char program[PATH_MAX], path[PATH_MAX + 64];
    Dl_info here = {0};
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    const char *folders[4] = {NULL};
    int nfolders = 0;
    program[n < 0 ? 0 : n] = 0;
    char *library = dladdr(&plugin, &here) && here.dli_fname ? strdup(here.dli_fname) : NULL;
    if (n > 0) folders[nfolders++] = dirname(program);
    if (library) folders[nfolders++] = dirname(library);
    void *handle = NULL;
    for (int i = 0; i < nfolders && !handle; i++)
        for (int k = 0; k < 3 && !handle; k++) {
            static const char *const below[] = {"", "../lib/deq/", "deq/"};
            snprintf(path, sizeof path, "%s/%s" PLUGIN, folders[i], below[k]);
            if (!access(path, R_OK)) handle = dlopen(path, mode);
        }
    if (!handle) handle = dlopen(PLUGIN, mode);
    if (!handle) snprintf(why, size, "%s", dlerror());
    free(library);
    return handle;
}

static const deq_ranks_plugin *find(int mode, char *why, size_t size) {
    void *handle = load(mode, why, size);
    deq_ranks_entry_fn *entry = NULL;
    if (!handle) return NULL;
    *(void **)&entry = dlsym(handle, "deq_ranks_entry");
    const deq_ranks_plugin *p = entry ? entry() : NULL;
    if (p && p->abi == DEQ_RANKS_ABI) return p;
    snprintf(why, size, "%s is of another version of deq", PLUGIN);
    return NULL;
}

bool deq_ranks_plugin_found(char *out, size_t size) {
    char why[1000];
    const deq_ranks_plugin *p = find(RTLD_NOW | RTLD_LOCAL, why, sizeof why);
    snprintf(out, size, "%s", p ? p->library : why);
    return p;
}

bool deq_ranks_open(deq_error *e) {
    char why[1000] = "";
    const int launched = deq_ranks_launched();
    if (plugin || launched < 2) return true;
    const deq_ranks_plugin *p =
        find(RTLD_NOW | RTLD_GLOBAL, why, sizeof why); /* Open MPI loads parts that want its symbols */
    if (p && p->open(&own, &count, &neighbours, why, sizeof why)) {
        char host[100] = "";
        plugin = p;
        gethostname(host, sizeof host - 1);
        hosts = deq_ranks_gather(host, (int64_t)strlen(host) + 1, &hosts_at);
        return true;
    }
    return deq_fail(e, DEQ_RANKS, "a launcher has started %d processes, and they cannot meet: %s", launched, why);
}

void deq_ranks_close(void) {
    if (plugin) plugin->close();
    plugin = NULL;
    own = 0, count = neighbours = 1;
    free(hosts);
    free(hosts_at);
    hosts = NULL, hosts_at = NULL;
}

static const char *host_of(int rank) { return hosts + hosts_at[rank]; }

static void is_late(int rank, double seconds) {
    fprintf(
        stderr,
        "run: error[%s]: rank %d (on %s) has not come for %.0f seconds, for which the others wait: it hangs, or its "
        "part is longer than --rank-limit allows; finished work is kept: run the same command again\n",
        deq_failure_code(DEQ_RANKS), rank, host_of(rank), seconds);
    deq_ranks_stop(deq_failure_exit(DEQ_RANKS));
}

void deq_ranks_limit(double seconds) {
    if (plugin) plugin->limit(seconds, is_late);
}

int deq_ranks_own(void) { return own; }
int deq_ranks_count(void) { return count; }
bool deq_ranks_first(void) { return own == 0; }
int deq_ranks_neighbours(void) { return neighbours; }

/* ---- what it costs ---- */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

deq_ranks_cost deq_ranks_spent(void) {
    deq_ranks_cost cost = {.seconds = now()};
    if (count < 2) return cost;
    pthread_mutex_lock(&taking); /* another thread may wait for a number just now */
    cost.reducing = reducing;
    cost.waiting = plugin->waited() - reducing_waited;
    cost.reduced = (double)reduced;
    cost.carried = (double)plugin->carried();
    pthread_mutex_unlock(&taking);
    return cost;
}

void deq_ranks_spend(deq_ranks_cost *sum, const deq_ranks_cost *then) {
    const deq_ranks_cost spent = deq_ranks_spent();
    sum->seconds += spent.seconds - then->seconds;
    sum->reducing += spent.reducing - then->reducing;
    sum->waiting += spent.waiting - then->waiting;
    sum->reduced += spent.reduced - then->reduced;
    sum->carried += spent.carried - then->carried;
}

/* A meeting that is part of a reduction ends. */
static void reduction_ends(double began, double waited, int64_t carried) {
    reducing += now() - began;
    reducing_waited += plugin->waited() - waited;
    reduced += plugin->carried() - carried;
}

/* ---- meetings ---- */
void deq_ranks_share(void *bytes, int64_t size) {
    if (count > 1) plugin->share(bytes, size);
}

bool deq_ranks_share_bool(bool value) {
    uint8_t byte = value;
    deq_ranks_share(&byte, 1);
    return byte;
}

json_t *deq_ranks_share_json(json_t *value) {
    if (count < 2) return value;
    char *text = own || !value ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    int64_t size = text ? (int64_t)strlen(text) : -1;
    deq_ranks_share(&size, sizeof size);
    if (own) {
        json_decref(value);
        value = NULL;
        text = size < 0 ? NULL : malloc((size_t)size + 1);
    }
    if (size >= 0 && !text) deq_ranks_stop(3);
    if (size >= 0) deq_ranks_share(text, size);
    if (own && text) value = json_loadb(text, (size_t)size, JSON_DECODE_ANY, NULL);
    free(text);
    return value;
}

/* Places and sizes from where the parts begin. */
static int64_t *sizes_of(const int64_t *at) {
    int64_t *sizes = malloc((size_t)count * sizeof *sizes);
    if (!sizes) deq_ranks_stop(3);
    for (int i = 0; sizes && i < count; i++) sizes[i] = at[i + 1] - at[i];
    return sizes;
}

void deq_ranks_gather_known(void *all, const int64_t *at) {
    if (count < 2) return;
    int64_t *sizes = sizes_of(at);
    plugin->gather(all, (deq_ranks_parts){at, sizes});
    free(sizes);
}

void deq_ranks_gather_parts(void *all, const int64_t *at) {
    if (count < 2) return;
    const double began = now(), waited = plugin->waited();
    const int64_t carried = plugin->carried();
    deq_ranks_gather_known(all, at);
    reduction_ends(began, waited, carried);
}

void deq_ranks_exchange(const void *from, const int64_t *from_at, void *all, const int64_t *all_at) {
    if (count < 2) {
        memcpy(all, from, (size_t)from_at[1]);
        return;
    }
    int64_t *sent = sizes_of(from_at), *got = sizes_of(all_at);
    const double began = now(), waited = plugin->waited();
    const int64_t carried = plugin->carried();
    plugin->exchange(from, (deq_ranks_parts){from_at, sent}, all, (deq_ranks_parts){all_at, got});
    reduction_ends(began, waited, carried);
    free(sent);
    free(got);
}

void deq_ranks_wait(void) {
    int64_t *at = NULL;
    if (count > 1) free(deq_ranks_gather(NULL, 0, &at));
    free(at);
}

/* The parts of a first meeting, each a size and as many of the bytes as there is room for.  Where the parts begin, and what
 * is left of each; whether anything is. */
static bool first_meeting(char *slots, const int64_t *places, const void *bytes, int64_t size, int64_t *at,
                          int64_t *left) {
    const int64_t head = sizeof size, room = places[own + 1] - places[own] - head;
    memcpy(slots + places[own], &size, sizeof size);
    if (size && room) memcpy(slots + places[own] + head, bytes, (size_t)(size < room ? size : room));
    deq_ranks_gather_known(slots, places);
    for (int p = 0; p < count; p++) {
        const int64_t had = places[p + 1] - places[p] - head;
        int64_t theirs;
        memcpy(&theirs, slots + places[p], sizeof theirs);
        at[p + 1] = at[p] + theirs;
        left[p + 1] = left[p] + (theirs > had ? theirs - had : 0);
    }
    return left[count] > 0;
}

/* What a second meeting brings of those that had no room in the first. */
static char *second_meeting(const void *bytes, int64_t size, const int64_t *left, bool needed) {
    char *rest = malloc((size_t)left[count] + 1);
    const int64_t mine = left[own + 1] - left[own];
    if (rest && mine) memcpy(rest + left[own], (const char *)bytes + size - mine, (size_t)mine);
    if (rest && needed) deq_ranks_gather_known(rest, left);
    return rest;
}

char *deq_ranks_gather_about(const void *bytes, int64_t size, const int64_t *room, int64_t **at) {
    const size_t n = (size_t)count + 1;
    int64_t *places = calloc(2 * n, sizeof *places), *left = places + n;
    char *all = NULL, *rest = NULL;
    *at = calloc(n, sizeof **at);
    for (int p = 0; places && p < count; p++) places[p + 1] = places[p] + (int64_t)sizeof size + (room ? room[p] : 0);
    char *slots = places ? calloc(1, (size_t)places[count]) : NULL;
    if (slots && *at) {
        const bool more = first_meeting(slots, places, bytes, size, *at, left);
        rest = second_meeting(bytes, size, left, more);
        all = rest ? malloc((size_t)(*at)[count] + 1) : NULL;
    }
    if (!all && count > 1) deq_ranks_stop(3); /* the others wait for it */
    for (int p = 0; all && p < count; p++) {
        const int64_t late = left[p + 1] - left[p], here = (*at)[p + 1] - (*at)[p] - late;
        memcpy(all + (*at)[p], slots + places[p] + sizeof size, (size_t)here);
        memcpy(all + (*at)[p] + here, rest + left[p], (size_t)late);
    }
    free(places);
    free(slots);
    free(rest);
    return all;
}

char *deq_ranks_gather(const void *bytes, int64_t size, int64_t **at) {
    return deq_ranks_gather_about(bytes, size, NULL, at);
}

/* ---- numbers that are dealt ---- */
/* Two counters take turns: rank 0 makes the last one 0 after a deal, and nobody takes from it before the next has ended. */
int64_t deq_ranks_take(void) {
    if (count < 2) return 0;
    pthread_mutex_lock(&taking);
    const int64_t number = plugin->take(slot, 1);
    pthread_mutex_unlock(&taking);
    return number;
}

void deq_ranks_take_rest(void) {
    if (count < 2) return;
    pthread_mutex_lock(&taking);
    plugin->take(slot, (int64_t)1 << 40);
    pthread_mutex_unlock(&taking);
}

void deq_ranks_dealt(void) {
    if (count < 2) return;
    if (own == 0) plugin->reset(slot);
    slot = (slot + 1) % DEQ_RANKS_SLOTS;
}

/* ---- agreement, and the end ---- */
bool deq_ranks_agree(const char *what, const char *text, deq_error *e) {
    int64_t *at = NULL;
    if (count < 2) return true;
    char *all = deq_ranks_gather(text, (int64_t)strlen(text) + 1, &at);
    bool same = all || deq_fail(e, DEQ_MEMORY, "out of memory");
    for (int i = 1; same && i < count; i++) {
        const char *theirs = all + at[i];
        if (strcmp(all, theirs))
            same = deq_fail(e, DEQ_RANKS, "rank %d (on %s) has another %s than rank 0 (on %s): %.300s, and %.300s", i,
                            host_of(i), what, host_of(0), theirs, all);
    }
    free(all);
    free(at);
    return same;
}

bool deq_ranks_end(int code, bool *alone) {
    *alone = false;
    if (count < 2) return true;
    if (!plugin->all_end(code ? END_SECONDS : 0)) {
        *alone = true;
        return true;
    }
    bool tells;
    deq_ranks_worst(code, &tells);
    return tells;
}

int deq_ranks_worst(int code, bool *tells) {
    int64_t *at = NULL;
    const int32_t mine = code;
    *tells = true;
    if (count < 2) return code;
    char *all = deq_ranks_gather(&mine, sizeof mine, &at);
    int32_t first = 0, worst = 0;
    for (int i = 0; all && i < count; i++) {
        int32_t theirs;
        memcpy(&theirs, all + at[i], sizeof theirs);
        if (i == 0) first = theirs;
        if (!worst) worst = theirs;
    }
    free(all);
    free(at);
    *tells = own == 0 || (code && !first);
    return worst;
}

void deq_ranks_stop(int code) {
    if (plugin) plugin->stop(code);
}
