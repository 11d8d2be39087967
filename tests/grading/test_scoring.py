"""Answers from a sandbox: right ones, late ones, lost ones, and lies."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparsecourse.grading import sandbox, scoring, wire
from sparsecourse.grading.scoring import Answers, Job, Returned, SandboxFailed, answer
from tests.grading import sandboxed

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # busy machines
SECONDS = 2.0
DOUBLE = "def double(x):\n    return 2 * x"


@pytest.fixture(scope="module", autouse=True)
def _sandbox(skip_or_fail):
    if reason := sandboxed.why_no_sandbox():
        skip_or_fail(reason)


def ask(*cells: str, functions=("double",), inputs=(1.0, 2.0), **about) -> Answers:
    """Call each function on each number."""
    cases = [{"x": wire.encode(x)} for x in inputs]
    about = {"seconds": SECONDS} | about
    return answer(Job(list(cells), dict.fromkeys(functions, cases), **about))


def values(answers: Answers, function: str = "double") -> list:
    return [answers.returned[function][n].value for n in sorted(answers.returned[function])]


both = pytest.mark.parametrize("protected", [True, False], ids=["protected", "unprotected"])


@both
def test_answers_come_back_in_order(protected):
    answers = ask(DOUBLE, inputs=range(30), protected=protected)
    assert values(answers) == [2 * x for x in range(30)]
    assert answers.ends == {"double": "done"}
    assert answers.failed_cells == {}


@both
def test_a_function_that_is_missing_or_none_costs_the_others_nothing(protected):
    answers = ask(DOUBLE, "no = 3", functions=("absent", "no", "double"), protected=protected)
    assert answers.ends == {"absent": "missing", "no": "missing", "double": "done"}
    assert values(answers) == [2.0, 4.0]


@both
@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("while True: pass", "time"),
        ("import os; os._exit(0) if x > 1 else None", "done"),
        ("import os; os._exit(1)", "died"),
        ("import os; os.abort()", "died"),
    ],
)
def test_a_function_that_does_not_return_loses_its_own_points_only(body, end, protected):
    bad = f"def bad(x):\n    {body}"
    answers = ask(bad, DOUBLE, functions=("bad", "double"), protected=protected, seconds=1.0)
    assert answers.ends == {"bad": end, "double": "done"}
    assert len(answers.returned.get("bad", {})) < 2
    assert values(answers) == [2.0, 4.0]


def test_what_was_answered_before_the_end_is_kept():
    answers = ask("def double(x):\n    import os\n    return os._exit(1) if x > 1 else 2 * x")
    assert answers.ends == {"double": "died"}
    assert values(answers) == [2.0]


def test_an_exception_is_known_by_its_name():
    answers = ask("def double(x):\n    return [][0]")
    assert answers.returned["double"] == dict.fromkeys((0, 1), Returned(raised="IndexError"))


def test_a_changed_argument_is_told_and_does_not_reach_the_next_call():
    cell = "def double(x):\n    x *= 2\n    return x"
    cases = [{"x": wire.encode(np.arange(3.0)), "y": 1}, {"x": wire.encode(np.ones(0)), "y": 1}]
    cell = cell.replace("(x)", "(x, y)")
    answers = answer(Job([cell], {"double": cases}, SECONDS))
    assert answers.returned["double"][0] == Returned(changed="x")
    assert answers.returned["double"][1].changed is None  # nothing to change there


def test_a_view_that_changes_later_was_read_at_once():
    cell = (
        "kept = __import__('numpy').zeros(3)\ndef double(x):\n    kept[:] = 2 * x\n    return kept"
    )
    first, second = values(ask(cell))
    assert first.tolist() == [2.0] * 3
    assert second.tolist() == [4.0] * 3


@both
def test_cells_that_fail_are_named_and_the_others_run(protected):
    answers = ask("1 / 0", DOUBLE, "raise SystemExit", "(", "double", protected=protected)
    names = {0: "ZeroDivisionError", 2: "SystemExit", 3: "SyntaxError"}
    assert answers.failed_cells == names
    assert values(answers) == [2.0, 4.0]


@both
def test_a_cell_that_ends_or_stalls_everything_is_left_out(protected):
    cells = ("import os; os._exit(0)", DOUBLE, "while True: pass", "two = 2")
    answers = ask(*cells, protected=protected, seconds=0.5)
    assert answers.failed_cells == {0: "died", 2: "time"}
    assert values(answers) == [2.0, 4.0]


def test_what_is_defined_only_in_a_cell_that_is_left_out_is_missing():
    answers = ask(DOUBLE + "\nimport os\nos._exit(0)")
    assert answers.failed_cells == {0: "died"}
    assert answers.ends == {"double": "missing"}


@pytest.mark.parametrize(
    "cell",
    [
        f"%matplotlib inline\n{DOUBLE}",
        f"!pip install numpy\n{DOUBLE}",
        f"%%time\n{DOUBLE}",
        f"%%capture out\n%pip list\n{DOUBLE}",
        f"import math\nmath.sqrt?\n{DOUBLE}",
        f"files = !ls\n{DOUBLE}",
        f"display(1)\nget_ipython().run_line_magic('matplotlib', 'inline')\n{DOUBLE}",
        f'text = """\n%matplotlib inline\n!ls\n"""\nassert "get_ipython" not in text\n{DOUBLE}',
        "def double(x):\n    return (x\n        % 1000 * 2)",
    ],
)
def test_what_works_in_jupyter_works(cell):
    answers = ask(cell)
    assert answers.failed_cells == {}
    assert values(answers) == [2.0, 4.0]


def test_cells_of_other_languages_do_nothing():
    answers = ask("%%bash\nexit 3", "%%html\n<b>2</b>", "%%writefile double.py\nx = 1", DOUBLE)
    assert answers.failed_cells == {}
    assert values(answers) == [2.0, 4.0]


@pytest.mark.parametrize(
    "cell",
    [
        "double = lambda x: 2 * x",
        "import functools, operator\ndef twice(x, y): return x * y\n"
        "double = functools.partial(twice, y=2)",
        "class Double:\n    def __call__(self, x):\n        return 2 * x\ndouble = Double()",
        "class Double(float):\n    def __new__(cls, x):\n        return 2 * x\ndouble = Double",
        "def double(*, x):\n    return 2 * x",
        "def double(**given):\n    return 2 * given['x']",
        "import dataclasses\n@dataclasses.dataclass\nclass Two:\n    two: int = 2\n"
        "def double(x):\n    return Two().two * x",
        "__name__ == '__main__' or exit()\ndef double(x): return 2 * x",
        "import torch\ndef double(x):\n    return (2 * torch.tensor(x)).item()",
    ],
)
def test_a_function_may_be_anything_that_can_be_called(cell):
    assert values(ask(cell, seconds=20.0)) == [2.0, 4.0]


def test_the_data_sets_and_a_self_check_are_there():
    answers = ask(
        "from sparsecourse.grading import self_check, check_my_answers\nimport sparsecourse.data",
        f"{DOUBLE}\nself_check(double)\ncheck_my_answers(globals())",
        seconds=20.0,
    )
    assert answers.failed_cells == {}
    assert values(answers) == [2.0, 4.0]


def test_nobody_sees_inputs_before_their_turn():
    look = (
        "import gc\nsign = str(1234) + '5'\n"
        "def look():\n"
        "    return sum(sign in str(t) for t in gc.get_objects() if isinstance(t, (list, dict)))\n"
    )
    cells = (f"{look}before = look()", "def first(x):\n    return look() - before", DOUBLE)
    cases = {"first": [{"x": 1.0}], "double": [{"x": 12345}]}
    answers = answer(Job(list(cells), cases, SECONDS))
    assert values(answers, "first") == [0]
    assert values(answers) == [24690]


def test_the_process_of_a_function_does_not_see_what_another_left():
    write = "def write(x):\n    global double\n    double = None\n    return x"
    answers = ask(DOUBLE, write, functions=("write", "double"))
    assert values(answers) == [2.0, 4.0]


def test_large_inputs_arrive():
    large = np.random.default_rng(0).normal(size=wire.MAX_BYTES // 8)
    cases = {"double": [{"x": wire.encode(large)}] * 3}
    answers = answer(Job([DOUBLE], cases, SECONDS))
    for value in values(answers):
        np.testing.assert_array_equal(value, 2 * large)


LIAR = """
import json, os
def tell(**about):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, f'\\n{json.dumps(about)}\\n'.encode())
        except OSError:
            pass
