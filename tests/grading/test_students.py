"""Ids from file names, as systems and people write them; and none that could do harm."""

import pytest

from sparsecourse.grading.students import SYSTEMS, claims, safe, stand_in
from sparsecourse.grading.untrusted import Entry

TOPIC = "04_ridge_and_lasso"
BLACKBOARD, MOODLE, BRIGHTSPACE, CANVAS = SYSTEMS


def student_of(*names):
    """Whose the first is, in a class of all."""
    return next(claims([Entry(name, tuple(name.split("/"))) for name in names], TOPIC)).student


@pytest.mark.parametrize(
    ("name", "student"),
    [
        (f"leeann_LATE_12345_67890_{TOPIC}-2.ipynb", "12345"),
        (f"leeann_12345_67890_{TOPIC}.ipynb", "12345"),
        ("anon_a1B2c_67890_x.ipynb", "anon_a1B2c"),
        ("LATE_anon_a1B2c_67890_x.ipynb", "anon_a1B2c"),
        ("Ann Lee_12345_assignsubmission_file_/x.ipynb", "12345"),
        ("Ann Lee_12345_assignsubmission_file/work/x.ipynb", "12345"),
        ("Ann Lee_12345_assignsubmission_file_x.ipynb", "12345"),
        (f"Ann Lee_12345_assignsubmission_file_/{TOPIC}/{TOPIC}.ipynb", "12345"),
        ("Assignment_alice_attempt_2026-11-01-12-00-00_file.ipynb", "alice"),
        ("My first_2_345_task_al.ice@x.org_attempt_2026-11-01-12-00-00_file.ipynb", "al.ice@x.org"),
        ("12345-67890 - Ann Lee - Nov 1, 2026 1200 PM/x.ipynb", "12345"),
        ("12345-67890 - Ann Lee - Nov 1, 2026 1200 PM - x.ipynb", "12345"),
        ("alice.ipynb", "alice"),
        (f"alice_{TOPIC}.ipynb", "alice"),
        (f"{TOPIC}_alice.ipynb", "alice"),
        (f"{TOPIC}-alice.ipynb", "alice"),
        (f"{TOPIC} - alice-Copy1.ipynb", "alice"),
        (f"{TOPIC}_alice (2).ipynb", "alice"),
        ("Ann Lee.ipynb", "Ann_Lee"),
        (f"alice_12_{TOPIC}.ipynb", "alice_12"),
        ("alice/anything.ipynb", "alice"),
        (f"alice_{TOPIC}/anything.ipynb", "alice"),
        ("a.lee+x@uni.org/x.ipynb", "a.lee+x@uni.org"),
        ("cafe\N{COMBINING ACUTE ACCENT}.ipynb", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("छात्रा.ipynb", "छात्रा"),
        (f"{TOPIC}.ipynb", None),
        (f"{TOPIC}-Copy1.ipynb", None),
        (f"{TOPIC} (1).ipynb", None),
    ],
)
def test_ids_are_where_the_system_or_a_person_puts_them(name, student):
    assert student_of(name) == student


@pytest.mark.parametrize(
    ("honest", "forged"),
    [
        ("roebo_77_5000_x.ipynb", "evil_66_5001_roebo_77_5000_x.ipynb"),
        ("roebo_77_5000_x.ipynb", "evil_66_5001_a_77_attempt_2026-11-01-12-00-00_x.ipynb"),
        (
            "Bo_77_assignsubmission_file_x.ipynb",
            "Ev_66_assignsubmission_file_77_assignsubmission_file_x.ipynb",
        ),
        (
            "A_77_attempt_2026-11-01-12-00-00_x.ipynb",
            "A_66_attempt_2026-11-01-12-00-00_77_attempt_2026-11-01-12-00-00_x.ipynb",
        ),
        ("77-1 - Bo - x.ipynb", "66-1 - Ev - 77-1 - Bo - x.ipynb"),
        ("77/x.ipynb", "66/Bo_77_assignsubmission_file_/x.ipynb"),
        ("77/x.ipynb", f"66/77/{TOPIC}/{TOPIC}.ipynb"),
    ],
)
def test_a_file_name_chosen_by_a_student_does_not_make_another_student(honest, forged):
    assert student_of(honest, forged) == "77"
    assert student_of(forged, honest, honest.replace("77", "78")) == "66"


@pytest.mark.parametrize(
    "given",
    [
        "=cmd",
        "+1",
        "-x",
        "@x",
        ".x",
        "..",
        "",
        " ",
        "a/b",
        "../../x",
        "a\\b",
        "a\nb",
        "a\tb",
        "a\0b",
        "a,b",
        'a"b',
        "a'b",
        "<b>",
        "a:b",
        "a;b",
        "a%b",
        "\N{FULLWIDTH EQUALS SIGN}cmd",
        "a\N{RIGHT-TO-LEFT OVERRIDE}b",
        "a\N{ZERO WIDTH SPACE}b",
        "a\udc80",
        "x" * 101,
        "\N{CJK UNIFIED IDEOGRAPH-4E00}" * 90,  # 270 bytes: no file system takes it
    ],
)
def test_an_id_that_could_do_harm_is_none(given):
    assert safe(given) is None


@pytest.mark.parametrize("given", ["a", "Ann_Lee", "a.b@c-d+e", "0042", "_x", "x" * 100, "李雷"])
def test_a_harmless_id_is_kept(given):
    assert safe(given) == given


def test_stand_ins_are_safe_and_one_a_name():
    names = ["=cmd", "+cmd", "a" * 500, "b" + "a" * 499, "a\udc80", ""]
    assert len({stand_in(name) for name in names}) == len(names)
    assert all(safe(stand_in(name)) == stand_in(name) for name in names)
    assert stand_in("=cmd") == stand_in("=cmd")
