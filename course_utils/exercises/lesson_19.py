"""Exercises of lesson 19."""

from course_utils.exercises import export_19, handed_19, packed_19

EXERCISES = [*export_19.EXERCISES, *handed_19.EXERCISES, *packed_19.EXERCISES]
