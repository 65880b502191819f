"""What a watched training loop does wrong, in the order in which it hurts, each as one sentence."""

from __future__ import annotations

from course_utils.exercises.fault import Asked, Fault
from course_utils.exercises.faults_of_counts import counts, evaluation, shutdown
from course_utils.exercises.faults_of_data import collecting, rebuilt, sampling, storing, what_is_learned_from
from course_utils.exercises.faults_of_followers import epsilon, players, target
from course_utils.exercises.faults_of_gradients import backward, clipping, loss_entries, step, the_loss, zero_grad
from course_utils.exercises.notes import Watched

LOOKS = (
    collecting,
    storing,
    sampling,
    the_loss,
    backward,
    step,
    zero_grad,
    what_is_learned_from,
    clipping,
    loss_entries,
    rebuilt,
    players,
    target,
    epsilon,
    counts,
    evaluation,
    shutdown,
)


def faults(seen: Watched, asked: Asked | None = None) -> list[Fault]:
    """All that is wrong with what was seen; what hurts most comes first."""
    asked = asked or Asked()
    if not seen.notes:
        return [Fault("Nothing happened: your loop used none of its parts. Is it only defined, and never called?")]
    return [fault for look in LOOKS for fault in look(seen, asked)]
