/* serve.c - see serve.h.  A request is a verb of the command line in a process of its own, as `deq run --watch` starts
 * runs: whatever it does, the server goes on.  One works at a time; the others wait in their order. */
#define _GNU_SOURCE
#include "serve.h"
#include "json_text.h"
#include "output.h"
#include "verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MOST_WAITING = 1000,
    MOST_UNREAD = 1 << 20, /* bytes of answers that nobody has read yet: above this the work waits for the reader */
    PATIENCE = 5000,       /* milliseconds that a server which is to end waits for a reader who reads nothing */
    IMPATIENCE = 100,      /* the same where it was asked twice */
    EXIT_INTERRUPTED = 130,
    EXIT_GONE = 3
};

typedef struct Bytes { /* of a stream, up to its next line */
    char *text;
    size_t n, room;
    bool passed; /* the line has become too long: the rest of it is passed over */
} Bytes;

typedef struct Server {
    int signals;
    sigset_t before; /* signals that were blocked when serving began */
    Bytes in;
    bool ended; /* there are no more requests */
    Bytes answers;
    int to;         /* where the reader takes them */
    size_t written; /* how many bytes of them the reader has */
    bool gone;      /* nobody reads the answers */
    int asked;      /* how often SIGINT or SIGTERM asked to end */
    Request *wait;  /* in their order */
    int nwait;

    Request now; /* what works; its name is NULL: nothing */
    pid_t child;
    int out, err; /* what the child writes; -1: closed */
    bool stopped; /* the child was asked to end */
    int cancels;  /* how often its request was cancelled */
    Bytes lines, messages;
    char *folder; /* with its arrays; NULL */
    json_t *results, *error;
    Bytes text; /* what it printed that is no JSON */
} Server;

static void append(Bytes *b, const char *text, size_t n) {
    if (b->n + n + 1 > b->room) {
        b->room = 2 * (b->n + n + 1);
        if (!(b->text = realloc(b->text, b->room))) abort();
    }
    memcpy(b->text + b->n, text, n);
    b->n += n;
    b->text[b->n] = 0;
}

static void drop(Bytes *b) {
    free(b->text);
    *b = (Bytes){0};
}

/* ---- answers ---- */
static int append_text(const char *text, size_t n, void *to) { return append(to, text, n), 0; }

static void send_line(Server *s, json_t *line) {
    if (!s->gone && json_dump_callback(line, append_text, &s->answers, JSON_COMPACT | JSON_REAL_PRECISION(17)) == 0)
        append(&s->answers, "\n", 1);
    json_decref(line);
}

static size_t unread(const Server *s) { return s->answers.n - s->written; }

static void take_from_front(Bytes *b, size_t n) {
    b->n -= n;
    memmove(b->text, b->text + n, b->n);
}

/* A terminal that is ready may take less than it is given, and a writer waits in it while it is stopped (Ctrl-S).  Opened
 * anew it does not; whoever began the server has the first one, as it was. */
static int open_reader(void) {
    const int fd = isatty(STDOUT_FILENO) ? open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
    return fd < 0 ? STDOUT_FILENO : fd;
}

/* The reader takes some: no more than what a pipe or socket that is ready holds, so that this never waits. */
static void write_answers(Server *s) {
    const size_t left = unread(s);
    const ssize_t n = write(s->to, s->answers.text + s->written, left < PIPE_BUF ? left : PIPE_BUF);
    if (n < 0) {
        s->gone = errno != EINTR && errno != EAGAIN;
        return;
    }
    s->written += (size_t)n;
    if (2 * s->written < s->answers.n) return; /* what is moved was written before: each byte once */
    take_from_front(&s->answers, s->written);
    s->written = 0;
}

/* Takes `results` and `error`; either may be NULL. */
static void answer(Server *s, const Request *r, int code, json_t *results, json_t *error, const Bytes *text,
                   const Bytes *messages) {
    json_t *line = json_pack("{s:O, s:s?, s:i, s:o}", "id", r->id, "answer", r->name, "exit", code, "results",
                             results ? results : json_array());
    if (error) json_object_set_new(line, "error", error);
    if (text && text->n) json_object_set_new(line, "text", deq_json_string(text->text));
    if (messages && messages->n) json_object_set_new(line, "messages", deq_json_string(messages->text));
    send_line(s, line);
}

