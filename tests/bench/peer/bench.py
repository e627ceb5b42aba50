"""usage: bench.py KIND SIZE BATCH IMPL THREADS [--ops a,b] [--budget s]   IMPL: plain (hand-written, no framework); prints one JSON line per op
Set OPENBLAS_CORETYPE=SkylakeX (or unset it) and ATEN_CPU_CAPABILITY=avx512 in the environment."""
import sys, os, time, json, statistics as st, argparse, gc
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
ap = argparse.ArgumentParser(); ap.add_argument('kind'); ap.add_argument('size', type=int); ap.add_argument('batch', type=int)
ap.add_argument('impl'); ap.add_argument('threads', type=int); ap.add_argument('--ops', default=''); ap.add_argument('--budget', type=float, default=0.8)
ap.add_argument('--rss', action='store_true', help='peak memory only, each op in a forked child (use THREADS 1 and default malloc)')
a = ap.parse_args()
import torch
torch.set_num_threads(a.threads); torch.manual_seed(0)
import models as M
kind, size, B = a.kind, a.size, a.batch
x, y = M.fmnist('train', B)

def status(key):
    for l in open('/proc/self/status'):
        if l.startswith(key): return int(l.split()[1]) / 1024

ops = {}
if a.impl == 'plain':
    import plain as P
    m = P.make(kind, size); xi = m.inj(x); z0 = m.z0(x); z = torch.randn_like(z0); opt = P.Sgd(m)
    u = torch.randn_like(z); lin = m.lin(z, xi)
    ops['f'] = lambda: m.f(z, xi)
    ops['vjp'] = lambda: lin[1](u)
    for how in ('broyden', 'anderson', 'picard'):
        for N in (8, 18, 50): ops[f'fwd_{how}_{N}'] = lambda how=how, N=N: P.solve(m, xi, z0, how, N)
    if kind == 'mlp':                  # whole fixed-count solve as one traced graph: no Python between operators
        for how in ('broyden', 'anderson', 'picard'):
            def build(how=how):
                import warnings; warnings.simplefilter('ignore')
                tr = torch.jit.trace(lambda q, c: P.solve(m, c, q, how, 18), (z0, xi), check_trace=False)
                def run():
                    with torch.jit.optimized_execution(False): return tr(z0, xi)
                return run
            ops[f'fwd_{how}_18_jit'] = build()
    ops['train_exact_18_20'] = lambda: P.step_exact(m, x, y, opt)
    ops['train_phantom_8_k5'] = lambda: P.step_phantom(m, x, y, opt)
    G = dict(exact_18_20=P.grad_exact, phantom_8_k5=P.grad_phantom, simadj_ens_8=P.grad_sim_adjoint, unrolled_ens_8_k5=P.grad_unrolled_inter)
    for k, g in G.items():
        ops['attackstep_' + k] = lambda g=g: g(m, x, y)
        ops['pgd10_' + k] = lambda g=g: P.pgd(g, m, x, y)
else:
    sys.exit(f'unknown IMPL {a.impl}: only plain is here')

sel = [o for o in a.ops.split(',') if o]
if a.rss:
    for name, fn in ops.items():
        if sel and not any(name.startswith(s) for s in sel) or name.startswith('pgd10'): continue
        sys.stdout.flush(); pid = os.fork()
        if pid == 0:
            gc.collect(); base = status('VmRSS'); open('/proc/self/clear_refs', 'w').write('5')
            fn(); fn(); peak = status('VmHWM')
            print(json.dumps(dict(kind=kind, size=size, batch=B, impl=a.impl, threads=a.threads, op=name, rss_base_mb=round(base, 1), rss_peak_mb=round(peak, 1), rss_delta_mb=round(peak - base, 1))), flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
    sys.exit()
last = 0
for name, fn in ops.items():
    if sel and not any(name.startswith(s) for s in sel): continue
    if name.startswith('pgd10') and last > 100:      # ten identical steps: report 10x the measured step
        rec = dict(rec, op=name, min_ms=10 * rec['min_ms'], med_ms=10 * rec['med_ms'], cpu_ms=10 * rec['cpu_ms'], note='10x attackstep')
        print(json.dumps(rec), flush=True); continue
    gc.collect(); base = status('VmRSS')
    open('/proc/self/clear_refs', 'w').write('5')      # reset the peak
    fn(); peak = status('VmHWM')
    fn()
    w, c, t0 = [], [], time.perf_counter()
    while len(w) < 3 or (time.perf_counter() - t0 < a.budget and len(w) < 400):
        q0, q1 = time.perf_counter(), time.process_time(); fn(); w.append(time.perf_counter() - q0); c.append(time.process_time() - q1)
    last = st.median(w) * 1e3
    rec = dict(kind=kind, size=size, batch=B, impl=a.impl, threads=a.threads, op=name, min_ms=round(min(w) * 1e3, 4), med_ms=round(last, 4),
               cpu_ms=round(st.median(c) * 1e3, 4), n=len(w), rss_base_mb=round(base, 1), rss_peak_mb=round(peak, 1), rss_delta_mb=round(peak - base, 1))
    if name == 'f': rec['gflops_best'] = round(M.flops_f(kind, size, B) / min(w) / 1e9, 1)
    print(json.dumps(rec), flush=True)
