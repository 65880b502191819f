"""The course's colours: a leaf, so that a card does not import matplotlib for them."""

# Okabe and Ito (2008), "Color Universal Design": https://jfly.uni-koeln.de/color/
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "black": "#000000",
}
