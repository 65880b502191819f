"""Exercises of lesson 18."""

from course_utils.exercises import records_18, simulator_18, worlds_18

EXERCISES = [*worlds_18.EXERCISES, *records_18.EXERCISES, *simulator_18.EXERCISES]
