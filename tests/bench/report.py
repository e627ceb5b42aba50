"""RESULTS.md, all of it, from the data that run.py gathers."""
import math, time
from rows import BY_TITLE, GRADIENTS, ROUTINES, ROWS, SOLVES, TORCHDEQ, WHOLE, split_model


def mean(values):
    """Geometric."""
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


def table(heads, rows):
    """heads: 'ratio>' stands on the right."""
    lines = ["| " + " | ".join(h.rstrip(">") for h in heads) + " |", "|" + "|".join("--:" if h.endswith(">") else "---" for h in heads) + "|"]
    return lines + ["| " + " | ".join(r) + " |" for r in rows] + [""]


class Config:
    """All sides of one model, batch and thread count."""
    def __init__(self, data, model, batch, threads):
        self.model, self.batch, self.threads = model, batch, threads
        self.side = {s: data["pieces"].get(f"{s} {model} {batch} {threads}") for s in ("deq", "peer", "torchdeq")}

    def name(self):
        return f"{self.model}, batch {self.batch}, {self.threads} thread{'s' * (self.threads > 1)}"

    def row(self, title, side="deq"):
        return self.side[side]["rows"].get(title) if self.side[side] else None

    def ms(self, title, side="deq"):
        """Of the whole batch; deq's f and vjp_z are timed on a block."""
        r = self.row(title, side)
        if not r: return None
        return 1e3 * r["median"] * self.batch / r["examples"] if side == "deq" else r["med_ms"]

    def ratio(self, title, side="peer"):
        ours, theirs = self.ms(title), self.ms(title, side)
        return theirs / ours if ours and theirs else None

    def ratios(self, titles, side="peer"):
        return [(self.ratio(t, side), t, self) for t in titles if self.ratio(t, side)]

    def share(self, title):
        r = self.row(title)
        return r.get("share") if r else None


def configs_of(data):
    keys = sorted({tuple(k.split()[1:]) for k in data["pieces"] if k.split()[0] in ("deq", "peer", "torchdeq")},
                  key=lambda k: ("mlp conv mdeq".split().index(split_model(k[0])[0]), split_model(k[0])[1], int(k[1]), int(k[2])))
    return [Config(data, m, int(b), int(t)) for m, b, t in keys]


def percent(x):
    return f"{100 * x:.0f}%"


def span(values):
    """'89 to 96%'; of several numbers that are shares."""
    low, high = min(values), max(values)
    return percent(low) if f"{100 * low:.0f}" == f"{100 * high:.0f}" else f"{100 * low:.0f} to {percent(high)}"


def scaling(configs, model, batch):
    """Per row, one thread's time over that of two."""
    one, two = (next((c for c in configs if (c.model, c.batch, c.threads) == (model, batch, n)), None) for n in (1, 2))
    if not one or not two: return []
    return [(one.ms(t) / two.ms(t), t, two) for t in WHOLE if one.ms(t) and two.ms(t)]


class Targets:
    """Rows of the table of targets."""
    def __init__(self):
        self.rows = []

    def add(self, target, where, reached, measured, why=""):
        self.rows.append([target, where, "yes" if reached else "no", measured, why])

    def missing(self, target, where):
        self.rows.append([target, where, "not measured", "", ""])

    def text(self):
        known = [r for r in self.rows if r[2] != "not measured"]
        return [f"{sum(r[2] == 'yes' for r in known)} of {len(known)} reached.", ""] + table(["target", "of", "reached", "measured", "what bounds it"], self.rows)


def bound_text(found):
    """How much of deq's time no implementation with these kernels could leave out, and where that would end."""
    rows = [(c.row(t), c, t) for _, t, c in found]
    rows = [(r, c, t) for r, c, t in rows if r.get("bound")]
    if not rows: return ""
    text = f"f, products with J' and what comes with them are {span([r['bound'] / r['median'] for r, _, _ in rows])} of deq's time"
    least = min(c.ms(t, "peer") / (1e3 * r["bound"]) for r, c, t in rows)
    return text + f"; with nothing else the least ratio would be {least:.2f}"


def add_ratio_target(targets, what, titles, model, threads, configs):
    found = [q for c in configs if c.model == model and c.threads == threads for q in c.ratios(titles)]
    target, where = f"{what}: every row 2x, 3x in the mean", f"{model}, {threads} thread{'s' * (threads > 1)}"
    if not found: return targets.missing(target, where)
    (least, row, c), middle = min(found, key=lambda q: q[0]), mean(q for q, _, _ in found)
    targets.add(target, where, least >= 2 and middle >= 3, f"least {least:.2f} ({row}, batch {c.batch}), mean {middle:.2f}", bound_text(found))


