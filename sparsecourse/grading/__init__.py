"""Exercises: what is checked, how a student checks an answer, how exercises are released."""

from sparsecourse.grading.selfcheck import self_check

__all__ = ["self_check"]
