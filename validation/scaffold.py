"""The skeleton of a new claim, from a template that runs as it stands."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from nlmodel.errors import DomainError
from validation.registry import Section, claim, explore


CLAIMS = Path(__file__).with_name("claims")


def scaffold(id: str, section: str, folder: Path = CLAIMS) -> str:
    """Add a claim to `folder`/`section`.py, made when missing; returns what to do next.

    The skeleton runs, and is `broken` until it has a control: it cannot be forgotten.
    """
    claim(id, section=Section("0", ""), paper="", title="", statement="")
    if not section.isidentifier():
        raise DomainError("a section is named by a module, such as markov", got=repr(section))
    if id in explore()[0]:
        raise DomainError("there is a claim with this id already", got=id, fix="python -m validation --list")
    path = folder / f"{section}.py"
    template = (resources.files("validation") / "templates" / "claim.py.txt").read_text(encoding="utf-8")
    head, body = template.split("# ---\n")
    name = id.lower().replace("-", "").replace(".", "_")
    body = body.replace("ID", id).replace("NAME", name if name[0].isalpha() else f"claim_{name}")
    text = path.read_text(encoding="utf-8") if path.exists() else head.replace("TITLE", section.replace("_", " "))
    path.write_text(text.rstrip("\n") + "\n\n\n" + body.strip("\n") + "\n", encoding="utf-8")
    return f"{path}: fill in {id}, then python -m validation --only {id}"
