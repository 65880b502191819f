EQUIVALENT = {
    "7.1": {
        "ends_before = done.cumsum(1) - done.int() → ends_before = done.int() - done.cumsum(1)": (
            "Only whether this is 0 is asked, and a number is 0 where its negative is."
        ),
    },
}
