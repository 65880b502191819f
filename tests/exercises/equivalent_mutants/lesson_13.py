EQUIVALENT = {
    "13.2": {
        (
            "stripped = [line.strip() for line in text.splitlines()] → stripped = [line.strip() for line in "
            "reversed(list(text.splitlines()))]"
        ): "lines are counted, so their order does not matter",
        (
            "return Counter((line for line in stripped if line and (not line.startswith('#')))) → return "
            "Counter((line for line in reversed(list(stripped)) if line and (not line.startswith('#'))))"
        ): "lines are counted, so their order does not matter",
    },
}
