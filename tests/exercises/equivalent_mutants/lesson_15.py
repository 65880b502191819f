EQUIVALENT = {
    "15.2": {
        "without = [team(torch.cat([distance[:, :i], distance[:, i + 1:]], 1)) for i in range(distance.shape[1])] → "
        "without = [team(torch.cat([distance[:, i + 1:], distance[:, :i]], 1)) for i in range(distance.shape[1])]": (
            "the smallest distance of the others does not depend on their order"
        ),
    },
}
