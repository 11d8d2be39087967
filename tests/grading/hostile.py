"""Submissions that mean harm: name -> code cells, what is earned all the same, what is told.

The exercise asks for `double(x)`, 2 points, and `total(x)`, 3 points. Whoever attacks with cells
defines both rightly afterwards and earns all: no attack costs what is right. Whoever attacks from
within `double` earns `total`. Names in angle brackets are filled in by the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent, indent

DOUBLE = "def double(x):\n    return 2 * x"
TOTAL = "def total(x):\n    return x.sum()"
POINTS = {"double": 2, "total": 3}

LEFT_OUT = "ended everything"
STOPPED = "was stopped after"
NO_NUMBERS = "not made of real numbers"
WRONG = "a wrong value"
ENDED = "Its process ended"
TOO_LONG = "It was stopped"
ANYTHING = ""


@dataclass(frozen=True)
class Hostile:
    """A submission.

    Parameters
    ----------
    cells : list of str
        All its code.
    earns : set of str, optional
        The functions that deserve their points; None if it spoils its own, or not, as it happens.
    notes : tuple of str, optional
        A part of each sentence on the cells, in order; None if that depends on the moment.
    failure : str
        A part of the reason why `double` has no points.
    """

    cells: list[str]
    earns: set[str] | None
    notes: tuple[str, ...] | None = ()
    failure: str = ANYTHING


def attack(*cells: str, notes: tuple[str, ...] | None = ()) -> Hostile:
    """Cells that attack, and two functions that are right."""
    return Hostile([*map(_code, cells), DOUBLE, TOTAL], {"double", "total"}, notes)


def attack_from(double: str, failure: str, first: str = "") -> Hostile:
    """The body of a `double` that attacks, what is said of it, and what is run before."""
    source = f"{_code(first)}\ndef double(x):\n{indent(_code(double), '    ')}"
    return Hostile([source, TOTAL], {"total"}, (), failure)


def _code(text: str) -> str:
    return dedent(text).strip("\n")


EVERY_DESCRIPTOR = """
import os
def to_all(text):
    for descriptor in range(3, 64):
        try:
            rest = text
            while rest:
                rest = rest[os.write(descriptor, rest):]
        except OSError:
            pass
"""

LIES = r"""
for number in range(9):
    to_all(b'\n{"cell": %d}\n{"cell": %d, "error": null}\n' % (number, number))
for name in (b'double', b'total'):
    to_all(b'\n{"function": "%s"}\n' % name)
    for number in range(20):
        to_all(b'\n{"function": "%s", "case": %d, "value": 1.0}\n' % (name, number))
    to_all(b'\n{"function": "%s", "end": "done"}\n' % name)