static void refuse(Server *s, const Request *r, const deq_error *e) {
    answer(s, r, deq_failure_exit(e->failure), NULL,
           json_pack("{s:s, s:o}", "code", deq_failure_code(e->failure), "message", deq_json_string(e->text)), NULL,
           NULL);
}

static void never_began(Server *s, Request *r) {
    deq_error e = {0};
    deq_fail(&e, DEQ_INTERRUPTED, "asked to end before it began");
    refuse(s, r, &e);
    request_free(r);
}

/* ---- the process that works ---- */
static void run_child(Server *s, pid_t server, const int out[2], const int err[2]) {
    static Cli cli;
    static char **words; /* of which cli_parse takes some away, and which hold until the end; the request's own stay */
    const int none = open("/dev/null", O_RDONLY);
    setpgid(0, 0); /* Ctrl-C is for the server, which passes it on once */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != server || none < 0) exit(EXIT_INTERRUPTED);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM,
           SIG_DFL); /* that nobody reads what it writes keeps no run from its checkpoint: SIGPIPE stays ignored */
    sigprocmask(SIG_SETMASK, &s->before, NULL);
    dup2(none, STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    close(out[0]); /* its own pipes have no reader when the server is gone */
    close(err[0]);
    close(s->signals);
    if (s->to != STDOUT_FILENO) close(s->to);
    if (s->now.folder && chdir(s->now.folder) != 0) {
        fprintf(stderr, "deq: error[%s]: cannot work in '%s': %s\n", deq_failure_code(DEQ_REQUEST), s->now.folder,
                strerror(errno));
        exit(EXIT_USAGE);
    }
    if (!(words = calloc((size_t)s->now.argc + 1, sizeof *words))) exit(EXIT_INTERNAL);
    memcpy(words, s->now.argv, (size_t)s->now.argc * sizeof *words);
    cli_parse(s->now.argc, words, &cli);
    exit(verb_do(&cli));
}

static bool start_child(Server *s, deq_error *e) {
    int out[2] = {-1, -1}, err[2] = {-1, -1};
    if (s->now.arrays &&
        (!(s->folder = deq_temporary_folder("/tmp/deq-serve", e)) || !request_write_arrays(&s->now, s->folder, e)))
        return false;
    fflush(NULL);
    const pid_t server = getpid();
    s->child = pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0 ? fork() : -1;
    if (s->child == 0) run_child(s, server, out, err);
    const int why = errno;
    if (out[1] >= 0) close(out[1]);
    if (err[1] >= 0) close(err[1]);
    s->out = out[0];
    s->err = err[0];
    if (s->child < 0) return deq_fail(e, DEQ_MEMORY, "no process can be started: %s", strerror(why));
    setpgid(s->child, s->child); /* here too: it has to be so before it is stopped */
    fcntl(s->out, F_SETFL, O_NONBLOCK);
    fcntl(s->err, F_SETFL, O_NONBLOCK);
    return true;
}

static void end_child(Server *s) {
    if (s->out >= 0) close(s->out);
    if (s->err >= 0) close(s->err);
    if (s->folder) deq_temporary_folder_remove(s->folder);
    free(s->folder);
    drop(&s->lines);
    drop(&s->messages);
    drop(&s->text);
    json_decref(s->results);
    json_decref(s->error);
    request_free(&s->now);
    s->folder = NULL;
    s->results = s->error = NULL;
    s->out = s->err = -1;
    s->child = 0;
    s->stopped = false;
    s->cancels = 0;
}

static void begin(Server *s) {
    deq_error e = {0};
    s->now = s->wait[0];
    memmove(s->wait, s->wait + 1, (size_t)--s->nwait * sizeof *s->wait);
    s->results = json_array();
    if (start_child(s, &e)) return;
    refuse(s, &s->now, &e);
    end_child(s);
}

/* As by Ctrl-C; it is killed where one who has asked already, `times` counts them, asks again.  Another who asks has only
 * the same wish, and the run keeps its checkpoint. */
static void stop(Server *s, int times) {
    if (!s->now.name || s->child <= 0) return;
    if (times > 1)
        kill(s->child, SIGKILL);
    else if (!s->stopped)
        kill(s->child, SIGINT);
    s->stopped = true;
}

