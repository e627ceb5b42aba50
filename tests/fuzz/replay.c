/* replay.c - drives a fuzz target without libFuzzer: replay EDITS FILE-OR-FOLDER...
 *
 * Every file is run as it is, and EDITS times with a few random edits: tokens dropped, doubled, exchanged, replaced by
 * a word of the language or by bytes, and the text cut off.  Edits of valid programs reach what random bytes never do.
 * The sequence is fixed, so that a failure can be repeated; the input that fails is left in replay-failure.deq. */
#include "fuzz.h"
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 1 << 20, MAX_TOKENS = 20000 };

static uint64_t seed = 0x9e3779b97f4a7c15u;
static long edits, runs;
static char *current;
static size_t current_length;

static uint32_t draw(uint32_t n) { /* below n */
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % n;
}

static bool finished;

static void keep_input(void) {
    FILE *f = finished ? NULL : fopen("replay-failure.deq", "wb");
    if (!f) return;
    fwrite(current, 1, current_length, f);
    fclose(f);
}

static void keep_failure(int signal_number) {
    keep_input();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run(char *text, size_t n) {
    current = text;
    current_length = n;
    LLVMFuzzerTestOneInput((const uint8_t *)text, n);
    runs++;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
}

/* Starts of words, runs of blanks and single characters; the last entry is the end. */
static uint32_t cut(const char *text, size_t n, uint32_t *starts) {
    uint32_t count = 0;
    for (size_t i = 0; i < n && count < MAX_TOKENS - 1;) {
        starts[count++] = (uint32_t)i;
        size_t k = i + 1;
        if (is_word(text[i]))
            while (k < n && is_word(text[k])) k++;
        else if (text[i] == ' ')
            while (k < n && text[k] == ' ') k++;
        i = k;
    }
    starts[count] = (uint32_t)n;
    return count;
}

static const char *const words[] = {
    "import",   "fn",    "layer",     "let",      "return",     "param",  "use",   "fixed",    "point",    "if",
    "then",     "else",  "for",       "in",       "true",       "and",    "not",   "with",     "under",    "on",
    "data",     "train", "attack",    "defence",  "sweep",      "of",     "by",    "buffer",   "const",    "state",
    "repeat",   "table", "optimiser", "schedule", "experiment", "test",   "check", "hand",     "(",        ")",
    "[",        "]",     "{",         "}",        "\n",         ";",      ",",     ":",        "=",        "'",
    "->",       "..",    "**",        "|>",       "@",          "-",      ".",     "//",       "///",      "\"",
    "0",        "1e9",   "1.5",       "x",        "f32",        "f32[N]", "\"s\"", "\xff",     "$",        "\\",
    "f(z; x)",  "d(W)",  "a: 1",      "-1",       "==",         "label",  "zeros", "implicit", "anderson", "x = x\n",
    "gradient", "\t",    "\r\n",      "0..8"};

static size_t edit(const char *text, size_t n, char *out) {
    static uint32_t starts[MAX_TOKENS];
    uint32_t count = cut(text, n, starts);
    size_t length = 0;
    if (count == 0) return 0;
    uint32_t at = draw(count), other = draw(count), kind = draw(16);
    for (uint32_t i = 0; i < count && length < MAX_FILE; i++) {
        uint32_t take = i;
        if (i == at) {
            if (kind < 4) continue; /* drop */
            if (kind < 6)
                take = other;
            else if (kind < 8) { /* double */
                memcpy(out + length, text + starts[i], starts[i + 1] - starts[i]);
                length += starts[i + 1] - starts[i];
            } else if (kind < 14) { /* a word before it or in its place */
                const char *word = words[draw(sizeof words / sizeof *words)];
                memcpy(out + length, word, strlen(word));
                length += strlen(word);
                if (kind & 1) continue;
            } else if (kind == 14) {
                out[length++] = (char)draw(256);
            } else {
                return length; /* cut off */
            }
        }
        memcpy(out + length, text + starts[take], starts[take + 1] - starts[take]);
        length += starts[take + 1] - starts[take];
    }
    return length;
}

static void replay_file(const char *path) {
    static char text[MAX_FILE], a[2 * MAX_FILE + 64], b[2 * MAX_FILE + 64];
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        exit(1);
    }
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    run(text, n);
    for (long e = 0; e < edits; e++) {
        size_t length = n < MAX_FILE ? n : MAX_FILE;
        memcpy(a, text, length);
        for (uint32_t k = 1 + draw(3); k > 0 && length < MAX_FILE; k--) {
            length = edit(a, length, b);
            memcpy(a, b, length);
        }
        run(a, length);
    }
}

static void replay(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode)) {
        replay_file(path);
        return;
    }
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            char child[4096];
            snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name);
            replay(child);
        }
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s EDITS FILE-OR-FOLDER...\n", argv[0]);
        return 64;
    }
    edits = atol(argv[1]);
    atexit(keep_input); /* an internal error exits */
    signal(SIGABRT, keep_failure);
    signal(SIGSEGV, keep_failure);
    char nothing[1] = "";
    run(nothing, 0); /* what libFuzzer gives first */
    for (int i = 2; i < argc; i++) replay(argv[i]);
    finished = true;
    printf("%ld inputs\n", runs);
    return runs > 1 ? 0 : 1;
}
