/* engine.c - a net's routines, parameters and workers from its manifest. */
#include "engine_partners.h"
#include "init.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (512 << 10) /* what a block's solve may take of the second-level cache */
#define BLOCK_LEAST 8
#define BLOCK_IMAGES 4
#define BLOCK_MOST 64
#define BLOCK_HEAVY 8                     /* images that share heavy weights: more save no time, and take memory */
#define HEAVY ((int64_t)16 << 20)         /* bytes of weights that leave the caches, */
#define HEAVY_IMAGES ((int64_t)512 << 10) /* and of those that the compiler transforms to four times as many */
#define SCRATCH_MOST ((int64_t)256 << 20) /* of a block in one routine */

const deq_routine *engine_routine(const deq_engine *engine, const char *name) {
    const deq_module *m = engine->module;
    for (int64_t i = 0; name && i < m->routine_count; i++)
        if (!strcmp(m->routines[i].name, name)) return &m->routines[i];
    return NULL;
}

/* Row stride of a value of `count` elements. */
static int64_t engine_stride(const deq_engine *engine, int64_t count) {
    return (count * engine->real_bytes + DEQ_ALIGN - 1) / DEQ_ALIGN * DEQ_ALIGN;
}

/* ---- from the manifest: what does not fit is the compiler's fault, hence DEQ_MODULE ---- */

/* A routine by name; NULL: there is none. */
static bool find_routine(const deq_engine *g, const char *name, const deq_routine **out, deq_error *e) {
    *out = engine_routine(g, name);
    if (name && !*out) return deq_fail(e, DEQ_MODULE, "the compiled object has no routine %s", name);
    return true;
}

static bool open_fixed(deq_engine *g, deq_error *e) {
    g->nfixed = g->net->nfixed;
    size_t count = (size_t)g->nfixed + 1;
    g->fixed = calloc(count, sizeof *g->fixed);
    g->descriptors = calloc(count, sizeof *g->descriptors);
    g->settings = calloc(count, sizeof *g->settings);
    g->attacking = calloc(count, sizeof *g->attacking);
    g->corrections = calloc(count, sizeof *g->corrections);
    if (!g->fixed || !g->descriptors || !g->settings || !g->attacking || !g->corrections)
        return deq_fail(e, DEQ_MEMORY, "the fixed points of net %s", g->name);
    for (int i = 0; i < g->nfixed; i++) {
        const deq_fixed_spec *f = &g->net->fixed[i];
        g->fixed[i].path = f->path;
        for (int64_t k = 0; k < g->module->fixed_count; k++)
            if (!strcmp(g->module->fixed[k]->name, f->name)) g->descriptors[i] = g->module->fixed[k];
        g->fixed[i].descriptor = g->descriptors[i];
        if (!g->descriptors[i] || g->descriptors[i]->index != i)
            return deq_fail(e, DEQ_MODULE, "the compiled object has no fixed point %s of net %s", f->name, g->name);
        if (!deq_hands_new(g->module, f, &g->fixed[i].hands, e)) return false;
        g->settings[i].hands = &g->fixed[i].hands;
        if (!deq_fixed_defaults(&g->settings[i], e)) return false;
        const char *const given[DEQ_FIXED_KEYS] = {
#define FIXED_SETTING(key, kind, words, fallback, doc) [DEQ_FIXED_KEY_##key] = f->key,
#include "fixed_settings.def"
        };
        for (int k = 0; k < DEQ_FIXED_KEYS; k++)
            if (given[k] && !deq_fixed_set(&g->settings[i], deq_fixed_table[k].key, given[k], e)) return false;
    }
    return true;
}

