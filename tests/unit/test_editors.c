/* Grammars of editors name the words of the language: each list is that of the tables, in every file of lang/editors. */
#include "lang_support.h"
#include "tables.h"
#include "words.h"
#include <ctype.h>

enum { MOST = 256 };

typedef struct Words {
    const char *items[MOST];
    size_t n;
} Words;

static Arena *arena;

static bool has(const Words *w, const char *word) {
    for (size_t i = 0; i < w->n; i++)
        if (strcmp(w->items[i], word) == 0) return true;
    return false;
}

static void add(Words *w, const char *word) {
    if (has(w, word)) return;
    assert_true(w->n < MOST);
    w->items[w->n++] = word;
}

static Words grammar_words(void) {
    Words w = {.n = 0};
    bool reserved;
    const char *word;
    for (uint32_t i = 0; (word = language_word(i, &reserved)); i++) add(&w, word);
    return w;
}

static Words builtin_words(void) {
    Words w = {.n = 0};
    for (const Builtin *b = builtin_table; b->name; b++) add(&w, b->name);
    return w;
}

/* Parts of the names of solvers, modes, penalties and finishes that are neither. */
static Words row_words(void) {
    static const deq_family *const families[] = {&deq_solver_family, &deq_mode_family, &deq_penalty_family,
                                                 &deq_finish_family};
    const Words others[] = {grammar_words(), builtin_words()};
    Words w = {.n = 0};
    for (size_t f = 0; f < 4; f++)
        for (int i = 0; i < families[f]->nrows; i++)
            for (const char *p = families[f]->rows[i].name; *p;) {
                const char *word = arena_strndup(arena, p, strcspn(p, "."));
                if (!has(&others[0], word) && !has(&others[1], word)) add(&w, word);
                p += strlen(word) + (p[strlen(word)] == '.');
            }
    return w;
}

static Words type_words(void) {
    return (Words){{"bool", "f32", "f64", "int", "label", "schedule"}, 6}; /* check_size.c */
}

static const char *file_text(const char *name) {
    const char *path = arena_printf(arena, "%s/lang/editors/%s", DEQ_SOURCE_DIR, name), *reason = NULL;
    const Source *s = source_read(arena, path, &reason);
    if (!s) fail_msg("%s %s", path, reason);
    return s->text;
}

/* The words behind every `begin` in the text, up to the next character of `ends`. */
static Words words_between(const char *text, const char *begin, const char *ends) {
    Words w = {.n = 0};
    for (const char *p = text; (p = strstr(p, begin));) {
        p += strlen(begin);
        const char *end = p + strcspn(p, ends);
        while (p < end) {
            size_t n = 0;
            while (p + n < end && (isalnum((unsigned char)p[n]) || p[n] == '_')) n++;
            if (n) add(&w, arena_strndup(arena, p, n));
            p += n ? n : 1;
        }
    }
    return w;
}

static void compare(const char *file, const char *begin, const char *ends, const Words *want) {
    const Words got = words_between(file_text(file), begin, ends);
    for (size_t i = 0; i < want->n; i++)
        if (!has(&got, want->items[i]))
            fail_msg("lang/editors/%s lacks '%s' (behind \"%s\")", file, want->items[i], begin);
    for (size_t i = 0; i < got.n; i++)
        if (!has(want, got.items[i]))
            fail_msg("lang/editors/%s has '%s', which is no such word (behind \"%s\")", file, got.items[i], begin);
}

static void lists(void **state) {
    (void)state;
    const struct {
        Words words;
        const char *textmate, *vim, *pygments, *emacs;
    } all[] = {{grammar_words(), "keyword.control.deq\",\n      \"match\": \"\\\\b(?:", "syn keyword deqWord",
                "WORDS = (", "deq-words '("},
               {type_words(), "support.type.deq\",\n      \"match\": \"\\\\b(?:", "syn keyword deqType", "TYPES = (",
                "deq-types '("},
               {row_words(), "support.constant.deq\",\n      \"match\": \"\\\\b(?:", "syn keyword deqRow", "ROWS = (",
                "deq-rows '("},
               {builtin_words(), "support.function.deq\",\n      \"match\": \"\\\\b(?:", "syn keyword deqBuiltin",
                "BUILTINS = (", "deq-builtins '("}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true(all[i].words.n > 4);
        compare("vscode/syntaxes/deq.tmLanguage.json", all[i].textmate, ")", &all[i].words);
        compare("vim/syntax/deq.vim", all[i].vim, "\n", &all[i].words);
        compare("pygments/deq_lexer.py", all[i].pygments, ")", &all[i].words);
        compare("emacs/deq-mode.el", all[i].emacs, ")", &all[i].words);
    }
}

int main(void) {
    arena = arena_new();
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
