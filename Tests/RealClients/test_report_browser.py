"""The report in a real browser, without network: whole, legible, nothing covered and nothing cut off."""
import copy
import json
import pathlib
import subprocess

import pytest

from browser import Browser, executable
from conftest import PROGRAM, ROOT

FIXTURE = ROOT / "Tests/Fixtures/comparison.json"

pytestmark = pytest.mark.skipif(executable() is None, reason="no browser (chromium) is installed")

VIEWS = [(1280, False), (1280, True), (420, False), (420, True)]

# What is seen, as a list of complaints. Hidden twins of charts (for the other width) and closed details are not seen.
INSPECT = r"""
(() => {
  const problems = [];
  const seen = element => element.checkVisibility({visibilityProperty: true, opacityProperty: true});
  const name = element => (element.closest('section,article,header')?.querySelector('h1,h2')?.textContent ?? '') + ': ' + element.textContent.trim().slice(0, 40);
  const channel = value => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const rgb = text => { const m = text.match(/rgba?\(([^)]*)\)/); return m ? m[1].split(',').map(Number) : null; };
  const light = c => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c && (c.length < 4 || c[3] > 0)) return c;
    }
    return rgb(getComputedStyle(document.documentElement).colorScheme.includes('dark') ? 'rgb(0,0,0)' : 'rgb(255,255,255)');
  };
  if (document.documentElement.scrollWidth > innerWidth) problems.push('the page is wider than the window: ' + document.documentElement.scrollWidth);

  for (const figure of document.querySelectorAll('figure'))
    if ([...figure.querySelectorAll('svg')].filter(seen).length !== 1) problems.push('not one chart is shown: ' + name(figure));
  for (const svg of [...document.querySelectorAll('svg')].filter(seen)) {
    const box = svg.getBoundingClientRect();
    if (!(box.width > 50 && box.height > 10)) problems.push('a chart without size: ' + name(svg));
    const shapes = [...svg.querySelectorAll('rect,circle,polyline,polygon')];
    if (!shapes.some(shape => { const b = shape.getBBox(); return b.width > 0 && b.height > 0; })) problems.push('a chart without a mark: ' + name(svg));
    const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim());
    const boxes = texts.map(text => text.getBoundingClientRect());
    boxes.forEach((a, i) => {
      if (!(a.width > 0 && a.height > 0)) problems.push('a label without size: ' + texts[i].textContent);
      if (a.left < box.left - 0.5 || a.right > box.right + 0.5 || a.top < box.top - 0.5 || a.bottom > box.bottom + 0.5)
        problems.push('a label is cut off: ' + texts[i].textContent + ' in ' + name(svg));
      const size = parseFloat(getComputedStyle(texts[i]).fontSize) * box.width / svg.viewBox.baseVal.width;
      if (size < 11) problems.push('a label of ' + size.toFixed(1) + ' px: ' + texts[i].textContent);
      boxes.forEach((b, j) => {
        // Line boxes have air above and below the letters: 3 px of them may meet.
        if (j > i && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
          problems.push('labels cover each other: ' + texts[i].textContent + ' and ' + texts[j].textContent + ' in ' + name(svg));
      });
      const style = getComputedStyle(texts[i]);
      let under = ground(svg.parentElement);
      if (texts[i].classList.contains('inbar')) under = rgb(getComputedStyle(texts[i].previousElementSibling).fill);
      if (contrast(rgb(style.fill), under) < 4.4) problems.push('a label hard to read (' + contrast(rgb(style.fill), under).toFixed(1) + '): ' + texts[i].textContent + ' in ' + name(svg));
    });
  }

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const parents = new Set();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) if (node.textContent.trim()) parents.add(node.parentElement);
  for (const element of parents) {
    if (element.closest('svg') || ['SCRIPT', 'STYLE'].includes(element.tagName) || !seen(element)) continue;
    const style = getComputedStyle(element);
    if (parseFloat(style.fontSize) < 11) problems.push('text of ' + style.fontSize + ': ' + name(element));
    if (contrast(rgb(style.color), ground(element)) < 4.4) problems.push('text hard to read (' + contrast(rgb(style.color), ground(element)).toFixed(1) + '): ' + name(element));
    const range = document.createRange();
    range.selectNodeContents(element);
    const scrolls = element.closest('.scroll');
    for (const box of range.getClientRects()) {
      if (!scrolls && (box.left < -0.5 || box.right > innerWidth + 0.5)) problems.push('text beyond the page: ' + name(element));
      const card = element.closest('.card')?.getBoundingClientRect();
      if (card && (box.left < card.left || box.right > card.right || box.bottom > card.bottom)) problems.push('text beyond its card: ' + name(element));
    }
  }
  for (const cell of [...document.querySelectorAll('td,th,dd,dt,p,h1,h2')].filter(seen))
    if (cell.scrollWidth > cell.clientWidth + 1 && getComputedStyle(cell).display !== 'inline') problems.push('text wider than its box: ' + name(cell));
  return problems;
})()
"""


