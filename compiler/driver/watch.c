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
    char **files; /* of the script and its modules; the first is the script's */
    int nfiles;
    int notify, signals;
    sigset_t before; /* signals that were blocked when watching began */
    uint64_t seen;   /* the files' bytes when the last run began */
    pid_t child;     /* 0: none */
} Watch;

static void add_file(Watch *w, const char *path) {
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

/* The files that the script now consists of; what cannot be parsed keeps those that were known before. */
static void look(Watch *w) {
    Arena *arena = arena_new();
    Diags *diags = diags_new(arena);
    const Program *p = program_load(arena, diags, w->cli->files[0], w->cli->include, (uint32_t)w->cli->ninclude);
    if (!diags_errors(diags) || !w->nfiles) {
        for (int i = 0; i < w->nfiles; i++) free(w->files[i]);
        w->nfiles = 0;
        add_file(w, w->cli->files[0]);
        for (uint32_t i = 0; p && i < p->nmodules; i++) {
            const char *path = p->modules[i]->source->path;
            if (*path != '<' && strcmp(path, w->cli->files[0]) != 0) add_file(w, path); /* <std.layers> is no file */
        }
    }
    arena_free(arena);
    for (int i = 0; i < w->nfiles; i++) {
        char *copy = strdup(w->files[i]);
        if (!copy) abort();
        inotify_add_watch(w->notify, dirname(copy), IN_CLOSE_WRITE | IN_MOVED_TO);
        free(copy);
    }
    w->seen = bytes_of(w);
}

static void start(Watch *w, int (*run)(const Cli *cli)) {
    look(w);
    fflush(NULL);
    w->child = fork();
    if (w->child < 0) {
        fprintf(stderr, "deq: cannot start a run: %s\n", strerror(errno));
        w->child = 0;
    } else if (w->child == 0) {
        setpgid(0, 0); /* Ctrl-C is for the one that watches, which passes it on once */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        sigprocmask(SIG_SETMASK, &w->before, NULL);
        close(w->notify);
        close(w->signals);
        exit(run(w->cli));
    }
}

static int finish(Watch *w) {
    int status = 0;
    while (w->child && waitpid(w->child, &status, 0) < 0 && errno == EINTR) {}
    w->child = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int interrupt(Watch *w) {
    if (!w->child) return 0;
    kill(w->child, SIGINT);
    return finish(w);
}

static void say(const Watch *w) {
    char now[16];
    const time_t t = time(NULL);
    strftime(now, sizeof now, "%H:%M:%S", localtime(&t));
    if (w->nfiles > 1)
        fprintf(stderr, "%s watching %s and %d modules; Ctrl-C ends\n", now, w->files[0], w->nfiles - 1);
    else
        fprintf(stderr, "%s watching %s; Ctrl-C ends\n", now, w->files[0]);
}

/* Waits for a signal, or for a save after which the files are others.  The signal; 0: the files are others. */
static int wait_for_change(Watch *w) {
    struct pollfd on[2] = {{.fd = w->signals, .events = POLLIN}, {.fd = w->notify, .events = POLLIN}};
    for (;;) {
        if (poll(on, 2, -1) < 0) continue;
        struct signalfd_siginfo info;
        if (on[0].revents & POLLIN && read(w->signals, &info, sizeof info) == sizeof info) {
            if (info.ssi_signo != SIGCHLD) return (int)info.ssi_signo;
            int status;
            if (w->child && waitpid(w->child, &status, WNOHANG) == w->child) w->child = 0, say(w);
        }
        if (on[1].revents & POLLIN) {
            char events[4096] __attribute__((aligned(8)));
            do {
                while (read(w->notify, events, sizeof events) > 0) {}
            } while (poll(&on[1], 1, SETTLE_MS) > 0);
            if (bytes_of(w) != w->seen) return 0;
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
    int code = 0;
    for (start(&w, run); wait_for_change(&w) == 0; start(&w, run)) interrupt(&w);
    code = interrupt(&w);
    for (int i = 0; i < w.nfiles; i++) free(w.files[i]);
    free(w.files);
    close(w.notify);
    close(w.signals);
    sigprocmask(SIG_SETMASK, &w.before, NULL);
    return code;
}
