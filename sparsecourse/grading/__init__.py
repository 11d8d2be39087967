"""Exercises: what is checked, how a student checks an answer, how exercises are released."""

from sparsecourse.grading.selfcheck import check_my_answers, self_check

__all__ = ["check_my_answers", "self_check"]
