"""The first command of the README: JupyterLab on the start lecture, quiet, and soon.

And with `--grading`, for instructors: the same with nbgrader's formgrader.
"""

import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from sparsecourse.cli.requirements import ROOT
from tests.browser.conftest import running_lab

FORMGRADER = ["/formgrader", "/formgrader/api/assignments"]
REST_OF_NBGRADER = ["/assignments", "/courses", "/formgraders", "/nbgrader_version"]


def status(page, url, path):
    """Answer of the server at `url`, with its token, to a request for `path`."""
    return page.request.get(urlsplit(url)._replace(path=path).geturl()).status


def assert_no_complaints(log):
    assert "Traceback" not in log
    assert "[E " not in log
    assert "[W " not in log, log


def test_lab_opens_the_start_lecture_without_asking_anything(page, clean_variables, tmp_path):
    start = time.perf_counter()
    with running_lab(tmp_path, clean_variables, "--", f"--ServerApp.root_dir={ROOT}") as url:
        assert "/lab/tree/lectures/00_start_here.ipynb" in url
        page.goto(url)
        page.get_by_role("heading", name="00 Start here").wait_for()
        print(
            f"from the command to the lecture in the browser: {time.perf_counter() - start:.1f} s"
        )
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()
        page.wait_for_timeout(1000)  # notifications come late, if they come
        expect(page.get_by_text("official Jupyter news")).to_have_count(0)
        expect(page.get_by_role("menuitem", name="Formgrader")).to_have_count(0)
        expect(page.get_by_role("menuitem", name="nbgrader")).to_have_count(0)
        log = (tmp_path / "server.log").read_text()
        assert "Traceback" not in log


def test_nothing_of_nbgraders_answers_a_student(page, clean_variables, tmp_path):
    with running_lab(tmp_path, clean_variables) as url:
        log = (tmp_path / "server.log").read_text()
        assert status(page, url, "/lab") == 200
        for path in FORMGRADER + REST_OF_NBGRADER:
            assert status(page, url, path) == 404, path
    assert_no_complaints(log)
    assert "nbgrader" not in log


@pytest.fixture
def graded(tmp_path):
    """A folder as `grade` writes it, as far as a server needs it to start."""
    folder = tmp_path / "graded"
    folder.mkdir()
    (folder / "nbgrader_config.py").write_text(
        f"c.CourseDirectory.root = {str(folder)!r}\nc.CourseDirectory.course_id = 'c'\n"
    )
    return folder


def test_an_instructor_gets_formgrader_and_nothing_else_of_nbgraders(
    page, clean_variables, tmp_path, graded
):
    with running_lab(tmp_path, clean_variables, "--grading", str(graded)) as url:
        assert urlsplit(url).path == "/lab"
        assert_no_complaints((tmp_path / "server.log").read_text())
        for path in FORMGRADER:
            assert status(page, url, path) == 200, path
        for path in REST_OF_NBGRADER:
            assert status(page, url, path) == 404, path
        page.goto(url)
        page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
        items = page.locator(".lm-Menu").get_by_role("menuitem")
        expect(items).to_have_text(["Formgrader"])
        items.click()
        formgrader = page.frame_locator("iframe")
        expect(formgrader.get_by_role("heading", name="Manage Assignments")).to_be_visible()
        expect(page.get_by_text("official Jupyter news")).to_have_count(0)
