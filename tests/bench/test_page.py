"""The report: complete, escaped, and one file."""

import re
from html.parser import HTMLParser

import pytest

from bench import words
from bench.figures import figure, walk
from bench.page.document import page
from bench.page.markup import style, tag
from bench.results import Document
from bench.targets import judge
from tests.bench_results import document, every_section, tokens

HOSTILE = '<script>alert("x")</script>&\'"'
# Elements and attributes by which a page could ask for something.
ASKING = {"script", "link", "img", "iframe", "object", "embed", "base", "source", "use", "image"}
REFERENCES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href", "background"}
VOID = {"meta"}


class Elements(HTMLParser):
    """All elements, what was not closed, and the page's text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture
def whole() -> str:
    return page(every_section(), document())


def texts(html: str) -> set[str]:
    return {text.strip() for text in Elements(html).text}


def test_elements_are_closed_in_their_order(whole: str) -> None:
    assert Elements(whole).open == []


def test_page_asks_for_nothing(whole: str) -> None:
    elements = Elements(whole)
    assert ASKING.isdisjoint(elements.names)
    assert REFERENCES.isdisjoint(name for name, _ in elements.attributes)
    assert not re.search(r"https?:|url\(|@import|//", whole.replace("<!doctype html>", ""))


def test_every_figure_and_every_target_is_there() -> None:
    made = every_section()
    shown = texts(page(made, None))
    for result in made.results.values():
        for path, found in walk(result):
            assert " ".join(path) in shown
            assert words.figure(found) in shown
    for each in judge(made):
        assert {each.target.what, str(each.outcome)} <= shown


def test_every_ratio_is_beside_its_target_or_among_the_others() -> None:
    made = document({"verify_tokens": {**tokens(), "to_nobody": figure([7.5], unit="ratio")}})
    targets = page(made, None).partition("Ratios without a target")
    assert "2.00×" in targets[0]
    others = targets[2].partition("</table>")[0]
    assert "to_nobody" in others and "7.50×" in others
    assert "keystead_to" not in others


def test_every_section_is_drawn(whole: str) -> None:
    assert "Not measured in this run." not in whole
    assert page(document({}), None).count("Not measured in this run.") == 6


def test_another_token_endpoint_is_drawn_with_its_ratio(whole: str) -> None:
    assert "Token endpoint: exchange" in whole
    assert {"oidc-provider", "400"} <= texts(whole)
    others = whole.partition("Ratios without a target")[2].partition("</table>")[0]
    assert "token_endpoint: cases exchange keystead_to oidc_provider" in others
    assert "0.75×" in others


def test_every_plot_has_its_words_and_its_table(whole: str) -> None:
    plots = whole.count('role="img"')
    assert plots == whole.count("<figure>") == whole.count("The same as a table")
    assert len(re.findall(r'role="img" aria-label="[^"]+"', whole)) == plots


@pytest.mark.parametrize(
    "made",
    [
        document({HOSTILE: tokens()}),
        document({"verify_tokens": {**tokens(), "question": HOSTILE}}),
        document({"verify_tokens": {**tokens(), "missing": {HOSTILE: HOSTILE}}}),
        document({"verify_tokens": {**tokens(), "cases": {HOSTILE: tokens()["cases"]["ES256"]}}}),
        document(cpu=HOSTILE),
        document(path=HOSTILE),
    ],
    ids=["bench", "question", "missing", "case", "cpu", "path"],
)
def test_text_from_results_is_escaped(made: Document) -> None:
    shown = page(made, made)
    assert "<script" not in shown
    elements = Elements(shown)
    assert any(HOSTILE in text for text in elements.text)
    assert elements.open == []


def test_attribute_is_escaped() -> None:
    assert tag("p", title='"><b>') == '<p title="&quot;&gt;&lt;b&gt;"></p>'


def test_style_sheet_cannot_end_early() -> None:
    with pytest.raises(ValueError, match="ends early"):
        style("</style><script>")


def test_page_says_first_that_the_build_got_slower() -> None:
    shown = page(document({"verify_tokens": tokens(5_000)}), document())
    said = [text for text in Elements(shown).text if text.strip()]
    at = next(index for index, text in enumerate(said) if text.startswith("Slower: 2 of 2"))
    # The title, the sheet, the heading and the sign come before it.
    assert at <= 4
