"""OpenML bandits: a table of records becomes a game of one move, with a point for the right class.

For contextual bandits: the observation is a row, the action a guess of its class, and the episode is over.
The loading code is TorchRL's own: text becomes numbers, columns are scaled, and all goes into memory maps.
The table is a stand-in of forty made-up mushrooms, for openml.org cannot be asked here.
"""

import tempfile
from unittest import mock

import pandas
from torchrl.envs import OpenMLEnv, StepCounter, TransformedEnv
from tour import Tour


def mushrooms(name: str, version: int, return_X_y: bool):
    """A stand-in for `sklearn.datasets.fetch_openml`: what a mushroom looks like, and whether it is edible."""
    table = pandas.DataFrame({"cap": list("xbfk") * 10, "odour": list("nnaa") * 10, "ring": list("op") * 20})
    return table.astype("category"), (table["odour"] == "n").map({True: "e", False: "p"})


def make(copies: int = 1):
    return OpenMLEnv("mushroom_onehot", batch_size=[copies])


def main() -> None:
    tour = Tour("mushroom_onehot, a made-up table")
    folder = tempfile.mkdtemp()
    with (
        mock.patch("sklearn.datasets.fetch_openml", mushrooms),
        mock.patch("torchrl.data.datasets.openml._get_root_dir", lambda name: folder),
    ):
        env = make()
        tour.specs(env)
        tour.check(env)
        tour.rollout(env, steps=20)
        tour.transform("StepCounter(): every episode has one step", TransformedEnv(make(), StepCounter()))
        tour.strip(lambda: make(40).reset()["observation"].float())
        tour.speed(make, copies=20, how="batch_size=[20]: twenty rows at once")
        tour.breaks("41 rows at once of a table that has 40", lambda: make(41).reset())
    tour.breaks("the real table, without a network", lambda: OpenMLEnv("magic"))


if __name__ == "__main__":
    main()
