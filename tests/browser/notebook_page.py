"""One notebook in JupyterLab, driven as a student would drive it."""

from __future__ import annotations

import time

from playwright.sync_api import Locator, Page, expect

EXPLORER = ".sparsecourse-explorer"
DRAGGABLE = ".sparsecourse-draggable"  # sliders of our own, drawn in the browser
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
        # In the notebook that is shown: another may be open behind it.
        shown = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
        code_cells = shown.locator(".jp-Notebook .jp-CodeCell")
        prompts = code_cells.locator(".jp-InputPrompt")
        count = code_cells.count()
        expect(prompts.nth(count - 1)).to_have_text(f"[{count}]:", timeout=2 * MINUTES)

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
    """What the keyboard can reach: slider handles, groups of buttons, and lists that are shown."""
    found = explorer.locator("[role=slider], .widget-toggle-buttons, select").all()
    return [control for control in found if control.is_visible()]


def press(control: Locator) -> None:
    """Move a control by one step with the keyboard; backwards where it is at its end."""
    if control.get_attribute("role") == "slider":
        at_end = control.get_attribute("aria-valuenow") == control.get_attribute("aria-valuemax")
        control.press("ArrowLeft" if at_end else "ArrowRight")
    elif control.evaluate("control => control.tagName") == "SELECT":
        at_end = control.evaluate("list => list.selectedIndex === list.length - 1")
        # JupyterLab keeps the arrow keys for its cells until the list is open.
        for key in ("Space", "ArrowUp" if at_end else "ArrowDown", "Enter"):
            control.press(key)
    else:
        control.locator("button:not(.mod-active)").first.press("Space")


def milliseconds_to_redraw(explorer: Locator, control: Locator) -> float:
    """From the key press to the changed picture."""
    before = picture_of(explorer)
    start = time.perf_counter()
    press(control)
    wait_for_another(explorer, before)
    return 1000 * (time.perf_counter() - start)


def drag(explorer: Locator, control: Locator) -> None:
    """Pull a control of our own to the right with the pointer: its value must keep up with it,
    and the picture must have followed before the pointer lets go."""
    box = control.bounding_box()
    before, values = picture_of(explorer), []
    mouse, height = control.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + 0.6 * box["width"], height)
    mouse.down()
    for share in (0.6, 0.65, 0.7, 0.75):
        mouse.move(box["x"] + share * box["width"], height)
        values.append(float(control.get_attribute("aria-valuenow")))
    wait_for_another(explorer, before)
    mouse.up()
    assert values == sorted(set(values)), f"the value did not follow the pointer: {values}"
    assert float(control.get_attribute("aria-valuenow")) == values[-1], "it did not stay"
