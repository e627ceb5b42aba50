/* link.c - see link.h. */
#define _GNU_SOURCE
#include "link.h"
#include "deq_types.h"
#include "output.h"
#include "text.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

char *program_folder(void) {
    char path[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    path[n < 0 ? 0 : n] = 0;
    /* A root of chroot may have no /proc: then as the program was begun, where a shell has found it. */
    const char *begun = (const char *)getauxval(AT_EXECFN);
    if (n < 0 && !(begun && realpath(begun, path))) return strdup(".");
    return strdup(dirname(path));
}

/* Starts argv with standard error (and output) going to `log_fd`. */
static bool start(char *const *argv, int log_fd, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, log_fd, 1);
    posix_spawn_file_actions_adddup2(&actions, log_fd, 2);
    int rc = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    errno = rc;
    return rc == 0;
}

static bool run(char *const *argv, deq_error *e) {
    FILE *log = tmpfile();
    if (!log) {
        deq_fail(e, DEQ_LINK, "cannot make a temporary file: %s", strerror(errno));
        return false;
    }
    pid_t pid;
    int status = 0;
    bool ok = start(argv, fileno(log), &pid);
    if (!ok) deq_fail(e, DEQ_LINK, "cannot run '%s': %s (install gcc and binutils)", argv[0], strerror(errno));
    if (ok) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
        ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (!ok) {
            char said[4096];
            rewind(log);
            size_t n = fread(said, 1, sizeof said - 1, log);
            said[n] = 0;
            deq_fail(e, DEQ_LINK, "%s failed: %s", argv[0], said);
        }
    }
    fclose(log);
    return ok;
}

/* A folder for what is made on the way, beside the target; removed with all that is in it. */
typedef struct Room {
    char *folder;
    char *names[12];
    int n;
} Room;

static bool room_open(Room *room, const char *beside, deq_error *e) {
    *room = (Room){.folder = deq_temporary_folder(beside, e)};
    return room->folder;
}

static char *room_path(Room *room, const char *name) {
    char *path = text_of("%s/%s", room->folder, name);
    if (room->n == (int)(sizeof room->names / sizeof *room->names)) abort();
    return room->names[room->n++] = path;
}

static void room_close(Room *room) {
    if (room->folder) deq_temporary_folder_remove(room->folder);
    for (int i = 0; i < room->n; i++) free(room->names[i]);
    free(room->folder);
}

static bool write_part(const char *path, const void *bytes, size_t size, deq_error *e) {
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(bytes, 1, size, f) == size;
    if (f && fclose(f) != 0) ok = false;
    if (!ok) deq_fail(e, DEQ_OUTPUT, "cannot write '%s': %s", path, strerror(errno));
    return ok;
}

static char *runtime_library(deq_error *e) {
    char *folder = program_folder();
    char *found = text_of("%s/libdeqrt.a", folder);
    if (access(found, R_OK) != 0) {
        free(found);
        found = text_of("%s/../lib/libdeqrt.a", folder);
    }
    if (access(found, R_OK) != 0) {
        free(found);
        found = NULL;
    }
    if (!found) deq_fail(e, DEQ_LINK, "libdeqrt.a is neither in %s nor in %s/../lib", folder, folder);
    free(folder);
    return found;
}

static bool commit(const char *made, const char *out, deq_error *e) {
    if (rename(made, out) == 0) return true;
    deq_fail(e, DEQ_OUTPUT, "cannot write '%s': %s", out, strerror(errno));
    return false;
}

/* By this deq knows its own programs and libraries again (deq_output_replaceable). */
#define MARK "__attribute__((used)) static const char made_by[] = \"" DEQ_MADE_BY "\";\n"

#ifdef __SANITIZE_ADDRESS__ /* the runtime beside this program is instrumented as well */
#define SANITIZERS "-fsanitize=address,undefined",
#else
#define SANITIZERS
#endif
#define LIBRARIES SANITIZERS "-ljansson", "-lxxhash", "-lminizip", "-lz", "-lpthread", "-ldl", "-lm"

/* ---- command lines ---- */
typedef struct Words {
    char **items;
    size_t n;
    char *owned[64]; /* words made for this line */
    size_t nowned;
} Words;

static void words_free(Words *w) {
    for (size_t i = 0; i < w->nowned; i++) free(w->owned[i]);
    free(w->items);
}

