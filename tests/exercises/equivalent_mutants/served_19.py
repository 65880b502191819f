LOOP = "for arrival, count in zip(arrivals, rows, strict=True):"
START = "numbers, number, opened, full = ([], -1, float('-inf'), {})"

EQUIVALENT = {
    "19.4": {
        f"{LOOP} → for arrival, count in zip(arrivals, rows):": "there is a number of rows for each arrival",
        f"{LOOP} → {LOOP.replace('True', 'False')}": "there is a number of rows for each arrival",
        f"{START.format(0)} → {START.format(-1)}": "the first request opens a batch, which begins at 0",
        f"{START.format(0)} → {START.format(1)}": "the first request opens a batch, which begins at 0",
        "numbers.append(number) → numbers.append(number)": "whether it is noted before or after counting is the same",
    },
}
