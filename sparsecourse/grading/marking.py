"""From answers to points: hidden inputs, drawn once a run, and judged outside the sandbox."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass

from sparsecourse.grading import wire
from sparsecourse.grading.checks import HIDDEN_CASES, Check, Failure, Inputs, Judge
from sparsecourse.grading.results import Mark
from sparsecourse.grading.scoring import Answers, Returned

ENDED = {
    "missing": "it is not defined: no cell that ran defines a function of this name",
    "time": "it was stopped: it took more than {seconds:g} seconds",
    "died": "its process ended before it returned: it exited, crashed or ran out of memory",
    "no process": "it could not be called: your cells left no room for another process",
    "late": "it was not called: your notebook as a whole took too long",
}
UNWRITTEN = "it is not written yet"
# Others may be named by a student, so as to be told of the hidden inputs.
EXCEPTIONS = {
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
} | {"LinAlgError", "AxisError"}


@dataclass(frozen=True)
class Key:
    """The hidden inputs of one function, and who judges each.

    Parameters
    ----------
    check : Check
    inputs : list of dict
        Ordinary ones first, then the edge cases.
    judges : list of callable
        One for each of `inputs`.
    """

    check: Check
    inputs: list[Inputs]
    judges: list[Judge]

    @classmethod
    def draw(cls, check: Check, seed: int) -> Key:
        """The key of one run: the same seed gives the same."""
        inputs = check.hidden_inputs(seed)
        return cls(check, inputs, [check.judge(case) for case in inputs])

    @property
    def cases(self) -> list[dict]:
        """The inputs as they are sent into a sandbox.

        Raises
        ------
        ValueError
            If the check draws what cannot be sent.
        """
        cases = [
            {name: wire.encode(value) for name, value in inputs.items()} for inputs in self.inputs
        ]
        for case in cases:
            for name, value in case.items():
                if isinstance(wire.decode(value), wire.Other):
                    raise ValueError(
                        f"{self.check.name}: {name} cannot be sent into a sandbox; draw numbers, "
                        f"or arrays of real numbers of at most {wire.MAX_BYTES} bytes"
                    )
        return cases

    def mark(self, answers: Answers, seconds: float) -> Mark:
        """All points if every answer is right, else none, and why, in words for the student."""
        returned = answers.returned.get(self.check.name, {})
        end = answers.ends[self.check.name]
        failures = [
            self._failure(judge, returned[number]) if number in returned else None
            for number, judge in enumerate(self.judges)
        ]
        if end == "done" and len(returned) == len(self.judges) and not any(failures):
            return Mark(self.check.points, self.check.points)
        kind, reason = self._reason(failures, end, seconds)
        if end != "missing" and kind != UNWRITTEN:
            reason += f" Look first: {self.check.hint}"
        return Mark(0, self.check.points, reason, kind)

    def _failure(self, judge: Judge, answer: Returned) -> Failure | None:
        if answer.raised is not None:
            known = answer.raised in EXCEPTIONS
            kind = f"raised {answer.raised}" if known else "raised an exception of your own"
            return Failure(kind, kind)
        if answer.changed is not None:
            known = answer.changed in self.inputs[0]
            kind = f"changed its argument {answer.changed if known else ''}".strip()
            return Failure(kind, kind)
        return judge(answer.value)

    def _reason(
        self, failures: Sequence[Failure | None], end: str, seconds: float
    ) -> tuple[str, str]:
        """What went wrong: its kind, and a sentence that starts with how often."""
        wrong = [number for number, failure in enumerate(failures) if failure is not None]
        if not wrong:
            reason = ENDED.get(end, ENDED["died"]).format(seconds=seconds)
            return reason.partition(":")[0], f"{reason[0].upper()}{reason[1:]}."
        kind = f"it {failures[wrong[0]].kind}"
        if kind == "it raised NotImplementedError":
            return UNWRITTEN, "It is not written yet."
        ordinary = sum(number < HIDDEN_CASES for number in wrong)
        counts = [f"{ordinary} of {HIDDEN_CASES} ordinary inputs"] if ordinary else []
        if awkward := len(wrong) - ordinary:
            of = len(failures) - HIDDEN_CASES
            counts.append(f"{awkward} of {of} awkward ones (zeros, ties, edge shapes, ...)")
        also = "" if len({f.kind for f in failures if f}) == 1 else ", among other things"
        return kind, f"Not right on {' and '.join(counts)}: {kind}{also}."
