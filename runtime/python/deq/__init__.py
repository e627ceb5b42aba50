"""deq from Python: scripts are checked and run, and what they find comes as arrays of numpy.

    import deq
    run = deq.run("net.deq", set={"net.epochs": 3})
    run.tables["results"].values["robust"]         # a column of a table: float64, one element a row
    run.values[0].journal()["prediction"]          # of an evaluation: one element an example
    deq.eval("net.deq", "net(x)", x=images)        # what the trained net makes of these images

The work is done by a process of the program `deq`, which is started with the first call (`deq serve`) and ends with
Python. It is the one that the variable DEQ names, or else the first on the PATH; no other is needed, and no compiler.
Whatever deq refuses is an Error with deq's code; `deq explain CODE` tells more.
"""
import atexit
import collections
import json
import os
import shutil
import subprocess
import tempfile
import threading
import warnings

__all__ = ["run", "check", "eval", "plan", "report", "journal", "Error", "Server", "Run", "Table", "Value", "Diagnostic"]
PROTOCOL = 1


class Error(RuntimeError):
    """What deq refused or could not do.

    code     deq's code, "E0312"; None where there is none
    exit     the exit code of the stage: 1 syntax, 2 type or shape, 3 run time, 4 failed test or claim, 5 masked,
             64 usage, 70 internal, 130 interrupted
    file, line, column  the place in a script, or None
    results  what was told until then: a list of objects, as `deq VERB --json` prints them
    """

    def __init__(self, answer):
        error = answer.get("error", {})
        message = error.get("message", "")
        place = "%s:%s: " % (error["file"], error["line"]) if error.get("file") else ""
        super().__init__("%s%s%s" % (place, "%s: " % error["code"] if error.get("code") else "", message))
        self.code, self.exit, self.results = error.get("code"), answer.get("exit"), answer.get("results", [])
        self.file, self.line, self.column = error.get("file"), error.get("line"), error.get("column")


