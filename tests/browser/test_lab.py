"""The first command of the README: JupyterLab on the start lecture, quiet, and soon."""

import time

from playwright.sync_api import expect

from sparsecourse.cli.requirements import ROOT
from tests.browser.conftest import running_lab


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
