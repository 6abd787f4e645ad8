"""What axe-core, which comes with axe-playwright-python, finds wrong in a page."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_GRAVE = ("serious", "critical", "moderate")


def findings(page: Page) -> list[str]:
    """List what axe-core finds wrong, but for trifles."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['html'][:160]}"
        for each in violations
        if each["impact"] in _GRAVE
        for node in each["nodes"]
    ]
