WRITTEN = (
    "numbers = [sum((w * x for w, x in zip(row, numbers, strict=True))) + b "
    "for row, b in zip(weight, bias, strict=True)]"
)
INNER, OUTER = "zip(row, numbers, strict=True)", "zip(weight, bias, strict=True)"


def changed(part: str, to: str) -> str:
    return f"{WRITTEN} → {WRITTEN.replace(part, to)}"


EQUIVALENT = {
    "19.3": {
        changed(INNER, f"reversed(list({INNER}))"): "a sum does not depend on the order, up to rounding",
        changed(INNER, "zip(numbers, row, strict=True)"): "a product does not depend on the order",
        changed(INNER, "zip(row, numbers)"): "a row is as long as what it is multiplied with",
        changed(OUTER, "zip(weight, bias)"): "there is a bias for each row",
        changed(INNER, "zip(row, numbers, strict=False)"): "a row is as long as what it is multiplied with",
        changed(OUTER, "zip(weight, bias, strict=False)"): "there is a bias for each row",
    },
}
