EQUIVALENT = {
    "11.2": {
        "return memory * ~is_init.unsqueeze(-1) → return memory * ~is_init.unsqueeze(-2)": (
            "the flags have shape [batch, 1]: a dimension before or after the last gives [batch, 1, 1]"
        ),
    },
}