def add_routines(targets, model, configs):
    wish = 0.70 if model == "mlp128" else 0.85
    target = f"f and vjp_z at least {percent(wish)} of the peak, never slower than PyTorch"
    mine = [c for c in configs if c.model == model and c.threads == 1]
    shares = [c.share(t) for c in mine for t in ROUTINES if c.share(t)]
    found = [q for c in mine for q in c.ratios(ROUTINES)]
    if not shares or not found: return targets.missing(target, model)
    least, row, c = min(found, key=lambda q: q[0])
    targets.add(target, model, min(shares) >= wish and least >= 1, f"{span(shares)} of the peak; least ratio {least:.2f} ({row}, batch {c.batch})")


def add_scaling(targets, model, configs):
    batch = min((c.batch for c in configs if c.model == model), default=0)
    found, target = scaling(configs, model, batch), "2 threads at least 1.9 times 1"
    if not found: return targets.missing(target, model)
    least, row, _ = min(found, key=lambda q: q[0])
    low = [t for q, t, _ in found if q < 1.9]
    targets.add(target, f"{model}, batch {batch}", mean(q for q, _, _ in found) >= 1.9, f"{mean(q for q, _, _ in found):.2f} in the mean, least {least:.2f} ({row})",
                f"{len(low)} of {len(found)} rows are below" if low else "")


def add_torchdeq(targets, models, configs):
    target = "8x TorchDEQ in the geometric mean"
    for model in models:
        found = [q for c in configs if c.model == model for q in c.ratios(TORCHDEQ, "torchdeq")]
        if not found:
            targets.missing(target, model)
            continue
        least, row, c = min(found, key=lambda q: q[0])
        targets.add(target, model, mean(q for q, _, _ in found) >= 8, f"{mean(q for q, _, _ in found):.2f}, least {least:.2f} ({row}, {c.threads} thread{'s' * (c.threads > 1)})")
    found = [q for c in configs for q in c.ratios(TORCHDEQ, "torchdeq")]
    if found: targets.add(target, "all of these", mean(q for q, _, _ in found) >= 8, f"{mean(q for q, _, _ in found):.2f} over {len(found)} rows")


def add_overhead(targets, configs):
    target, where = "overhead of Broyden 18 under 20%", "conv32, 1 thread"
    c = next((c for c in configs if c.model == "conv32" and c.threads == 1 and c.ms("f") and c.ms("broyden 18")), None)
    if not c: return targets.missing(target, where)
    solve, f = c.ms("broyden 18"), c.ms("f")
    targets.add(target, f"{where}, batch {c.batch}", (solve - 18 * f) / solve < 0.2,
                f"{percent((solve - 18 * f) / solve)}: {solve:.1f} ms, of which 18 f {18 * f:.1f}", f"the 19th f, at the last state, is {percent(f / solve)} of it; stem and head count as overhead here")


def add_memory(targets, data):
    target = "peak of memory grows in a training step by at most half of PyTorch's growth"
    for key, piece in data["pieces"].items():
        if not key.startswith("memory "): continue
        for mode, m in piece["modes"].items():
            where = f"{key.split()[1]}, batch {key.split()[2]}, {mode}"
            if not m["peer"]: targets.missing(target, where)
            else: targets.add(target, where, m["deq"] <= m["peer"] / 2, f"{1e-6 * m['deq']:.1f} MB ({1e-6 * m['planned']:.1f} planned), PyTorch {1e-6 * m['peer']:.0f} MB")


def add_startup(targets, data):
    s = data["pieces"].get("startup", {})
    for key, limit, target, where in (("warm_first_step", 0.05, "first training step within 50 ms", "quickstart, compiled before"),
                                      ("cold_quickstart", 0.5, "compiled within 500 ms", "quickstart, nothing in the cache"),
                                      ("cold_first_step", None, "", ""), ("cold_large", 3, "compiled within 3 s", "MDEQ LARGE, training and attack, nothing in the cache")):
        if limit is None: continue
        if key not in s:
            targets.missing(target, where)
            continue
        more = f"; {1e3 * s['cold_first_step']:.0f} ms to the first training step" if key == "cold_quickstart" and "cold_first_step" in s else ""
        targets.add(target, where, s[key] < limit, (f"{s[key]:.1f} s" if s[key] >= 1 else f"{1e3 * s[key]:.0f} ms") + more)


