"""Right answers to lesson 19's part about servers, written in other ways than the lesson's."""


def by_batches_batch_numbers(arrivals, rows, most, wait):
    batches = []
    for request, arrival in enumerate(arrivals):
        fits = batches and sum(rows[other] for other in batches[-1]) + rows[request] <= most
        if fits and arrival <= arrivals[batches[-1][0]] + wait:
            batches[-1].append(request)
        else:
            batches.append([request])
    return [number for number, batch in enumerate(batches) for _ in batch]


OTHERWISE = {"19.4": by_batches_batch_numbers}