"""


def test_lines_about_other_functions_are_not_believed():
    liar = (
        "def liar(x):\n"
        "    for name in ('double', 'elsewhere'):\n"
        "        tell(function=name, case=0, value=7.0)\n"
        "        tell(function=name, end='done')\n"
        "    return x"
    )
    answers = ask(LIAR + liar, DOUBLE, functions=("liar", "double"))
    assert values(answers) == [2.0, 4.0]
    assert values(answers, "liar") == [1.0, 2.0]
    assert answers.returned.keys() == {"liar", "double"}


def test_half_a_line_does_not_spoil_the_next():
    half = "import os\ndef half(x):\n    os.write(4, b'{\"function\": ')\n    while True: pass"
    answers = ask(half, DOUBLE, functions=("half", "double"), seconds=1.0)
    assert answers.ends == {"half": "time", "double": "done"}
    assert values(answers) == [2.0, 4.0]


def test_a_runner_that_says_it_is_done_too_early_is_not_asked_again():
    answers = ask(LIAR + "tell(done=True)", DOUBLE)
    assert answers.ends == {"double": "died"}


def runner(monkeypatch, code: str) -> None:
    """Put a program of our own in the runner's place."""
    monkeypatch.setattr(sandbox, "command", lambda *a: [sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('bwrap: no permissions')", "bwrap: no permissions"),
        ("pass", r"it ended without a word \(died\)"),
        ("import time; time.sleep(60)", r"it ended without a word \(time\)"),
        ("print('{}\\n[]\\nnull')", r"it ended without a word \(died\)"),
    ],
)
def test_a_sandbox_that_does_not_start_is_nobodys_fault(monkeypatch, code, said):
    runner(monkeypatch, code)
    monkeypatch.setattr(scoring, "START_SECONDS", 2)
    with pytest.raises(SandboxFailed, match=said):
        ask(DOUBLE)