static bool open_losses(deq_engine *g, deq_error *e) {
    const deq_target *target = &g->net->target;
    int64_t target_count = target->labels ? 1 : target->shape.elements;
    g->labels = target->labels > 0;
    g->target_bytes = g->widest_target_bytes = engine_stride(g, target_count);
    g->nlosses = g->net->nlosses;
    g->nmetrics = g->net->nmetrics;
    g->losses = calloc((size_t)g->nlosses + 1, sizeof *g->losses);
    g->metrics = calloc((size_t)g->nmetrics + 1, sizeof *g->metrics);
    if (!g->losses || !g->metrics) return deq_fail(e, DEQ_MEMORY, "the losses of net %s", g->name);
    for (int i = 0; i < g->nlosses; i++) {
        const deq_loss_spec *spec = &g->net->losses[i];
        engine_loss *l = &g->losses[i];
        l->name = spec->name;
        l->routines = spec->routines;
        l->settings = spec->settings;
        l->nsettings = spec->nsettings;
        if (l->nsettings > g->most_settings) g->most_settings = l->nsettings;
        if (!find_routine(g, spec->loss, &l->loss, e) || !find_routine(g, spec->input, &l->input, e) ||
            !find_routine(g, spec->parameters, &l->parameters, e) || !find_routine(g, spec->replay, &l->replay, e) ||
            !find_routine(g, spec->clean, &l->clean, e) || !find_routine(g, spec->attacked, &l->attacked, e))
            return false;
        g->pairs = g->pairs || l->attacked;
        /* `projection` (gradcheck's loss) projects the output on a y of the same shape. */
        l->target_count = strcmp(l->name, "projection") ? target_count : g->output_count;
        l->target_bytes = engine_stride(g, l->target_count);
        if (l->target_bytes > g->widest_target_bytes) g->widest_target_bytes = l->target_bytes;
    }
    for (int i = 0; i < g->nmetrics; i++) {
        g->metrics[i].name = g->net->metrics[i].name;
        if (!find_routine(g, g->net->metrics[i].routine, &g->metrics[i].routine, e)) return false;
    }
    return true;
}

/* ---- workers ---- */

/* Generated code takes images one at a time, or a few where weights are heavy; of other rows it takes tiles of several. */
static void find_least(deq_engine *g) {
    for (int i = 0; i < g->net->nparameters; i++)
        g->images = g->images || g->net->parameters[i].shape.rank == 4; /* weights of a convolution */
    g->heavy = g->parameter_bytes > (g->images ? HEAVY_IMAGES : HEAVY);
    g->least = !g->images ? BLOCK_LEAST : g->heavy ? BLOCK_IMAGES : 1;
}

/* What the solve of an example and its gradient take, about. */
static int64_t solve_bytes(const deq_engine *g) {
    int64_t each = g->input_bytes + g->output_bytes;
    for (int i = 0; i < g->nfixed; i++) {
        const deq_fixed *f = g->descriptors[i];
        const deq_fixed_settings *s = &g->settings[i];
        int64_t history = s->forward.kind == DEQ_SOLVER_anderson ? 2 * s->forward.memory : s->forward.max;
        int64_t tapes = deq_mode_has(&s->gradient, TRAIT_JOINT) ? 1 : s->gradient.steps;
        each += f->state_bytes * (4 + (history < 20 ? history : 20)) + f->tape_bytes * tapes + f->rest_bytes +
                f->f_row_bytes;
    }
    return each;
}

/* Examples of a block.  Where the states outweigh the parameters (convolutions), a block's solve should fit the cache;
 * where the parameters do (dense layers), reading them once for many examples matters more.  From the model alone, so
 * that results do not depend on where they are computed. */
static int64_t choose_block(const deq_engine *g) {
    int64_t row = 0, states = 0; /* explicit nets keep the activations of all layers */
    int64_t most = g->images && g->heavy ? BLOCK_HEAVY : BLOCK_MOST;
    for (int i = 0; i < g->nfixed; i++) states += g->descriptors[i]->state_bytes;
    size_t length = strlen(g->name);
    for (int64_t i = 0; i < g->module->routine_count; i++) {
        const deq_routine *r = &g->module->routines[i];
        if (!strncmp(r->name, g->name, length) && r->name[length] == '_' && r->row_bytes > row) row = r->row_bytes;
    }
    while (most > 1 && most * row > SCRATCH_MOST) most /= 2;
    if (g->parameter_bytes >= BLOCK_MOST * states) return most;
    int64_t block = BLOCK_BYTES / g->solve_bytes / g->least * g->least;
    block = block < g->least ? g->least : block;
    return block > most ? most : block;
}