static void add(Words *w, char *word) {
    w->items = realloc(w->items, (w->n + 2) * sizeof *w->items);
    if (!w->items) abort();
    w->items[w->n++] = word;
    w->items[w->n] = NULL;
}

static void add_all(Words *w, char *const *words) {
    for (; *words; words++) add(w, *words);
}

static bool is_shared(const char *path) {
    unsigned char head[18] = {0};
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f) fclose(f);
    return n == sizeof head && !memcmp(head, "\177ELF", 4) && (head[5] == 2 ? head[17] : head[16]) == 3;
}

/* The linked files, and for shared libraries the folder where the program finds them again. */
static void add_linked(Words *w, const LinkExtras *extras, bool shared, bool others) {
    for (int i = 0; i < extras->nobjects; i++) {
        bool library = is_shared(extras->objects[i]);
        if (library ? !shared : !others) continue;
        add(w, extras->objects[i]);
        if (!library || w->nowned == sizeof w->owned / sizeof *w->owned) continue;
        char *copy = strdup(extras->objects[i]);
        if (!copy) abort();
        w->owned[w->nowned] = text_of("-rpath=%s", dirname(copy));
        add(w, "-Xlinker"); /* unlike -Wl it takes a path with commas */
        add(w, w->owned[w->nowned++]);
        free(copy);
    }
}

bool link_shared(char *const *objects, int n, const char *out, deq_error *e) {
    Words w = {0};
    add_all(&w, (char *[]){"cc", "-shared", "-o", (char *)out, "-Wl,--whole-archive", NULL});
    for (int i = 0; i < n; i++) add(&w, objects[i]);
    add_all(&w, (char *[]){"-Wl,--no-whole-archive", "-lm", NULL});
    bool ok = run(w.items, e);
    words_free(&w);
    return ok;
}

#define PART "the-net.o" /* beside NAME.o: no net is called so */

/* As in main.c: a linked gradient in C does not end the program without a word. */
#define GUARD                                                                                                          \
    "void deq_guard_exit(int);\n"                                                                                      \
    "void _exit(int status) { deq_guard_exit(status); for (;;); }\n"                                                   \
    "void _Exit(int status) { deq_guard_exit(status); for (;;); }\n"

static bool link_program_in(Room *room, const Object *object, const LinkExtras *extras, char *runtime, deq_error *e) {
    char *source = room_path(room, "main.c"), *part = room_path(room, PART), *made = room_path(room, "program");
    char *body = text_of("%s" MARK GUARD "extern const char deq_module[];\nint deq_main(const void *, int, char **);\n"
                         "int main(int argc, char **argv) {\n    offer(deq_module);\n"
                         "    return deq_main(deq_module, argc, argv);\n}\n",
                         extras->source);
    bool ok = write_part(source, body, strlen(body), e) && write_part(part, object->bytes, object->size, e);
    free(body);
    if (!ok) return false;
    Words w = {0};
    add_all(&w, (char *[]){"cc", "-o", made, source, part, NULL});
    add_linked(&w, extras, true, true);
    add_all(&w, (char *[]){runtime, LIBRARIES, NULL});
    ok = run(w.items, e);
    words_free(&w);
    return ok;
}

bool link_program(const Object *object, const LinkExtras *extras, const char *out, deq_error *e) {
    char *runtime = runtime_library(e);
    Room room = {0};
    bool ok = runtime && room_open(&room, out, e) && link_program_in(&room, object, extras, runtime, e) &&
              commit(room.names[2], out, e);
    room_close(&room);
    free(runtime);
    return ok;
}

const char *const link_levels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64", NULL};

/* C text that makes deq_module the module of one processor: malloc'ed.  Where none is this machine's the first stands. */
static char *choice(const LinkTarget *targets, int n) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = n > 1 ? open_memstream(&text, &size) : NULL;
    if (n == 1) return text_of("extern const char deq_module[];\n");
    if (!out) abort();
    for (int k = 0; k < n; k++) fprintf(out, "extern const char deq_module_%d[];\n", k);
    fprintf(out, "static const char *deq_module_here(void) {\n    __builtin_cpu_init();\n");
    for (const char *const *level = link_levels; *level; level++)
        for (int k = 0; k < n; k++)
            if (!strcmp(targets[k].cpu, *level))
                fprintf(out, "    if (__builtin_cpu_supports(\"%s\")) return deq_module_%d;\n", *level, k);
    fprintf(out, "    return deq_module_0;\n}\n#define deq_module deq_module_here()\n");
    if (fclose(out) != 0) abort();
    return text;
}

