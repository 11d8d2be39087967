"""Self-checks that check nothing: the score is made outside."""


def self_check(function: object) -> None:
    """Do nothing: the cases shown to students are not here."""


def check_my_answers(names: dict) -> None:
    """Do nothing: the cases shown to students are not here."""
