EQUIVALENT = {
    "18.3": {
        "return done.cumsum(0) - done.long() → return done.cumsum(-1) - done.long()": "there is one dimension only",
    },
}
