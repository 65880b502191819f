"""What every view is: HTML, and the same in words."""

from __future__ import annotations

from course_utils.views.display import View, image_tag


def test_views_carry_both_twins():
    view = View("<b>x</b>", "x")
    assert view._repr_mimebundle_() == {"text/html": "<b>x</b>", "text/plain": "x"} and repr(view) == "x"
    assert 'alt="&lt;"' in image_tag(b"", "image/png", "<")