def only(result, *modes):
    result["modes"] = [mode for mode in result["modes"] if mode["mode"] in modes]


def over_an_endpoint(result):
    """As a run over S3 leaves it: copies declared, the mount's own traffic unseen."""
    only(result, "tiered", "shared")
    result["objectStore"] = {
        "url": "s3://a-bucket-with-a-rather-long-name/and/a/prefix?endpoint=http://object-store.example:7480&region=eu-central-1&copies=3",
        "copies": 3, "basis": "declared"}
    result["volume"] = {"spec": "/mnt/volume", "copies": 1, "basis": "not measured", "backing": [], "fileSystem": "fuse.glusterfs"}
    for mode in result["modes"]:
        mode["network"]["volumeCopies"] = None
        mode["notMeasured"]["network.volumeCopies"] = "what the mount sends below is not seen from here"


def footprint_alone(result):
    for mode in result["modes"]:
        for field in ("steady", "reassignment", "failover"):
            mode[field] = None
            mode["notMeasured"][field] = "not asked for"


def nothing_measured(result):
    only(result, "isr")
    footprint_alone(result)
    for field in ("storage", "network", "requests"):
        result["modes"][0][field] = None
        result["modes"][0]["notMeasured"][field] = "not asked for"
    result["modes"][0]["cost"] = []


def very_unequal(result):
    """Values far apart: labels at the ends of tiny and huge bars, moves of nearly the same time."""
    for index, mode in enumerate(result["modes"]):
        for cost in mode["cost"]:
            factor = 1000.0 ** index
            cost["perMonth"] *= factor
            for item in cost["items"]:
                item["amount"] *= factor
        for run in mode["reassignment"]["runs"]:
            run["seconds"] = 0.1 + index * 0.0001
        mode["failover"]["phases"][0]["seconds"] = 30.0 * index + 0.001


VARIANTS = {
    "whole": lambda result: None, "endpoint": over_an_endpoint, "footprint": footprint_alone, "nothing": nothing_measured,
    "unequal": very_unequal,
}
CHARTS = {"whole": 7, "endpoint": 7, "footprint": 4, "nothing": 0, "unequal": 7}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """`ninefold report` of the fixture and of what else a run may have left."""
    directory = tmp_path_factory.mktemp("report")
    fixture = json.loads(FIXTURE.read_text())
    paths = {}
    for name, change in VARIANTS.items():
        result = copy.deepcopy(fixture)
        change(result)
        file = directory / f"{name}.json"
        file.write_text(json.dumps(result))
        subprocess.run([PROGRAM, "report", str(file), "--output", str(directory)], check=True, stdout=subprocess.DEVNULL, timeout=60)
        paths[name] = directory / f"{name}.html"
    return paths


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("width,dark", VIEWS)
def test_page_is_whole_and_legible(browser, pages, variant, width, dark, tmp_path):
    browser.show(pages[variant], width, dark)
    try:
        assert browser.evaluate("document.querySelectorAll('figure').length") == CHARTS[variant]
        assert browser.evaluate(INSPECT) == []
        # With everything opened that can be.
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert browser.evaluate(INSPECT) == []
    except AssertionError:
        browser.screenshot(tmp_path / "page.png")
        raise


@pytest.mark.parametrize("variant", VARIANTS)
def test_page_asks_the_network_for_nothing_and_complains_of_nothing(browser, pages, variant):
    browser.show(pages[variant], 1280)
    # Errors and requests that come late would have come by the next frames.
    browser.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert browser.requested == [pages[variant].as_uri()]
    assert browser.complaints == []


def test_the_colours_of_the_dark_are_others_than_of_the_light(browser, pages):
    grounds = []
    for dark in (False, True):
        browser.show(pages["whole"], 1280, dark)
        grounds.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_statement_stands_in_the_first_screen_and_marks_are_explained(browser, pages):
    browser.show(pages["whole"], 1280)
    assert browser.evaluate("document.title") == "Ninefold: where should a log keep its bytes?"
    first = browser.evaluate("document.querySelector('.headline').getBoundingClientRect().bottom")
    assert first < 300
    marks = browser.evaluate("[...document.querySelectorAll('.marks li')].map(e => e.textContent.trim()[0])")
    assert marks == ["M", "C", "S", "Q"]
    used = set(browser.evaluate("[...document.querySelectorAll('.mark')].map(e => e.textContent)"))
    assert used <= set(marks)


def test_the_page_holds_the_numbers_it_was_drawn_from(browser, pages):
    browser.show(pages["whole"], 1280)
    assert browser.evaluate("JSON.parse(document.getElementById('comparison').textContent)") == json.loads(FIXTURE.read_text())


def test_what_was_not_measured_is_said_and_not_drawn_as_zero(browser, pages):
    browser.show(pages["nothing"], 1280)
    card = browser.evaluate("document.querySelector('.card').innerText")
    assert "not measured" in card
    assert "0.00" not in card
    reasons = browser.evaluate("document.getElementById('not-measured').innerText")
    for field in ("steady", "storage", "failover"):
        assert f"isr {field}: not asked for" in reasons
