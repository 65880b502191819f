SYMMETRIC = "A distance is the same from either end."

EQUIVALENT = {
    "3.2": {
        "return TensorDictModule(distance, in_keys=['position', 'goal'], out_keys=['distance']) → "
        "return TensorDictModule(distance, in_keys=['goal', 'position'], out_keys=['distance'])": SYMMETRIC,
        "return (position - goal).norm(dim=-1, keepdim=True) → return (goal - position).norm(dim=-1, keepdim=True)": (
            SYMMETRIC
        ),
    },
}
