"""The package deq on tests/programs/tiny.deq: what runs find as arrays, expressions, diagnostics, and what is refused.

usage: DEQ=PROGRAM test_deq.py, in a folder with tiny.deq and its data; every check is a function whose name begins with check_.
"""
import os
import subprocess
import threading
import time

import deq
import numpy as np
import warnings

ONE = {"net.epochs": 1}


def raises(kind, text, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind as error:
        assert text in str(error), "%r is not in %r" % (text, str(error))
        return error
    raise AssertionError("no %s" % kind.__name__)


def check_run():
    seen = []
    run = deq.run("tiny.deq", set=ONE, on_event=seen.append, results="found", fresh=True)
    assert [e["event"] for e in seen if e["event"] in ("epoch", "done")] == ["epoch", "done"]
    assert run.results.startswith(os.path.abspath("found")) and os.path.exists(run.results + "/net.safetensors")
    table = run.tables["tiny"]
    assert len(table) == 1 and table.values.dtype.names == ("clean", "robust", "clean.steps", "clean.residual")
    assert table.values["clean"].dtype == np.float64 and table.text.startswith("|")
    clean, robust = table.values["clean"][0], table.values["robust"][0]
    assert table.low["clean"][0] < clean < table.high["clean"][0]
    assert table.low["clean.steps"][0] <= table.values["clean.steps"][0] <= table.high["clean.steps"][0]
    assert table.verdicts["robust"][0] in ("reliable", "suspect", "masked") and table.verdicts["clean"][0] == ""
    values = {v.name: v for v in run.values}
    assert values["clean"].value == clean and values["robust"].verdict == table.verdicts["robust"][0]
    # the records of the examples are what the values are made of
    records = values["robust"].journal()
    assert len(records) == 200 and (records["id"] == np.arange(200)).all()
    assert [records.dtype[name].str for name in ("id", "label", "metric", "steps")] == ["<i8", "<i4", "<f8", "<f4"]
    assert records["metric"].mean() == robust and ((records["prediction"] == records["label"]) == records["metric"]).all()
    wrong = deq.journal(table.journals["clean"][0], filter="metric=0")
    assert len(wrong) == round(200 * (1 - clean)) and (wrong["prediction"] != wrong["label"]).all()
    raises(ValueError, "no evaluation", values["clean.steps"].journal)
    log = run.log("net")
    assert len(log) == 1 and log["loss"].dtype == np.float64 and log["loss"][0] > 0
    assert deq.plan("tiny.deq", set=ONE)["event"] == "plan" and deq.report(run.results)
    assert deq.run("tiny.deq", set=ONE, results="found").values[0].told["cached"]


def check_sweeps():
    run = deq.run("sweeps.deq")
    table = run.tables["t"]
    assert table.values["k"].tolist() == [1, 1, 2, 2, 3, 3] and table.values["k"].dtype == np.int64
    assert table.values["how"].tolist() == ["a", "b"] * 3 and table.values["how"].dtype.kind == "U"
    assert np.isfinite(table.values["robust"]).all() and set(table.values["best"]) <= {"1", "2", "3"}


def check_eval():
    x = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    y = np.array([0, 3, 1])
    logits = deq.eval("tiny.deq", "net(x)", set=ONE, x=x)
    assert logits.shape == (3, 4) and logits.dtype == np.float32
    assert (logits == deq.eval("tiny.deq", "net(x)", checkpoint="found/tiny/net.safetensors", x=x)).all()
    assert not (logits == deq.eval("tiny.deq", "net(x)", fresh=True, x=x)).any()
    np.save("x.npy", x)
    assert (logits == deq.eval("tiny.deq", "net(images)", set=ONE, images="x.npy")).all()
    assert (logits == deq.eval("tiny.deq", "net(x)", set=ONE, x=x.astype(np.float64))).all()
    assert (logits == deq.eval("tiny.deq", "net(x)", set=ONE, x=np.asfortranarray(x))).all()
    # a file of an expression is in Python's folder, wherever that was when the server began
    before = os.getcwd()
    os.mkdir("elsewhere")
    os.chdir("elsewhere")
    np.save("there.npy", x[:2])
    assert (logits[:2] == deq.eval("../tiny.deq", 'net("there.npy")', checkpoint="../found/tiny/net.safetensors")).all()
    os.chdir(before)
    assert raises(deq.Error, "there.npy", deq.eval, "tiny.deq", 'net("there.npy")', set=ONE).exit == 3
    assert raises(deq.Error, "no array 'y'", deq.eval, "tiny.deq", "net(y)", x=x).code == "E0201"
    losses = deq.eval("tiny.deq", "loss(cross_entropy, net(x))", set=ONE, x=(x, y))
    z = logits.astype(np.float64)
    assert np.allclose(losses, np.log(np.exp(z).sum(1)) - z[np.arange(3), y], atol=1e-5)
    assert deq.eval("tiny.deq", "gradient(cross_entropy, net(x))", set=ONE, x=(x, y)).shape == x.shape
    assert deq.eval("tiny.deq", "states(net.body(x), 1..4)", set=ONE, x=x).shape == (3, 3, 24)
    assert deq.eval("tiny.deq", "net(x)", precision="f64", x=x[0]).dtype == np.float64
    assert deq.eval("tiny.deq", "8 / 255") == 8 / 255


def check_check():
    assert deq.check("tiny.deq") == []
    with open("wrong.deq", "w") as file:
        file.write("layer Wrong(x: f32[3]) -> f32[4] {\n  param W: f32[4, 4] = zeros()\n  return x @ W\n}\n")
    found = deq.check("wrong.deq")
    assert found[0].severity == "error" and found[0].line == 3 and found[0].file.endswith("wrong.deq")
    assert raises(deq.Error, "wrong.deq:3: " + found[0].code, deq.run, "wrong.deq").exit == 2


def check_refused():
    x = np.zeros((3, 1, 8, 8), np.float32)
    error = raises(deq.Error, "nett.epochs", deq.run, "tiny.deq", set={"nett.epochs": 1})
    assert (error.code, error.exit) == ("E0901", 64)
    assert deq.check("absent.deq")[0].code == "E0111"
    # what is no JSON to the server is refused without an id, and does not leave the client waiting
    raises(deq.Error, "", deq.check, "caf\udce9.deq")
    raises(deq.Error, "", deq.eval, "tiny.deq", "1\0")
    raises(ValueError, "no name", deq.eval, "tiny.deq", "net(x)", **{"../x": x})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deq.eval("tiny.deq", "net(x)", set={"net.epochs": 7}, x=np.zeros((1, 1, 8, 8), np.float32))
    assert "initial parameters" in str(caught[0].message)
    raises(RuntimeError, "another one", deq.run, "tiny.deq", set=ONE, on_event=lambda event: deq.check("tiny.deq"))
    assert raises(deq.Error, "'nett'", deq.eval, "tiny.deq", "nett(x)", x=x).code == "E0201"
    assert raises(deq.Error, "'x' holds [3, 8, 8]", deq.eval, "tiny.deq", "net(x)", x=x[:, 0]).code == "E0803"
    x[1, 0, 0, 5] = np.nan
    assert raises(deq.Error, "element 5 of 'input' of example 1", deq.eval, "tiny.deq", "net(x)", x=x).code == "E0804"
    raises(TypeError, "'x' is masked", deq.eval, "tiny.deq", "net(x)", x=np.ma.array(x, mask=True))
    raises(TypeError, "numbers", deq.eval, "tiny.deq", "net(x)", x=np.array(["a"]))
    assert raises(deq.Error, "label below 4", deq.eval, "tiny.deq", "loss(cross_entropy, net(x))",
                  x=(np.zeros((1, 1, 8, 8)), [4])).code == "E0804"
    assert raises(deq.Error, "watch", deq.run, "tiny.deq", watch=True).code == "E0944"
    assert raises(deq.Error, "", deq.journal, "absent").code == "E0824"
    assert raises(deq.Error, "", deq.report, "absent").exit == 3
    raises(FileNotFoundError, "no-such-deq", deq.Server, "no-such-deq")
    raises(Exception, "", deq.Server, "/bin/true")


def check_servers():
    """A run is cancelled by an exception and goes on from there; a server that is killed is replaced."""
    class Enough(Exception):
        pass

    def stop(event):
        if event["event"] == "epoch":
            raise Enough
    raises(Enough, "", deq.run, "tiny.deq", set={"net.epochs": 1000000}, on_event=stop)
    seen = []

    def note(event):
        seen.append(event["event"])
        stop(event)
    raises(Enough, "", deq.run, "tiny.deq", set={"net.epochs": 1000000}, on_event=note)
    assert "resumed" in seen
    with deq.Server() as own:
        done = []
        workers = [threading.Thread(target=lambda: done.append(deq.check("tiny.deq", server=own))) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert done == [[]] * 4
        own._process.kill()
        raises(deq.Error, "server", deq.check, "tiny.deq", server=own)
    deq._shared._process.kill()
    deq._shared._process.wait()
    assert deq.check("tiny.deq") == []
    child = os.fork()
    if child == 0:  # a process of its own has a server of its own
        os._exit(0 if deq.check("tiny.deq") == [] else 1)
    assert os.waitpid(child, 0)[1] == 0 and deq.check("tiny.deq") == []


def check_version():
    assert deq.Server().version == subprocess.run([os.environ["DEQ"], "version"], capture_output=True, text=True).stdout.split()[1]


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            begin = time.time()
            check()
            print("%s %.1f s" % (name, time.time() - begin))