/* ---- what it writes ---- */
static void take_object(Server *s, const char *line, size_t n) {
    json_t *object = json_loadb(line, n, 0, NULL);
    if (!json_is_object(object)) { /* a text for people: an emitted one, a table of the planned memory */
        json_decref(object);
        append(&s->text, line, n);
        append(&s->text, "\n", 1);
        return;
    }
    const char *event = json_string_value(json_object_get(object, "event"));
    if (event && !s->error && !strcmp(event, "error")) s->error = json_incref(object);
    if (!serve_passing(object)) json_array_append(s->results, object);
    if (s->now.events) send_line(s, json_pack("{s:O, s:O}", "id", s->now.id, "event", object));
    json_decref(object);
}

static bool take_output(Server *s, int *fd, Bytes *to) {
    char block[1 << 16];
    const ssize_t n = *fd >= 0 ? read(*fd, block, sizeof block) : 0;
    if (n > 0) append(to, block, (size_t)n);
    if (n == 0 && *fd >= 0) close(*fd), *fd = -1;
    if (to != &s->lines) return n > 0;
    char *begin = s->lines.text, *end;
    while (s->lines.n && (end = memchr(begin, '\n', (size_t)(s->lines.text + s->lines.n - begin)))) {
        take_object(s, begin, (size_t)(end - begin));
        begin = end + 1;
    }
    if (s->lines.n) take_from_front(&s->lines, (size_t)(begin - s->lines.text));
    return n > 0;
}

/* Why the verb failed: the first error that it told as JSON, or what it wrote for people. */
static json_t *reason(const Server *s, int code, int status) {
    if (s->error) return json_incref(s->error);
    if (s->stopped) {
        const char *known = deq_failure_code(DEQ_INTERRUPTED);
        return json_pack("{s:s, s:s}", "code", known, "message", "asked to end");
    }
    if (WIFSIGNALED(status))
        return json_pack("{s:n, s:o}", "code", "message",
                         json_sprintf("the process that worked on it ended by signal %d (%s)", WTERMSIG(status),
                                      strsignal(WTERMSIG(status))));
    const char *text = s->messages.n ? s->messages.text : "", *found = strstr(text, "error[");
    char told[6] = "";
    if (found && strlen(found) > 11 && found[11] == ']') memcpy(told, found + 6, 5);
    if (!*told && code == EXIT_USAGE) memcpy(told, deq_failure_code(DEQ_REQUEST), sizeof told);
    size_t n =
        code == EXIT_USAGE ? strcspn(text, "\n") : strlen(text); /* behind a usage error stands where there is help */
    while (n && text[n - 1] == '\n') n--;
    json_t *message = json_stringn(text, n);
    return json_pack("{s:s?, s:o}", "code", *told ? told : NULL, "message", message ? message : json_string(""));
}

/* The child has ended: everything that it wrote is read, whoever else holds its pipes, and the answer goes out. */
static void finish(Server *s, int status) {
    while (take_output(s, &s->out, &s->lines)) {}
    while (take_output(s, &s->err, &s->messages)) {}
    if (s->lines.n) take_object(s, s->lines.text, s->lines.n);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : s->stopped ? EXIT_INTERRUPTED : EXIT_INTERNAL;
    json_t *results = s->results;
    s->results = NULL;
    answer(s, &s->now, code, results, code ? reason(s, code, status) : NULL, &s->text, &s->messages);
    end_child(s);
}

