"""The page is safe, legible in light and dark, and fits a phone."""

import pytest


def test_a_hostile_name_is_only_text(watch, file, hostile_name):
    watched = watch(file)
    page = watched.page
    cell = page.locator('.board[data-data="zoo"] tbody th').filter(has_text="</script>")
    assert hostile_name in cell.text_content()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    page.select_option("#model", hostile_name)
    assert page.locator("tbody tr:visible").count() == 1
    assert (watched.said, watched.asked) == ([], [file])
    # and if a script found its way in, the policy of the page would not let it run or call home
    ran = page.evaluate(
        """async () => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          const answer = await fetch("http://127.0.0.1:9/").then(() => "sent", () => "refused");
          return [window.ran === true, answer];
        }"""
    )
    assert ran == [False, "refused"]
    assert all("Content Security Policy" in said for said in watched.said)


CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(at).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    throw new Error("no background");
  };
  const worst = {};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    if (node.closest("script, style, noscript, option")) continue;
    const style = getComputedStyle(node);
    const colour = parse(node instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(colour), light(behind(node))].sort((x, y) => y - x);
    const name = `${node.tagName} ${node.getAttribute("class") ?? ""}`;
    worst[name] = Math.min(worst[name] ?? 21, (a + 0.05) / (b + 0.05));
  }
  return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(watch, file, scheme):
    page = watch(file, color_scheme=scheme).page
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    page.locator(".point").first.focus()
    assert not {"undefined", "NaN", "null"} & set(page.inner_text("body").split())
    worst = page.evaluate(CONTRAST)
    assert {"H1 ", "TH ", "TD score", "text ", "DIV tip", "SMALL ", "SPAN tag"} <= set(worst)
    assert {name: ratio for name, ratio in worst.items() if ratio < 4.5} == {}
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert is_dark == (scheme == "dark")


def test_the_button_changes_the_theme_and_it_lasts(watch, file):
    page = watch(file, color_scheme="light").page
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark", exact=True).click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != before
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.get_by_role("button", name="Light", exact=True).click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == before


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_does_not_scroll_sideways(watch, file, width):
    page = watch(file, viewport={"width": width, "height": 800}, has_touch=True).page
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    score = page.locator('.board[data-data="mine"] td.score').first.bounding_box()
    assert score["x"] + score["width"] <= width  # the model and its figure are seen at once
    last = page.locator('.board[data-data="mine"] thead th').last
    last.scroll_into_view_if_needed()  # within the table, where the model stays in sight
    assert last.bounding_box()["x"] + last.bounding_box()["width"] <= width
    assert page.locator('.board[data-data="mine"] tbody th').first.bounding_box()["x"] >= 0
    for figure in page.locator("figure svg").all():
        box = figure.bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= width
