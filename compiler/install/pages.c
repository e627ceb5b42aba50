/* pages.c - manual pages and completions from cli.def: `deq_pages FOLDER "deq 0.2.0"` writes deq.1, deq-VERB.1, deq.bash,
 * _deq (zsh) and deq.fish.  Runs while deq is built. */
#define _GNU_SOURCE
#include "cli_table.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *flag, *words;
} words[] = {{
                 "stop-after",
#define STAGE(name) #name " "
#define EMIT(name, stage, doc)
#include "stages.def"
#undef STAGE
#undef EMIT
             },
             {
                 "emit",
#define STAGE(name)
#define EMIT(name, stage, doc) #name " "
#include "stages.def"
#undef STAGE
#undef EMIT
             },
             {"precision", "f32 f64 "},
             {"math", "inline libm "}};

static const char *words_of(const char *flag) {
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        if (strcmp(words[w].flag, flag) == 0) return words[w].words;
    return NULL;
}

static bool has(int flag, int verb) { return cli_flags[flag].verbs & (1u << verb); }

static FILE *open_page(const char *folder, const char *name) {
    char *path;
    if (asprintf(&path, "%s/%s", folder, name) < 0) abort();
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "deq_pages: cannot write '%s': %s\n", path, strerror(errno));
        exit(3);
    }
    free(path);
    return f;
}

static void close_page(FILE *f) {
    if (ferror(f) || fclose(f) != 0) exit(3);
}

/* Text for roff: hyphens and backslashes are themselves, and no line begins with a request. */
static void print_roff(FILE *f, const char *text) {
    bool first = true;
    for (const char *c = text; *c; first = *c == '\n', c++) {
        if (first && (*c == '.' || *c == '\'')) fputs("\\&", f);
        if (*c == '-')
            fputs("\\-", f);
        else if (*c == '\\')
            fputs("\\e", f);
        else
            fputc(*c, f);
    }
}

static void print_flag(FILE *f, int k) {
    fprintf(f, ".TP\n\\fB\\-%c\\fR, \\fB\\-\\-", cli_flags[k].key);
    print_roff(f, cli_flags[k].name);
    fprintf(f, "\\fR");
    if (cli_flags[k].argument) {
        fprintf(f, "=\\fI");
        print_roff(f, cli_flags[k].argument);
        fprintf(f, "\\fR");
    }
    fputc('\n', f);
    print_roff(f, cli_flags[k].doc);
    if (words_of(cli_flags[k].name)) {
        fputc(' ', f);
        print_roff(f, words_of(cli_flags[k].name));
    }
    fputc('\n', f);
}

static void write_manual_of(const char *folder, const char *version, int verb) {
    char name[64];
    snprintf(name, sizeof name, "deq-%s.1", cli_verbs[verb].name);
    FILE *f = open_page(folder, name);
    fprintf(f, ".TH DEQ\\-%s 1 \"\" \"%s\" \"User Commands\"\n.SH NAME\ndeq\\-%s \\- ", cli_verbs[verb].name, version,
            cli_verbs[verb].name);
    print_roff(f, cli_verbs[verb].summary);
    fprintf(f, "\n.SH SYNOPSIS\n.B deq %s\n[\\fIFLAG\\fR...] ", cli_verbs[verb].name);
    print_roff(f, cli_verbs[verb].arguments);
    fprintf(f, "\n.SH EXAMPLES\n.nf\n");
    print_roff(f, cli_verbs[verb].help);
    fprintf(f, "\n.fi\n.SH OPTIONS\n");
    for (int k = 0; k < FLAG_COUNT; k++)
        if (has(k, verb)) print_flag(f, k);
    fprintf(f, ".SH SEE ALSO\n.BR deq (1)\n");
    close_page(f);
}

static void write_manual(const char *folder, const char *version) {
    FILE *f = open_page(folder, "deq.1");
    fprintf(f,
            ".TH DEQ 1 \"\" \"%s\" \"User Commands\"\n.SH NAME\ndeq \\- language and compiler for deep equilibrium "
            "models\n.SH SYNOPSIS\n.B deq\n\\fIVERB\\fR [\\fIFLAG\\fR...] [\\fIFILE\\fR...]\n.SH VERBS\n",
            version);
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(f, ".TP\n\\fB%s\\fR\n", cli_verbs[v].name);
        print_roff(f, cli_verbs[v].summary);
        fputc('\n', f);
    }
    fprintf(f, ".SH EXIT STATUS\n" EXIT_CODES ".\n"
               ".SH SEE ALSO\n");
    for (int v = 0; v < VERB_COUNT; v++)
        fprintf(f, ".BR deq\\-%s (1)%s\n", cli_verbs[v].name, v + 1 < VERB_COUNT ? "," : "");
    close_page(f);
}

