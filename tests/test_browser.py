"""The notebooks as a reader meets them: JupyterLab in a real browser, every cell run, a slider moved.

Skipped where there is no Chromium (the variable ATROUS_CHROMIUM names one in an unusual place), no JupyterLab or no
Playwright: ``pip install -e ".[notebooks,browser]"``.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("ATROUS_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
# Nothing but the pages on this machine is asked for.
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Return the address of a JupyterLab that serves copies of the notebooks."""
    pytest.importorskip("jupyterlab")
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, home / "work" / "notebooks", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(NOTEBOOKS.parent / "benchmarks" / "results", home / "work" / "benchmarks" / "results")
    settings = {
        "apputils-extension/notification": {"fetchNews": "false"},
        # Otherwise cells out of sight are not drawn.
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in settings.items():
        path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    environment.pop("ATROUS_QUIET", None)
    environment.pop("ATROUS_STATIC", None)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={home / 'work'}",
    ]  # fmt: skip
    log = (home / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=home)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=1).read()
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


CELLS = "() => jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells"
BUSY = """() => {
  const shown = jupyterapp.shell.currentWidget;
  return shown?.sessionContext?.session?.kernel?.status !== "idle"
    || [...document.querySelectorAll(".jp-InputPrompt")].some(p => p.textContent.includes("*"));
}"""


def settled(page, seconds=300):
    """Wait until the kernel has been idle for a second."""
    quiet, end = 0, time.monotonic() + seconds
    while quiet < 4:
        assert time.monotonic() < end, f"cells still run after {seconds} s"
        quiet = 0 if page.evaluate(BUSY) else quiet + 1
        page.wait_for_timeout(250)


@pytest.mark.parametrize("name", ["02_atrous_convolution_1d", "03_atrous_convolution_2d", "09_dense_crf"])
def test_a_notebook_runs_in_jupyterlab(name, lab, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    broken = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    page.goto(f"{lab}/lab/tree/notebooks/{name}.ipynb")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.content?.model?.cells?.length > 5")
    settled(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    settled(page)

    cells = [cell for cell in page.evaluate(CELLS) if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert not page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
    assert not broken

    drawings = page.locator(".jp-OutputArea-output svg[role=img], .jp-OutputArea-output img")
    page.wait_for_function("() => [...document.images].every(one => one.complete)")
    # Another notebook may lie behind.
    widths = drawings.evaluate_all(
        "all => all.filter(one => one.checkVisibility()).map(one => one.getBoundingClientRect().width)"
    )
    assert min(widths) > 500, drawings.evaluate_all("all => all.map(one => [one.outerHTML.slice(0, 60), one.width])")
    solutions = page.locator(".jp-mod-readMode .jp-Placeholder-content, .jp-Cell .jp-Placeholder-content")
    assert "return" not in " ".join(solutions.all_inner_texts())

    if name.startswith("03"):
        buttons = page.locator(".atrous-taps button")
        buttons.filter(has_text="rate 3").click()
        buttons.filter(has_text="step ▶").click()
        taps = page.locator(".atrous-taps g[data-rate='3']")
        assert taps.get_attribute("visibility") == "visible"
        assert page.locator(".atrous-taps [data-words=count]").text_content() == "9 of 25"
        return
    handle = page.locator(".jupyter-widgets .noUi-handle").first
    handle.scroll_into_view_if_needed()
    picture = page.locator(".jupyter-widgets.widget-output img, .jupyter-widgets.widget-output svg[role=img]").first
    before = picture.evaluate("one => one.outerHTML")
    handle.focus()
    page.keyboard.press("ArrowRight")
    for _ in range(80):
        if picture.evaluate("one => one.outerHTML") != before:
            break
        page.wait_for_timeout(250)
    else:
        pytest.fail("the figure did not follow its slider")
    settled(page, 60)
    assert not page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
    page.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="module")
def page_of_files(tmp_path_factory):
    """Return the address of the page that needs no installation."""
    pytest.importorskip("jupyterlite_core")
    folder = tmp_path_factory.mktemp("page")
    subprocess.run([sys.executable, NOTEBOOKS / "make_lite.py", "-o", folder], check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()


def test_the_page_opens_without_an_installation(page_of_files, browser):
    """Notebooks 02 to 07 are on the page, open with their figures, and run where Pyodide's servers are reached."""
    address, folder = page_of_files
    names = sorted(path.name for path in (folder / "files" / "notebooks").glob("*.ipynb"))
    assert [name[:2] for name in names] == ["02", "03", "04", "05", "06", "07"]
    assert len(list((folder / "pypi").glob("atrous-*-py3-none-any.whl"))) == 1
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    missing, unreached = [], []
    page.on("response", lambda r: missing.append(r.url) if r.status >= 400 and "/api/" not in r.url else None)
    page.on("requestfailed", lambda r: unreached.append(r.url) if "pyodide" in r.url else None)
    page.goto(f"{address}/lab/index.html?path=notebooks/{names[0]}")
    page.locator(".jp-Notebook .jp-CodeCell").nth(5).wait_for(state="attached")
    assert "%pip install -q atrous" in page.locator(".jp-Notebook .jp-CodeCell").first.inner_text()
    page.locator(".jp-OutputArea-output img, .jp-OutputArea-output svg").first.wait_for()
    assert not [url for url in missing if url.startswith(address)]
    page.wait_for_timeout(5000)
    if unreached:
        pytest.skip("the page stands; Pyodide's servers are not reached from here, so its cells were not run")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-InputPrompt").filter(has_text="[").wait_for()
    page.wait_for_function(
        "() => ![...document.querySelectorAll('.jp-InputPrompt')].some(p => p.textContent.includes('*'))",
        timeout=300_000,
    )
    assert not page.locator("[data-mime-type='application/vnd.jupyter.stderr'], .jp-RenderedText.error").count()
    page.close()
