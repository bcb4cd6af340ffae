"""How Sphinx builds the site: `make docs`."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
ROOT = Path(__file__).parents[1]
os.environ.pop("MPLBACKEND", None)  # or a notebook would draw where nobody sees it
# Of notebooks: no settings of the user's, and no warning that a kernel on this machine is not encrypted.
PROFILE = ROOT / "build/docs/ipython/profile_default"
PROFILE.mkdir(parents=True, exist_ok=True)
(PROFILE / "ipython_kernel_config.py").write_text("c = get_config()\nc.IPKernelApp.log_level = 40\n")
os.environ["IPYTHONDIR"] = str(PROFILE.parent)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))  # of notebooks
sys.path.insert(0, str(ROOT))

import fastdl  # noqa: E402

project = "fastdl"
author = "The fastdl developers"
copyright = "The fastdl developers"
version = release = fastdl.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",  # pages need no network
    "equations",
    "gallery",
    "notebooks",
    "reference",
]
exclude_patterns = ["_ext", "check", "_build", "_static", "_templates", "learn/*.ipynb", "gallery/_*.md"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}
templates_path = ["_templates"]

autosummary_generate = True
autodoc_preserve_defaults = True  # as they are written, not as they print
autodoc_typehints = "none"  # numpydoc's sections say more
numpydoc_show_class_members = False  # the template lists them
numpydoc_xref_param_type = False

myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "build/docs/notebooks")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_excludepatterns = ["gallery/*"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "fastdl"
html_static_path = ["_static"]
html_favicon = "_static/mark.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["site.css"]
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 8,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "show_version_warning_banner": False,
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"start": [], "glossary": [], "changes": []}

# Links to the network are tested by `make docs-links`.
linkcheck_timeout = 20
linkcheck_retries = 2


def setup(app):
    app.extensions["sphinx-mathjax-offline"].parallel_read_safe = True  # it only copies files, and does not say so
    app.extensions["sphinx-mathjax-offline"].parallel_write_safe = True
