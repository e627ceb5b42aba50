/* backend.c - entry of the module: compiles units, loads objects. */
#include "jit.h"
#include "objects.h"
#include "out_of_memory.h"
#include <stdlib.h>
#include <string.h>

static char *copy(const char *s) {
    char *p = malloc(strlen(s) + 1);
    return p ? strcpy(p, s) : NULL;
}

/* Hands the modules' results over; the first error counts. */
static bool collect(Module *modules, uint32_t count, BackendResult *out) {
    for (uint32_t k = 0; k < count; k++) {
        Module *m = &modules[k];
        out->objects[k] = m->object;
        out->ll = k ? out->ll : m->ll;
        out->assembly = k ? out->assembly : m->assembly;
        if (out->error)
            free(m->error);
        else
            out->error = m->error;
        module_free(m);
    }
    out->nobjects = count;
    for (uint32_t k = 0; k < count; k++)
        if (!out->objects[k].bytes && !out->error) out->error = copy("the code generator gave no object");
    return !out->error;
}

static bool compile(const Unit *unit, const BackendOptions *options, BackendResult *out) {
    *out = (BackendResult){0};
    TargetShape shape;
    target_initialise();
    if (!target_shape(options->cpu, &shape, &out->error)) return false;
    if (shape.foreign && !options->foreign) {
        out->error =
            copy("the target CPU is of another architecture than this machine: only --emit can write code for it");
        target_shape_free(&shape);
        return false;
    }
    if (shape.foreign) target_initialise_foreign();
    if (unit->layout.panel != 2 * shape.vector_bytes / unit->layout.real_bytes) {
        out->error = copy("the routines were laid out for another CPU");
        target_shape_free(&shape);
        return false;
    }
    Arena *arena = arena_new();
    bool single = options->single || options->emit_ll || options->emit_asm;
    PlanUnit *plan = plan_unit(arena, unit, unit->layout.real_bytes, shape.tile_rows, unit->layout.panel);
    plan_modules(plan, single ? 1 : BACKEND_MODULES);
    Module modules[BACKEND_MODULES];
    for (uint32_t k = 0; k < plan->nmodules; k++)
        modules[k] = (Module){.plan = plan, .options = options, .shape = &shape, .index = k, .count = plan->nmodules};
    modules_compile(modules, plan->nmodules);
    bool ok = collect(modules, plan->nmodules, out);
    out->row_bytes = calloc(unit->nroutines + 1, sizeof *out->row_bytes);
    out->base_bytes = calloc(unit->nroutines + 1, sizeof *out->base_bytes);
    for (uint32_t k = 0; k < unit->nroutines && out->row_bytes && out->base_bytes; k++) {
        out->row_bytes[k] = plan_row_bytes(&plan->routines[k]);
        out->base_bytes[k] = plan_base_bytes(&plan->routines[k]);
    }
    arena_free(arena);
    target_shape_free(&shape);
    return ok;
}

__attribute__((visibility("default"))) const Backend *backend_entry(const BackendSymbol *symbols, uint32_t nsymbols) {
    static const Backend backend = {target_layout, target_name, compile, jit_load};
    jit_set_symbols(symbols, nsymbols);
    out_of_memory_is_said();
    return &backend;
}
