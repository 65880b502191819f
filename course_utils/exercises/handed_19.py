"""Exercises of lesson 19, one part of them."""

from course_utils.exercises import served_19
from course_utils.exercises.page_19 import EXERCISE_19_3

EXERCISES = [EXERCISE_19_3, *served_19.EXERCISES]