def targets(data, configs):
    t, models = Targets(), list(dict.fromkeys(c.model for c in configs))
    for model in models: add_routines(t, model, configs)
    for what, titles in (("Broyden and Anderson", SOLVES), ("training, input gradient and PGD", GRADIENTS)):
        for model in models:
            for threads in sorted({c.threads for c in configs if c.model == model}): add_ratio_target(t, what, titles, model, threads, configs)
    add_torchdeq(t, models, configs)
    add_overhead(t, configs)
    for model in models: add_scaling(t, model, configs)
    add_memory(t, data)
    add_startup(t, data)
    return t.text()


def summary(configs):
    rows = []
    for c in configs:
        ratios = c.ratios(WHOLE)
        if not ratios: continue
        worst = min(ratios, key=lambda q: q[0])
        both = [q for q, _, _ in scaling(configs, c.model, c.batch)] if c.threads == 2 else []
        two = lambda titles, side="peer": f"{mean(q for q, _, _ in c.ratios(titles, side)):.2f}" if c.ratios(titles, side) else ""
        rows.append([c.model, str(c.batch), str(c.threads), two(WHOLE), two(SOLVES), two(GRADIENTS), f"{worst[0]:.2f}, {worst[1]}", ", ".join(percent(c.share(t)) for t in ROUTINES if c.share(t)),
                     f"{mean(both):.2f} ({min(both):.2f} to {max(both):.2f})" if both else "", two(TORCHDEQ, "torchdeq")])
    return table(["model", "batch>", "threads>", "all rows>", "solves>", "gradients and attacks>", "least row", "f, vjp_z of peak", "2 threads over 1>", "over TorchDEQ>"], rows)


def details(c):
    rows, beside = [], c.side["torchdeq"] is not None
    for row in ROWS:
        r = c.row(row.title)
        if not r: continue
        number = lambda x, form: form.format(x) if x else ""
        rows.append([row.title, f"{c.ms(row.title):.3f}", percent(r["spread"]), number(c.ms(row.title, "peer"), "{:.3f}"), number(c.ratio(row.title), "{:.2f}"),
                     *([number(c.ms(row.title, "torchdeq"), "{:.3f}"), number(c.ratio(row.title, "torchdeq"), "{:.2f}")] if beside else []),
                     number(r.get("gflops"), "{:.0f}"), percent(r["share"]) if "share" in r else "", number(1e3 * r.get("bound", 0), "{:.3f}"), percent(r["overhead"]) if "overhead" in r else ""])
    heads = ["row", "deq ms>", "spread>", "PyTorch ms>", "ratio>", *(["TorchDEQ ms>", "ratio>"] if beside else []), "GFLOP/s>", "of peak>", "least ms>", "over>"]
    return [f"## {c.name()}", ""] + table(heads, rows)


def when(data):
    """From when to when, and whether all of it is of one build."""
    pieces = data["pieces"].values()
    if not pieces: return "Nothing was measured."
    day = lambda t: time.strftime("%Y-%m-%d %H:%M", time.gmtime(t))
    text = f"Measured from {day(min(p['start'] for p in pieces))} to {day(max(p['end'] for p in pieces))} UTC"
    builds = {p["build"] for k, p in data["pieces"].items() if k.split()[0] not in ("peer", "torchdeq")}
    return text + ("." if len(builds) < 2 else f", with {len(builds)} builds of deq: not one run.")


def report(data, missing):
    configs = configs_of(data)
    peaks = [c.side["deq"]["machine"] for c in configs if c.side["deq"]]
    one, two = (max((p[k] for p in peaks if n is None or p["threads"] == n), default=float("nan")) for k, n in (("peak_gflops", None), ("peak_gflops_threads", 2)))
    text = ["# deq against PyTorch", "", "Made by `tests/bench/run.py`; [README.md](README.md) says how, what the columns mean and what may be compared.", "",
            (data["machine"] + ("; TorchDEQ " + data["torchdeq"] if data.get("torchdeq") else "; TorchDEQ was not there")).replace("; ", ";\n") + ".",
            when(data), "",
            *([f"Peak of multiply-adds in registers: {one:.0f} GFLOP/s on one thread" + (f", {two:.0f} on two." if two == two else "."), ""] if one == one else [])]
    if missing: text += ["Not measured: " + "; ".join(p.key for p in missing) + ".", ""]
    text += ["## Against the targets", ""] + targets(data, configs) + ["## Ratios (geometric means)", ""] + summary(configs)
    for c in configs: text += details(c)
    return "\n".join(text).rstrip() + "\n"