/* ---- completions ---- */
static void write_bash(const char *folder) {
    FILE *f = open_page(folder, "deq.bash");
    fprintf(
        f,
        "# bash completion of deq\n_deq() {\n  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}"
        "\n  COMPREPLY=()\n  if ((COMP_CWORD == 1)); then\n    COMPREPLY=($(compgen -W \"");
    for (int v = 0; v < VERB_COUNT; v++) fprintf(f, "%s ", cli_verbs[v].name);
    fprintf(f, "--help --version\" -- \"$word\"))\n    return\n  fi\n  case $before in\n");
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        fprintf(f, "    --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$word\")); return ;;\n", words[w].flag,
                words[w].words);
    fprintf(f, "  esac\n  if [[ $word == -* ]]; then\n    case ${COMP_WORDS[1]} in\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(f, "      %s) COMPREPLY=($(compgen -W \"", cli_verbs[v].name);
        for (int k = 0; k < FLAG_COUNT; k++)
            if (has(k, v)) fprintf(f, "--%s ", cli_flags[k].name);
        fprintf(f, "--help\" -- \"$word\")) ;;\n");
    }
    fprintf(f, "    esac\n    return\n  fi\n  COMPREPLY=($(compgen -f -- \"$word\"))\n}\n"
               "complete -o filenames -F _deq deq\n");
    close_page(f);
}

/* In single quotes, without brackets and colons, which zsh reads. */
static void print_zsh(FILE *f, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\'')
            fputs("'\\''", f);
        else if (*c == '[' || *c == ']' || *c == ':')
            fprintf(f, "\\%c", *c);
        else
            fputc(*c, f);
    }
}

static void write_zsh(const char *folder) {
    FILE *f = open_page(folder, "_deq");
    fprintf(f, "#compdef deq\n_deq() {\n  local -a verbs=(\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(f, "    '%s:", cli_verbs[v].name);
        print_zsh(f, cli_verbs[v].summary);
        fprintf(f, "'\n");
    }
    fprintf(f, "  )\n  if ((CURRENT == 2)); then\n    _describe verb verbs\n    return\n  fi\n  case $words[2] in\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(f, "    %s)\n      _arguments", cli_verbs[v].name);
        for (int k = 0; k < FLAG_COUNT; k++) {
            if (!has(k, v)) continue;
            fprintf(f, " \\\n        '--%s%s[", cli_flags[k].name, cli_flags[k].argument ? "=" : "");
            print_zsh(f, cli_flags[k].doc);
            fputc(']', f);
            if (cli_flags[k].argument) {
                fputc(':', f);
                print_zsh(f, cli_flags[k].argument);
                if (words_of(cli_flags[k].name))
                    fprintf(f, ":(%s)", words_of(cli_flags[k].name));
                else
                    fprintf(f, ":_files");
            }
            fputc('\'', f);
        }
        fprintf(f, " \\\n        '*:file:_files' ;;\n");
    }
    fprintf(f, "  esac\n}\n_deq \"$@\"\n");
    close_page(f);
}

static void print_fish(FILE *f, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '\'' || *c == '\\') fputc('\\', f);
        fputc(*c, f);
    }
}

static void write_fish(const char *folder) {
    FILE *f = open_page(folder, "deq.fish");
    fprintf(f, "# fish completion of deq\n");
    for (int v = 0; v < VERB_COUNT; v++) {
        fprintf(f, "complete -c deq -n __fish_use_subcommand -f -a %s -d '", cli_verbs[v].name);
        print_fish(f, cli_verbs[v].summary);
        fprintf(f, "'\n");
        for (int k = 0; k < FLAG_COUNT; k++) {
            if (!has(k, v)) continue;
            fprintf(f, "complete -c deq -n '__fish_seen_subcommand_from %s' -l %s -s %c %s", cli_verbs[v].name,
                    cli_flags[k].name, cli_flags[k].key, cli_flags[k].argument ? "-r " : "");
            if (words_of(cli_flags[k].name)) fprintf(f, "-f -a '%s' ", words_of(cli_flags[k].name));
            fprintf(f, "-d '");
            print_fish(f, cli_flags[k].doc);
            fprintf(f, "'\n");
        }
    }
    close_page(f);
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    const char *folder = argv[1], *version = argv[2];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return 3;
    write_manual(folder, version);
    for (int v = 0; v < VERB_COUNT; v++) write_manual_of(folder, version, v);
    write_bash(folder);
    write_zsh(folder);
    write_fish(folder);
    return 0;
}
