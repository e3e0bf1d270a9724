"""The site of `make docs`: the repository's own Markdown, as it is. Needs nothing from elsewhere, built or read."""

import html
import re
from typing import Any

import mermaidx
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

project = "Tandem"
copyright = "the authors of Tandem, Apache-2.0"
extensions = ["myst_parser"]

root_doc = "docs/index"
include_patterns = ["*.md", "docs/**", "deploy/**", "examples/**", "sdk/README.md"]
exclude_patterns = ["**/node_modules", "**/.*"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
suppress_warnings = ["misc.highlighting_failure"]  # some snippets are shortened with `...`

html_theme = "furo"
html_title = "Tandem"
html_copy_source = False
html_show_sphinx = False
pygments_style, pygments_dark_style = "default", "monokai"


#: The site's navigation, in the order that a newcomer needs. A page that is missing here is a warning, and so an error.
NAVIGATION = {
    "Start": ["README", "docs/tutorial/first-journey", "docs/explanation/concepts"],
    "How-to guides": [
        "docs/how-to/index",
        *(f"docs/how-to/{page}" for page in ("publish", "subscribe", "agents", "handoffs", "playbook", "identity")),
        *(f"docs/how-to/{page}" for page in ("look-back", "audit", "erase")),
        *(f"docs/how-to/{page}" for page in ("operate", "access", "troubleshoot", "rebuild")),
        *("deploy/README", "deploy/kafka/README"),
    ],
    "Reference": [
        "docs/reference/index",
        *(f"docs/reference/{page}" for page in ("events", "api", "cli", "settings", "errors", "access", "playbook")),
        *(f"docs/reference/{page}" for page in ("handoffs", "business-hours", "attribution", "agents", "performance")),
        "sdk/README",
    ],
    "Explanation": [
        "docs/explanation/index",
        *(f"docs/explanation/{page}" for page in ("laws", "identity", "erasure", "tamper-evidence", "scale")),
        "docs/explanation/dependencies",
    ],
    "Examples": ["examples/olist/README", "examples/sales-app/README"],
    "The project": ["ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY"],
    "Decisions": [
        "docs/decisions/index",
        *(f"docs/decisions/{page}" for page in ("faust", "leases", "witness", "moments", "journey-ids", "conflicts")),
        *(
            f"docs/decisions/{page}"
            for page in ("identity", "small-ones", "consulted", "feed", "subscribers", "agents")
        ),
        *(f"docs/decisions/{page}" for page in ("speed", "handoffs", "playbook", "switch", "erasure", "house")),
        "docs/decisions/python-alone",
    ],
}


def add_navigation(_: Sphinx, page: str, text: list[str]) -> None:
    """Hidden tables of contents, so that the Markdown itself needs none."""
    if page == root_doc:
        for title, pages in NAVIGATION.items():
            text[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(f"/{one}" for one in pages)
            text[0] += "\n```\n"


def lead_home(app: Sphinx, error: Exception | None) -> None:
    """The folder's own address leads to the first page."""
    if error is None:
        refresh = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        (app.outdir / "index.html").write_text(f"<!doctype html>\n<title>Tandem</title>\n{refresh}", "utf-8")


_COLOURS = {"theme": "neutral", "themeVariables": {"xyChart": {"plotColorPalette": "#4063d8"}}}


class Mermaid(SphinxDirective):
    """A diagram, drawn while the site is built: the page loads no script for it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The diagram as SVG, with an id of its own, since its style sheet names it."""
        source = "\n".join(self.content)
        name = f"diagram-{self.env.new_serialno('mermaid')}"
        drawn = re.sub(r"\bmy-svg\b", name, str(mermaidx.render(source, config=_COLOURS).svg()))
        label = html.escape(source.partition("\n")[0])
        return [
            nodes.raw("", f'<figure aria-label="{label}" style="background: white">{drawn}</figure>', format="html")
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("mermaid", Mermaid)
    app.connect("source-read", add_navigation)
    app.connect("build-finished", lead_home)
    return {"parallel_read_safe": True}