class Server:
    """A process of `deq serve`. The functions of this module share one; another one is for work at the same time.

    program  path of deq; None: the variable DEQ, or the first `deq` on the PATH (FileNotFoundError without)

    Relative paths, also those that an expression or a setting names, begin in Python's working folder at the time of the call.
    Requests from several threads wait for each other. A KeyboardInterrupt while one works ends the work as Ctrl-C does:
    a training run keeps what it has reached, and goes on from there next time.
    """

    def __init__(self, program=None):
        program = program or os.environ.get("DEQ") or shutil.which("deq")
        if not program:
            raise FileNotFoundError("there is no program deq on the PATH; the variable DEQ names one elsewhere")
        self._lock, self._next, self._pid = threading.Lock(), 1, os.getpid()
        self._thread = None  # that waits for an answer
        self._process = subprocess.Popen([program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                         start_new_session=True)  # Ctrl-C comes by way of cancel()
        self._lines = os.fdopen(os.dup(self._process.stdout.fileno()), "rb")
        hello = self._read()
        if hello.get("protocol") != PROTOCOL:
            self.close()
            raise RuntimeError("%s speaks protocol %s, this module %d: install both of one version" % (
                program, hello.get("protocol"), PROTOCOL))
        self.version, self.verbs = hello["version"], hello["verbs"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def alive(self):
        """Whether requests can be made: it runs, and is this process's own (not its parent's, before a fork)."""
        return self._pid == os.getpid() and self._process.poll() is None

    def close(self):
        """Ends it; what it works on for another thread ends as by Ctrl-C."""
        if self._pid == os.getpid():
            for end in (self._process.stdin, self._process.stdout, self._lines):
                end.close()
            self._process.wait()

    def _read(self):
        line = self._lines.readline()
        if not line.endswith(b"\n"):
            raise Error({"exit": 70, "error": {"message": "the server ended (exit code %s)" % self._process.wait()}})
        return json.loads(line)

    def _write(self, request):
        data = json.dumps(request, allow_nan=False).encode() + b"\n"
        try:
            while data:
                data = data[self._process.stdin.write(data):]
        except (BrokenPipeError, ValueError):
            raise Error({"exit": 70, "error": {"message": "the server has ended"}}) from None

    def _cancel(self, id, before, reason):
        """Asks once for the end of a request; the first reason stays."""
        if not before:
            self._write({"id": id + 1, "do": "cancel", "of": id})
        return before or reason

    def request(self, do, on_event=None, **members):
        """The answer to one request, as the protocol of `deq serve` has it: a dict with exit, results and perhaps text.

        do        what is asked for: "check", "run", .. (Server.verbs)
        on_event  called with each object of the verb when it is there: an epoch, progress, a table
        members   arguments and flags of the verb; None: left out

        Raises Error where the exit code is not 0.
        """
        request = {"do": do, "events": on_event is not None, "working_folder": os.getcwd(), **{k: v for k, v in members.items() if v is not None}}
        if self._pid != os.getpid():
            raise RuntimeError("this server belongs to the process before a fork: make another one, deq.Server()")
        if self._thread == threading.get_ident():
            raise RuntimeError("on_event cannot ask the server that it is called for: use another one, deq.Server()")
        with self._lock:
            self._thread = threading.get_ident()
            try:
                return self._ask(request, on_event)
            finally:
                self._thread = None

    def _ask(self, request, on_event):
        request["id"] = self._next
        self._next += 2
        self._write(request)
        cancelled = None
        while True:
            line = None
            try:
                line = self._read()
            except Error:  # the server is gone
                raise
            except BaseException as reason:  # Ctrl-C: the answer is waited for all the same
                cancelled = self._cancel(request["id"], cancelled, reason)
            if line and "answer" in line and line.get("id") in (request["id"], None):  # None: it could not be read
                break
            if line and "event" in line and line.get("id") == request["id"] and on_event and not cancelled:
                try:
                    on_event(line["event"])
                except BaseException as reason:
                    cancelled = self._cancel(request["id"], cancelled, reason)
        if cancelled:
            raise cancelled
        if line["exit"]:
            raise Error(line)
        return line


_shared = None
_shared_lock = threading.Lock()


def _server(given):
    global _shared
    if given:
        return given
    with _shared_lock:
        if not _shared or not _shared.alive:
            _shared = Server()
            atexit.register(_shared.close)
        return _shared


def _path(path):
    """Absolute: what comes back, such as Run.results, holds wherever Python is by then."""
    return None if path is None else os.path.abspath(os.fspath(path))


def _flags(flags):
    for name in ("checkpoint", "results", "output"):
        if flags.get(name) is not None:
            flags[name] = _path(flags[name])
    for name in ("include", "link"):
        if flags.get(name) is not None:
            given = flags[name]
            flags[name] = [_path(p) for p in ([given] if isinstance(given, (str, os.PathLike)) else given)]
    return flags


# ---- what comes back ----
Diagnostic = collections.namedtuple(
    "Diagnostic", "severity code message file line column end_line end_column help notes")
Diagnostic.__doc__ = """An error or a warning of the checker. Lines and columns count from 1, columns in bytes; a diagnostic
without a place has None there. help: a list of texts; notes: a list of dicts with message and perhaps a place."""


def _diagnostics(results):
    return [Diagnostic(*(o.get(name) for name in Diagnostic._fields)) for o in results if "severity" in o]


def _column(texts):
    """Coordinates as numbers where all of them are: int64, float64, or texts."""
    import numpy
    for kind in (int, float):
        try:
            return numpy.array([kind(t) for t in texts], dtype="int64" if kind is int else "float64")
        except ValueError:
            pass
    return numpy.array(texts, dtype=str)


def _records(columns, n):
    """One structured array of columns of their own types."""
    import numpy
    out = numpy.zeros(n, dtype=[(name, values.dtype) for name, values in columns.items()])
    for name, values in columns.items():
        out[name] = values
    return out


class Table:
    """A table of an experiment, one element a row (a cell of its sweeps).

    name, experiment  texts
    values   structured array [rows]: the sweeps (int64, float64 or text), then the columns by their titles (float64;
             shares are 0..1; choices and verdicts are texts)
    low, high  the same columns: ends of the intervals of 95 %, NaN where there is none
    verdicts  the same columns: "reliable", "suspect", "masked", or "" where nothing was attacked
    journals  the same columns: keys of the evaluations, for deq.journal; "" where there is none
    text     the table as Markdown
    """

    def __init__(self, content, text=""):
        import numpy
        cells = content["cells"]
        self.name, self.experiment, self.text = content["table"], content["experiment"], text
        first = cells[0] if cells else {"coordinates": {}, "values": []}
        axes = {axis: _column([c["coordinates"][axis] for c in cells]) for axis in first["coordinates"]}
        titles = []
        for v in first["values"]:  # a second column of one title is its title with a mark
            title = v["title"]
            while title in axes or title in titles:
                title += "'"
            titles.append(title)

        def columns(member, texts):
            out = {}
            for k, title in enumerate(titles):
                given = [c["values"][k].get(member) for c in cells]
                out[title] = (numpy.array([g or "" for g in given], dtype=str) if texts else
                              numpy.array([numpy.nan if g is None else g for g in given], dtype="float64"))
            return out

        values, names = columns("value", False), columns("name", True)
        values = {title: names[title] if (names[title] != "").any() else values[title] for title in titles}
        self.values = _records({**axes, **values}, len(cells))
        self.low, self.high = (_records(columns(m, False), len(cells)) for m in ("low", "high"))
        self.verdicts, self.journals = (_records(columns(m, True), len(cells)) for m in ("verdict", "journal"))

    def __len__(self):
        return len(self.values)

    def __repr__(self):
        return "<deq.Table %s: %d rows of %s>" % (self.name, len(self), ", ".join(self.values.dtype.names or ()))


class Value:
    """A value of an experiment in one cell of its sweeps.

    name, experiment  texts; coordinates  a dict of texts
    value, low, high  float, with its interval of 95 % (NaN where there is none)
    verdict  "reliable", "suspect", "masked", or None where nothing was attacked
    told     everything that deq says of it
    """

    def __init__(self, told):
        number = lambda name: float("nan") if told.get(name) is None else float(told[name])
        self.name, self.experiment, self.coordinates = told["name"], told["experiment"], told["coordinates"]
        self.value, self.low, self.high = number("value"), number("low"), number("high")
        self.verdict, self.told = told.get("verdict"), told

    def journal(self, **arguments):
        """A record for each example, see deq.journal; ValueError where it is no evaluation."""
        if not self.told.get("journal"):
            raise ValueError("'%s' is no evaluation: it has no journal" % self.name)
        return journal(self.told["journal"], **arguments)

    def __repr__(self):
        at = ", ".join("%s=%s" % item for item in self.coordinates.items())
        return "<deq.Value %s%s: %g>" % (self.name, " (%s)" % at if at else "", self.value)


class Run:
    """What a run has found.

    tables   Table by name (EXPERIMENT.NAME where two experiments have one of that name)
    values   list of Value, in the order in which they were found
    claims   list of dicts: what the script claims, and whether it holds
    warnings list of (code, message)
    results  the folder with tables, figures, logs and trained nets (NET.safetensors)
    told     everything, as `deq run --json` prints it
    """

    def __init__(self, answer):
        self.told = answer["results"]
        by = lambda event: [o for o in self.told if o.get("event") == event]
        self.values = [Value(o) for o in by("value")]
        self.claims = by("claim")
        self.warnings = [(o.get("code"), o.get("message")) for o in by("warning")]
        self.results = by("done")[-1]["results"] if by("done") else None
        self.tables = {}
        for o in by("table"):
            with open(o["json"], encoding="utf-8") as file:
                table = Table(json.load(file), o["text"])
            twice = table.name in self.tables
            self.tables["%s.%s" % (table.experiment, table.name) if twice else table.name] = table

    def log(self, net):
        """The training log of a net: structured array [epochs], float64 but for texts; columns as in NET-log.csv."""
        import csv
        with open(os.path.join(self.results, net + "-log.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
        names = [name for name in rows[0] if name not in ("version", "checksum")] if rows else []
        return _records({name: _numbers([row[name] for row in rows]) for name in names}, len(rows))


def _numbers(texts):
    """float64 with NaN for what is empty; texts where one is no number."""
    import numpy
    try:
        return numpy.array([float(t) if t else numpy.nan for t in texts], dtype="float64")
    except ValueError:
        return numpy.array(texts, dtype=str)


# ---- the verbs ----
def run(script, experiment=None, *, set=None, seed=None, threads=None, results="results", on_event=None, server=None,
        **flags):
    """Runs the training runs and experiments of a script: a Run. Finished work is found in the cache.

    script      path of the .deq file
    experiment  this experiment alone, with the training runs that it needs
    set         other settings by their paths: {"net.epochs": 3, "net.body.forward.tol": 1e-6}
    seed        of every training run; threads: worker threads (no result depends on them)
    results     folder of the results
    on_event    called with each object of `deq run --json` when it is there, epochs and progress (once a second) as well
    flags       other flags of `deq run` by their long names: fresh=True, strict=True, audit=True, precision="f64"

    Raises Error: code E0911 when training diverges, E0801 without the data, E0901 for a setting that is none, ..;
    exit 4 or 5 under strict=True, after everything was written.
    """
    return Run(_server(server).request("run", on_event, file=_path(script), experiment=experiment, set=set, seed=seed,
                                       threads=threads, results=_path(results), **_flags(flags)))


def plan(script, experiment=None, *, set=None, server=None, **flags):
    """What a run would do, what the cache holds of it, and about how long the rest takes: a dict (seconds, bytes)."""
    answer = _server(server).request("plan", file=_path(script), experiment=experiment, set=set, **_flags(flags))
    return next(o for o in answer["results"] if o.get("event") == "plan")


def check(script, *, server=None, **flags):
    """Errors and warnings of a script: a list of Diagnostic, empty where there is nothing to say. Nothing is run."""
    try:
        return _diagnostics(_server(server).request("check", file=_path(script), **_flags(flags))["results"])
    except Error as error:
        found = _diagnostics(error.results)
        if not found:
            raise
        return found


def eval(script, expression, *, checkpoint=None, set=None, seed=None, threads=None, server=None, precision=None,
         fresh=None, include=None, link=None, **arrays):
    """The value of an expression of `deq eval`, as an array of numpy; of a constant as a float.

    expression  "net(x)" the output [n, ..]; "net.body(x)" the value of a fixed point [n, elements];
                "states(net.body(x), 1..9)" [n, 8, elements]; "residuals(..)" [n, 8]; "loss(cross_entropy, net(x))" [n];
                "gradient(cross_entropy, net(x))" as x; "8 / 255"; net("x.npy") of a file, from Python's working folder
    checkpoint  parameters; None: those that the cache has of the training run under `set`, else initial ones by `seed`
                (fresh=True: these in any case; a warning tells where it is so without)
    arrays      inputs by name: an array [n, ..] or one example, a pair (inputs, targets), or the path of a file.
                Labels are whole numbers. float64 becomes the net's type. uint8 inputs are pixels: they are divided by 255.
    precision   "f32" or "f64": the net's type and that of the value

    Raises Error: E0803 for a shape that is not the net's, E0804 for NaN and labels that are none, E0201 for a net that
    is not there, ..
    """
    import numpy
    with tempfile.TemporaryDirectory(prefix="deq-") as folder:
        files = {}
        for name, given in arrays.items():
            if not name.isidentifier():
                raise ValueError("%r is no name of an input" % name)
            if isinstance(given, (str, os.PathLike)):
                files[name] = _path(given)
                continue
            inputs, targets = given if isinstance(given, tuple) else (given, None)
            parts = {"input": inputs} if targets is None else {"input": inputs, "target": targets}
            for key, part in parts.items():
                if isinstance(part, numpy.ma.MaskedArray):
                    raise TypeError("'%s' is masked; a net takes every element: .filled(value)" % name)
                parts[key] = part = numpy.asarray(part)
                if part.dtype.kind not in "fiub":
                    raise TypeError("'%s' has elements of type %s; inputs and targets are numbers" % (name, part.dtype))
            files[name] = os.path.join(folder, name + ".npz")
            numpy.savez(files[name], **parts)
        output = os.path.join(folder, "value-of-eval.npz")
        members = dict(file=_path(script), expression=expression, checkpoint=_path(checkpoint), set=set, seed=seed,
                       threads=threads, precision=precision, fresh=fresh, **_flags({"include": include, "link": link}))
        try:
            told = _server(server).request("eval", arrays=files or None, output=output, **members)["results"][0]
            if told.get("parameters") == "initial" and not fresh:
                warnings.warn("the net is not trained under these settings: the value is of initial parameters (fresh=True)")
        except Error as error:
            if "a constant takes no --output" not in str(error):
                for name, file in files.items():  # the array, not the file that it was written to
                    if file.startswith(folder):
                        error.args = (str(error).replace(file, name),)
                raise
            return float(_server(server).request("eval", **members)["results"][0]["value"])
        with numpy.load(output) as found:
            return found["value"]


def report(folder, *, server=None):
    """What a run left in its folder, results/NAME: a list of objects as `deq report --json` prints them. Raises Error,
    E0822, where a file is missing or was changed."""
    return _server(server).request("report", folder=_path(folder))["results"]


def journal(key, *, filter=None, server=None):
    """A record for each example of an evaluation: structured array [examples], with a dtype for each field.

    key     of the evaluation (Table.journals), or the path of its journal
    filter  only examples of which all comparisons hold: "metric=0,steps>20"

    Among the fields: id (int64, position in the split), label and prediction (int32), metric and loss (float64, at the
    attacked input where there is an attack), clean_metric, clean_loss, steps and residual of the solve (float32), seconds.
    `deq journal --csv` names all. Raises Error, E0824, where there is no such journal.
    """
    import numpy
    with tempfile.TemporaryDirectory(prefix="deq-") as folder:
        out = os.path.join(folder, "journal.npz")
        name = os.fspath(key)
        _server(server).request("journal", journals=[name if os.sep not in name else _path(name)], npz=out, filter=filter)
        with numpy.load(out) as arrays:
            columns = {field: arrays[field] for field in arrays.files}
    return _records(columns, len(columns["id"]))
