"""For tests in a browser: pages opened from disk, and what they complain of."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.reports import CHROMIUM, picture

needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM} to open pages in"
)


class Opened:
    """A page in a browser; `complaints` are errors, dialogs, and requests for anything else."""

    def __init__(self, context, file, hash_=""):
        self.page, self.complaints = context.new_page(), []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.on("request", self._requested)
        self.page.goto(file.as_uri() + hash_)
        self.file = file.as_uri()

    def _requested(self, request):
        if not request.url.startswith(("data:", "blob:", "file://")):
            self.complaints.append(request.url)

    def card(self, n=0):
        return self.page.locator("#cards > li").nth(n)

    def ids(self):
        return self.page.locator("#cards h3 small").all_inner_texts()

    def choose(self, name, value):
        self.page.locator(f"#filters select[name={name}]").select_option(value)

    def reset(self):
        self.page.get_by_role("button", name="Reset").click()

    def drawn(self, canvas):
        """Pixels (H, W, 3) of a canvas, once they are drawn."""
        canvas.scroll_into_view_if_needed()
        handle = canvas.element_handle()
        self.page.wait_for_function("c => c.drawn === c.turn && c.turn", arg=handle)
        uri = handle.evaluate("c => c.toDataURL('image/webp', 1)")
        return np.array(picture(uri).convert("RGB"))

    def focused(self):
        """Name of the card that has the focus."""
        return self.page.evaluate("document.activeElement.getAttribute('aria-label')")

    def stored(self):
        return json.loads(self.page.evaluate("localStorage.getItem(data.key)") or "[]")
