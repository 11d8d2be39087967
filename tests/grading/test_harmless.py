"""Student's Markdown, as nbconvert shows it in formgrader: no way out of the text."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from sparsecourse.grading import harmless

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"a.png": {"image/png": PIXEL}}

TAGS = (
    "p br hr em strong del code pre span div ul ol li input blockquote h1 h2 h3 h4 h5 h6 "
    "table thead tbody tr th td dl dt dd a img"
)
# How the value of each attribute may begin.
ATTRIBUTES = {
    "href": ("http://", "https://"),
    "src": ("data:image/png;base64,",),
    "style": ("text-align:",),
    **dict.fromkeys(("class", "alt", "type", "disabled", "checked", "start"), ("",)),
}


class Page(HTMLParser):
    """What a browser would make of a piece of HTML: its elements and where they lead."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def assert_harmless(self):
        for tag, attributes in self.elements:
            assert tag in TAGS.split(), (tag, attributes)
            assert attributes.get("class") != "mermaid"  # JupyterLab draws it, pictures and all
            for name, value in attributes.items():
                assert (value or "").startswith(ATTRIBUTES.get(name, ())), (tag, attributes)


def shown(text, images=None):
    """The text as formgrader shows it."""
    images = images or {}
    # As formgrader does with our settings: raw HTML is let through, headings get no ids.
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True, attachments=images)
    return Page(MarkdownWithMath(renderer=renderer).render(harmless.markdown(text, images)))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick=alert(1)>b</b>",
    "<!-- <script> --><svg onload=alert(1)>",
    "`<script>`\n\n```html\n<script>\n```\n\n    <script>",
    "$<script>$ $$\n<script>\n$$ \\begin{a}<script>\\end{a} \\\\(<script>\\\\) \\\\[<script>\\\\]",
    "[x](javascript:alert(1)) [x](<javascript:alert(1)>) [x]( JavaScript:alert(1) 'title')",
    "[x](data:text/html;base64,PHNjcmlwdD4=) [x](vbscript:x) [x](java&#115;cript:alert(1))",
    "[x][r] [r]\n\n[r]: javascript:alert(1)\n",
    "<javascript:alert(1)>",
    "![x](https://elsewhere.example/pixel.png) ![x](//elsewhere.example/pixel.png)",
    "![x][r]\n\n[r]: https://elsewhere.example/pixel.png\n",
    "[![x](attachment:a.png)](javascript:alert(1))",
    "![x](attachment:a.png)(javascript:alert(1)) [![x](attachment:a.png)][r]",
    '![x" onerror="alert(1)](attachment:a.png)',
    "```mermaid\nflowchart LR\n A@{ img: 'https://elsewhere.example/pixel.png' }\n```",
    "~~~ Mermaid\n<script>\n~~~",
    '```"><script>\nx\n```',
    "https://x.example/'onmouseover=alert(1) https://x.example/\"onmouseover=alert(1)",
    "| a |\n|:-:|\n| <script> |\n",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_runs_or_loads_and_all_is_readable(text):
    page = shown(text, PICTURE)
    page.assert_harmless()
    if "<script>" in text:
        assert "script" in page.text


@pytest.mark.parametrize("text", HOSTILE)
def test_no_tag_is_left_for_any_other_parser(text):
    assert "<" not in harmless.markdown(text, PICTURE)


PIECES = (
    "< > [ ] ( ) ! ` ``` ~~~ $ $$ \\ \\\\( \\\\) : ; & &lt; &#60; # | - * _ \" ' / = \n a.png r x "
    "mermaid script javascript: attachment: attachment:a.png http://x.example \\begin{a} \\end{a} "
    "[r]: ![ ]( <script> onerror=x"
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES.split(" ")), max_size=40).map("".join))
def test_no_mixture_of_such_pieces_gets_out(text):
    shown(text, PICTURE).assert_harmless()


def test_headings_get_no_names_that_formgraders_fields_have():
    assert shown("# proof\n\nproof\n=====").elements[0] == ("h1", {})


def test_formulas_stay_formulas():
    text = "If $a<b$ then $$\\sum_{i<n} x_i$$ and \\begin{align}a&<b\\end{align}"
    assert harmless.markdown(text, {}) == (
        "If $a\\lt b$ then $$\\sum_{i\\lt n} x_i$$ and \\begin{align}a&\\lt b\\end{align}"
    )


def test_a_single_dollar_begins_no_formula():
    assert harmless.markdown("5$ if a < b", {}) == "5$ if a &lt; b"
    assert shown("5$ if a < b").text.strip() == "5$ if a < b"


def test_ordinary_markdown_is_left_alone():
    text = "**(a)** By *Pythagoras*,\n\n1. $X^\\top r = 0$\n2. `X.T @ r`\n\n> so it is.\n"
    assert harmless.markdown(text, {}) == text


def test_a_pasted_picture_is_shown_and_an_absent_one_breaks_nothing():
    page = shown("![my sketch](attachment:a.png) ![x](attachment:b.png)", PICTURE)
    sources = [attributes["src"] for tag, attributes in page.elements if tag == "img"]
    assert sources == [f"data:image/png;base64,{PIXEL}"]
    assert "attachment:b.png" in page.text


@pytest.mark.parametrize(
    "formats",
    [{"image/svg+xml": PIXEL}, {"text/html": PIXEL}, {"image/png": '"><script>'}, {}],
)
def test_what_is_no_picture_of_pixels_is_not_kept(formats):
    assert harmless.pictures({"a.png": formats} | {"b.png": PICTURE["a.png"]}) == {
        "b.png": PICTURE["a.png"]
    }


@pytest.mark.parametrize("piece", ["\\\\[", "\\\\(", "\\begin{a}", "[", "*_", "> ", "|a|\n|-|\n"])
def test_a_text_made_to_be_slow_is_cut_before_it_blocks_formgrader(piece):
    start = time.perf_counter()
    page = shown(piece * 1_000_000)
    assert time.perf_counter() - start < 20
    assert "cut here: it has" in page.text
