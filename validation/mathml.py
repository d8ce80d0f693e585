"""LaTeX to MathML as browsers implement it.

latex2mathml writes MathML 3; browsers read MathML Core, and take spacing from the tag. What it tags otherwise than TeX
spaces it is put right here: names of functions, bars, signs, infinity.
"""

from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree

from nlmodel.errors import DomainError


ADVICE = r"use plain LaTeX; for several lines \begin{align*}, for words \text{}, for names \operatorname{}"
SPACED_NAME = re.compile(r"\\operatorname\*?\{(\w+)\\[,; ]\s*(\w+)\}")
UPRIGHT = re.compile(r"<mi>(&#x000(?:4[1-9A-F]|5[0-9A]|6[1-9A-F]|7[0-9A]);)</mi>")
ROWS = {"math", "mrow", "mstyle", "mtd", "msqrt"}
SCRIPTS = {"msub", "msup", "msubsup", "munder", "mover", "munderover"}
OPERANDS = SCRIPTS | {"mi", "mn", "mfrac", "msqrt", "mroot", "mrow", "mtable", "mstyle"}
LIMITS = {"min", "max", "sup", "inf", "lim", "lim inf", "lim sup"}
TO_OPERATOR = {"~": "∼", "±": "±", "∓": "∓", "⟹": "⟹", "⟺": "⟺", ":": ":", "⟶": "⟶"}
TO_IDENTIFIER = {"⊤", "∞", "…"}
SIGNS = {"−", "+", "±"}
TIGHT = {"|", "‖", "/"}
ACCENTS = set("^~―¯→˙")
CLOSING = {")", "]", "}", "|", "‖", "⟩", "!", "′", "″", "‴"}
PRIMES = {"′", "″", "‴"}  # raised already, a superscript would raise them twice
THIN = "0.167em"


@cache
def mathml(latex: str, display: bool = False) -> str:
    """One formula as MathML; `DomainError` for LaTeX that has no counterpart."""
    from latex2mathml.converter import convert

    try:
        latex = SPACED_NAME.sub(r"\\text{\1 \2}\\,", latex.strip())
        text = convert(latex, display="block" if display else "inline")
        text = UPRIGHT.sub(r'<mi mathvariant="normal">\1</mi>', text).replace(' xmlns="', ' data-xmlns="')
        math = ElementTree.fromstring(text)
    except Exception as error:  # latex2mathml raises a dozen unrelated classes
        raise DomainError("a formula cannot be typeset", got=latex, why=repr(error), fix=ADVICE) from error
    del math.attrib["data-xmlns"]
    for element in math.iter():
        if (element.text or "").startswith("\\") or (element.tag == "mo" and not element.text):
            raise DomainError("a formula cannot be typeset", got=latex, why=f"near {element.text!r}", fix=ADVICE)
        _retag(element, display)
    for element in list(math.iter()):
        if element.tag in ROWS:
            _space(element)
    return ElementTree.tostring(math, encoding="unicode")


def _retag(element: ElementTree.Element, display: bool) -> None:
    """Identifiers as identifiers, operators as operators, accents as accents, bars that neither stretch nor spread."""
    text = (element.text or "").replace("\u2006", " ")
    if element.tag == "mo" and (text in TO_IDENTIFIER or (len(text) > 1 and text.replace(" ", "").isalpha())):
        element.tag, element.text, element.attrib = "mi", text, {}
    elif element.tag == "mi" and text in TO_OPERATOR:
        element.tag, element.text = "mo", TO_OPERATOR[text]
    elif element.tag == "mo" and text in TIGHT and "minsize" not in element.attrib and "form" not in element.attrib:
        element.attrib = {"stretchy": "false", "lspace": "0", "rspace": "0"}
    elif element.tag == "mn" and element.get("mathvariant") == "double-struck" and text == "1":
        element.text = "𝟙"
    elif element.tag == "mspace" and not element.get("width", "0").endswith("em"):
        element.attrib.pop("width", None)
    elif element.tag == "mover" and element[1].tag == "mo" and element[1].text in ACCENTS:
        element.set("accent", "true")
    elif element.tag == "msup" and element[1].text in PRIMES:
        element.tag, element[1].tag, element[1].attrib = "mrow", "mo", {"lspace": "0", "rspace": "0"}
    elif display and element.tag == "msub" and (element[0].text or "").replace("\u2006", " ") in LIMITS:
        element.tag = "munder"


def _space(row: ElementTree.Element) -> None:
    """Thin spaces around names of functions, and signs that stand for a sign and not for a difference."""
    children = list(row)
    for k, child in enumerate(children):
        before = children[k - 1] if k else None
        after = children[k + 1] if k + 1 < len(children) else None
        if child.tag == "mo" and child.text in SIGNS and before is not None and _opens(before):
            child.set("form", "prefix")
        if _is_function(child):
            if before is not None and before.tag in OPERANDS and not _is_function(before):
                row.insert(list(row).index(child), ElementTree.Element("mspace", width=THIN))
            if after is not None and after.tag in OPERANDS:
                row.insert(list(row).index(child) + 1, ElementTree.Element("mspace", width=THIN))


def _opens(element: ElementTree.Element) -> bool:
    """A relation, comma or opening bracket: what follows starts anew."""
    return element.tag == "mo" and element.text not in CLOSING


def _is_function(element: ElementTree.Element) -> bool:
    """A name such as max, with or without scripts."""
    base = element[0] if element.tag in SCRIPTS else element
    return base.tag == "mi" and len(base.text or "") > 1 and (base.text or "").replace(" ", "").isalpha()