def test_an_end_that_was_told_stays(monkeypatch):
    """The runner ends after a function has, and before it says that it is done."""
    said = [{"function": "double"}, {"function": "double", "case": 0, "value": 2.0}]
    said.append({"function": "double", "end": "done"})
    runner(monkeypatch, f"print({chr(10).join(map(json.dumps, said))!r})")
    answers = ask()
    assert answers.ends == {"double": "done"}
    assert values(answers) == [2.0]


FLOOD = """
import os, sys
os.write(1, b'{"cell": 0}\\n')
while True:
    os.write(1, %s)
"""


@pytest.mark.parametrize(
    "text", ["b'\\n' * 1000", "b'[' * 1000", "b'{}\\n' * 1000", "b'\\x00' * 50"]
)
def test_whoever_never_stops_writing_has_no_more_time_than_others(monkeypatch, text):
    runner(monkeypatch, FLOOD % text)
    monkeypatch.setattr(scoring, "MAX_STREAM", 10**12)
    monkeypatch.setattr(scoring, "MAX_LINE", 10**12)
    monkeypatch.setattr(scoring, "GRACE_SECONDS", 0.1)
    found = Answers()
    start = time.monotonic()
    run = scoring._Run(Job(["x"], {"f": []}, 0.5), set(), ["f"], found, start + 30)
    assert run.to_its_end() == "time"
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("text", "unbounded"), [("b'[' * 10**6", "MAX_STREAM"), ("b'x' * 10**4 + b'\\n'", "MAX_LINE")]
)
def test_lines_and_the_whole_stream_are_bounded(monkeypatch, text, unbounded):
    runner(monkeypatch, FLOOD % text)
    monkeypatch.setattr(scoring, unbounded, 10**12)
    last = time.monotonic() + 100
    run = scoring._Run(Job(["x"], {"f": []}, 90.0), set(), ["f"], Answers(), last)
    assert run.to_its_end() == "died"


def _peak_of_a_flood() -> int:
    array = base64.b64encode(bytes(wire.MAX_BYTES)).decode()
    value = {"array": array, "dtype": "|u1", "shape": [wire.MAX_BYTES]}
    line = f"\\n{json.dumps({'function': 'double', 'case': 0, 'value': value})}\\n"
    cell = f"""
import os
def double(x):
    line = {line!r}.replace('\\\\n', '\\n').encode()
    while True:
        rest = line
        while rest:
            rest = rest[os.write(4, rest):]
"""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answers = ask(cell)
    assert answers.ends == {"double": "died"}, answers.ends
    assert len(answers.returned["double"]) == 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def test_a_flood_of_answers_takes_little_memory_here():
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(_peak_of_a_flood) < 100_000  # kilobytes


