/* watch.c - see watch.h.  Folders are watched, not files: most editors save by renaming. */
#define _GNU_SOURCE
#include "watch.h"
#include "module.h"
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#define SETTLE_MS 50 /* an editor's save is several events */

typedef struct Watch {
    const Cli *cli;
    char **files; /* the script first, its modules, and files that modules were looked for in and that are not there */
    int nfiles;
    int notify, signals;
    sigset_t before; /* signals that were blocked when watching began */
    uint64_t seen;   /* the files' bytes when the last run began */
    pid_t child;     /* 0: none */
    int asked;       /* how often SIGINT or SIGTERM asked to end */
    int failed;      /* the errno with which a folder could not be watched; 0: none */
} Watch;

static void add_file(Watch *w, const char *path) {
    for (int i = 0; i < w->nfiles; i++)
        if (strcmp(w->files[i], path) == 0) return;
    w->files = realloc(w->files, (size_t)(w->nfiles + 1) * sizeof *w->files);
    if (!w->files || !(w->files[w->nfiles++] = strdup(path))) abort();
}

static uint64_t bytes_of(const Watch *w) {
    XXH3_state_t *state = XXH3_createState();
    if (!state) abort();
    XXH3_64bits_reset(state);
    for (int i = 0; i < w->nfiles; i++) {
        char block[1 << 14];
        FILE *file = fopen(w->files[i], "rb");
        size_t n, total = 0;
        while (file && (n = fread(block, 1, sizeof block, file)) > 0) {
            XXH3_64bits_update(state, block, n);
            total += n;
        }
        if (!file) total = SIZE_MAX;
        XXH3_64bits_update(state, &total, sizeof total);
        if (file) fclose(file);
    }
    uint64_t sum = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return sum;
}

/* Watches the folder of the file; while there is none, the nearest above it that is there. */
static void watch_folder(Watch *w, const char *path) {
    char *copy = strdup(path), *folder = copy;
    if (!copy) abort();
    int got;
    do {
        folder = dirname(folder);
        got = inotify_add_watch(w->notify, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE);
    } while (got < 0 && (errno == ENOENT || errno == ENOTDIR) && strcmp(folder, ".") != 0 && strcmp(folder, "/") != 0);
    if (got < 0) w->failed = errno;
    free(copy);
}

/* Also the folder that a link leads to. */
static void watch_folders(Watch *w) {
    for (int i = 0; i < w->nfiles; i++) {
        char *real = realpath(w->files[i], NULL);
        watch_folder(w, w->files[i]);
        if (real) watch_folder(w, real);
        free(real);
    }
}

/* The files that the script now consists of.  While something cannot be parsed or found, what it needs is not all known:
 * those that were known before stay. */
static void look(Watch *w) {
    Arena *arena = arena_new();
    Diags *diags = diags_new(arena);
    const Program *p = program_load(arena, diags, w->cli->files[0], w->cli->include, (uint32_t)w->cli->ninclude);
    if (!diags_errors(diags)) {
        for (int i = 0; i < w->nfiles; i++) free(w->files[i]);
        w->nfiles = 0;
    }
    add_file(w, w->cli->files[0]);
    for (uint32_t i = 0; i < p->nmodules; i++) {
        const char *path = p->modules[i]->source->path;
        if (*path != '<') add_file(w, path); /* <std.layers> is no file */
    }
    for (uint32_t i = 0; i < p->nmissing; i++) add_file(w, p->missing[i]);
    arena_free(arena);
    watch_folders(w);
    w->seen = bytes_of(w);
}

static void start(Watch *w, int (*run)(const Cli *cli)) {
    look(w);
    if (w->failed) return;
    fflush(NULL);
    w->child = fork();
    if (w->child < 0) {
        fprintf(stderr, "deq: cannot start a run: %s\n", strerror(errno));
        w->child = 0;
    } else if (w->child == 0) {
        setpgid(0, 0); /* Ctrl-C is for the one that watches, which passes it on once */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        signal(SIGINT, SIG_DFL); /* a shell's script has them ignored in what it starts with & */
        signal(SIGTERM, SIG_DFL);
        sigprocmask(SIG_SETMASK, &w->before, NULL);
        close(w->notify);
        close(w->signals);
        exit(run(w->cli));
    } else {
        setpgid(w->child, w->child); /* here too: it has to be so before it is killed */
    }
}

/* Takes a signal that has come, and counts those that ask to end. */
static void take_signal(Watch *w) {
    struct signalfd_siginfo info;
    if (read(w->signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) w->asked++;
}

/* Stops the run, if there is one, as by Ctrl-C, and waits for its end; kills it once it is asked to end again meanwhile.
 * What the run ended with; 0: there was none. */
static int interrupt(Watch *w) {
    if (!w->child) return 0;
    int status = 0;
    kill(w->child, SIGINT);
    while (waitpid(w->child, &status, WNOHANG) == 0) {
        struct pollfd on = {.fd = w->signals, .events = POLLIN};
        if (poll(&on, 1, -1) > 0) take_signal(w);
        if (w->asked > 1) kill(-w->child, SIGKILL);
    }
    w->child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void say(const Watch *w) {
    char now[16];
    const time_t t = time(NULL);
    strftime(now, sizeof now, "%H:%M:%S", localtime(&t));
    int modules = 0;
    for (int i = 1; i < w->nfiles; i++) modules += access(w->files[i], F_OK) == 0;
    if (modules)
        fprintf(stderr, "%s watching %s and %d module%s; Ctrl-C ends\n", now, w->files[0], modules,
                modules == 1 ? "" : "s");
    else
        fprintf(stderr, "%s watching %s; Ctrl-C ends\n", now, w->files[0]);
}

/* Waits until it is asked to end, or for a save after which the files are others. */
static void wait_for_change(Watch *w) {
    struct pollfd on[2] = {{.fd = w->signals, .events = POLLIN}, {.fd = w->notify, .events = POLLIN}};
    while (!w->asked && !w->failed) {
        if (poll(on, 2, -1) < 0) continue;
        if (on[0].revents & POLLIN) {
            int status;
            take_signal(w);
            if (w->child && waitpid(w->child, &status, WNOHANG) == w->child) w->child = 0, say(w);
        }
        if (on[1].revents & POLLIN) {
            char events[4096] __attribute__((aligned(8)));
            do {
                while (read(w->notify, events, sizeof events) > 0) {}
            } while (poll(&on[1], 1, SETTLE_MS) > 0);
            watch_folders(w); /* a folder that was missing may be there now */
            if (bytes_of(w) != w->seen) return;
        }
    }
}

int watch(const Cli *cli, int (*run)(const Cli *cli)) {
    Watch w = {.cli = cli, .notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &w.before);
    w.signals = signalfd(-1, &signals, SFD_CLOEXEC);
    if (w.notify < 0 || w.signals < 0) {
        fprintf(stderr, "deq run --watch: the files cannot be watched: %s\n", strerror(errno));
        return 3;
    }
    int code;
    do {
        start(&w, run);
        wait_for_change(&w);
        code = interrupt(&w);
    } while (!w.asked && !w.failed);
    if (w.failed) {
        fprintf(stderr, "deq run --watch: a folder of the files cannot be watched: %s\n", strerror(w.failed));
        code = 3;
    }
    for (int i = 0; i < w.nfiles; i++) free(w.files[i]);
    free(w.files);
    close(w.notify);
    close(w.signals);
    sigprocmask(SIG_SETMASK, &w.before, NULL);
    return code;
}