/* The object of target k; where there are several, only its module is seen from outside, under a name of its own. */
static char *target_part(Room *room, const LinkTarget *target, int k, int n, deq_error *e) {
    char *name = n == 1 ? text_of(PART) : text_of("the-net-%d.o", k), *part = room_path(room, name);
    char *own = text_of("deq_module=deq_module_%d", k);
    const bool ok = write_part(part, target->object->bytes, target->object->size, e) &&
                    (n == 1 || (run((char *[]){"objcopy", "--keep-global-symbol=deq_module", part, NULL}, e) &&
                                run((char *[]){"objcopy", "--redefine-sym", own, part, NULL}, e)));
    free(name);
    free(own);
    return ok ? part : NULL;
}

/* NAME.o, in the room: the objects with their linked files and functions.  Two libraries may live in one program, so
 * deq_module becomes local.  No path of this machine stays in it: the same script gives the same bytes. */
static bool link_merged(Room *room, const LinkTarget *targets, int n, const LinkExtras *extras, const char *definitions,
                        char *merged, deq_error *e) {
    char *source = room_path(room, "main.c"), *chosen = choice(targets, n);
    char *body = text_of("%s" MARK "%s%s", extras->source, chosen, definitions);
    bool ok = write_part(source, body, strlen(body), e);
    free(body);
    free(chosen);
    Words w = {0};
    add_all(&w, (char *[]){"cc", "-fPIC", "-O1", "-r", "-nostdlib", "-o", merged, source, NULL});
    for (int k = 0; ok && k < n; k++) {
        char *part = target_part(room, &targets[k], k, n, e);
        ok = part != NULL;
        if (part) add(&w, part);
    }
    add_linked(&w, extras, false, true);
    ok = ok && run(w.items, e);
    words_free(&w);
    return ok &&
           run((char *[]){"objcopy", "--wildcard", "--localize-symbol=deq_module*", "--discard-all", merged, NULL}, e);
}

/* Nothing is exported but the functions of the net, and these under a version of their interface: a program linked with
 * another one does not start. */
static bool write_version(const char *path, const char *name, deq_error *e) {
    char *script = text_of("DEQ_LIBRARY_%d { global: %s_*; local: *; };\n", DEQ_LIBRARY_ABI, name);
    bool ok = write_part(path, script, strlen(script), e);
    free(script);
    return ok;
}

bool link_library(const LinkTarget *targets, int ntargets, const LinkExtras *extras, const char *name,
                  const char *definitions, const char *shared_out, const char *archive_out, deq_error *e) {
    char *runtime = runtime_library(e), *member = text_of("%s.o", name);
    Room room = {0};
    bool ok = runtime && room_open(&room, shared_out, e);
    if (ok) { /* ar names the member after the file */
        char *merged = room_path(&room, member), *shared = room_path(&room, "made.so"),
             *archive = room_path(&room, "made.a"), *version = room_path(&room, "version");
        char *script = text_of("--version-script=%s", version), *soname = text_of("-Wl,-soname,lib%s.so", name);
        Words w = {0};
        add_all(&w,
                (char *[]){"cc", "-shared", "-Wl,-s", "-Xlinker", script, soname, "-o", shared, merged, runtime, NULL});
        add_linked(&w, extras, true, false);
        add_all(&w, (char *[]){LIBRARIES, NULL});
        ok = write_version(version, name, e) && link_merged(&room, targets, ntargets, extras, definitions, merged, e) &&
             run(w.items, e) && (!archive_out || run((char *[]){"ar", "rcsD", archive, merged, NULL}, e)) &&
             commit(shared, shared_out, e) && (!archive_out || commit(archive, archive_out, e));
        words_free(&w);
        free(script);
        free(soname);
    }
    room_close(&room);
    free(member);
    free(runtime);
    return ok;
}

bool link_start(char *const *objects, const char *out, LinkJob *job) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    Words w = {0};
    add_all(&w, (char *[]){"cc", "-shared", "-nostdlib", "-o", (char *)out, NULL});
    add_all(&w, objects);
    bool ok = null >= 0 && start(w.items, null, &job->pid);
    words_free(&w);
    if (null >= 0) close(null);
    if (!ok) job->pid = 0;
    return ok;
}

bool link_finish(LinkJob *job) {
    if (job->pid <= 0) return false;
    int status = 0;
    while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR) continue;
    job->pid = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