def test_what_is_meant_for_one_sandbox_never_reaches_the_next(monkeypatch):
    """A runner that ends without reading leaves nothing that still means to write."""
    large = {"double": [{"x": wire.encode(np.zeros(wire.MAX_BYTES // 8))}] * 3}
    monkeypatch.setattr(threading.Thread, "start", lambda self: pytest.fail("a thread"))
    for _ in range(5):
        with monkeypatch.context() as patch:
            said = '{"cell": 0}\\n{"function": "double"}\\n'
            runner(patch, f"import os; os.write(1, b'{said}')")
            assert answer(Job(["x"], large, SECONDS)).ends == {"double": "died"}
        assert values(ask(DOUBLE)) == [2.0, 4.0]


def test_nothing_is_left_open_or_running():
    def held() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    ask(DOUBLE)
    before = held()
    for _ in range(3):
        ask(DOUBLE, "import os; os._exit(1)")
    assert held() == before


def test_unprotected_leaves_no_file_and_no_child():
    before = set(Path("/tmp").iterdir())
    cell = (
        "import os, pathlib\npathlib.Path('left').write_text('left')\n"
        "for _ in range(2):\n"
        "    if os.fork() == 0:\n        import time; time.sleep(60); os._exit(0)"
    )
    where = "import os\ndef where(x):\n    return [float(b) for b in os.getcwd().encode()]"
    answers = ask(cell, DOUBLE, where, functions=("double", "where"), protected=False)
    assert values(answers) == [2.0, 4.0]
    folder = bytes(map(int, values(answers, "where")[0])).decode()
    assert not Path(folder).exists()
    assert not any(folder in str(path) for path in set(Path("/tmp").iterdir()) - before)
    # Who is killed may take a moment to be gone.
    last = time.monotonic() + 20
    while (left := _processes_in(folder)) and time.monotonic() < last:
        time.sleep(0.05)
    assert left == []


def _processes_in(folder: str) -> list[str]:
    """The commands of those that run there, or did before it was removed."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder in os.readlink(process / "cwd"):
                found.append((process / "cmdline").read_text())
    return found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["f", "done", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["cell", "function", "case", "value", "raised", "changed", "end", "error", "other"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
LINES_BEFORE = [b'{"cell": 0}', b'{"cell": 1}', b'{"function": "f"}']
LINES = st.lists(
    JSON.map(json.dumps).map(str.encode)
    | st.binary(max_size=20)
    | st.sampled_from(
        [
            b'{"cell": 0}',
            b'{"cell": 0, "error": "ValueError"}',
            b'{"cell": 1}',
            b'{"function": "f"}',
            b'{"function": "f", "case": 0, "value": 1.0}',
            b'{"function": "f", "case": 0, "value": {"other": []}}',
            b'{"function": "f", "case": 1e400, "value": 1.0}',
            b'{"function": "f", "case": 99999999999999999999, "raised": "x"}',
            b'{"function": "f", "end": "done"}',
            b'{"function": "f", "end": []}',
            b'{"function": "f", "end": "late"}',
            b'{"done": true}',
            b"[" * 5000,
            b'{"cell": ' * 5000,
            b"1" * 10_000,
        ]
    ),
    max_size=20,
)


@relaxed
@given(st.sampled_from([[], LINES_BEFORE]).flatmap(lambda before: LINES.map(before.__add__)))
def test_no_line_upsets_the_reader_or_says_more_than_it_may(lines):
    found = Answers()
    run = scoring._Run(Job(["", ""], {"f": [{}, {}]}, 1.0), set(), ["f"], found, 1e12)
    for line in lines:
        run._take(line)
    assert found.failed_cells.keys() <= {0, 1}
    assert found.returned.keys() <= {"f"}
    assert found.returned.get("f", {}).keys() <= {0, 1}
    assert found.ends.items() <= {("f", end) for end in scoring.ENDS}
    if found.ends or found.returned:
        assert b'{"cell": 1}' in lines
        assert b'{"function": "f"}' in lines


def test_long_names_are_cut():
    found = Answers()
    run = scoring._Run(Job([""], {"f": [{}]}, 1.0), set(), ["f"], found, 1e12)
    long = "E" * 10**6
    for said in (
        {"cell": 0},
        {"cell": 0, "error": long},
        {"function": "f"},
        {"function": "f", "case": 0, "raised": long, "changed": long},
    ):
        run._take(json.dumps(said).encode())
    assert len(found.failed_cells[0]) == scoring.MAX_NAME
    assert len(found.returned["f"][0].raised) == scoring.MAX_NAME
    assert len(found.returned["f"][0].changed) == scoring.MAX_NAME