static void lay_out(const deq_engine *g, engine_worker *w, deq_space *space) {
    size_t block = (size_t)g->capacity;
    w->x = deq_space_take(space, block * (size_t)g->input_bytes);
    w->adversarial = deq_space_take(space, block * (size_t)g->input_bytes);
    w->dx = deq_space_take(space, block * (size_t)g->input_bytes);
    w->y = deq_space_take(space, block * (size_t)g->widest_target_bytes);
    w->output = deq_space_take(space, block * (size_t)g->output_bytes);
    w->loss = deq_space_take(space, block * DEQ_ALIGN);
    w->metric = deq_space_take(space, block * DEQ_ALIGN);
    w->penalty = deq_space_take(space, block * sizeof *w->penalty);
    w->corrected = deq_space_take(space, block * sizeof *w->corrected);
    w->example = deq_space_take(space, block * sizeof *w->example);
    if (g->pairs) {
        w->clean = deq_space_take(space, block * (size_t)g->output_bytes);
        w->clean_dx = deq_space_take(space, block * (size_t)g->input_bytes);
        w->record = deq_space_take(
            space, block * (size_t)(g->output_bytes + g->widest_target_bytes + g->most_settings * DEQ_ALIGN));
    }
    if (g->pairs && g->net->training) w->spare = deq_space_take(space, (size_t)g->accum_bytes);
    w->scratch = deq_space_take(space, (size_t)g->scratch_bytes);
}

bool engine_scratch(deq_engine *g, int64_t bytes, deq_error *e) {
    if (bytes > g->scratch_bytes) g->scratch_bytes = bytes;
    for (int i = 0; i < g->nworkers; i++) {
        engine_worker *w = &g->workers[i];
        deq_space space = {NULL, 0};
        lay_out(g, w, &space);
        if (space.used > w->memory_bytes) {
            free(w->memory);
            w->memory_bytes = 0;
            w->memory = deq_memory_new(space.used);
            if (!w->memory) return deq_fail(e, DEQ_MEMORY, "%zu bytes for a worker's buffers", space.used);
            memset(w->memory, 0, space.used);
            w->memory_bytes = space.used;
        }
        space = (deq_space){w->memory, 0};
        lay_out(g, w, &space);
    }
    return true;
}

static bool make_solver(deq_engine *g, engine_worker *w, deq_error *e) {
    deq_worker_free(w->solver);
    w->solver = deq_worker_new(g->real_bits, g->capacity, g->descriptors, g->nfixed);
    if (!w->solver) return deq_fail(e, DEQ_MEMORY, "the workers of net %s", g->name);
    w->solver->resolvents = &g->resolvents;
    return true;
}

bool engine_team(deq_engine *g, int members, deq_error *e) {
    if (g->team && deq_team_members(g->team) == members) return true;
    deq_team_free(g->team);
    g->team = deq_team_new(members, g->threads);
    if (!g->team) return deq_fail(e, DEQ_MEMORY, "the threads of a batch of net %s", g->name);
    if (members <= g->nworkers) return true;
    engine_worker *more = realloc(g->workers, (size_t)members * sizeof *more);
    if (!more) return deq_fail(e, DEQ_MEMORY, "the workers of net %s", g->name);
    g->workers = more;
    for (; g->nworkers < members; g->nworkers++) {
        g->workers[g->nworkers] = (engine_worker){0};
        if (!make_solver(g, &g->workers[g->nworkers], e)) return false;
    }
    return engine_scratch(g, 0, e);
}

bool engine_capacity(deq_engine *g, int64_t rows, deq_error *e) {
    if (rows <= g->capacity) return true;
    g->capacity = rows;
    for (int i = 0; i < g->nworkers; i++)
        if (!make_solver(g, &g->workers[i], e)) return false;
    /* The net's routines are named after it; those of its attacks too. */
    int64_t scratch = 0;
    size_t length = strlen(g->name);
    for (int64_t i = 0; i < g->module->routine_count; i++) {
        const deq_routine *r = &g->module->routines[i];
        int64_t bytes = r->base_bytes + rows * r->row_bytes;
        if (!strncmp(r->name, g->name, length) && r->name[length] == '_' && bytes > scratch) scratch = bytes;
    }
    return engine_scratch(g, scratch, e);
}

