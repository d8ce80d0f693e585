"""Prose and numbers, for the page and for the terminal."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from nlmodel.audit.report import Audit, Fact, Finding, Section
from nlmodel.audit.words import literal, mathml, number, percent, to_html, to_plain


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"), (1.5, "1.5"), (-0.25, "−0.25"), (1.47e-10, "1.47 × 10⁻¹⁰"), (-2e22, "−2 × 10²²"),
        (math.inf, "∞"), (-math.inf, "−∞"), (math.nan, "undefined"), (12345, "12,345"), (True, "yes"),
        (34_248_249_381_071, "3.425 × 10¹³"),
        (np.False_, "no"), (None, "unknown"), ("a to b", "a to b"), (1 - 2j, "1 − 2i"), (np.float64(0.1), "0.1"),
    ],
)  # fmt: skip
def test_number(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (1e-6, "less than 0.01 %"),
                         (0.999999, "more than 99.99 %")],
)  # fmt: skip
def test_percent(share, words):
    assert percent(share) == words


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("$0 \\le \\mu \\le 1.5$ and `--scale`", "0 ≤ μ ≤ 1.5 and --scale"),
        ("$\\|X_i - X_j\\|^2 / (2 h^2)$", "‖X_i - X_j‖² / (2 h²)"),
        ("$\\tilde{W} = (W + W^\\top)/2$", "W̃ = (W + Wᵀ)/2"),
        ("$s_{\\max}$ of $-L$", "s_max of -L"),
        ("no formula", "no formula"),
    ],
)
def test_to_plain(text, plain):
    assert to_plain(text) == plain


def test_to_html_escapes_and_typesets():
    page = to_html("a < b & `x<y>` $\\mu^2$")
    assert page.startswith("a &lt; b &amp; <code>x&lt;y&gt;</code> <math")
    ElementTree.fromstring(mathml("\\frac{a}{b} \\le \\sqrt{c}", display=True))


def test_a_name_cannot_become_a_formula_or_markup():
    name = "$\\mu$ `<script>`"
    assert "<math" not in to_html(literal(name))
    assert "<script>" not in to_html(literal(name))
    assert "<math" in to_html(name)  # the control


def test_an_audit_knows_its_facts_and_orders_its_findings():
    findings = tuple(Finding(level, level, "") for level in ("good", "act", "watch", "good"))
    audit = Audit("x", "affinity", "3 positions", (), findings, (Section("s", "", (Fact("a", "A", 2.0),)),))
    assert [f.level for f in audit.ordered] == ["act", "watch", "good", "good"]
    assert audit.value("a") == 2.0
    assert repr(audit) == "Audit('x', kind='affinity', findings: 1 act, 1 watch, 2 good)"
    with pytest.raises(KeyError):
        audit.value("b")
