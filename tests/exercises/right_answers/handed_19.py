"""Right answers to lesson 19, one part of them, written in other ways than the lesson's."""


def by_matrices_think(layers, observation):
    """With NumPy, the bend after each layer but the last."""
    import numpy

    numbers = numpy.array(observation)
    for weight, bias in layers[:-1]:
        numbers = numpy.maximum(numpy.array(weight) @ numbers + numpy.array(bias), 0)
    weight, bias = layers[-1]
    return (numpy.array(weight) @ numbers + numpy.array(bias)).tolist()


OTHERWISE = {"19.3": by_matrices_think}