static bool make_workers(deq_engine *g, const deq_engine_options *options, deq_error *e) {
    find_least(g);
    g->solve_bytes = solve_bytes(g);
    g->block = options && options->block > 0 ? options->block : choose_block(g);
    g->dealt = options && options->dealt;
    g->pool = deq_pool_new(options ? options->threads : 0);
    if (!g->pool) return deq_fail(e, DEQ_MEMORY, "the worker threads");
    g->threads = g->nworkers = deq_pool_threads(g->pool);
    g->workers = calloc((size_t)g->threads, sizeof *g->workers);
    if (!g->workers) return deq_fail(e, DEQ_MEMORY, "the workers of net %s", g->name);
    return engine_capacity(g, g->block, e);
}

static char *zeroed(int64_t bytes, deq_error *e, const char *what, const char *name) {
    char *at = deq_memory_new((size_t)bytes);
    if (at)
        memset(at, 0, (size_t)bytes);
    else
        deq_fail(e, DEQ_MEMORY, "%lld bytes for %s of net %s", (long long)bytes, what, name);
    return at;
}

static bool open_net(deq_engine *g, const deq_engine_options *options, deq_error *e) {
    const deq_module *m = g->module;
    const deq_net_spec *net = g->net;
    g->name = net->name;
    if (m->abi_version != DEQ_ABI_VERSION || (m->real_bits != 32 && m->real_bits != 64))
        return deq_fail(e, DEQ_MODULE,
                        "compiled for interface version %lld with %lld-bit reals, this runtime has version %d",
                        (long long)m->abi_version, (long long)m->real_bits, DEQ_ABI_VERSION);
    g->real_bits = (int)m->real_bits;
    g->real_bytes = g->real_bits / 8;
    g->input_count = net->input.elements;
    g->output_count = net->output.elements;
    g->input_bytes = engine_stride(g, g->input_count);
    g->output_bytes = engine_stride(g, g->output_count);
    g->parameter_bytes = net->parameter_bytes;
    g->shared_bytes = net->shared_bytes;
    g->accum_bytes = net->accum_bytes;
    if (g->parameter_bytes % (DEQ_CHUNK * g->real_bytes))
        return deq_fail(e, DEQ_MODULE, "the parameters of net %s are no whole chunks", g->name);
    if (!find_routine(g, net->prepare, &g->prepare, e) || !find_routine(g, net->finish, &g->finish, e) ||
        !find_routine(g, net->predict, &g->predict, e) || !find_routine(g, net->statistics, &g->statistics, e))
        return false;
    if (net->objective) {
        char name[512];
        snprintf(name, sizeof name, "%s_input", net->objective);
        g->objective_input = engine_routine(g, name);
        snprintf(name, sizeof name, "%s_parameters", net->objective);
        g->objective_parameters = engine_routine(g, name);
        snprintf(name, sizeof name, "%s_vjp", net->objective);
        g->objective_vjp = engine_routine(g, name);
    }
    if (!open_fixed(g, e) || !open_losses(g, e) || !make_workers(g, options, e)) return false;
    g->owner = options && options->share ? options->share->owner : g;
    g->shared = g->owner == g ? zeroed(g->shared_bytes, e, "the parameters", g->name) : g->owner->shared;
    g->gradients = zeroed(g->accum_bytes, e, "the gradient", g->name);
    return g->shared && g->gradients;
}

deq_engine *deq_engine_new(const deq_module *module, const deq_net_spec *net, const deq_engine_options *options,
                           deq_error *e) {
    deq_engine *g = calloc(1, sizeof *g);
    if (!g) {
        deq_fail(e, DEQ_MEMORY, "a net");
        return NULL;
    }
    g->module = module;
    g->net = net;
    pthread_mutex_init(&g->shards_lock, NULL);
    if (open_net(g, options, e)) return g;
    deq_engine_free(g);
    return NULL;
}

