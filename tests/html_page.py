"""A page as its tests see it."""

from html.parser import HTMLParser


VOID = {"meta", "br", "img", "col", "hr", "link", "input", "path", "use", "rect", "circle", "mspace"}


class Page(HTMLParser):
    """Collects tags, ids and references, and checks that every element is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.ids, self.references, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.references += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag
