"""What a student's notebook finds as `sparsecourse` while it is graded: the data, nothing else.

The package prints its reference implementations in lectures; an exercise asks for variants of
them, to be written by the student, so they cannot be imported here.
"""
