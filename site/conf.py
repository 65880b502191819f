"""Sphinx's settings for the course's web pages. Its sources are a copy that tools/site.py makes: `make site`."""

from tools.course import publication

published = publication()

project = html_title = "TorchRL course"
language = "en"
extensions = ["myst_nb", "sphinx.ext.githubpages"]

# Notebooks are shown as they were committed.
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 6

html_theme = "sphinx_book_theme"
html_theme_options = {
    **({"repository_url": published.address, "use_repository_button": True} if published else {}),
    # It offers the copy's file, whose links lead to pages of the site.
    "use_download_button": False,
    # The book theme has its search in the side bar.
    "navbar_persistent": [],
    "footer_content_items": [],
}
html_context = {"default_mode": "auto"}
html_favicon = "icon.svg"
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["course.css", "formulas.js", "node_modules/mathjax/es5/tex-svg.js"]
html_css_files = ["course.css"]
html_js_files = ["formulas.js"]
mathjax_path = "tex-svg.js"
# The menu would load what is not on the site.
mathjax3_config = {"options": {"enableMenu": False}}