to_all(b'\n{"done": true}\n')
"""

# Points for nothing: every `double` here is wrong, or right in a way that does not count.
CHEATS = {
    "replaces np.allclose and np.testing": attack_from(
        "return x",
        WRONG,
        """
        import numpy as np
        np.allclose = np.array_equal = np.isclose = lambda *a, **k: True
        np.testing.assert_allclose = np.testing.assert_equal = lambda *a, **k: None
        """,
    ),
    "replaces builtins": attack_from(
        """
        import builtins
        builtins.all = builtins.any = builtins.isinstance = lambda *a: True
        builtins.len = builtins.abs = lambda *a: 0
        return x
        """,
        ANYTHING,
    ),
    "replaces builtins as a context for later code": attack_from(
        "return x", WRONG, "__builtins__ = {'all': lambda *a: True}"
    ),
    "transforms the syntax tree of later cells": attack_from(
        "return x",
        WRONG,
        """
        import ast, builtins
        class NoAsserts(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        get_ipython().ast_transformers.append(NoAsserts())
        compile_it = builtins.compile
        def compile(source, *arguments, **options):
            tree = ast.fix_missing_locations(NoAsserts().visit(ast.parse(source)))
            return compile_it(tree, *arguments, **options)
        builtins.compile = compile
        """,
    ),
    "replaces the random numbers": attack_from(
        "return np.zeros(3)",
        ANYTHING,
        """
        import numpy as np
        np.random.default_rng = np.random.seed = np.random.normal = lambda *a: np.zeros(3)
        """,
    ),
    "replaces the clock": attack_from(
        "while True: pass",
        TOO_LONG,
        """
        import time
        time.monotonic = time.time = time.perf_counter = lambda: 0.0
        time.sleep = lambda seconds: None
        """,
    ),
    "writes verdicts to every descriptor": attack_from(
        r"""
        for number in range(20):
            to_all(b'\n{"function": "double", "case": %d, "value": 1.0}\n' % number)
        to_all(b'\n{"function": "double", "points": 2, "end": ["done"]}\n')
        to_all(b'\n{"function": {}, "case": [], "end": {}}\n[]\n"function"\n0\nnull\n{}\n')
        to_all(b'\n{"function": "double", "case": 0, "value": {"other": []}}\n')
        to_all(b'\n{"function": "double", "case": 0, "value": {"list": "x"}}\n')
        to_all(b'\n{"function": "double", "case": 1e999, "raised": {}, "changed": 1}\n')
        return x
        """,
        ANYTHING,
        EVERY_DESCRIPTOR,
    ),
    "says that it is done": attack_from(
        r"""
        to_all(b'\n{"function": "double", "end": "done"}\n')
        os._exit(0)
        """,
        ENDED,
        EVERY_DESCRIPTOR,
    ),
    "replaces what calls it": Hostile(
        [
            _code(
                """
                import sys
                def call(function, cases, tell):
                    for number in range(len(cases)):
                        tell(case=number, value=1.0)
                frame = sys._getframe()
                while frame:
                    if 'run_cell' in frame.f_globals:
                        frame.f_globals['call'] = call
                    frame = frame.f_back
                def double(x):
                    return x
                """
            ),
            TOTAL,
        ],
        set(),
        failure="the wrong shape",
    ),
    "replaces what encodes its answer": attack_from(
        "return x",
        WRONG,
        """
        import wire
        wire.encode = lambda value: {'array': 'right'}
        """,
    ),
    "looks for the right answer in every frame": attack_from(
        """
        import gc, sys
        names = {'expected', 'reference', 'check', 'judge', 'solution', 'key'}
        frame = sys._getframe(1)
        while frame:
            for name in names & {*frame.f_locals, *frame.f_globals}:
                return frame.f_locals.get(name, frame.f_globals.get(name))
            frame = frame.f_back
        for thing in gc.get_objects():
            if isinstance(thing, dict):
                for name in names & {key for key in thing if isinstance(key, str)}:
                    if getattr(thing[name], 'shape', None) == x.shape:
                        return thing[name]
        raise LookupError
        """,
        "raised LookupError",
    ),
    "imports the reference": attack_from(
        "from sparsecourse.reference.ridge import ridge\nreturn ridge(x, x, 1.0)",
        "raised ModuleNotFoundError",
    ),
    "imports the grader": attack_from(
        "from sparsecourse.grading.checks import Check\nreturn Check",
        "raised ModuleNotFoundError",
    ),
    "keeps what it returned first": attack_from(
        "kept.append(2 * x)\nreturn kept[0]", "Not right on", "kept = []"
    ),
    "keeps it in a default argument": Hostile(
        ["def double(x, kept=[]):\n    kept.append(2 * x)\n    return kept[0]", TOTAL],
        {"total"},
        failure="Not right on",
    ),
    "makes its argument fit a wrong answer": attack_from(
        "x[...] = 0\nreturn x", "changed its argument x"
    ),
    "returns NaN": attack_from("return x * float('nan')", "NaN or infinity"),
    "returns infinity": attack_from("return x + float('inf')", "NaN or infinity"),
    "returns the largest numbers": attack_from("return 0 * x + 1.7e308", WRONG),
    "returns a whole number of 5000 digits": attack_from("return 10**5000", NO_NUMBERS),
    "returns 100 MB": attack_from("import numpy\nreturn numpy.zeros(12_500_000)", NO_NUMBERS),
    "returns a million numbers in a list": attack_from("return [1.0] * 10**6", NO_NUMBERS),
    "returns lists in lists": attack_from(
        "got = [x]\nfor _ in range(900):\n    got = [got]\nreturn got", NO_NUMBERS
    ),
    "returns a list that holds itself": attack_from(
        "got = []\ngot.append(got)\nreturn got", NO_NUMBERS
    ),
    "returns the right numbers as objects": attack_from(
        "return (2 * x).astype(object)", NO_NUMBERS
    ),
    "returns the right numbers as complex": attack_from("return 2 * x + 0j", NO_NUMBERS),
    "returns the right numbers as text": attack_from(
        "return [str(number) for number in 2 * x]", NO_NUMBERS
    ),
    "returns the right numbers under a mask": attack_from(
        "return np.ma.masked_array(2 * x, mask=x > 1e9)", NO_NUMBERS, "import numpy as np"
    ),
    "returns an array that equals everything": attack_from(
        "return x.view(Equal)",
        WRONG,
        """
        import numpy as np
        class Equal(np.ndarray):
            def __eq__(self, other):
                return True
            def __sub__(self, other):
                return np.zeros(3)
            def __array_ufunc__(self, *inputs, **options):
                return np.zeros(3)
            def tobytes(self):
                return b''
        """,
    ),
    "returns something whose __array__ lies": attack_from(
        "return Liar()",
        ANYTHING,
        """
        import numpy as np
        class Liar:
            def __array__(self, *arguments, **options):
                return np.ones(3)
            def __array_function__(self, *arguments, **options):
                return True
            def __eq__(self, other):
                return True
        """,
    ),
    "returns something whose __array__ runs code": attack_from(
        "return Bomb()",
        ENDED,
        """
        import os
        class Bomb:
            def __array__(self, *arguments, **options):
                os._exit(0)
        """,
    ),
    "returns something whose class lies": attack_from(
        "return Liar()",
        NO_NUMBERS,
        """
        class Liar:
            __class__ = float
            def __float__(self):
                return 1.0
        """,
    ),
    "returns a pickle": attack_from(
        "return pickle.dumps(Bomb())",
        NO_NUMBERS,
        """
        import os, pickle
        class Bomb:
            def __reduce__(self):
                return os.system, ('touch <home>/<canary>',)
        """,
    ),
    "returns what runs code when it is unpickled": attack_from(
        "return numpy.array([Bomb()], dtype=object)",
        NO_NUMBERS,
        """
        import numpy, os
        class Bomb:
            def __reduce__(self):
                return os.system, ('touch <home>/<canary>',)
        """,
    ),
    "leaves links, a zip bomb and a pipe where answers might be looked for": attack_from(
        """
        for name in ('double.npz', 'answers.npz', 'results.json', '/dev/shm/double.npy'):
            if not os.path.lexists(name):
                os.symlink('<solutions>', name)
        with zipfile.ZipFile('bomb.npz', 'w', zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr('double.npy', bytes(10**7))
        if not os.path.exists('double.npy'):
            os.mkfifo('double.npy')
        return open('bomb.npz', 'rb').read()
        """,
        NO_NUMBERS,
        "import os, zipfile",
    ),
    "names an exception after what it was given": attack_from(
        "raise type(f'x was {x.tolist()}', (ValueError,), {})", "an exception of your own"
    ),
    "names an argument that it did not have": attack_from(
        r"""
        to_all(b'\n{"function": "double", "case": 0, "changed": "x was 3"}\n')
        os._exit(0)
        """,
        "changed its argument",
        EVERY_DESCRIPTOR,
    ),
    "is a coroutine": Hostile(
        ["async def double(x):\n    return 2 * x", TOTAL], {"total"}, failure=NO_NUMBERS
    ),
    "is a generator": attack_from("yield 2 * x", NO_NUMBERS),
    "is no function": Hostile(["double = 2", TOTAL], {"total"}, failure="not defined"),
    "is deleted again": Hostile([DOUBLE, TOTAL, "del double"], {"total"}, failure="not defined"),
    "is replaced again": Hostile([DOUBLE, TOTAL, "double = lambda x: x"], {"total"}, failure=WRONG),
    "renames its argument": Hostile(
        ["def double(y):\n    return 2 * y", TOTAL], {"total"}, failure="raised TypeError"
    ),
    "asks for the answer": attack_from("return float(input('2x? '))", "raised EOFError"),
    "says it all in one file": Hostile(
        ["import os; os._exit(0)\n" + DOUBLE, TOTAL], {"total"}, (LEFT_OUT,), "not defined"
    ),
}

# What ends, stalls or floods: from within `double`, in a process that is its own.
FUNCTIONS = {
    "exits": attack_from("raise SystemExit", "raised SystemExit"),
    "exits at once": attack_from("import os\nos._exit(0)", ENDED),
    "aborts": attack_from("import os\nos.abort()", ENDED),
    "reads address zero": attack_from("import ctypes\nctypes.string_at(0)", ENDED),
    "interrupts": attack_from("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "kills the runner": attack_from("import os\nos.kill(os.getppid(), 9)\nreturn x", ANYTHING),
    "stops the runner": attack_from(
        "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nwhile True: pass", TOO_LONG
    ),
    "kills everything": attack_from("import os\nos.kill(-1, 9)\nos._exit(0)", ENDED),
    "traces the runner": attack_from(
        """
        import ctypes, os
        ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)
        return x
        """,
        ANYTHING,
    ),
    "loops": attack_from("while True: pass", TOO_LONG),
    "loops and hears no interrupt": attack_from(
        """
        import signal
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        TOO_LONG,
    ),
    "recurses without end": attack_from(
        "import sys\nsys.setrecursionlimit(10**9)\nreturn double(x) + 1", ANYTHING
    ),
    "takes 30 GB": attack_from("return bytearray(30 * 2**30)", "raised MemoryError"),
    "takes 30 GB in pieces": attack_from(
        "held = []\nwhile True:\n    held.append(bytearray(b'1') * 10**8)", ANYTHING
    ),
    "takes 30 GB in 30 processes": attack_from(
        """
        import os, time
        for _ in range(30):
            if os.fork() == 0:
                break
        held = bytearray(b'1') * 10**9
        time.sleep(60)
        """,
        ANYTHING,
    ),
    "takes 30 GB of System V shared memory": attack_from(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        for _ in range(150):
            at = libc.shmat(libc.shmget(0, 2 * 10**8, 0o1600), None, 0)
            if at in (None, 2**64 - 1):
                raise MemoryError
            ctypes.memset(at, 1, 2 * 10**8)
            libc.shmdt(ctypes.c_void_p(at))
        """,
        ANYTHING,
    ),
    "takes 30 GB of files without a name": attack_from(
        """
        import os
        for _ in range(150):
            os.write(os.memfd_create('flood'), bytes(2 * 10**8))
        """,
        ANYTHING,
    ),
    "is a fork bomb": attack_from(
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        TOO_LONG,
    ),
    "forks and goes on twice": attack_from("import os\nos.fork()\nreturn x", WRONG),
    "leaves a daemon that stops the runner": attack_from(
        """
        import os, signal, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                    signal.signal(number, signal.SIG_IGN)
                time.sleep(0.3)
                while True:
                    os.kill(runner, signal.SIGSTOP)
            os._exit(0)
        return x
        """,
        WRONG,
        "import os\nrunner = os.getpid()",
    ),
    "makes descriptors answer at once": attack_from(
        """
        import os
        for descriptor in range(3, 64):
            try:
                os.set_blocking(descriptor, False)
            except OSError:
                pass
        return x
        """,
        WRONG,
    ),
    "writes a file of 10 GB": attack_from(
        """
        with open('large', 'ab') as file:
            for _ in range(10**4):
                file.write(bytes(10**6))
        """,
        "raised OSError",
    ),
    "fills the shared memory": attack_from(
        """
        for number in range(1000):
            with open(f'/dev/shm/{number}', 'xb') as file:
                file.write(bytes(10**7))
        """,
        "raised OSError",
    ),
    "makes a million small files": attack_from(
        """
        import itertools
        for number in itertools.count():
            open(str(number), 'w').close()
        """,
        TOO_LONG,
    ),
    "prints 1 GB": attack_from("for _ in range(80): print('x' * 10**6)\nreturn x", WRONG),
    "writes half a line and ends": attack_from(
        """
        to_all(b'{"function": "total", "case": 0, "value": ')
        os._exit(1)
        """,
        ENDED,
        EVERY_DESCRIPTOR,
    ),
    "writes noise without end": attack_from(
        """
        noise = os.urandom(10**6)
        while True:
            to_all(noise)
        """,
        ANYTHING,
        EVERY_DESCRIPTOR,
    ),
    "writes empty lines without end": attack_from(
        r"""
        while True:
            to_all(b'\n' * 10**6)
        """,
        ANYTHING,
        EVERY_DESCRIPTOR,
    ),
    "writes one line without end": attack_from(
        """
        while True:
            to_all(b'[' * 10**6)
        """,
        ANYTHING,
        EVERY_DESCRIPTOR,
    ),
    "writes 100 MB of answers": attack_from(
        r"""
        import base64, json
        array = base64.b64encode(bytes(2**20)).decode()
        value = {'array': array, 'dtype': '|u1', 'shape': [2**20]}
        for number in range(72):
            said = {'function': 'double', 'case': number % 12, 'value': value}
            to_all(f'\n{json.dumps(said)}\n'.encode())
        """,
        ANYTHING,
        EVERY_DESCRIPTOR,
    ),
    "names an exception with a million letters": attack_from(
        "raise type('E' * 10**6, (Exception,), {})", "an exception of your own"
    ),
}

# What is done by cells, in the process that all functions are forked from.
CELLS = {
    "exits": attack("exit()", "quit()", notes=("stopped with SystemExit",) * 2),
    "raises what ends a program": attack(
        "import sys\nsys.exit(0)",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        notes=("with SystemExit", "with KeyboardInterrupt", "with GeneratorExit"),
    ),
    "exits at once": attack("import os\nos._exit(0)", notes=(LEFT_OUT,)),
    "reads address zero": attack("import ctypes\nctypes.string_at(0)", notes=(LEFT_OUT,)),
    "kills itself": attack("import os\nos.kill(os.getpid(), 9)", notes=(LEFT_OUT,)),
    "kills its parent": attack("import os\nos.kill(os.getppid(), 9)", notes=None),
    "kills everything": attack("import os\nos.kill(-1, 9)", notes=None),
    "ends in many ways": attack(
        "import os\nos._exit(1)",
        "import os\nos.abort()",
        "import os\nos.execv('/bin/true', ['true'])",
        notes=(LEFT_OUT, LEFT_OUT, "stopped with FileNotFoundError"),
    ),
    "loops and hears no interrupt": attack(
        """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
        """,
        notes=(STOPPED,),
    ),
    "computes without end": attack("9**9**9", notes=(STOPPED,)),
    "takes 30 GB": attack("held = bytearray(30 * 2**30)", notes=("with MemoryError",)),
    "is a fork bomb": attack(
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        notes=(STOPPED,),
    ),
    "is a fork bomb that goes on": attack(
        "import os\nwhile True: os.fork()", notes=("with BlockingIOError",)
    ),
    "forks and goes on twice": attack("import os\nchild = os.fork()"),
    "leaves a daemon that kills what comes after": attack(
        """
        import os, signal
        runner = os.getpid()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                    signal.signal(number, signal.SIG_IGN)
                while True:
                    for number in range(runner + 1, 300):
                        if number != os.getpid():
                            try:
                                os.kill(number, signal.SIGKILL)
                            except OSError:
                                pass
            os._exit(0)
        """
    ),
    "leaves children that it never waits for": attack(
        """
        import os
        for _ in range(40):
            if os.fork() == 0:
                os._exit(0)
        """
    ),
    "leaves threads that compute": attack(
        """
        import threading
        def spin():
            while True:
                pass
        for _ in range(4):
            threading.Thread(target=spin, daemon=True).start()
        """
    ),
    "leaves threads that wait to be waited for": attack(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()"
    ),
    "leaves handlers for the end": attack(
        "import atexit, time\natexit.register(time.sleep, 99)\natexit.register(exit)"
    ),
    "traces and profiles": attack(
        """
        import sys, threading
        def trace(frame, *arguments):
            if frame.f_code.co_name in ('call', 'in_a_process_of_its_own', 'end_all_others'):
                raise RuntimeError
            return trace
        threading.settrace(trace)
        threading.setprofile(trace)
        sys.setprofile(trace)
        sys.settrace(trace)
        """
    ),
    "sets timers that raise": attack(
        """
        import signal
        def handler(*arguments):
            raise RuntimeError
        for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF):
            signal.signal(number, handler)
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(timer, 0.02, 0.005)
        """,
        "import time\ntime.sleep(0.1)",
        "sum(range(10**7))",
    ),
    "refuses everything by an audit hook": attack(
        """
        import sys
        def refuse(*arguments):
            raise RuntimeError
        sys.addaudithook(refuse)
        """,
        notes=(LEFT_OUT,),
    ),
    "waits for no child": attack("import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)"),
    "replaces what the runner uses": attack(
        """
        import builtins, io, json, os, signal, sys, time
        os.fork = os._exit = os.write = os.waitpid = os.kill = os.getpid = lambda *a: 0
        json.dumps = json.loads = signal.signal = signal.pthread_sigmask = lambda *a: '{}'
        time.monotonic = time.time = lambda: 1e12
        time.sleep = lambda seconds: None
        builtins.open = io.open = lambda *a, **k: None
        """
    ),
    "replaces builtins": attack(
        """
        import builtins
        for name in ('len', 'type', 'bytes', 'range', 'enumerate', 'callable', 'map', 'print'):
            setattr(builtins, name, lambda *a, **k: 1)
        """
    ),
    "replaces all builtins": attack(
        """
        import builtins
        for name in dir(builtins):
            if name.islower():
                setattr(builtins, name, lambda *a, **k: 1)
        """,
        notes=None,
    ),
    "replaces the encoder of JSON": attack(
        "import json\njson.encoder.JSONEncoder.encode = lambda *a: '[]'", notes=(STOPPED,)
    ),
    "removes all modules": Hostile(
        ["import sys\nsys.modules.clear()", DOUBLE, TOTAL],
        {"double"},  # a sum needs a module
    ),
    "replaces __main__": attack(
        "import sys, types\nsys.modules['__main__'] = types.ModuleType('elsewhere')"
    ),
    "clears its own names": attack("globals().clear()"),
    "collects what it was not given": attack(
        """
        import gc, sys
        sign = '<' + 'f8'  # the type of each input
        seen = [d for d in gc.get_objects() if isinstance(d, dict) and d.get('dtype') == sign]
        frame = sys._getframe(1)
        while frame:
            others = [v for v in frame.f_locals.values() if v is not globals()]
            seen += [v for v in others if sign in str(v)]
            frame = frame.f_back
        if seen:
            raise LookupError
        """,
    ),
    "reads In and Out": attack("In[0]", "Out[0]", notes=("NameError", "NameError")),
    "reads every descriptor": attack(
        """
        import os
        for descriptor in range(0, 64):
            try:
                os.set_blocking(descriptor, False)
                read = os.read(descriptor, 10**6)
            except OSError:
                continue
            if read:
                raise LookupError
        """,
    ),
    "closes every descriptor": attack("import os\nos.closerange(0, 256)", notes=(LEFT_OUT,)),
    "leads every descriptor astray": attack(
        """
        import os
        nothing = os.open('/dev/null', os.O_RDWR)
        for descriptor in range(64):
            if descriptor != nothing:
                os.dup2(nothing, descriptor)
        """,
        notes=(LEFT_OUT,),
    ),
    "prints 1 GB": attack("for _ in range(1000): print('x' * 10**6)"),
    "asks for input": attack("input('What is expected? ')", notes=("with EOFError",)),
    "writes to files that are not its own": attack(
        """
        import os
        for place in <places>:
            for name in ('<canary>', '__init__.py', 'conftest.py', '.bashrc'):
                try:
                    with open(os.path.join(place, name), 'a') as file:
                        file.write('# <canary>')
                except OSError:
                    continue
                raise LookupError
        """
    ),
    "deletes files that are not its own": attack(
        """
        import os, shutil
        shutil.rmtree('<outside>', ignore_errors=True)
        for name in ('<outside>/canary', '<outside>'):
            try:
                os.rename(name, '/tmp/mine')
            except OSError:
                continue
            raise LookupError
        """
    ),
    "reads files that are not its own": attack(
        """
        import os
        for place in <places>:
            if place not in ('/', '<libraries>'):
                try:
                    found = os.listdir(place)
                except OSError:
                    continue
                if set(found) - {*<shown>}:
                    raise LookupError
        """
    ),
    "reads the environment and other processes": attack(
        r"""
        import os
        text = str(dict(os.environ))
        for number in filter(str.isdigit, os.listdir('/proc')):
            for name in ('environ', 'cmdline', 'maps', 'fd', 'root', 'cwd'):
                path = f'/proc/{number}/{name}'
                try:
                    text += str(os.listdir(path)) if os.path.isdir(path) else open(path).read()
                except OSError:
                    pass
        if '<secret>' in text or 'pytest' in text:
            raise LookupError
        """
    ),
    "talks to the network and to other processes": attack(
        """
        import socket
        for family, kind, address in <sockets>:
            try:
                with socket.socket(getattr(socket, family), getattr(socket, kind)) as link:
                    link.settimeout(0.2)
                    link.connect(address)
                    link.send(b'<canary>')
            except OSError:
                continue
            if kind != 'SOCK_DGRAM':
                raise LookupError
        """
    ),
    "becomes root in a namespace of its own": attack(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        if libc.unshare(0x10000000 | 0x20000) == 0:
            raise LookupError
        if libc.mount(b'none', b'/tmp', b'tmpfs', 0, b'size=90%') == 0:
            raise LookupError
        if libc.setuid(0) == 0 or libc.setgid(0) == 0:
            raise LookupError
        """
    ),
    "uses magics and the shell": attack(
        "%matplotlib inline\n!touch <home>/<canary>\n%cd /\n!pip install numpy",
        "%%bash\nrm -rf <outside>",
        "%%time\nimport numpy as np\nnp.dot?",
    ),
}

# They spoil their own answers.
SPOILERS = {
    "lies about all that is to come": Hostile(
        [_code(EVERY_DESCRIPTOR + LIES), DOUBLE, TOTAL], set(), failure="the wrong shape"
    ),
    "interrupts itself from a thread": Hostile(
        [
            _code(
                """
                import ctypes, threading
                main = ctypes.c_ulong(threading.main_thread().ident)
                def interrupt():
                    while True:
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(
                            main, ctypes.py_object(KeyboardInterrupt)
                        )
                threading.Thread(target=interrupt, daemon=True).start()
                """
            ),
            DOUBLE,
            TOTAL,
        ],
        earns=None,
        notes=None,
    ),
    "ends itself from a thread": Hostile(
        ["import os, threading\nthreading.Timer(0.01, os._exit, (0,)).start()", DOUBLE, TOTAL],
        earns=None,
        notes=None,
    ),
}

SUBMISSIONS = {
    f"{kind}: {name}": hostile
    for kind, group in {
        "cheat": CHEATS,
        "function": FUNCTIONS,
        "cells": CELLS,
        "spoiler": SPOILERS,
    }.items()
    for name, hostile in group.items()
}
