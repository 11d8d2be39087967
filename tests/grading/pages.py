"""An exercise made by hand, and what a browser would see of a page."""

import re
from html.parser import HTMLParser

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from sparsecourse.grading.checks import Check
from sparsecourse.grading.exercise import Exercise
from sparsecourse.grading.results import Mark

RIGHT = Mark(2, 2)


def double(x):
    return 2 * x


def triple(x):
    return 3 * x


def exercise():
    """Two functions of 2 points and a proof of 3."""
    checks = [
        Check(function, 2, draw=lambda rng: {"x": rng.normal()}, hint="how often?", wrong={})
        for function in (double, triple)
    ]
    grade_ids = {"double": "double-check", "triple": "triple-check"}
    cells = [
        new_markdown_cell("# Exercise 99: Times\n\nGoes with lecture 99."),
        new_markdown_cell("## 1. Twice (2 points)"),
        code("self_check(double)", "double-check"),
        new_markdown_cell("## 2. Three times (2 points)"),
        code("self_check(triple)", "triple-check"),
        new_markdown_cell("## 3. Prove it (3 points)"),
        new_markdown_cell("YOUR ANSWER HERE", metadata={"nbgrader": {"grade_id": "proof"}}),
    ]
    return Exercise("99_times", checks, grade_ids, {"proof": 3}, new_notebook(cells=cells))


def code(source, grade_id):
    return new_code_cell(source, metadata={"nbgrader": {"grade_id": grade_id}})


class Seen(HTMLParser):
    """The tags of a page, and the text that a reader sees."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.pieces = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] not in {"style", "title"}:
            self.pieces.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.pieces).split())

    def attributes(self, name):
        return [attributes[name] for _, attributes in self.tags if name in attributes]


def assert_self_contained(page):
    """It runs nothing and loads nothing, and tells a browser to see to it."""
    seen = Seen(page)
    assert not {tag for tag, _ in seen.tags} & {"script", "link", "iframe", "object", "base", "a"}
    assert not [name for _, attributes in seen.tags for name in attributes if name[:2] == "on"]
    loaded = [
        address
        for name in ("src", "href", "srcset", "data", "action", "poster", "background")
        for address in seen.attributes(name)
    ]
    assert all(address.startswith("data:image/") for address in loaded)
    assert not re.search(r"url\(|@import", page)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert seen.attributes("content")[0] == policy
    assert seen.attributes("lang") == ["en"]
    assert "width=device-width" in page
    assert "prefers-color-scheme: dark" in page