static void take_signal(Server *s) {
    struct signalfd_siginfo info;
    int status;
    if (read(s->signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) stop(s, ++s->asked);
    if (s->now.name && waitpid(s->child, &status, WNOHANG) == s->child) finish(s, status);
}

/* ---- requests ---- */
static bool cancel(Server *s, const Request *r) {
    if (s->now.name && json_equal(s->now.id, r->of)) return stop(s, ++s->cancels), true;
    for (int i = 0; i < s->nwait; i++) {
        if (!json_equal(s->wait[i].id, r->of)) continue;
        Request found = s->wait[i];
        memmove(s->wait + i, s->wait + i + 1, (size_t)(--s->nwait - i) * sizeof *s->wait);
        never_began(s, &found);
        return true;
    }
    return false;
}

static void take_request(Server *s, const char *line, size_t n) {
    deq_error e = {0};
    Request r;
    if (strspn(line, " \t\r") >= n) return;
    bool ok = request_read(line, n, &r, &e);
    if (ok && !r.of) { /* it waits */
        if (!(s->wait = realloc(s->wait, (size_t)(s->nwait + 1) * sizeof *s->wait))) abort();
        s->wait[s->nwait++] = r;
        return;
    }
    if (ok && !cancel(s, &r)) ok = deq_fail(&e, DEQ_REQUEST, "no request of this id works or waits");
    if (ok)
        answer(s, &r, 0, NULL, NULL, NULL, NULL);
    else
        refuse(s, &r, &e);
    request_free(&r);
}

static void too_long(Server *s) {
    deq_error e = {0};
    deq_fail(&e, DEQ_REQUEST, "a line of more than %d MiB is no request", SERVE_MOST_BYTES >> 20);
    refuse(s, &(Request){.id = json_null()}, &e);
    s->in.n = 0;
    s->in.passed = true;
}

static void take_input(Server *s) {
    char block[1 << 16];
    const ssize_t n = read(STDIN_FILENO, block, sizeof block);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    s->ended = n <= 0;
    for (ssize_t at = 0; at < n;) {
        const char *end = memchr(block + at, '\n', (size_t)(n - at));
        const size_t part = end ? (size_t)(end - block - at) : (size_t)(n - at);
        if (!s->in.passed) append(&s->in, block + at, part);
        if (s->in.n > SERVE_MOST_BYTES) too_long(s);
        if (end && !s->in.passed) take_request(s, s->in.text, s->in.n);
        if (end) s->in.n = 0, s->in.passed = false;
        at += (ssize_t)part + (end != NULL);
    }
    if (s->ended && s->in.n) take_request(s, s->in.text, s->in.n); /* the last line has no end */
}

/* Whether there is work, or a reader to wait for. */
static bool goes_on(const Server *s) {
    if (s->now.name || s->nwait) return true;
    return !s->gone && (unread(s) || (!s->ended && !s->asked));
}

/* Where the reader is slow the verb waits in its turn, but for one that is to end; requests still come, and may cancel it,
 * until their own answers fill as much as one request may. */
static void wait_for_something(Server *s) {
    const bool full = unread(s) > MOST_UNREAD && !s->stopped && !s->gone;
    const bool closed = s->ended || s->nwait >= MOST_WAITING || unread(s) > SERVE_MOST_BYTES;
    struct pollfd on[] = {{.fd = s->signals, .events = POLLIN},
                          {.fd = closed ? -1 : STDIN_FILENO, .events = POLLIN},
                          {.fd = full ? -1 : s->out, .events = POLLIN},
                          {.fd = full ? -1 : s->err, .events = POLLIN},
                          {.fd = s->gone ? -1 : s->to, .events = unread(s) ? POLLOUT : 0}};
    const int patience = !s->asked || s->now.name ? -1 : s->asked > 1 ? IMPATIENCE : PATIENCE;
    const int ready = poll(on, sizeof on / sizeof *on, patience);
    if (ready < 0) return;
    if (ready == 0 || on[4].revents & (POLLERR | POLLHUP)) s->gone = true;
    if (on[2].revents) take_output(s, &s->out, &s->lines);
    if (on[3].revents) take_output(s, &s->err, &s->messages);
    if (on[0].revents) take_signal(s);
    if (on[1].revents) take_input(s);
    if (on[4].revents & POLLOUT && !s->gone) write_answers(s);
}

int verb_serve(const Cli *cli) {
    (void)cli;
    Server s = {.to = open_reader(), .out = -1, .err = -1};
    bool told = false; /* the child was asked to end, since nobody reads its answer */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, &s.before);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* where it was ignored by who began the server, no child would be told of */
    s.signals = signalfd(-1, &signals, SFD_CLOEXEC);
    if (s.signals < 0) {
        fprintf(stderr, "deq serve: signals cannot be waited for: %s\n", strerror(errno));
        return EXIT_GONE;
    }
    send_line(&s, serve_ready());
    while (true) {
        while (s.nwait && (s.asked || s.gone)) {
            never_began(&s, &s.wait[0]);
            memmove(s.wait, s.wait + 1, (size_t)--s.nwait * sizeof *s.wait);
        }
        if (s.gone && !told) stop(&s, 1), told = true;
        if (!s.now.name && s.nwait) begin(&s);
        if (!goes_on(&s)) break;
        if (s.now.name || !s.nwait) wait_for_something(&s);
    }
    drop(&s.in);
    drop(&s.answers);
    free(s.wait);
    close(s.signals);
    if (s.to != STDOUT_FILENO) close(s.to);
    return s.asked ? EXIT_INTERRUPTED : s.gone ? EXIT_GONE : 0;
}
