"""One notebook in JupyterLab, driven as a student would drive it."""

from __future__ import annotations

import time

from playwright.sync_api import Locator, Page, expect

EXPLORER = ".sparsecourse-explorer"
QUIZ = ".sparsecourse-quiz"
MINUTES = 60_000


class NotebookPage:
    """A notebook opened in the browser; `run_all` first, then look at it."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        page.goto(address)
        # The toolbar says idle before the session is ready, and Run All is dropped until then.
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for(timeout=2 * MINUTES)

    def run_all(self) -> None:
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        code_cells = self.page.locator(".jp-Notebook .jp-CodeCell")
        prompts = code_cells.locator(".jp-InputPrompt")
        last = prompts.nth(code_cells.count() - 1)
        expect(last).to_have_text(f"[{code_cells.count()}]:", timeout=2 * MINUTES)

    def errors(self) -> list[str]:
        """Texts of all error and stderr outputs on the page."""
        bad = self.page.locator(
            '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"], '
            '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
        )
        return bad.all_inner_texts()

    def explorers(self) -> list[Locator]:
        return self.page.locator(EXPLORER).all()

    def quizzes(self) -> list[Locator]:
        return self.page.locator(QUIZ).all()


def picture_of(explorer: Locator) -> str:
    return explorer.locator("img").get_attribute("src")


def wait_for_another(explorer: Locator, before: str) -> None:
    explorer.page.wait_for_function(
        "([image, before]) => image.src !== before && image.complete",
        arg=[explorer.locator("img").element_handle(), before],
        polling=5,
        timeout=10_000,
    )


def controls_of(explorer: Locator) -> list[Locator]:
    """What the keyboard can reach: slider handles and groups of buttons."""
    return explorer.locator("[role=slider], .widget-toggle-buttons").all()


def press(control: Locator) -> None:
    """Move a control by one step with the keyboard; backwards where it is at its end."""
    if control.get_attribute("role") == "slider":
        at_end = control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax")
        control.press("ArrowLeft" if at_end else "ArrowRight")
    else:
        control.locator("button:not(.mod-active)").first.press("Space")


def milliseconds_to_redraw(explorer: Locator, control: Locator) -> float:
    """From the key press to the changed picture."""
    before = picture_of(explorer)
    start = time.perf_counter()
    press(control)
    wait_for_another(explorer, before)
    return 1000 * (time.perf_counter() - start)
