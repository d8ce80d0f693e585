"""The report: self-contained, typeset, and true to the results."""

import re

import pytest

from nlmodel.errors import DomainError
from tests.html_page import Page
from tests.validation.fake_claims import conditional, confirmed, fake, refuted
from tests.validation.test_ledger_cli import rich
from validation import Section, prose, report
from validation.mathml import mathml
from validation.registry import collect
from validation.run import run_claim


ASSUMED = ("real", "at most 1")


@pytest.fixture(scope="module")
def text():
    claims = collect(
        [
            {
                "a": fake(confirmed, "C1"),
                "b": fake(refuted, "C2", ASSUMED, proof="Because $\\alpha < 1$.\n\nAnd *so* on."),
            },
            {"c": fake(conditional, "C10", ASSUMED, section=Section("9.0", "Earlier"))},
            {"d": fake(rich, "4.3", ASSUMED, formula=r"x < \frac12", statement='It\'s <b>bold</b> & "quoted".')},
            {"e": fake(lambda ledger: 1 / 0, "C11")},
        ]
    )
    results = [run_claim(claim, pictures=True) for claim in claims.values()]
    return report.page(results, claims, ["C1 is not in ledger.toml"], quick=True)


def test_nothing_is_loaded_from_elsewhere(text):
    assert not re.search(r"https?:|<script|<link|@import|url\((?!#)", text)
    page = Page(text)
    assert all(reference.startswith(("#", "data:image/png;base64,")) for reference in page.references)
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_every_element_is_closed_and_every_reference_arrives(text):
    page = Page(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {ref[1:] for ref in page.references if ref.startswith("#")} <= set(page.ids)
    assert {"C1", "C2", "C10", "C11", "4.3"} <= set(page.ids)


def test_formulas_are_mathml(text):
    assert text.count("<math") > 10
    assert "<mfrac>" in text
    assert "$" not in re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)


def test_text_of_claims_is_escaped_and_typeset(text):
    assert "It’s &lt;b&gt;bold&lt;/b&gt; &amp; “quoted”." in text
    assert "<em>so</em>" in text


def test_sections_stand_in_order(text):
    assert text.index("Earlier") < text.index('<span class="number">9.1</span>')


def test_a_broken_claim_shows_its_traceback(text):
    assert "ZeroDivisionError" in text
    assert "Differs: C1 is not in ledger.toml." in text


def test_figures_take_the_colour_of_the_page(text):
    assert "<svg" in text
    assert "currentColor" in text
    assert "#1b1b1b" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)


def test_the_machine_is_not_named():
    import platform

    words = " ".join(report.facts(quick=False).values())
    assert platform.node() not in words
    assert platform.release() not in words


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        (r"\operatorname{tr} A", "<mi>tr</mi>"),
        (r"\int f \, \mathrm{d}x", '<mi mathvariant="normal">d</mi>'),
        (r"W^\top", "<mi>⊤</mi>"),
        (r"a \implies b", "<mo>⟹</mo>"),
        (r"\lambda \det A", '<mspace width="0.167em" /><mi>det</mi><mspace width="0.167em" />'),
        (r"x = -1", '<mo>=</mo><mo form="prefix">−</mo>'),
        (r"[-1, -2]", '<mo>,</mo><mo form="prefix">−</mo>'),
        (r"|x| - 1", "<mo>−</mo>"),
        (r"\max_i x", '</msub><mspace width="0.167em" /><mi>x</mi>'),
        (r"\lVert x \rVert", '<mo stretchy="false" lspace="0" rspace="0">‖</mo>'),
        (r"a < \infty", "<mi>∞</mi>"),
        (r"\operatorname{ess\,inf} f", "<mtext>ess\N{NO-BREAK SPACE}inf</mtext>"),
        (r"t' - 1", '<mrow><mi>t</mi><mo lspace="0" rspace="0">′</mo></mrow><mo>−</mo>'),
        (r"a \sim b", "<mo>∼</mo>"),
        (r"\widetilde{W}", '<mover accent="true">'),
        (r"\begin{align*} a &= b \\ c &= d \end{align*}", "<mtable"),
    ],
)
def test_mathml_for_browsers(latex, part):
    text = mathml(latex)
    assert part in text
    assert "xmlns" not in text


def test_limits_stand_below_in_displayed_formulas():
    assert mathml(r"\max_i x", display=True).count("<munder>") == 1
    assert mathml(r"\max_i x").count("<munder>") == 0


@pytest.mark.parametrize("latex", [r"\frac{", r"\nosuchcommand x", r"\begin{aligned} a &= b \end{aligned}"])
def test_latex_without_counterpart_is_refused(latex):
    with pytest.raises(DomainError, match="cannot be typeset"):
        mathml(latex)


def test_a_formula_that_cannot_be_set_breaks_its_claim():
    result = run_claim(fake(confirmed, statement=r"$\nosuchcommand$"))
    assert result.verdict == "broken"
    assert "cannot be typeset" in result.reasons[0]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (r"$\widetilde{W} \ge 0$ *always*", "W~ ≥ 0 always"),
        (r"`code` and $\omega_{ij}$", "code and ω_ij"),
        (r"$\operatorname{tr} W^k$", "tr W^k"),
        ("2 * 3", "2 * 3"),
    ],
)
def test_plain_text(text, plain):
    assert prose.plain(text) == plain


def test_emphasis_may_hold_formulas():
    assert prose.inline("*with $x$ in it*") == f"<em>with {mathml('x')} in it</em>"
    assert prose.inline("2 * 3 * 4") == "2 * 3 * 4"


def test_code_is_left_alone():
    assert prose.inline('`a\'b "c" 1-2`') == "<code>a&#x27;b &quot;c&quot; 1-2</code>"
    assert prose.inline("Figs 1-4, eqs (11)-(12)") == "Figs 1–4, eqs (11)–(12)"