void deq_engine_free(deq_engine *g) {
    if (!g) return;
    deq_pool_free(g->pool);
    deq_team_free(g->team);
    engine_partners_free(g);
    for (int i = 0; g->workers && i < g->nworkers; i++) {
        deq_worker_free(g->workers[i].solver);
        free(g->workers[i].memory);
    }
    for (int s = 0; s < DEQ_SHARDS; s++) free(g->shards[s]);
    for (int s = 0; s < g->nvectors; s++) free(g->vectors[s]);
    pthread_mutex_destroy(&g->shards_lock);
    deq_resolvents_clear(&g->resolvents);
    for (uint32_t i = 0; i < g->saves; i++) free(g->saved[i]);
    free(g->saved);
    free(g->workers);
    if (g->owner == g) free(g->shared);
    free(g->gradients);
    free(g->states);
    free(g->gathered);
    free(g->rates);
    free(g->before);
    free(g->previous);
    deq_engine_hold(g, 0, NULL);
    free(g->losses);
    free(g->metrics);
    for (int i = 0; g->fixed && i < g->nfixed; i++) deq_hands_free(&g->fixed[i].hands);
    free(g->fixed);
    free(g->descriptors);
    free(g->settings);
    free(g->attacking);
    free(g->corrections);
    free(g);
}

bool deq_engine_init(deq_engine *g, uint64_t seed, deq_error *e) {
    for (int i = 0; i < g->net->nparameters; i++) {
        const deq_parameter *p = &g->net->parameters[i];
        if (!deq_initialise(p->init, p->shape.dim, p->shape.rank, seed, p->path, g->real_bits, g->shared + p->offset,
                            e))
            return false;
    }
    deq_engine_prepare(g);
    return true;
}

void *deq_engine_parameters(deq_engine *g) { return g->shared; }
void *deq_engine_gradients(deq_engine *g) { return g->gradients; }
bool deq_engine_training(const deq_engine *g) { return g->net->training; }
int64_t deq_engine_block(const deq_engine *g) { return g->block; }
const deq_net_spec *deq_engine_net(const deq_engine *g) { return g->net; }
size_t deq_engine_input_bytes(const deq_engine *g) { return (size_t)(g->input_count * g->real_bytes); }
int deq_engine_threads(const deq_engine *g) { return g->threads; }

#define PIECE_BYTES (128 << 10) /* of the values of a routine in pieces, for each piece: less is not worth a thread */

typedef struct pieces {
    deq_engine *engine;
    const deq_routine *routine;
    int64_t count;
} pieces;

static void piece_task(void *context, int worker, int64_t piece) {
    const pieces *p = context;
    const deq_engine *g = p->engine;
    deq_frame frame = {.shared = g->shared,
                       .accum = g->gradients,
                       .scratch = g->workers[worker].scratch,
                       .host = g->workers[worker].solver,
                       .seed = (uint64_t)p->count,
                       .step = (uint64_t)piece};
    p->routine->function(&frame, 1);
}

void engine_in_pieces(deq_engine *g, const deq_routine *routine, int64_t bytes) {
    const int64_t count = g->threads == 1 ? 1 : bytes / PIECE_BYTES;
    if (!routine) return;
    pieces p = {g, routine, count < 1 ? 1 : count > 64 ? 64 : count};
    deq_pool_run(g->pool, p.count, piece_task, &p);
}

uint64_t deq_engine_prepared(const deq_engine *g) { return g->owner->prepared; }

void deq_engine_prepare(deq_engine *g) {
    g->owner->prepared++;
    engine_in_pieces(g, g->prepare, g->shared_bytes);
}

int64_t deq_engine_memory(const deq_engine *g) {
    int64_t bytes = g->shared_bytes + g->accum_bytes + g->state_count * g->parameter_bytes;
    bytes += g->vectors_made * g->accum_bytes + engine_partners_bytes(g);
    for (int i = 0; i < g->resolvents.count; i++) {
        int64_t row = g->resolvents.items[i].fixed->state_bytes;
        bytes += row / g->real_bytes * row;
    }
    for (int i = 0; i < g->nworkers; i++) {
        const deq_worker *w = g->workers[i].solver;
        const deq_fixed_settings *settings[1] = {g->settings};
        int64_t planned = (int64_t)deq_worker_bytes(w, settings, 1, g->defence.given), held = (int64_t)w->memory_bytes;
        bytes += (int64_t)g->workers[i].memory_bytes + (held > planned ? held : planned);
    }
    return bytes;
}
